//! Adapters signed and checked, by Ed25519 (RFC 8032) over the checksum.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use super::envelope::{Envelope, Header};
use super::layout::{HEADER, SIGNATURE, TRAILER};
use super::{Adapter, Digest, Error, PublicKey, Signature};

/// What is signed is this and the checksum of the file, whose header says that a signature follows.
const CONTEXT: [u8; 16] = *b"taps adapter v1\0";

fn message(digest: Digest) -> [u8; 48] {
    let mut message = [0; 48];
    let bytes = CONTEXT.iter().chain(digest.as_bytes());
    message.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    message
}

/// The key that signs. Whoever has it can sign as its owner.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A key from 32 random bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> SecretKey {
        SecretKey(SigningKey::from_bytes(bytes))
    }

    /// The key that its signatures are checked with.
    pub fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs an adapter, in the place of a signature that it may have: writes the signed file to the front of `out` and
    /// returns its length, which is at most 96 bytes more.
    ///
    /// # Errors
    /// Those of [`Adapter::parse`], and [`Error::OutputTooSmall`].
    pub fn sign(&self, file: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        Adapter::parse(file)?;
        let Envelope { version, manifest, body, .. } = Envelope::open(file)?;
        let needed = body.len() + TRAILER + SIGNATURE;
        let too_small = Error::OutputTooSmall { needed, found: out.len() };
        let out = out.get_mut(..needed).ok_or(too_small)?;
        let (to, trailer) = out.split_at_mut_checked(body.len()).ok_or(too_small)?;
        to.copy_from_slice(body);
        let manifest = u32::try_from(manifest.len()).map_err(|_| too_small)?;
        let header = Header { version, signed: true, manifest, total: needed as u64 };
        *to.first_chunk_mut::<HEADER>().ok_or(too_small)? = header.to_bytes();
        let digest = Digest::of(to);
        let signature = self.0.sign(&message(digest)).to_bytes();
        let key = self.public();
        let bytes = digest.as_bytes().iter().chain(key.as_bytes()).copied().chain(signature);
        trailer.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Ok(needed)
    }
}

impl Adapter<'_> {
    /// Checks that one of these keys signed the file.
    ///
    /// # Errors
    /// [`Error::Unsigned`], [`Error::UnknownSigner`], [`Error::WrongSignature`].
    pub fn verify(&self, keys: &[PublicKey]) -> Result<(), Error> {
        let Signature { key, bytes } = self.signature().ok_or(Error::Unsigned)?;
        if !keys.contains(&key) {
            return Err(Error::UnknownSigner { key: Digest::from_bytes(*key.as_bytes()).prefix() });
        }
        let checked = VerifyingKey::from_bytes(key.as_bytes());
        let checked = checked.and_then(|key| key.verify_strict(&message(self.digest()), &bytes.into()));
        checked.map_err(|_| Error::WrongSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Adapter, Digest, Draft, Error, Summary};
    use super::*;

    fn file() -> Vec<u8> {
        let (base, summary) = (Digest::of(b"base"), Summary::default());
        let draft = Draft {
            task: "t",
            architecture: "a",
            method: "m",
            base,
            content: base,
            summary,
            labels: &["x", "y"],
            settings: &[],
            tensors: &[],
        };
        let mut file = vec![0; draft.encoded_len().unwrap()];
        draft.encode(&mut file).unwrap();
        file
    }

    fn signed(file: &[u8], seed: u8) -> Vec<u8> {
        let mut out = vec![0xaa; file.len() + 100];
        let length = SecretKey::from_bytes(&[seed; 32]).sign(file, &mut out).unwrap();
        out.truncate(length);
        out
    }

    fn public(seed: u8) -> PublicKey {
        SecretKey::from_bytes(&[seed; 32]).public()
    }

    #[test]
    fn a_signature_holds_for_its_key_alone() {
        let plain = file();
        let file = signed(&plain, 1);
        assert_eq!(file.len(), plain.len() + 96);
        let adapter = Adapter::parse(&file).unwrap();
        assert_eq!(adapter.verify(&[public(2), public(1)]), Ok(()));
        let key = Digest::from_bytes(*public(1).as_bytes()).prefix();
        assert_eq!(adapter.verify(&[public(2)]), Err(Error::UnknownSigner { key }));
        assert_eq!(Adapter::parse(&plain).unwrap().verify(&[public(1)]), Err(Error::Unsigned));
        assert_eq!(signed(&file, 1), file, "signed again it is the same");
        assert_eq!(signed(&file, 2), signed(&plain, 2), "the last signature is the only one");
        let short = SecretKey::from_bytes(&[1; 32]).sign(&plain, &mut [0; 100]);
        assert_eq!(short, Err(Error::OutputTooSmall { needed: file.len(), found: 100 }));
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes too long")]
    fn no_altered_file_is_trusted() {
        let file = signed(&file(), 1);
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut altered = file.clone();
                altered[at] ^= 1 << bit;
                let trusted = Adapter::parse(&altered).and_then(|adapter| adapter.verify(&[public(1)]));
                assert!(trusted.is_err(), "byte {at}");
            }
        }
        // One who alters a file can make its checksum hold, and not its signature.
        let mut forged = file.clone();
        let end = file.len() - 128;
        let at = forged.windows(3).position(|bytes| bytes == b"\x01x\x01").unwrap() + 1;
        forged[at] = b'z';
        let digest = Digest::of(&forged[..end]);
        forged[end..end + 32].copy_from_slice(digest.as_bytes());
        assert_eq!(Adapter::parse(&forged).unwrap().verify(&[public(1)]), Err(Error::WrongSignature));
    }
}
