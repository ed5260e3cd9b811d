//! A kernel and what it is launched with.

use candle_core::{DType, Result, Tensor};

/// The most threads of a group, `MOST_LANES` of the kernels.
const MOST_LANES: usize = 256;
/// Elements for each thread of a kernel that goes through elements, `EACH` of the kernels.
const EACH: usize = 4;

/// A file of kernels, which is compiled when one of them is first launched.
pub(super) struct Source {
    pub(super) name: &'static str,
    #[cfg_attr(not(any(test, feature = "cuda", feature = "metal")), expect(dead_code))]
    pub(super) text: &'static str,
    /// As NVIDIA's driver reads it.
    #[cfg(feature = "cuda")]
    pub(super) ptx: std::sync::OnceLock<std::result::Result<String, String>>,
}

impl Source {
    pub(super) const fn new(name: &'static str, text: &'static str) -> Self {
        Self {
            name,
            text,
            #[cfg(feature = "cuda")]
            ptx: std::sync::OnceLock::new(),
        }
    }
}

/// What a launch states besides its tensors, as the kernels have it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Settings {
    pub(super) counts: [u32; 12],
    pub(super) numbers: [f32; 8],
}

impl Settings {
    /// The first of both; the rest are 0.
    ///
    /// # Errors
    /// If a count is more than the kernels can count to.
    pub(super) fn new<const C: usize, const N: usize>(counts: [usize; C], numbers: [f32; N]) -> Result<Self> {
        let mut this = Self::default();
        for (to, count) in this.counts.iter_mut().zip(counts) {
            *to = u32::try_from(count)
                .map_err(|_| candle_core::Error::Msg(format!("{count} are more than a kernel can count to")))?;
        }
        this.numbers.iter_mut().zip(numbers).for_each(|(to, number)| *to = number);
        Ok(this)
    }
}

/// Refuses tensors of other numbers of values than a kernel goes through, so that none reads or writes beside them.
pub(super) fn check<const N: usize>(name: &str, lengths: [(&Tensor, usize); N]) -> Result<()> {
    for (tensor, expected) in lengths {
        let found = tensor.elem_count();
        if found != expected {
            return Err(candle_core::Error::Msg(format!("{name}: {found} values in place of {expected}")));
        }
    }
    Ok(())
}

/// The most values of a tensor that kernels can count through.
pub(super) const MOST: usize = i32::MAX as usize;

/// How many threads there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Threads {
    pub(super) groups: usize,
    /// Threads of a group, a power of two. The processor has none.
    #[cfg_attr(not(any(test, feature = "cuda", feature = "metal")), expect(dead_code))]
    pub(super) lanes: usize,
}

impl Threads {
    /// A group for each of `rows` of `cols` elements.
    pub(super) fn of_rows(rows: usize, cols: usize) -> Self {
        Self { groups: rows, lanes: cols.div_ceil(EACH).next_power_of_two().clamp(32, MOST_LANES) }
    }

    /// As many as go through `elements`.
    pub(super) fn of_elements(elements: usize) -> Self {
        Self { groups: elements.div_ceil(MOST_LANES * EACH), lanes: MOST_LANES }
    }

    /// As many groups of most threads.
    pub(super) fn of_groups(groups: usize) -> Self {
        Self { groups, lanes: MOST_LANES }
    }
}

/// A kernel and what it is launched with.
pub(super) struct Launch<'a> {
    /// Where it stands.
    pub(super) source: &'static Source,
    /// Its entry point, without the kind of numbers.
    pub(super) name: &'static str,
    /// The kind of numbers that the entry point is for, where there is one for each.
    pub(super) number: Option<DType>,
    pub(super) threads: Threads,
    pub(super) settings: Settings,
    /// The same on the processor: what comes of the values of the tensors, the last of which is what is updated where
    /// a tensor is.
    pub(super) host: &'a dyn Fn(&[Vec<f32>]) -> Vec<f32>,
}

impl Launch<'_> {
    /// The entry point of the kernel.
    pub(super) fn entry(&self) -> String {
        match self.number {
            Some(number) => format!("{}_{}", self.name, number.as_str()),
            None => self.name.to_owned(),
        }
    }
}
