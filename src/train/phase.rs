//! The parts of a fine-tune.

/// A part of a fine-tune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The head is fitted to the base's features.
    Head,
    /// Layers are chosen.
    Select,
    /// The chosen layers are tuned.
    Tune,
    /// Tasks and the weights they share are trained together.
    Joint,
}
