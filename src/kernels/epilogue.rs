//! What follows a convolution in the same pass over its output: scale, shift, a residual, an activation.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::lines::{load, store};

/// An activation that cuts values off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// The value itself.
    #[default]
    None,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

impl Activation {
    /// The lowest and the highest value it lets through.
    pub fn bounds(self) -> (f32, f32) {
        match self {
            Activation::None => (f32::NEG_INFINITY, f32::INFINITY),
            Activation::Relu => (0.0, f32::INFINITY),
            Activation::Relu6 => (0.0, 6.0),
        }
    }
}

/// `value` within bounds; not a number stays what it is, so that a loss that diverged is seen.
#[inline(always)]
pub(super) fn clamp(value: f32, low: f32, high: f32) -> f32 {
    let value = if low > value { low } else { value };
    if high < value { high } else { value }
}

/// y = activation(x · scale + shift + residual), per channel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Factor of each channel, `[channels]`.
    pub scale: Option<&'a [f32]>,
    /// What is added to each channel, `[channels]`.
    pub shift: Option<&'a [f32]>,
    /// What is added to each value, `[rows, channels]`.
    pub residual: Option<&'a [f32]>,
    /// What comes last.
    pub activation: Activation,
}

impl Epilogue<'_> {
    /// Whether it changes nothing.
    pub fn is_none(&self) -> bool {
        self.scale.is_none() && self.shift.is_none() && self.residual.is_none() && self.activation == Activation::None
    }

    /// Asserts that it fits an output `[rows, channels]`.
    pub(super) fn check(&self, rows: usize, channels: usize) {
        let fits = |values: Option<&[f32]>, length| values.is_none_or(|values| values.len() == length);
        assert!(fits(self.scale, channels) && fits(self.shift, channels), "scale and shift of {channels} channels");
        assert!(fits(self.residual, rows * channels), "residual of an output [{rows}, {channels}]");
    }

    /// Applies it to `rows`, the rows from `first` on of an output with `channels` columns.
    pub(super) fn apply(&self, rows: &mut [f32], first: usize, channels: usize) {
        if self.is_none() {
            return;
        }
        pulp::Arch::new().dispatch(Pass { epilogue: self, rows, first, channels });
    }
}

/// An epilogue over whole rows.
struct Pass<'a> {
    epilogue: &'a Epilogue<'a>,
    rows: &'a mut [f32],
    first: usize,
    channels: usize,
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.epilogue.scale.is_some(), self.epilogue.shift.is_some(), self.epilogue.residual.is_some()) {
            (false, false, false) => self.pass::<S, false, false, false>(simd),
            (false, false, true) => self.pass::<S, false, false, true>(simd),
            (false, true, false) => self.pass::<S, false, true, false>(simd),
            (false, true, true) => self.pass::<S, false, true, true>(simd),
            (true, false, false) => self.pass::<S, true, false, false>(simd),
            (true, false, true) => self.pass::<S, true, false, true>(simd),
            (true, true, false) => self.pass::<S, true, true, false>(simd),
            (true, true, true) => self.pass::<S, true, true, true>(simd),
        }
    }
}

impl Pass<'_> {
    #[inline(always)]
    fn pass<S: Simd, const SCALE: bool, const SHIFT: bool, const RESIDUAL: bool>(self, simd: S) {
        let Self { epilogue, rows, first, channels } = self;
        let (lowest, highest) = epilogue.activation.bounds();
        let (low, high) = (simd.splat_f32s(lowest), simd.splat_f32s(highest));
        let (scales, shifts) = (epilogue.scale.unwrap_or_default(), epilogue.shift.unwrap_or_default());
        let (scale, _) = S::as_simd_f32s(scales);
        let (shift, _) = S::as_simd_f32s(shifts);
        let (count, whole) = (channels / S::F32_LANES, channels / S::F32_LANES * S::F32_LANES);
        for (index, row) in rows.chunks_exact_mut(channels).enumerate() {
            let residuals = match epilogue.residual {
                Some(residual) if RESIDUAL => &residual[(first + index) * channels..][..channels],
                _ => &[],
            };
            let (residual, _) = S::as_simd_f32s(residuals);
            let (out, rest) = S::as_mut_simd_f32s(row);
            for k in 0..count {
                let mut value = out[k];
                if SCALE {
                    value = simd.mul_f32s(value, scale[k]);
                }
                if SHIFT {
                    value = simd.add_f32s(value, shift[k]);
                }
                if RESIDUAL {
                    value = simd.add_f32s(value, residual[k]);
                }
                value = simd.select_f32s(simd.less_than_f32s(value, low), low, value);
                out[k] = simd.select_f32s(simd.less_than_f32s(high, value), high, value);
            }
            for (out, channel) in rest.iter_mut().zip(whole..) {
                if SCALE {
                    *out *= scales[channel];
                }
                if SHIFT {
                    *out += shifts[channel];
                }
                if RESIDUAL {
                    *out += residuals[channel];
                }
                *out = clamp(*out, lowest, highest);
            }
        }
    }
}

/// An epilogue over one block of channels, in vector registers.
pub(super) struct Finish<'a, S: Simd> {
    scale: Option<S::f32s>,
    shift: Option<S::f32s>,
    residual: Option<&'a [f32]>,
    bounds: Option<(S::f32s, S::f32s)>,
    channels: usize,
    block: Range<usize>,
}

impl<'a, S: Simd> Finish<'a, S> {
    #[inline(always)]
    pub fn new(simd: S, epilogue: &Epilogue<'a>, channels: usize, block: Range<usize>) -> Self {
        let bounds = (epilogue.activation != Activation::None).then(|| epilogue.activation.bounds());
        Self {
            scale: epilogue.scale.map(|scale| load(simd, &scale[block.clone()])),
            shift: epilogue.shift.map(|shift| load(simd, &shift[block.clone()])),
            residual: epilogue.residual,
            bounds: bounds.map(|(low, high)| (simd.splat_f32s(low), simd.splat_f32s(high))),
            channels,
            block,
        }
    }

    /// What becomes of `value` in row `row` of the output: to the bit what [`Epilogue::apply`] makes of it.
    #[inline(always)]
    fn of(&self, simd: S, mut value: S::f32s, row: usize) -> S::f32s {
        if let Some(scale) = self.scale {
            value = simd.mul_f32s(value, scale);
        }
        if let Some(shift) = self.shift {
            value = simd.add_f32s(value, shift);
        }
        if let Some(residual) = self.residual {
            let row = &residual[row * self.channels..][..self.channels];
            value = simd.add_f32s(value, load(simd, &row[self.block.clone()]));
        }
        if let Some((low, high)) = self.bounds {
            value = simd.select_f32s(simd.less_than_f32s(value, low), low, value);
            value = simd.select_f32s(simd.less_than_f32s(high, value), high, value);
        }
        value
    }

    /// Writes what becomes of `value` to pixel `pixel` of the line `out` that begins with row `row`.
    #[inline(always)]
    pub fn put(&self, simd: S, out: &mut [f32], pixel: usize, row: usize, value: S::f32s) {
        let value = self.of(simd, value, row + pixel);
        store(simd, &mut out[pixel * self.channels..][self.block.clone()], value);
    }
}
