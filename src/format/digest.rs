use core::fmt;

use serde::{Deserialize, Serialize};

/// A BLAKE3 digest of 32 bytes. Shown as lowercase hexadecimal, serialised as 32 raw bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest that was computed elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// The first four bytes, to tell two digests apart in a message.
    pub(super) fn prefix(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_blake3_in_hex() {
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(format!("{}", Digest::of(b"")), empty);
        assert_eq!(format!("{:?}", Digest::of(b"")), empty);
        assert_eq!(Digest::of(b"").prefix(), 0xaf13_49b9);
    }

    #[test]
    fn serialises_as_raw_bytes() {
        let digest = Digest::of(b"x");
        let mut bytes = [0; 40];
        let used = postcard::to_slice(&digest, &mut bytes).unwrap();
        assert_eq!(used, digest.as_bytes());
        assert_eq!(postcard::from_bytes(used), Ok(digest));
        assert_eq!(Digest::from_bytes(*digest.as_bytes()), digest);
    }
}
