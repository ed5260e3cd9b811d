use core::fmt;

use heapless::Vec;
use serde::Serialize;

use super::{Error, MAX_DIMS, Place};

/// The shape of a tensor, outermost dimension first: at most [`MAX_DIMS`] dimensions, none of them zero.
/// No dimensions at all is a single value.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Shape(Vec<u32, MAX_DIMS>);

impl Shape {
    /// A shape of the given dimensions.
    ///
    /// # Errors
    /// [`Error::TooManyDims`], [`Error::ZeroDim`].
    pub fn new(dims: &[u32]) -> Result<Shape, Error> {
        let mut shape = Shape(Vec::new());
        for &dim in dims {
            shape.push(dim, dims.len(), Place::Shape)?;
        }
        Ok(shape)
    }

    /// The dimensions.
    pub fn dims(&self) -> &[u32] {
        &self.0
    }

    /// The number of elements, or `None` where 64 bits cannot hold it.
    pub fn elements(&self) -> Option<u64> {
        self.0.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim.into()))
    }

    pub(super) fn scalar() -> Shape {
        Shape(Vec::new())
    }

    /// Appends one of `total` dimensions.
    pub(super) fn push(&mut self, dim: u32, total: usize, place: Place) -> Result<(), Error> {
        if dim == 0 {
            return Err(Error::ZeroDim { place, dim: self.0.len() });
        }
        self.0.push(dim).map_err(|_| Error::TooManyDims { place, found: total })
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_elements() {
        assert_eq!(Shape::new(&[]).unwrap().elements(), Some(1));
        assert_eq!(Shape::new(&[2, 3, 4]).unwrap().elements(), Some(24));
        assert_eq!(Shape::new(&[u32::MAX; 3]).unwrap().elements(), None);
        assert_eq!(Shape::new(&[7, 8]).unwrap().dims(), [7, 8]);
    }

    #[test]
    fn refuses_zero_and_a_seventh_dimension() {
        let place = Place::Shape;
        assert_eq!(Shape::new(&[1, 0]), Err(Error::ZeroDim { place, dim: 1 }));
        assert_eq!(Shape::new(&[1; 7]), Err(Error::TooManyDims { place, found: 7 }));
    }
}
