//! What the tests of every kernel share: shapes, values, workspaces and the one tolerance.

use proptest::prelude::*;
use taps::kernels::{Activation, Grid, Tensor, Window, Workspace};

/// Error allowed, relative to the size of what was added and multiplied.
const TOLERANCE: f64 = 32.0 * f32::EPSILON as f64;

/// Values drawn by [`Values::take`] are below this in magnitude.
pub const BOUND: f64 = 2.0;

/// The configuration of every property.
pub fn config() -> ProptestConfig {
    ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() }
}

/// Sizes: one, small ones, and ones about the width of a block of vector registers.
pub fn side() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), 2..12_usize, 15..18_usize, 30..36_usize]
}

/// Rows and columns: mostly small, at times without rows, at times tall or wide enough for two threads.
pub fn matrix() -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![
        7 => (side(), side()),
        1 => (Just(0), side()),
        1 => (520..600_usize, 65..80_usize),
        1 => (1..4_usize, 33_000..34_000_usize),
    ]
}

/// Lengths of the examples of a batch; at times there is none.
pub fn lengths(shortest: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![Just(shortest), Just(1), 1..20_usize], 0..6)
}

/// Channels of images: fewer than a vector register holds, a few registers, many.
pub fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 1..40_usize, 1 => 120..140_usize]
}

/// Images, at times none, and a window over them: any size, stride and padding.
pub fn sliding() -> impl Strategy<Value = (Grid, Window)> {
    let size = || prop_oneof![2 => Just([3, 3]), 1 => Just([5, 5]), 4 => [1..6_usize, 1..6_usize]];
    let length = || prop_oneof![4 => 1..9_usize, 1 => 9..14_usize];
    let pads = || [0..4_usize, 0..4_usize];
    (0..4_usize, length(), length(), size(), 1..4_usize, pads(), pads()).prop_map(
        |(images, height, width, size, stride, rows, cols)| {
            let fit = |length: usize, pad: [usize; 2], size: usize| length.max(size.saturating_sub(pad[0] + pad[1]));
            let (height, width) = (fit(height, rows, size[0]), fit(width, cols, size[1]));
            (Grid { images, height, width }, Window { size, stride, rows, cols })
        },
    )
}

pub fn activation() -> impl Strategy<Value = Activation> {
    prop::sample::select(&[Activation::None, Activation::Relu, Activation::Relu6][..])
}

/// Size of a sum of products, whose signs are random, and one value.
pub fn sum_of(products: usize) -> f64 {
    BOUND * BOUND * (products as f64).sqrt() + BOUND
}

/// A stream of values (splitmix64).
pub struct Values(pub u64);

impl Values {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| ((self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0) * BOUND as f32).collect()
    }

    pub fn tensor(&mut self, rows: usize, cols: usize) -> Tensor {
        Tensor::from_vec(self.take(rows * cols), rows, cols)
    }
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// A copy of `tensor`, for kernels that work in place.
pub fn copy(tensor: &Tensor) -> Tensor {
    Tensor::from_vec(tensor.to_vec(), tensor.rows(), tensor.cols())
}

/// A workspace whose free buffers hold NaN, so that a value no kernel wrote is seen.
pub fn workspace(threads: usize) -> Workspace {
    let workspace = Workspace::new(threads);
    let buffer = |power: usize| {
        let mut buffer = workspace.tensor(1, 1 << (power / 4));
        buffer.fill(f32::NAN);
        buffer
    };
    drop((0..68).map(buffer).collect::<Vec<_>>());
    workspace
}

/// What `call` returns with one thread: the same bits in two workspaces, and with two threads the
/// same within the tolerance.
pub fn run<const N: usize>(size: f64, call: impl Fn(&Workspace) -> [Vec<f32>; N]) -> [Vec<f32>; N] {
    let found = call(&workspace(1));
    let (again, threaded) = (call(&workspace(1)), call(&workspace(2)));
    for ((found, again), threaded) in found.iter().zip(&again).zip(&threaded) {
        assert_eq!(bits(found), bits(again), "one thread gives the same bits twice");
        assert_close(threaded, &wide(found), size);
    }
    found
}

pub fn assert_close(found: &[f32], expected: &[f64], size: f64) {
    assert_eq!(found.len(), expected.len());
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= TOLERANCE * size, "value {index} is {found}, not {expected} (size {size})");
    }
}

/// Asserts that `found` is the gradient of `function` at `at`, by central differences of up to about 50 of
/// its arguments.
pub fn assert_gradient(found: &[f32], at: &[f64], size: f64, function: impl Fn(&[f64]) -> f64) {
    const STEP: f64 = 1e-5;
    assert_eq!(found.len(), at.len());
    let mut x = at.to_vec();
    for index in (0..at.len()).rev().step_by(at.len() / 50 + 1) {
        let mut moved = |by| {
            x[index] = at[index] + by;
            function(&x)
        };
        let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        x[index] = at[index];
        let error = (f64::from(found[index]) - slope).abs();
        assert!(error <= TOLERANCE * size, "slope {index} is {}, not {slope} (size {size})", found[index]);
    }
}
