use super::layout::{HEADER, MIN_FILE, SIGNATURE, SIGNED, TRAILER, align};
use super::{Digest, Error, MAGIC, MAX_MANIFEST, PublicKey, Signature, VERSION};

/// The parts of a file whose header and checksum hold.
pub(super) struct Envelope<'a> {
    pub(super) version: u16,
    pub(super) manifest: &'a [u8],
    /// All before the checksum.
    #[cfg(feature = "sign")]
    pub(super) body: &'a [u8],
    /// The payloads with their padding.
    pub(super) payloads: &'a [u8],
    /// Where the payloads begin in the file.
    pub(super) payloads_at: usize,
    pub(super) digest: Digest,
    pub(super) signature: Option<Signature>,
}

impl<'a> Envelope<'a> {
    pub(super) fn open(file: &'a [u8]) -> Result<Envelope<'a>, Error> {
        let found = file.len();
        let short = Error::TooShort { found };
        if found < MIN_FILE {
            return Err(short);
        }
        let (header, after_header) = file.split_first_chunk().ok_or(short)?;
        let header = Header::read(header)?;
        if header.total != found as u64 {
            return Err(Error::Length { stated: header.total, found: found as u64 });
        }
        let (signature, before) = match header.signed {
            true => {
                let (before, signature) = file.split_last_chunk::<SIGNATURE>().ok_or(short)?;
                (Some(read_signature(signature)), before)
            }
            false => (None, file),
        };
        if before.len() < MIN_FILE {
            return Err(short);
        }
        let (body, stated) = before.split_last_chunk::<TRAILER>().ok_or(short)?;
        let digest = Digest::of(body);
        if digest.as_bytes() != stated {
            let stated = Digest::from_bytes(*stated).prefix();
            return Err(Error::Checksum { stated, computed: digest.prefix() });
        }

        let room = body.len().saturating_sub(HEADER);
        let limit = room.min(MAX_MANIFEST) as u64;
        let too_long = Error::ManifestLength { found: header.manifest.into(), limit };
        if u64::from(header.manifest) > limit {
            return Err(too_long);
        }
        let length = usize::try_from(header.manifest).map_err(|_| too_long)?;
        let payloads_at = payloads_at(length).ok_or(too_long)?;
        let (before, payloads) = body.split_at_checked(payloads_at).ok_or(too_long)?;
        let padding = before.get(HEADER + length..).unwrap_or_default();
        if let Some(at) = padding.iter().position(|&byte| byte != 0) {
            return Err(Error::Padding { offset: HEADER + length + at });
        }
        let manifest = after_header.get(..length).ok_or(too_long)?;
        Ok(Envelope {
            version: header.version,
            manifest,
            #[cfg(feature = "sign")]
            body,
            payloads,
            payloads_at,
            digest,
            signature,
        })
    }
}

fn read_signature(bytes: &[u8; SIGNATURE]) -> Signature {
    let (mut key, mut signature) = ([0; 32], [0; 64]);
    let all = key.iter_mut().chain(&mut signature);
    all.zip(bytes).for_each(|(to, from)| *to = *from);
    Signature { key: PublicKey::from_bytes(key), bytes: signature }
}

/// Where the payloads begin in a file with a manifest of this length.
pub(super) fn payloads_at(manifest: usize) -> Option<usize> {
    let end = HEADER.checked_add(manifest)?;
    usize::try_from(align(end as u64)?).ok()
}

/// The first 24 bytes.
pub(super) struct Header {
    pub(super) version: u16,
    /// Whether a signature follows the checksum.
    pub(super) signed: bool,
    pub(super) manifest: u32,
    pub(super) total: u64,
}

impl Header {
    fn read(bytes: &[u8; HEADER]) -> Result<Header, Error> {
        let [a, b, c, d, e, f, g, h, v0, v1, f0, f1, m0, m1, m2, m3, total @ ..] = *bytes;
        let magic = [a, b, c, d, e, f, g, h];
        if magic != MAGIC {
            return Err(Error::Magic { found: magic });
        }
        let version = u16::from_le_bytes([v0, v1]);
        if !(1..=VERSION).contains(&version) {
            return Err(Error::Version { found: version });
        }
        let signed = match u16::from_le_bytes([f0, f1]) {
            0 => false,
            SIGNED => true,
            found => return Err(Error::Flags { found }),
        };
        let manifest = u32::from_le_bytes([m0, m1, m2, m3]);
        Ok(Header { version, signed, manifest, total: u64::from_le_bytes(total) })
    }

    pub(super) fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let version = self.version.to_le_bytes();
        let flags = if self.signed { SIGNED } else { 0 }.to_le_bytes();
        let manifest = self.manifest.to_le_bytes();
        let total = self.total.to_le_bytes();
        let fields = MAGIC.iter().chain(&version).chain(&flags).chain(&manifest).chain(&total);
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = *from);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with an empty manifest and no payloads, changed and then sealed.
    fn open(change: impl Fn(&mut [u8])) -> Result<(), Error> {
        let mut file = [0; MIN_FILE];
        let header = Header { version: 1, signed: false, manifest: 0, total: MIN_FILE as u64 };
        file[..HEADER].copy_from_slice(&header.to_bytes());
        change(&mut file);
        let digest = Digest::of(&file[..64]);
        file[64..].copy_from_slice(digest.as_bytes());
        Envelope::open(&file).map(|envelope| assert!(envelope.payloads.is_empty()))
    }

    #[test]
    fn the_header_must_hold() {
        assert_eq!(open(|_| {}), Ok(()));
        let found = *b"\x89TAPS\n\x1a\0";
        assert_eq!(open(|file| file[..8].copy_from_slice(&found)), Err(Error::Magic { found }));
        assert_eq!(open(|file| file[8] = 2), Ok(()));
        assert_eq!(open(|file| file[8] = 0), Err(Error::Version { found: 0 }));
        assert_eq!(open(|file| file[8] = 3), Ok(()));
        assert_eq!(open(|file| file[8] = 4), Err(Error::Version { found: 4 }));
        assert_eq!(open(|file| file[11] = 0x80), Err(Error::Flags { found: 0x8000 }));
        assert_eq!(open(|file| file[10] = 2), Err(Error::Flags { found: 2 }));
        assert_eq!(open(|file| file[10] = 1), Err(Error::TooShort { found: 96 }));
        assert_eq!(open(|file| file[16] = 97), Err(Error::Length { stated: 97, found: 96 }));
        assert_eq!(open(|file| file[63] = 1), Err(Error::Padding { offset: 63 }));
    }

    #[test]
    fn the_manifest_must_fit() {
        let too_long = |found| Err(Error::ManifestLength { found, limit: 40 });
        assert_eq!(open(|file| file[12] = 40), Ok(()));
        assert_eq!(open(|file| file[12] = 41), too_long(41));
        assert_eq!(open(|file| file[12..16].fill(0xff)), too_long(0xffff_ffff));
    }

    #[test]
    fn the_file_must_be_whole() {
        assert_eq!(Envelope::open(&[0; 95]).err(), Some(Error::TooShort { found: 95 }));
        let mut file = [0; MIN_FILE];
        let header = Header { version: 1, signed: false, manifest: 0, total: MIN_FILE as u64 };
        file[..HEADER].copy_from_slice(&header.to_bytes());
        let computed = Digest::of(&file[..64]).prefix();
        let refused = Error::Checksum { stated: 0, computed };
        assert_eq!(Envelope::open(&file).err(), Some(refused));
    }
}
