use serde::{Deserialize, Serialize};

use super::Error;

/// How an adapter came about. It tells a reader about the training; nothing here changes what the adapter does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The weight of the sparsity term. Finite.
    pub lambda: f32,
    /// The score above which a layer is active. Finite.
    pub tau: f32,
    /// The bound on active layers, where there was one.
    pub max_active_layers: Option<u32>,
    /// The layers that were active at the end.
    pub active_layers: u32,
    /// The layers of the base that could have been.
    pub layers: u32,
    /// Optimiser steps.
    pub steps: u32,
    /// Training examples.
    pub examples: u32,
    /// The seed of the run.
    pub seed: u64,
    /// Accuracy on held-out examples, from 0 to 1.
    pub validation: Option<f32>,
}

impl Summary {
    pub(super) fn check(&self) -> Result<(), Error> {
        if !self.lambda.is_finite() {
            return Err(Error::Summary { field: "lambda" });
        }
        if !self.tau.is_finite() {
            return Err(Error::Summary { field: "tau" });
        }
        match self.validation {
            Some(accuracy) if !(0.0..=1.0).contains(&accuracy) => Err(Error::Summary { field: "validation" }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_range() {
        let good = Summary { lambda: -1.0, validation: Some(1.0), ..Summary::default() };
        assert_eq!(good.check(), Ok(()));
        let refused = [
            (Summary { lambda: f32::NAN, ..good }, "lambda"),
            (Summary { tau: f32::INFINITY, ..good }, "tau"),
            (Summary { validation: Some(f32::NAN), ..good }, "validation"),
            (Summary { validation: Some(1.01), ..good }, "validation"),
        ];
        for (summary, field) in refused {
            assert_eq!(summary.check(), Err(Error::Summary { field }));
        }
    }
}
