use super::layout::MIN_FILE;
use super::{MAX_DIMS, MAX_ENTRIES, MAX_LABELS, MAX_SETTINGS, MAX_TEXT, Place, VERSION};

/// Why an adapter, a draft or a payload was refused, and where.
///
/// An `offset` counts bytes from the start of the file; entries, tensors, labels, rows and elements count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named for the numbers in the messages above them")]
pub enum Error {
    /// The file ends before the smallest adapter would.
    #[error(
        "{found} bytes are too few for an adapter, which has at least {MIN_FILE}; the file was cut short, or is another kind of file"
    )]
    TooShort { found: usize },
    /// The first eight bytes are not [`MAGIC`](super::MAGIC).
    #[error("the file is not an adapter: its first eight bytes are {found:02x?}")]
    Magic { found: [u8; 8] },
    /// The file follows another version of the format.
    #[error("format version {found} at byte 8, and this reader knows version {VERSION}: update the reader")]
    Version { found: u16 },
    /// The file states a higher version than what it holds needs, which no writer does.
    #[error("format version {stated} at byte 8, and what the file holds is of version {needed}")]
    HigherVersion { stated: u16, needed: u16 },
    /// An encoding that the version of the file does not have.
    #[error("entry {entry}: an encoding of version {needed} in a file of version {stated}")]
    LaterEncoding { entry: usize, stated: u16, needed: u16 },
    /// The file uses features that this reader does not know.
    #[error("flags {found:#06x} at byte 10, and this reader knows the lowest bit alone: update the reader")]
    Flags { found: u16 },
    /// The file is not as long as its header says.
    #[error("byte 16 states {stated} bytes and the file has {found}: copy or download it again")]
    Length { stated: u64, found: u64 },
    /// The contents differ from what was written. The numbers are the first four bytes of each digest.
    #[error(
        "the checksum begins {stated:08x} and the contents give {computed:08x}: the file is damaged, copy or download it again"
    )]
    Checksum { stated: u32, computed: u32 },
    /// The manifest is longer than allowed, or than the file has room for.
    #[error("a manifest of {found} bytes, where at most {limit} fit")]
    ManifestLength { found: u64, limit: u64 },
    /// The manifest ends within an item.
    #[error("the manifest ends within the item at byte {offset}")]
    ManifestEnd { offset: usize },
    /// An item of the manifest is not what its place asks for.
    #[error("the manifest item at byte {offset} is neither a number of its type nor an option")]
    Malformed { offset: usize },
    /// A text of the manifest is not UTF-8.
    #[error("the text at byte {offset} is not UTF-8")]
    Utf8 { offset: usize },
    /// A number takes more bytes than it needs.
    #[error("the manifest item at byte {offset} is longer than its canonical form")]
    NotMinimal { offset: usize },
    /// The manifest goes on after its last entry.
    #[error("{count} bytes of manifest at byte {offset}, after its last entry")]
    Trailing { offset: usize, count: usize },
    /// Padding that is not zero.
    #[error("the padding at byte {offset} is not zero")]
    Padding { offset: usize },
    /// A text without characters.
    #[error("{place}: the text is empty")]
    EmptyText { place: Place },
    /// A text beyond [`MAX_TEXT`].
    #[error("{place}: a text of {found} bytes, where at most {MAX_TEXT} fit")]
    LongText { place: Place, found: usize },
    /// A text with a control character (Unicode category Cc).
    #[error("{place}: a control character at byte {at} of the text")]
    ControlCharacter { place: Place, at: usize },
    /// More labels than [`MAX_LABELS`].
    #[error("{found} labels, where at most {MAX_LABELS} fit")]
    TooManyLabels { found: usize },
    /// More settings than [`MAX_SETTINGS`].
    #[error("{found} settings, where at most {MAX_SETTINGS} fit")]
    TooManySettings { found: usize },
    /// The names of settings do not ascend strictly.
    #[error(
        "setting {setting}: its name does not follow the one before it in byte order: sort them and drop duplicates"
    )]
    SettingOrder { setting: usize },
    /// A required setting that the reader does not know.
    #[error("setting {setting} is required and not known here: update the reader")]
    UnknownSetting { setting: usize },
    /// A setting with another value than the reader has.
    #[error("setting {setting} has another value than the adapter is to be applied with")]
    OtherSetting { setting: usize },
    /// More entries than [`MAX_ENTRIES`].
    #[error("{found} entries, where at most {MAX_ENTRIES} fit")]
    TooManyEntries { found: usize },
    /// A number of the summary is out of range.
    #[error("summary: {field} is out of range (lambda and tau are finite, validation is from 0 to 1)")]
    Summary { field: &'static str },
    /// A role that version 1 does not have.
    #[error("entry {entry}: unknown role {found}")]
    Role { entry: usize, found: u32 },
    /// An encoding that this reader does not know.
    #[error("entry {entry}: unknown encoding {found}")]
    Encoding { entry: usize, found: u32 },
    /// More dimensions than [`MAX_DIMS`].
    #[error("{place}: {found} dimensions, where at most {MAX_DIMS} fit")]
    TooManyDims { place: Place, found: usize },
    /// A dimension of size zero.
    #[error("{place}: dimension {dim} is zero")]
    ZeroDim { place: Place, dim: usize },
    /// The encoding works by rows, and the shape has none.
    #[error("entry {entry}: the encoding needs more dimensions and the shape has {found}: use f32 or f16")]
    Rank { entry: usize, found: usize },
    /// The size of a group, the rank or the count of an encoding is out of range.
    #[error(
        "entry {entry}: the encoding's group is not even, its rank is more than rows or columns, or its count more than elements"
    )]
    Parameter { entry: usize },
    /// The size of a payload cannot be counted, or the file with it cannot be held in memory.
    #[error("entry {entry}: the payload is too large to count")]
    Oversized { entry: usize },
    /// A delta does not say which base tensor it belongs to.
    #[error("entry {entry}: a delta needs the digest of its base tensor")]
    DeltaWithoutBase { entry: usize },
    /// The names do not ascend strictly.
    #[error(
        "entry {entry}: its name does not follow the one before it in byte order: sort the tensors and drop duplicates"
    )]
    Order { entry: usize },
    /// A payload that is not where its predecessors put it.
    #[error("entry {entry}: its payload is stated at {stated} after the first payload, and belongs at {expected}")]
    Offset { entry: usize, stated: u64, expected: u64 },
    /// A payload whose length does not follow from encoding and shape.
    #[error("entry {entry}: a payload of {stated} bytes, where encoding and shape make it {expected}")]
    PayloadLength { entry: usize, stated: u64, expected: u64 },
    /// A payload that ends beyond the room for payloads.
    #[error(
        "entry {entry}: its payload ends {end} bytes after the first payload's start, and there is room for {limit}"
    )]
    PayloadEnd { entry: usize, end: u64, limit: u64 },
    /// The payloads and their padding do not end where the checksum begins.
    #[error("payloads and padding take {expected} bytes, and the file has {found} for them")]
    End { expected: u64, found: u64 },
    /// A value or a scale is infinite or not a number. For a scale the element is the first that it is for.
    #[error("entry {entry}: element {element} is not finite")]
    NotFinite { entry: usize, element: usize },
    /// A scale that the encoding does not allow.
    #[error(
        "entry {entry}: a scale of row {row} is neither zero nor a positive normal number whose products are finite"
    )]
    Scale { entry: usize, row: usize },
    /// The lowest number that the bits of an element can hold, which is not used.
    #[error("entry {entry}: element {element} is the number without an opposite, -128 or -8, which is not used")]
    Minimum { entry: usize, element: usize },
    /// An element other than zero whose scale is zero.
    #[error("entry {entry}: element {element} is not zero and its scale is")]
    ZeroScale { entry: usize, element: usize },
    /// Bits after the last element of a row that are not zero.
    #[error("entry {entry}: bits after the last element of row {row} are not zero")]
    UnusedBits { entry: usize, row: usize },
    /// Places of a sparse tensor that are not those of its elements.
    #[error("entry {entry}: the places are not those of as many elements, in order and none of them zero")]
    Places { entry: usize },
    /// A value that the encoding cannot hold.
    #[error("entry {entry}: element {element} is too large for the encoding: use f32")]
    Overflow { entry: usize, element: usize },
    /// The values of a draft's tensor do not fill its shape.
    #[error("entry {entry}: {found} values for a shape of {expected} elements")]
    ValueCount { entry: usize, expected: u64, found: usize },
    /// The slice to decode into does not have the tensor's size.
    #[error("entry {entry}: a slice of {found} elements for a tensor of {expected}")]
    OutputLength { entry: usize, expected: usize, found: usize },
    /// A signature is asked for and there is none.
    #[error("the file is not signed, and only files signed by a trusted key are accepted")]
    Unsigned,
    /// The signature is by a key that is not trusted. The number is the first four bytes of the key.
    #[error("the file is signed by the key {key:08x}…, which is not trusted")]
    UnknownSigner { key: u32 },
    /// The signature is not that of the file by its key.
    #[error("the signature does not hold: the file was altered after it was signed")]
    WrongSignature,
    /// The slice to encode into is shorter than the file.
    #[error("the adapter takes {needed} bytes and the slice has {found}: `Draft::encoded_len` tells the length")]
    OutputTooSmall { needed: usize, found: usize },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small() {
        assert!(size_of::<Error>() <= 32);
    }
}
