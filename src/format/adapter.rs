use core::fmt;

use super::cursor::Cursor;
use super::envelope::Envelope;
use super::head::Head;
use super::layout::HEADER;
use super::{
    Digest, Entries, Entry, Error, Labels, MAX_ENTRIES, MAX_LABELS, MAX_SETTINGS, Place, Setting, Settings, Signature,
    Summary,
};

/// A file that has passed every check of [`Adapter::parse`]: a view of its bytes, cheap to copy.
#[derive(Clone, Copy)]
pub struct Adapter<'a> {
    head: Head<'a>,
    labels: (Cursor<'a>, usize),
    settings: (Cursor<'a>, usize),
    entries: (Cursor<'a>, usize),
    payloads: &'a [u8],
    digest: Digest,
    signature: Option<Signature>,
    len: usize,
}

impl<'a> Adapter<'a> {
    /// Checks a whole file: its length, magic, version, flags, stated length and checksum in this order, then the
    /// manifest, its canonical form, the place of every payload and all padding.
    ///
    /// The values of the payloads are checked where they are read: see [`Entry`].
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Adapter<'a>, Error> {
        let Envelope { version, manifest, payloads, payloads_at, digest, signature, .. } = Envelope::open(bytes)?;
        let mut cursor = Cursor::new(manifest, HEADER);
        let head = read_head(&mut cursor)?;

        let found = cursor.take_count()?;
        if found > MAX_LABELS {
            return Err(Error::TooManyLabels { found });
        }
        let labels = (cursor, found);
        for label in 0..found {
            Place::Label(label).check_text(cursor.take()?)?;
        }

        let settings = read_settings(&mut cursor, version)?;
        let found = cursor.take_count()?;
        if found > MAX_ENTRIES {
            return Err(Error::TooManyEntries { found });
        }
        let entries = (cursor, found);
        let least = if settings.1 > 0 { SETTINGS_VERSION } else { 1 };
        Entries::new(cursor, found, payloads).check(version, least, payloads_at)?;
        Ok(Adapter { head, labels, settings, entries, payloads, digest, signature, len: bytes.len() })
    }

    /// The name of the task.
    pub fn task(&self) -> &'a str {
        self.head.task
    }

    /// The name of the base's architecture.
    pub fn architecture(&self) -> &'a str {
        self.head.architecture
    }

    /// The name of the method that made the adapter.
    pub fn method(&self) -> &'a str {
        self.head.method
    }

    /// The fingerprint of the base's tensor index.
    pub fn base(&self) -> Digest {
        self.head.base
    }

    /// The digest over the digests of all base tensors.
    pub fn content(&self) -> Digest {
        self.head.content
    }

    /// How the adapter came about.
    pub fn summary(&self) -> Summary {
        self.head.summary
    }

    /// The labels, in the order of the classes.
    pub fn labels(&self) -> Labels<'a> {
        let (cursor, count) = self.labels;
        Labels::new(cursor, count)
    }

    /// What it was made with beside the weights, in ascending order of the names; see
    /// [`check_settings`](Self::check_settings).
    pub fn settings(&self) -> Settings<'a> {
        let (cursor, count) = self.settings;
        Settings::new(cursor, count)
    }

    /// The setting of this name.
    pub fn setting(&self, name: &str) -> Option<Setting<'a>> {
        self.settings().find(|setting| setting.name == name)
    }

    /// The entries, in ascending order of their names.
    pub fn entries(&self) -> Entries<'a> {
        let (cursor, count) = self.entries;
        Entries::new(cursor, count, self.payloads)
    }

    /// The entry of this name. Walks the entries before it: to visit many, iterate over [`entries`](Self::entries).
    pub fn entry(&self, name: &str) -> Option<Entry<'a>> {
        self.entries().take_while(|entry| entry.name <= name).find(|entry| entry.name == name)
    }

    /// The checksum of the file: equal for equal adapters, and only for them. A signed one is another than the same without
    /// a signature.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The signature, where there is one. It says nothing until it is checked.
    pub fn signature(&self) -> Option<Signature> {
        self.signature
    }

    /// The length of the file in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no adapter is empty")]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// Field by field, so that an error says where it is.
fn read_head<'a>(cursor: &mut Cursor<'a>) -> Result<Head<'a>, Error> {
    let head = Head {
        task: cursor.take()?,
        architecture: cursor.take()?,
        method: cursor.take()?,
        base: cursor.take()?,
        content: cursor.take()?,
        summary: cursor.take()?,
    };
    head.check()?;
    Ok(head)
}

/// The lowest version that has settings.
pub(super) const SETTINGS_VERSION: u16 = 3;

/// Where the settings are, and how many.
fn read_settings<'a>(cursor: &mut Cursor<'a>, version: u16) -> Result<(Cursor<'a>, usize), Error> {
    if version < SETTINGS_VERSION {
        return Ok((*cursor, 0));
    }
    let found = cursor.take_count()?;
    if found > MAX_SETTINGS {
        return Err(Error::TooManySettings { found });
    }
    let settings = (*cursor, found);
    let mut before = None;
    for index in 0..found {
        let setting: Setting<'a> = cursor.take()?;
        setting.check(index, before)?;
        before = Some(setting.name);
    }
    Ok(settings)
}

impl fmt::Debug for Adapter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter")
            .field("task", &self.task())
            .field("architecture", &self.architecture())
            .field("method", &self.method())
            .field("digest", &self.digest)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Adapter<'_> {
    /// Refuses an adapter that was made with other settings than those it is to be applied with: `known` has the name of
    /// every setting that the caller understands, and its value where the adapter has to have this one.
    ///
    /// A required setting that is not known is refused as well: the adapter comes from a later program, and would
    /// compute something else here.
    ///
    /// # Errors
    /// [`Error::UnknownSetting`] and [`Error::OtherSetting`], with the number of the setting.
    pub fn check_settings<'k>(
        &self,
        known: impl Iterator<Item = (&'k str, Option<&'k str>)> + Clone,
    ) -> Result<(), Error> {
        for (setting, found) in self.settings().enumerate() {
            match known.clone().find(|(name, _)| *name == found.name) {
                Some((_, Some(value))) if value != found.value => return Err(Error::OtherSetting { setting }),
                None if found.required => return Err(Error::UnknownSetting { setting }),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
