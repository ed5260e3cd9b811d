//! The adapter file: everything one task needs beside the base model, in one checksummed file.
//!
//! The layout is normative in [`spec`]. [`Adapter::parse`] checks a whole file once, and then hands out views of
//! it; [`Draft::encode`] writes one. Both enforce one canonical form: equal content gives equal bytes.
//!
//! * This module never allocates, and never copies a payload that it was not asked to decode.
//! * It never panics on any input, and never reads beyond the slice that it was given.
//! * It never opens a file, and never names a model, a device or a tensor library.
//! * It never accepts a file that [`Draft::encode`] could not have laid out.
//!
//! ```
//! use taps::format::{Adapter, Digest, Draft, Encoding, Role, Shape, Summary, TensorDraft};
//!
//! # fn main() -> Result<(), taps::format::Error> {
//! let base = Digest::of(b"the base tensor's bytes");
//! let draft = Draft {
//!     task: "sentiment",
//!     architecture: "bert",
//!     method: "taps",
//!     base: Digest::of(b"the base's tensor index"),
//!     content: Digest::of(b"the base's tensor digests"),
//!     summary: Summary::default(),
//!     labels: &["negative", "positive"],
//!     settings: &[],
//!     tensors: &[TensorDraft {
//!         name: "layer.0.weight",
//!         role: Role::Delta,
//!         encoding: Encoding::F32,
//!         shape: Shape::new(&[1, 2])?,
//!         base: Some(base),
//!         values: &[0.5, -0.25],
//!     }],
//! };
//! let mut file = [0; 512];
//! let len = draft.encode(&mut file)?;
//!
//! let adapter = Adapter::parse(&file[..len])?;
//! let mut weight = [1.0, 1.0];
//! if let Some(entry) = adapter.entry("layer.0.weight") {
//!     entry.add_to(&mut weight)?;
//! }
//! assert_eq!(weight, [1.5, 0.75]);
//! # Ok(())
//! # }
//! ```

mod adapter;
mod cursor;
mod digest;
mod draft;
mod encoding;
mod entries;
mod entry;
mod envelope;
mod error;
mod head;
mod labels;
mod layout;
mod place;
mod record;
mod role;
mod settings;
mod shape;
mod signature;
#[cfg(feature = "sign")]
mod signing;
mod summary;
mod text;

#[doc = include_str!("SPEC.md")]
pub mod spec {}

pub use adapter::Adapter;
pub use digest::Digest;
pub use draft::{Draft, TensorDraft};
pub use encoding::Encoding;
pub use entries::Entries;
pub use entry::Entry;
pub use error::Error;
pub use labels::Labels;
pub use layout::{ALIGNMENT, MAGIC, MAX_DIMS, MAX_ENTRIES, MAX_LABELS, MAX_MANIFEST, MAX_SETTINGS, MAX_TEXT, VERSION};
pub use place::Place;
pub use role::Role;
pub use settings::{Setting, Settings};
pub use shape::Shape;
pub use signature::{PublicKey, Signature};
#[cfg(feature = "sign")]
pub use signing::SecretKey;
pub use summary::Summary;
