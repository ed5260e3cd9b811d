//! What a dry workspace would hold, by what it is used for.

/// What a tensor is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// What is on its way, and whatever kernels take beside.
    #[default]
    Scratch,
    /// Saved for the backward pass.
    Activation,
    /// The gradient of a weight.
    Gradient,
    /// What a frozen network makes of examples.
    Feature,
}

/// Bytes that a dry workspace would hold at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Buffers in use by what they are used for, in the order of [`Purpose`]; the first counts free ones, too.
    pub pool: [usize; 4],
    /// What the caller holds beside the pool, as it has said.
    pub beside: usize,
    /// How many times it has said so.
    pub said: usize,
}

impl Usage {
    /// All of it.
    pub fn total(&self) -> usize {
        self.pool.iter().sum::<usize>() + self.beside
    }
}

/// Counts of a dry workspace, in elements of the pool.
#[derive(Debug, Default)]
pub(super) struct Trace {
    used: [usize; 4],
    beside: usize,
    said: usize,
    peak: Usage,
}

impl Trace {
    /// Counts a buffer of `elements` that is used for another purpose from now on.
    pub(super) fn change(&mut self, elements: usize, before: Option<u8>, after: Option<u8>) {
        before.into_iter().for_each(|purpose| self.used[usize::from(purpose)] -= elements);
        after.into_iter().for_each(|purpose| self.used[usize::from(purpose)] += elements);
    }

    pub(super) fn set_beside(&mut self, bytes: usize) {
        (self.beside, self.said) = (bytes, self.said + 1);
    }

    /// Keeps the highest state, and of several as high the one that tells most of what it is for; `held` is that of the pool.
    pub(super) fn note(&mut self, held: usize) {
        const BYTES: usize = size_of::<f32>();
        let [_, used @ ..] = self.used.map(|elements| BYTES * elements);
        let scratch = (BYTES * held).saturating_sub(used.iter().sum());
        let [activations, gradients, features] = used;
        let pool = [scratch, activations, gradients, features];
        let now = Usage { pool, beside: self.beside, said: self.said };
        let height = |usage: &Usage| (usage.total(), usage.total() - usage.pool[0]);
        if height(&now) > height(&self.peak) {
            self.peak = now;
        }
    }

    pub(super) fn peak(&self) -> Usage {
        self.peak
    }
}
