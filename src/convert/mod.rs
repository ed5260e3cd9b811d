//! Adapters stored anew, adapters made from other files, and other files made from adapters.
//!
//! - [`recode()`] stores an adapter in fewer bytes, and says what that costs.
//! - [`diff()`] makes one of a fine-tuned checkpoint, [`import_lora`] one of a LoRA, [`merge()`] a checkpoint of one.
//! - [`scale()`] and [`combine()`] make adapters of adapters.
//! - What comes out is a file like any other: it is checked against its base when it is loaded.

mod combine;
mod diff;
mod error;
mod lora;
mod made;
mod merge;
mod recode;
mod scale;

pub use combine::{Combine, combine};
pub use diff::{Diff, Differed, LayerDiff, diff};
pub use error::Error;
pub use lora::{Lora, import_lora};
pub use merge::{merge, merged_files};
pub use recode::{Kind, Rank, Recode, Recoded, RecodedTensor, Storage, recode};
pub use scale::scale;
