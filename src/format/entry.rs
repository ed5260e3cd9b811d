use core::fmt;

use super::{Digest, Encoding, Error, Role, Shape};

/// One tensor of an adapter: a view of the file, decoded on demand.
///
/// The payload begins on a multiple of [`ALIGNMENT`](super::ALIGNMENT) of the file; nothing here needs it to be
/// aligned in memory. [`Adapter::parse`](super::Adapter::parse) does not look at the values: every method that reads
/// them first checks them all, so that an error leaves its output as it was.
#[derive(Clone)]
pub struct Entry<'a> {
    /// The name of the tensor, as in the base where the base has it.
    pub name: &'a str,
    /// What the tensor is for. The methods of an entry do not look at it.
    pub role: Role,
    /// How the payload holds the values.
    pub encoding: Encoding,
    /// The shape of the tensor.
    pub shape: Shape,
    /// The digest of the base tensor of the same name, where the base has one.
    pub base: Option<Digest>,
    /// The values as the file holds them.
    pub payload: &'a [u8],
    pub(super) index: usize,
}

impl Entry<'_> {
    /// The number of elements.
    pub fn elements(&self) -> usize {
        let elements = self.shape.elements().and_then(|n| usize::try_from(n).ok());
        elements.unwrap_or(usize::MAX)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::NotFinite`], and by encoding [`Error::Scale`], [`Error::Minimum`], [`Error::ZeroScale`],
    /// [`Error::UnusedBits`] and [`Error::Places`].
    pub fn check(&self) -> Result<(), Error> {
        let entry = self.index;
        let expected = self.encoding.expect_len(&self.shape, entry)?;
        let stated = self.payload.len() as u64;
        if stated != expected {
            return Err(Error::PayloadLength { entry, stated, expected });
        }
        self.encoding.check(&self.shape, self.payload, entry)
    }

    /// Writes the values to `out`, which has [`elements`](Entry::elements) elements.
    ///
    /// # Errors
    /// [`Error::OutputLength`], and those of [`check`](Entry::check).
    pub fn decode_into(&self, out: &mut [f32]) -> Result<(), Error> {
        self.apply(out, |_, _| {}, |out, value| *out = value)
    }

    /// Adds the values to `weight`, which has [`elements`](Entry::elements) elements.
    ///
    /// # Errors
    /// [`Error::OutputLength`], and those of [`check`](Entry::check).
    pub fn add_to(&self, weight: &mut [f32]) -> Result<(), Error> {
        self.apply(weight, |_, _| {}, |weight, value| *weight += value)
    }

    /// Copies a weight and adds the values to it, in one pass: `copy` is called with parts of `weight` in turn, and the
    /// number of the first element of each, and writes what the values of that part are added to.
    ///
    /// # Errors
    /// [`Error::OutputLength`], and those of [`check`](Entry::check), before anything is copied.
    pub fn add_to_copy(&self, weight: &mut [f32], copy: impl FnMut(usize, &mut [f32])) -> Result<(), Error> {
        self.apply(weight, copy, |weight, value| *weight += value)
    }

    /// The numbers of both factors of [`Encoding::LowRank`] as they are written, the left one first; of another encoding
    /// none.
    ///
    /// # Errors
    /// Those of [`check`](Entry::check).
    pub fn factors(&self) -> Result<impl Iterator<Item = f32>, Error> {
        self.check()?;
        Ok(self.encoding.factors(self.payload))
    }

    /// The values of [`Encoding::Sparse`] that are not zero; of another encoding none.
    ///
    /// # Errors
    /// Those of [`check`](Entry::check).
    pub fn nonzeros(&self) -> Result<impl Iterator<Item = f32>, Error> {
        self.check()?;
        Ok(self.encoding.nonzeros(self.payload))
    }

    fn apply(
        &self,
        out: &mut [f32],
        before: impl FnMut(usize, &mut [f32]),
        each: impl Fn(&mut f32, f32),
    ) -> Result<(), Error> {
        let expected = self.elements();
        if out.len() != expected {
            let (entry, found) = (self.index, out.len());
            return Err(Error::OutputLength { entry, expected, found });
        }
        self.check()?;
        self.encoding.apply(&self.shape, self.payload, out, before, each);
        Ok(())
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("role", &self.role)
            .field("encoding", &self.encoding)
            .field("shape", &self.shape)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(payload: &[u8]) -> Entry<'_> {
        let shape = Shape::new(&[2]).unwrap();
        let (role, encoding) = (Role::Statistics, Encoding::F32);
        Entry { name: "w", role, encoding, shape, base: None, payload, index: 4 }
    }

    #[test]
    fn decodes_and_adds() {
        let bytes = [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0];
        let mut out = [5.0, 5.0];
        entry(&bytes).decode_into(&mut out).unwrap();
        assert_eq!(out, [1.0, -2.0]);
        entry(&bytes).add_to(&mut out).unwrap();
        assert_eq!(out, [2.0, -4.0]);
    }

    #[test]
    fn an_error_leaves_the_output_alone() {
        let bytes = [0, 0, 0x80, 0x3f, 0, 0, 0x80, 0x7f];
        let mut out = [5.0, 5.0];
        let refused = Err(Error::NotFinite { entry: 4, element: 1 });
        assert_eq!(entry(&bytes).add_to(&mut out), refused);
        assert_eq!(entry(&bytes).decode_into(&mut out), refused);
        assert_eq!(out, [5.0, 5.0]);
    }

    #[test]
    fn lengths_must_agree() {
        let refused = Err(Error::OutputLength { entry: 4, expected: 2, found: 3 });
        assert_eq!(entry(&[0; 8]).add_to(&mut [0.0; 3]), refused);
        let refused = Err(Error::PayloadLength { entry: 4, stated: 4, expected: 8 });
        assert_eq!(entry(&[0; 4]).add_to(&mut [0.0; 2]), refused);
    }
}
