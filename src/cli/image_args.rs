//! Options that only images have.

use clap::Args;

use super::Error;
use crate::data::{Augment, FolderOptions};
use crate::runtime::ImageSpec;

/// How much memory decoded images take.
#[derive(Args)]
pub(super) struct CacheArgs {
    /// MiB of decoded images to keep in memory; those of a folder beyond are decoded for every batch [default: 2048]
    #[arg(long, value_name = "N")]
    cache_mb: Option<usize>,
}

/// How training images are changed at random.
#[derive(Args)]
pub(super) struct AugmentArgs {
    /// Shift training images at random by up to this many pixels, repeating those at the edge
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    crop: usize,
    /// Mirror every other training image left to right, at random
    #[arg(long)]
    flip: bool,
}

impl CacheArgs {
    /// Bytes to keep, for a base that reads `image`.
    pub(super) fn bytes(&self, image: Option<&ImageSpec>) -> Result<usize, Error> {
        match self.cache_mb {
            Some(_) if image.is_none() => Err(no_images("--cache-mb")),
            Some(mebibytes) => Ok(mebibytes.saturating_mul(1 << 20)),
            None => Ok(FolderOptions::default().cache),
        }
    }
}

impl AugmentArgs {
    /// The changes, for a base that reads `image`.
    pub(super) fn augment(&self, image: Option<&ImageSpec>) -> Result<Augment, Error> {
        let Self { crop, flip } = *self;
        match image {
            None if crop > 0 => Err(no_images("--crop")),
            None if flip => Err(no_images("--flip")),
            Some(spec) if crop >= spec.height.min(spec.width) => {
                let ImageSpec { height, width, .. } = spec;
                Err(Error::Usage(format!("--crop {crop}: the base takes {height}x{width} pixels; choose fewer")))
            }
            _ => Ok(Augment { crop, flip }),
        }
    }
}

fn no_images(flag: &str) -> Error {
    Error::Usage(format!("{flag}: the base takes texts, and this is for images; leave it out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ImageSpec {
        ImageSpec::new(1, [8, 6], vec![0.0], vec![1.0])
    }

    fn usage<T>(result: Result<T, Error>) -> String {
        match result {
            Err(Error::Usage(message)) => message,
            _ => panic!("not a usage error"),
        }
    }

    #[test]
    fn images_take_what_is_asked_for() {
        let augment = AugmentArgs { crop: 5, flip: true }.augment(Some(&spec())).unwrap();
        assert_eq!(augment, Augment { crop: 5, flip: true });
        assert!(usage(AugmentArgs { crop: 6, flip: false }.augment(Some(&spec()))).starts_with("--crop 6: "));
        let bytes = |cache_mb| CacheArgs { cache_mb }.bytes(Some(&spec())).unwrap();
        assert_eq!((bytes(None), bytes(Some(3)), bytes(Some(usize::MAX))), (2048 << 20, 3 << 20, usize::MAX));
    }

    #[test]
    fn texts_take_none_of_it() {
        assert_eq!(AugmentArgs { crop: 0, flip: false }.augment(None).unwrap(), Augment::default());
        assert!(usage(AugmentArgs { crop: 1, flip: false }.augment(None)).starts_with("--crop: "));
        assert!(usage(AugmentArgs { crop: 0, flip: true }.augment(None)).starts_with("--flip: "));
        assert!(CacheArgs { cache_mb: None }.bytes(None).is_ok());
        assert!(usage(CacheArgs { cache_mb: Some(1) }.bytes(None)).starts_with("--cache-mb: "));
    }
}
