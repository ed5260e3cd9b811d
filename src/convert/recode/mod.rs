//! An adapter stored anew, its tensors in encodings that take fewer bytes.
//!
//! Every tensor is coded from the values that the adapter at hand has, so that recoding a recoded one adds up what
//! was lost. What a coding costs is measured by how far the class probabilities of examples move: the mean
//! Kullback-Leibler divergence from those of the adapter as it was, which needs no labels.

mod auto;
mod calibrate;
mod coded;
mod encode;
mod kind;
mod measure;
mod opened;
mod svd;

pub(super) use auto::{Unit, best};
pub(super) use coded::error;
pub use kind::{Kind, Rank};
pub(super) use measure::Measure;
pub(super) use opened::Opened;

use super::Error;
use crate::base::Base;
use crate::format::{Adapter, Encoding, Role};
use crate::runtime::{Examples, Network, Score};
use calibrate::calibrate;
use coded::{Coded, take};
use encode::encode;

/// How an adapter is to be stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Storage {
    /// Deltas of matrices and kernels in this way, the head's weight as `head` says, and all else in f32.
    Every {
        /// Of deltas with two dimensions and more.
        deltas: Kind,
        /// Of the head's weight.
        head: Kind,
    },
    /// Each tensor in the way that costs least altogether, in a file of at most so many bytes.
    Within(usize),
    /// In the fewest bytes with which the mean loss on the examples is at most this much higher.
    AtLoss(f32),
}

/// Settings of a recoding.
#[derive(Clone, Debug, PartialEq)]
pub struct Recode {
    /// How the adapter is to be stored.
    pub storage: Storage,
    /// Steps in which scales of one-bit deltas, factors of low-rank ones and the head with them are tuned towards the
    /// outputs of the adapter as it was; without examples there are none.
    pub calibration: usize,
    /// Examples that are measured on and calibrated with, at most.
    pub examples: usize,
    /// Seed of their choice.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
}

/// An adapter stored anew.
#[derive(Debug)]
pub struct Recoded {
    /// The file.
    pub bytes: Vec<u8>,
    /// What became of each tensor, in the order of the file.
    pub tensors: Vec<RecodedTensor>,
    /// On the examples, before and after; none without examples.
    pub scores: Option<[Score; 2]>,
    /// Mean divergence of class probabilities, in nats; none without examples.
    pub divergence: Option<f64>,
}

/// What became of one tensor.
#[derive(Clone, Debug)]
pub struct RecodedTensor {
    /// Its name.
    pub name: String,
    /// How it was stored, and how it is.
    pub encodings: [Encoding; 2],
    /// Bytes of its payload.
    pub bytes: usize,
    /// Norm of what was lost, as a share of the norm of its values.
    pub error: f32,
}

/// Stores `adapter` anew. Examples are needed to choose encodings, and to calibrate scales.
///
/// # Errors
/// If the adapter is not one of the base, there are no examples to choose by, an encoding cannot hold a value, or no
/// choice keeps the limit.
pub fn recode(
    base: &Base,
    network: &impl Network,
    adapter: &Adapter<'_>,
    settings: &Recode,
    examples: Option<&dyn Examples>,
) -> Result<Recoded, Error> {
    let mut opened = Opened::new(base, network, adapter)?;
    let sizes = [settings.examples, settings.threads];
    let measure = examples.map(|examples| Measure::new(&opened, examples, sizes, settings.seed)).transpose()?;
    let before = measure.as_ref().map(|measure| measure.score(&opened)).transpose()?;
    let original: Vec<Vec<f32>> = opened.pieces.iter().map(|piece| piece.values.clone()).collect();
    let mut coded = match settings.storage {
        Storage::Every { deltas, head } => fixed(&opened, deltas, head)?,
        Storage::Within(limit) => {
            let measure = measure.as_ref().ok_or(Error::NoExamples { what: AUTO })?;
            auto::within(&mut opened, adapter, measure, limit)?
        }
        Storage::AtLoss(limit) => {
            let measure = measure.as_ref().ok_or(Error::NoExamples { what: AUTO })?;
            auto::at_loss(&mut opened, measure, limit)?
        }
    };
    take(&mut opened, &coded);
    if let Some(measure) = &measure {
        calibrate(&mut opened, &mut coded, measure, &original, settings.calibration)?;
    }
    let bytes = encode(adapter, &opened, &coded)?;
    let after = measure.as_ref().map(|measure| measure.score(&opened)).transpose()?;
    let divergence = measure.as_ref().map(|measure| measure.divergence(&opened)).transpose()?;
    let tensors = opened.pieces.iter().zip(&coded).zip(&original);
    let tensors = tensors.map(|((piece, coded), original)| RecodedTensor {
        name: piece.name.clone(),
        encodings: [piece.encoding, coded.encoding],
        bytes: coded.bytes(&piece.shape),
        error: error(original, &piece.values),
    });
    Ok(Recoded { bytes, tensors: tensors.collect(), scores: before.zip(after).map(<[Score; 2]>::from), divergence })
}

const AUTO: &str = "a choice of encodings";

/// Every tensor in the way that is asked for.
fn fixed(opened: &Opened<'_, impl Network>, deltas: Kind, head: Kind) -> Result<Vec<Coded>, Error> {
    let code = |piece: &opened::Piece| {
        let kind = match piece.role {
            _ if piece.shape.dims().len() < 2 => Kind::F32,
            Role::Delta => deltas,
            Role::Replacement => head,
            Role::Statistics => Kind::F32,
        };
        Coded::new(piece, kind)
    };
    opened.pieces.iter().map(code).collect()
}
