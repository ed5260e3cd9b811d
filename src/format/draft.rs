use serde::Serialize;

use super::adapter::SETTINGS_VERSION;
use super::cursor::encoded_size;
use super::envelope::{Header, payloads_at};
use super::head::Head;
use super::layout::{HEADER, TRAILER, align};
use super::record::Record;
use super::{
    Digest, Encoding, Entry, Error, MAX_ENTRIES, MAX_LABELS, MAX_MANIFEST, MAX_SETTINGS, Place, Role, Setting, Shape,
    Summary,
};

/// An adapter to be written.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// The name of the task.
    pub task: &'a str,
    /// The name of the base's architecture.
    pub architecture: &'a str,
    /// The name of the method.
    pub method: &'a str,
    /// The fingerprint of the base's tensor index.
    pub base: Digest,
    /// The digest over the digests of all base tensors.
    pub content: Digest,
    /// How the adapter came about.
    pub summary: Summary,
    /// The labels, in the order of the classes.
    pub labels: &'a [&'a str],
    /// What it was made with beside the weights, in strictly ascending byte order of the names.
    pub settings: &'a [Setting<'a>],
    /// The tensors, in strictly ascending byte order of their names.
    pub tensors: &'a [TensorDraft<'a>],
}

/// A tensor to be written.
#[derive(Clone, Debug)]
pub struct TensorDraft<'a> {
    /// The name of the tensor, as in the base where the base has it.
    pub name: &'a str,
    /// What the tensor is for.
    pub role: Role,
    /// How to hold the values.
    pub encoding: Encoding,
    /// The shape of the tensor.
    pub shape: Shape,
    /// The digest of the base tensor of the same name, where the base has one.
    pub base: Option<Digest>,
    /// The values, row-major; of [`Encoding::LowRank`] those of the factors.
    pub values: &'a [f32],
}

struct Plan {
    version: u16,
    manifest: usize,
    payloads_at: usize,
    total: usize,
}

impl<'a> Draft<'a> {
    /// The length of the file in bytes.
    ///
    /// # Errors
    /// Whatever a reader would refuse, but for the values, which only [`encode`](Draft::encode) looks at.
    pub fn encoded_len(&self) -> Result<usize, Error> {
        Ok(self.plan()?.total)
    }

    /// Writes the file to the front of `out` and returns its length.
    ///
    /// # Errors
    /// Whatever a reader would refuse, values that an encoding cannot hold, and a slice that is too short. The
    /// contents of `out` are then unspecified.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Error> {
        let Plan { version, manifest, payloads_at, total } = self.plan()?;
        let too_small = Error::OutputTooSmall { needed: total, found: out.len() };
        let file = out.get_mut(..total).ok_or(too_small)?;
        file.fill(0);
        let (body, trailer) = file.split_last_chunk_mut::<TRAILER>().ok_or(too_small)?;
        let (front, mut payloads) = body.split_at_mut_checked(payloads_at).ok_or(too_small)?;
        let (header, front) = front.split_first_chunk_mut::<HEADER>().ok_or(too_small)?;
        let manifest = u32::try_from(manifest).map_err(|_| too_small)?;
        *header = Header { version, signed: false, manifest, total: total as u64 }.to_bytes();
        self.write_manifest(front).ok_or(too_small)?;

