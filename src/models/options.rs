//! What the caller decides about a network.

use super::Pooling;

/// What the caller decides about a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Its architecture, in place of what `config.json` says.
    pub architecture: Option<String>,
    /// Height and width of the images it is to read, in place of those it was trained on.
    pub image_size: Option<[usize; 2]>,
    /// How the outputs for the tokens of a text become one row, in place of what the checkpoint says.
    pub pooling: Option<Pooling>,
}
