//! The numbers of the layout: sizes, limits and alignment.

/// The first eight bytes of every adapter. The high bit, the line ends and the end-of-file byte show a transfer that
/// treated the file as text, as they do in PNG.
pub const MAGIC: [u8; 8] = *b"\x89TAPS\r\n\x1a";

/// The highest format version that this module reads and writes; it reads all before it, and writes the lowest that
/// can hold the content.
pub const VERSION: u16 = 3;

/// Payloads start on multiples of this many bytes, counted from the start of the file.
pub const ALIGNMENT: usize = 64;

/// The longest text in bytes of UTF-8: a name, the task, the architecture, the method, a label or a setting's value.
pub const MAX_TEXT: usize = 255;

/// The most labels of an adapter.
pub const MAX_LABELS: usize = 65_535;

/// The most settings of an adapter.
pub const MAX_SETTINGS: usize = 255;

/// The most entries of an adapter.
pub const MAX_ENTRIES: usize = 65_535;

/// The longest manifest in bytes.
pub const MAX_MANIFEST: usize = 16 << 20;

/// The most dimensions of a tensor.
pub const MAX_DIMS: usize = 6;

/// Bytes before the manifest.
pub(super) const HEADER: usize = 24;

/// Bytes of the checksum at the end.
pub(super) const TRAILER: usize = 32;

/// Bytes of a signature behind the checksum: key, R and S.
pub(super) const SIGNATURE: usize = 96;

/// The flag of a file that has one.
pub(super) const SIGNED: u16 = 1;

/// No file is shorter: a header, its padding and the checksum.
pub(super) const MIN_FILE: usize = ALIGNMENT + TRAILER;

/// The next multiple of [`ALIGNMENT`], or `None` where there is none.
pub(super) fn align(n: u64) -> Option<u64> {
    n.checked_next_multiple_of(ALIGNMENT as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_upwards() {
        assert_eq!(align(0), Some(0));
        assert_eq!(align(1), Some(64));
        assert_eq!(align(64), Some(64));
        assert_eq!(align(65), Some(128));
        assert_eq!(align(u64::MAX), None);
    }
}
