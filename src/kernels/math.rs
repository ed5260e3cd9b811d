//! Elementary functions that vectorize, and the choice of vector instructions.

/// A function whose body, with everything in it that is `#[inline(always)]`, is compiled for the widest vector
/// instructions this CPU has. Closures are not: the compiler may make functions of their own of them, compiled for those
/// that every CPU has.
macro_rules! vectorized {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        $visibility fn $name($($argument: $kind),*) $(-> $result)? {
            struct Kernel;
            impl $crate::kernels::math::Vectorized<($($kind,)*)> for Kernel {
                type Output = vectorized!(@output $($result)?);
                #[inline(always)]
                fn run(($($argument,)*): ($($kind,)*)) -> Self::Output $body
            }
            $crate::kernels::math::dispatch::<Kernel, _>(($($argument,)*))
        }
    };
    (@output) => { () };
    (@output $result:ty) => { $result };
}
pub(super) use vectorized;

/// The body of a [`vectorized`] function, which has the arguments `A`.
pub(super) trait Vectorized<A> {
    type Output;
    fn run(arguments: A) -> Self::Output;
}

#[inline(always)]
pub(super) fn dispatch<K: Vectorized<A>, A>(arguments: A) -> K::Output {
    struct Call<K, A>(A, std::marker::PhantomData<K>);
    impl<K: Vectorized<A>, A> pulp::NullaryFnOnce for Call<K, A> {
        type Output = K::Output;
        #[inline(always)]
        fn call(self) -> K::Output {
            K::run(self.0)
        }
    }
    pulp::Arch::new().dispatch(Call(arguments, std::marker::PhantomData::<K>))
}

/// Sum of `term` over a row in 16 partial sums, which the compiler keeps in vector registers.
#[inline(always)]
pub(super) fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = row.as_chunks::<16>();
    let mut sums = [0f32; 16];
    for block in blocks {
        for lane in 0..16 {
            sums[lane] += term(block[lane]);
        }
    }
    let mut total = sums.iter().sum::<f32>();
    for &value in rest {
        total += term(value);
    }
    total
}

/// The highest value of a row, in 16 parts as [`sum`]; what is not a number is none.
#[inline(always)]
pub(super) fn highest(row: &[f32]) -> f32 {
    let higher = |a: f32, b: f32| if a > b { a } else { b };
    let (blocks, rest) = row.as_chunks::<16>();
    let mut lanes = [f32::NEG_INFINITY; 16];
    for block in blocks {
        for lane in 0..16 {
            lanes[lane] = higher(block[lane], lanes[lane]);
        }
    }
    let found = lanes.iter().fold(f32::NEG_INFINITY, |highest, &value| higher(value, highest));
    rest.iter().fold(found, |highest, &value| higher(value, highest))
}

/// e^x to about two units in the last place; 0 far below and infinity far above.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // x = n ln 2 + r with |r| ≤ ln 2 / 2; e^r by its Taylor polynomial, 2^n by the exponent bits.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.7);
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + c;
    }
    // The last bits of what was rounded are n. Two steps, since 2^128 alone is not a float.
    let n = rounded.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = n >> 1;
    let power = |e: i32| f32::from_bits((e.wrapping_add(127) << 23) as u32);
    let value = p * power(half) * power(n.wrapping_sub(half));
    if x < -87.3 {
        0.0
    } else if x > 88.7 {
        f32::INFINITY
    } else {
        value
    }
}

/// The error function to about 1e-7, by a rational approximation in x on [-4, 4].
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    const P: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const Q: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let p = P[1..].iter().fold(P[0], |p, c| p * square + c);
    let q = Q[1..].iter().fold(Q[0], |q, c| q * square + c);
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_everywhere() {
        for step in -17_000..17_600 {
            let x = step as f32 * 0.005;
            let (found, exact) = (exp(x), (x as f64).exp());
            assert!((found as f64 - exact).abs() <= exact * 4e-7, "exp({x}) = {found}, not {exact}");
        }
        assert_eq!((exp(-1e4), exp(f32::NEG_INFINITY), exp(1e4), exp(0.0)), (0.0, 0.0, f32::INFINITY, 1.0));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn erf_is_close_everywhere() {
        for step in -600..=600 {
            let x = step as f64 * 0.01;
            // Integral of the Gaussian by Simpson's rule.
            let steps = 2000;
            let width = x / steps as f64;
            let gauss = |t: f64| (-t * t).exp();
            let sum: f64 = (0..steps)
                .map(|i| {
                    let t = i as f64 * width;
                    gauss(t) + 4.0 * gauss(t + width / 2.0) + gauss(t + width)
                })
                .sum();
            let exact = 2.0 / std::f64::consts::PI.sqrt() * sum * width / 6.0;
            assert!((erf(x as f32) as f64 - exact).abs() < 5e-7, "erf({x})");
        }
    }
}