        for (entry, tensor) in self.tensors.iter().enumerate() {
            let (length, padded) = tensor.room(entry)?;
            let (room, rest) = payloads.split_at_mut_checked(padded).ok_or(too_small)?;
            let payload = room.get_mut(..length).ok_or(too_small)?;
            tensor.encoding.encode(&tensor.shape, tensor.values, payload, entry)?;
            payloads = rest;
        }
        *trailer = *Digest::of(body).as_bytes();
        Ok(total)
    }

    /// Checks the names that people give: of a task and its classes.
    ///
    /// # Errors
    /// As [`encode`](Draft::encode) would have for these.
    pub fn check_names<'l>(task: &str, labels: impl IntoIterator<Item = &'l str>) -> Result<(), Error> {
        Place::Task.check_text(task)?;
        let mut found = 0;
        for (label, text) in labels.into_iter().enumerate() {
            Place::Label(label).check_text(text)?;
            found = label + 1;
        }
        if found > MAX_LABELS { Err(Error::TooManyLabels { found }) } else { Ok(()) }
    }

    fn head(&self) -> Head<'a> {
        let &Draft { task, architecture, method, base, content, summary, .. } = self;
        Head { task, architecture, method, base, content, summary }
    }

    /// Checks everything but the values, and lays out the file.
    fn plan(&self) -> Result<Plan, Error> {
        let head = self.head();
        head.check()?;
        let found = self.labels.len();
        if found > MAX_LABELS {
            return Err(Error::TooManyLabels { found });
        }
        let mut manifest = encoded_size(&head).saturating_add(encoded_size(&found));
        for (label, text) in self.labels.iter().enumerate() {
            Place::Label(label).check_text(text)?;
            manifest = manifest.saturating_add(encoded_size(text));
        }

        if !self.settings.is_empty() {
            manifest = manifest.saturating_add(self.plan_settings()?);
        }
        let found = self.tensors.len();
        if found > MAX_ENTRIES {
            return Err(Error::TooManyEntries { found });
        }
        manifest = manifest.saturating_add(encoded_size(&found));
        let mut before = None;
        let mut payloads = 0_usize;
        for (entry, tensor) in self.tensors.iter().enumerate() {
            let record = tensor.record(payloads, entry)?;
            record.check(entry, before)?;
            tensor.check_count(entry)?;
            manifest = manifest.saturating_add(encoded_size(&record));
            let (_, padded) = tensor.room(entry)?;
            payloads = payloads.checked_add(padded).ok_or(Error::Oversized { entry })?;
            before = Some(tensor.name);
        }

        let limit = MAX_MANIFEST as u64;
        let too_long = Error::ManifestLength { found: manifest as u64, limit };
        if manifest > MAX_MANIFEST {
            return Err(too_long);
        }
        let payloads_at = payloads_at(manifest).ok_or(too_long)?;
        let total = payloads_at.checked_add(payloads).and_then(|n| n.checked_add(TRAILER));
        let total = total.ok_or(Error::Oversized { entry: self.tensors.len().saturating_sub(1) })?;
        let encodings = self.tensors.iter().map(|tensor| tensor.encoding.version()).max().unwrap_or(1);
        let version = if self.settings.is_empty() { encodings } else { encodings.max(SETTINGS_VERSION) };
        Ok(Plan { version, manifest, payloads_at, total })
    }

    /// Checks the settings; returns their length in the manifest.
    fn plan_settings(&self) -> Result<usize, Error> {
        let found = self.settings.len();
        if found > MAX_SETTINGS {
            return Err(Error::TooManySettings { found });
        }
        let mut length = encoded_size(&found);
        let mut before = None;
        for (index, setting) in self.settings.iter().enumerate() {
            setting.check(index, before)?;
            length = length.saturating_add(encoded_size(setting));
            before = Some(setting.name);
        }
        Ok(length)
    }

    fn write_manifest(&self, out: &mut [u8]) -> Option<()> {
        let mut rest = put(&self.head(), out)?;
        rest = put(&self.labels.len(), rest)?;
        for label in self.labels {
            rest = put(label, rest)?;
        }
        if !self.settings.is_empty() {
            rest = put(&self.settings.len(), rest)?;
            for setting in self.settings {
                rest = put(setting, rest)?;
            }
        }
        rest = put(&self.tensors.len(), rest)?;
        let mut offset = 0;
        for (entry, tensor) in self.tensors.iter().enumerate() {
            rest = put(&tensor.record(offset, entry).ok()?, rest)?;
            offset += tensor.room(entry).ok()?.1;
        }
        Some(())
    }
}

/// Writes one item and returns what is left of `out`.
fn put<'o, T: Serialize + ?Sized>(item: &T, out: &'o mut [u8]) -> Option<&'o mut [u8]> {
    let (room, rest) = out.split_at_mut_checked(encoded_size(item))?;
    postcard::to_slice(item, room).ok()?;
    Some(rest)
}

impl<'a> TensorDraft<'a> {
    /// Writes the payload to `payload`, which has its length, and to `out`, which has the tensor's elements, what a reader
    /// will see: what the encoding loses shows beside the values.
    ///
    /// # Errors
    /// As [`Draft::encode`] for this tensor, and those of [`Entry::decode_into`].
    pub fn read_back(&self, payload: &mut [u8], out: &mut [f32]) -> Result<(), Error> {
        self.check_count(0)?;
        let (expected, stated) = (self.encoding.expect_len(&self.shape, 0)?, payload.len() as u64);
        if stated != expected {
            return Err(Error::PayloadLength { entry: 0, stated, expected });
        }
        self.encoding.encode(&self.shape, self.values, payload, 0)?;
        let &TensorDraft { name, role, encoding, ref shape, base, .. } = self;
        Entry { name, role, encoding, shape: shape.clone(), base, payload, index: 0 }.decode_into(out)
    }

    fn record(&self, offset: usize, entry: usize) -> Result<Record<'a>, Error> {
        Ok(Record {
            name: self.name,
            role: self.role,
            encoding: self.encoding,
            shape: self.shape.clone(),
            offset: offset as u64,
            length: self.encoding.expect_len(&self.shape, entry)?,
            base: self.base,
        })
    }

    /// The length of the payload, without and with its padding.
    fn room(&self, entry: usize) -> Result<(usize, usize), Error> {
        let length = self.encoding.expect_len(&self.shape, entry)?;
        let sizes = usize::try_from(length).ok().zip(align(length));
        let sizes = sizes.and_then(|(length, padded)| Some((length, padded.try_into().ok()?)));
        sizes.ok_or(Error::Oversized { entry })
    }

    fn check_count(&self, entry: usize) -> Result<(), Error> {
        let found = self.values.len();
        let expected = self.encoding.values(&self.shape).ok_or(Error::Oversized { entry })?;
        if expected != found as u64 {
            return Err(Error::ValueCount { entry, expected, found });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
