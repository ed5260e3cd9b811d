//! The images that a base takes, and how a file becomes one.

use super::{Error, Result};
use image::error::{LimitError, LimitErrorKind};
use image::imageops::{FilterType, resize};
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, ImageResult};
use std::path::Path;

/// Pixels of a decoded file, in bytes: more is a mistake or an attack.
const MAX_DECODED: u64 = 512 << 20;

/// Size and normalization of the images of a base.
///
/// A byte `x` of channel `c` becomes `(x / 255 - mean[c]) / std[c]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSpec {
    /// Colour channels: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// Mean of each channel, `[channels]`.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, `[channels]`.
    pub std: Vec<f32>,
}

impl ImageSpec {
    /// Checks that images of this kind can be made.
    ///
    /// # Errors
    /// [`Error::ImageSpec`].
    pub fn check(&self) -> Result<()> {
        let sides = 1..=1 << 14;
        let reason = if !matches!(self.channels, 1 | 3) {
            format!("{} channels, not 1 or 3", self.channels)
        } else if !sides.contains(&self.height) || !sides.contains(&self.width) {
            format!("{}x{} pixels, not 1 to {} a side", self.height, self.width, sides.end())
        } else if self.mean.len() != self.channels || self.std.len() != self.channels {
            let (means, stds) = (self.mean.len(), self.std.len());
            format!("{means} means and {stds} standard deviations for {} channels", self.channels)
        } else if !self.mean.iter().all(|mean| mean.is_finite()) {
            "a mean is not finite".into()
        } else if !self.std.iter().all(|std| std.is_finite() && *std > 0.0) {
            "a standard deviation is not a positive number".into()
        } else {
            return Ok(());
        };
        Err(Error::ImageSpec { reason })
    }

    /// Bytes of one image.
    pub(super) fn size(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Black images, `[count, channels, height, width]`.
    pub(super) fn blank(&self, count: usize) -> Result<Vec<u8>> {
        self.check()?;
        let mut pixels = Vec::new();
        match self.size().checked_mul(count).map(|total| (total, pixels.try_reserve_exact(total))) {
            Some((total, Ok(()))) => pixels.resize(total, 0),
            _ => {
                return Err(Error::Parts { reason: format!("{count} images do not fit into memory") });
            }
        }
        Ok(pixels)
    }

    /// Normalized value of each byte, one table a channel.
    pub(super) fn levels(&self) -> Vec<[f32; 256]> {
        let level = |mean: f32, std: f32| std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std);
        self.mean.iter().zip(&self.std).map(|(&mean, &std)| level(mean, std)).collect()
    }

    /// Decodes the file at `path` into `out`, `[channels, height, width]`.
    pub(super) fn read(&self, path: &Path, out: &mut [u8]) -> Result<()> {
        let file = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(Error::io(path))?;
        let image = decode(file).map_err(|source| Error::Image { path: path.to_path_buf(), source })?;
        self.fit(image, out);
        Ok(())
    }

    /// Resizes `image` into `out`, `[channels, height, width]`.
    pub(super) fn fit(&self, image: DynamicImage, out: &mut [u8]) {
        let (width, height) = (self.width as u32, self.height as u32);
        let resized = (image.width(), image.height()) != (width, height);
        let pixels = match (self.channels, resized) {
            (1, false) => image.into_luma8().into_raw(),
            (1, true) => resize(&image.into_luma8(), width, height, FilterType::Triangle).into_raw(),
            (_, false) => image.into_rgb8().into_raw(),
            (_, true) => resize(&image.into_rgb8(), width, height, FilterType::Triangle).into_raw(),
        };
        let plane = self.height * self.width;
        for (position, pixel) in pixels.chunks_exact(self.channels).enumerate() {
            for (channel, &value) in pixel.iter().enumerate() {
                out[channel * plane + position] = value;
            }
        }
    }
}

/// Decodes an image and turns it upright, as a camera's EXIF data says.
fn decode(file: ImageReader<impl std::io::BufRead + std::io::Seek>) -> ImageResult<DynamicImage> {
    let mut decoder = file.into_decoder()?;
    if decoder.total_bytes() > MAX_DECODED {
        return Err(ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory)));
    }
    let orientation = decoder.orientation();
    let mut image = DynamicImage::from_decoder(decoder)?;
    if let Ok(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, spec};
    use super::*;

    #[test]
    fn channels_become_planes() {
        let folder = Folder::new();
        let path = folder.write_png("a.png", 5, 7, [10, 20, 30]);
        let mut pixels = [0; 12];
        spec(3, 2, 2).read(&path, &mut pixels).unwrap();
        assert_eq!(pixels, [10, 10, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30]);
        let mut grey = [0; 4];
        spec(1, 2, 2).read(&path, &mut grey).unwrap();
        assert!(grey.iter().all(|&value| (15..=22).contains(&value)));
    }

    #[test]
    fn photographs_are_turned_upright() {
        let rotate_right = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let black_then_white = image::GrayImage::from_fn(32, 16, |x, _| image::Luma([if x < 16 { 0 } else { 255 }]));
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        image::ImageEncoder::set_exif_metadata(&mut encoder, rotate_right.to_vec()).unwrap();
        encoder.encode_image(&black_then_white).unwrap();
        let mut pixels = [0; 16];
        let folder = Folder::new();
        spec(1, 16, 1).read(&folder.write("a.jpg", bytes), &mut pixels).unwrap();
        assert!(pixels[0] < 20 && pixels[15] > 235, "{pixels:?}");
    }

    #[test]
    fn an_image_of_the_right_size_keeps_its_bytes() {
        let image = image::GrayImage::from_raw(3, 2, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let mut pixels = [0; 6];
        spec(1, 2, 3).fit(image.into(), &mut pixels);
        assert_eq!(pixels, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn levels_are_normalized_bytes() {
        let spec = ImageSpec { mean: vec![0.5], std: vec![0.25], ..spec(1, 1, 1) };
        let levels = spec.levels();
        assert_eq!((levels.len(), levels[0][0], levels[0][255]), (1, -2.0, 2.0));
    }

    #[test]
    fn impossible_specs_are_errors() {
        let good = spec(1, 2, 2);
        assert!(good.check().is_ok());
        let bad = [
            ImageSpec { channels: 2, ..good.clone() },
            ImageSpec { height: 0, ..good.clone() },
            ImageSpec { width: usize::MAX, ..good.clone() },
            ImageSpec { mean: vec![], ..good.clone() },
            ImageSpec { mean: vec![f32::NAN], ..good.clone() },
            ImageSpec { std: vec![0.0], ..good.clone() },
        ];
        for spec in bad {
            assert!(matches!(spec.check(), Err(Error::ImageSpec { .. })), "{spec:?}");
        }
        assert!(matches!(good.blank(usize::MAX), Err(Error::Parts { .. })));
        assert!(matches!(good.blank(usize::MAX / 8), Err(Error::Parts { .. })));
    }

    #[test]
    fn unreadable_files_are_errors() {
        let folder = Folder::new();
        let read = |path: &Path| spec(1, 1, 1).read(path, &mut [0]).unwrap_err();
        assert!(matches!(read(&folder.write("a.png", "no image")), Error::Image { .. }));
        assert!(matches!(read(Path::new("/nonexistent/a.png")), Error::Io { .. }));
    }
}
