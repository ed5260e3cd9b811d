//! How the outputs for the tokens of a text become one row.

/// How the outputs for the tokens of a text become one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The output for the first token, `[CLS]`.
    Cls,
    /// The highest value of each feature.
    Max,
    /// BERT's pooler: tanh of a linear layer of the output for the first token.
    Pooler,
}

impl Pooling {
    /// All of them.
    pub const ALL: [Pooling; 4] = [Pooling::Mean, Pooling::Cls, Pooling::Max, Pooling::Pooler];

    /// Its name, as adapters hold it.
    pub fn name(self) -> &'static str {
        match self {
            Pooling::Mean => "mean",
            Pooling::Cls => "cls",
            Pooling::Max => "max",
            Pooling::Pooler => "pooler",
        }
    }

    /// The one of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pooling| pooling.name() == name)
    }
}
