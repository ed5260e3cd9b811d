//! Reading and writing files: with limits, replaced whole, and never over something that would be lost.
//!
//! - A file is written beside its place and renamed into it: at every moment there is the earlier one or the new one.
//! - A device, a pipe, a socket or a folder is never replaced; a symbolic link is followed.
//! - What is read into memory has a limit where its kind has one, and a file that only stands for another is named as such.

mod error;
mod json;
#[cfg(feature = "train")]
mod lock;
#[cfg(feature = "train")]
mod output;
mod read;

pub use error::Error;
pub use json::parse_json;
#[cfg(feature = "train")]
pub use lock::Lock;
#[cfg(feature = "train")]
pub use output::{Output, write_atomically};
pub use read::{LFS_POINTER, is_lfs_pointer, read, read_json, read_up_to};
