//! The texts that a network reads, and what is done to them before they are tokens.

/// What a network's checkpoint says of the texts it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextSpec {
    /// The longest sequence of tokens that the network can read.
    pub longest: usize,
    /// The longest that it was made for, where its checkpoint says so; never longer than that.
    pub max_tokens: Option<usize>,
    /// What is put before every text.
    pub prompt: String,
    /// Whether texts become lower case first.
    pub lowercase: bool,
}
