//! The images that a base takes, and how a file becomes one.

use super::{Error, Result};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::error::{LimitError, LimitErrorKind, ParameterError, ParameterErrorKind};
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
        self.fit(decode(path)?, out).map_err(|source| Error::Image { path: path.to_path_buf(), source })
    }

    /// Resizes `image` into `out`, `[channels, height, width]`.
    ///
    /// # Errors
    /// If it has no pixels.
    pub(super) fn fit(&self, image: DynamicImage, out: &mut [u8]) -> ImageResult<()> {
        let (from, to) = ((image.width(), image.height()), (self.width as u32, self.height as u32));
        let (kind, mut pixels) = match self.channels {
            1 => (PixelType::U8, image.into_luma8().into_raw()),
            _ => (PixelType::U8x3, image.into_rgb8().into_raw()),
        };
        if pixels.is_empty() {
            return Err(wrong("no pixels"));
        }
        if from != to {
            pixels = resize(&pixels, from, to, kind)?;
        }
        let plane = self.height * self.width;
        for (position, pixel) in pixels.chunks_exact(self.channels).enumerate() {
            for (channel, &value) in pixel.iter().enumerate() {
                out[channel * plane + position] = value;
            }
        }
        Ok(())
    }
}

/// `pixels` of `from` columns and rows as `to` columns and rows.
///
/// Where the image shrinks, a pixel is the weighted mean of all that fall on it: as PIL's bilinear filter, with
/// which most networks were trained.
fn resize(pixels: &[u8], from: (u32, u32), to: (u32, u32), kind: PixelType) -> ImageResult<Vec<u8>> {
    let source = ImageRef::new(from.0, from.1, pixels, kind).map_err(wrong)?;
    let mut target = Image::new(to.0, to.1, kind);
    let how = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut target, &how).map_err(wrong)?;
    Ok(target.into_vec())
}

fn wrong(error: impl ToString) -> ImageError {
    ImageError::Parameter(ParameterError::from_kind(ParameterErrorKind::Generic(error.to_string())))
}

/// Decodes the image file at `path`.
///
/// # Errors
/// [`Error::Io`] and [`Error::Image`].
pub(super) fn decode(path: &Path) -> Result<DynamicImage> {
    let file = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(Error::io(path))?;
    upright(file).map_err(|source| Error::Image { path: path.to_path_buf(), source })
}

/// Decodes an image and turns it as a camera's EXIF data says.
fn upright(file: ImageReader<impl std::io::BufRead + std::io::Seek>) -> ImageResult<DynamicImage> {
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
        spec(1, 2, 3).fit(image.into(), &mut pixels).unwrap();
        assert_eq!(pixels, [1, 2, 3, 4, 5, 6]);
    }

    fn fit(image: image::GrayImage, height: usize, width: usize) -> Vec<u8> {
        let mut pixels = vec![0; height * width];
        spec(1, height, width).fit(image.into(), &mut pixels).unwrap();
        pixels
    }

    #[test]
    fn one_colour_stays_that_colour() {
        for value in 0..=255 {
            for (height, width) in [(3, 5), (11, 9), (40, 30), (7, 1)] {
                let image = image::GrayImage::from_pixel(11, 17, image::Luma([value]));
                assert_eq!(fit(image, height, width), vec![value; height * width]);
            }
        }
    }

    #[test]
    fn a_checkerboard_of_half_the_size_is_grey() {
        let board = image::GrayImage::from_fn(16, 16, |x, y| image::Luma([if (x + y) % 2 == 0 { 0 } else { 255 }]));
        for (at, value) in fit(board, 8, 8).into_iter().enumerate() {
            // At a corner the filter's weights are 3, 3 and 1: a forty-ninth of the contrast is left.
            let corner = [0, 7, 56, 63].contains(&at);
            let off = (f64::from(value) - 127.5).abs();
            assert!(off <= if corner { 3.5 } else { 1.5 }, "pixel {at} is {value}");
        }
    }

    /// Mean of `line` under a triangle about each of the `count` places, in the plainest way.
    fn triangle(line: &[f64], count: usize) -> Vec<f64> {
        let scale = line.len() as f64 / count as f64;
        let weight = |place: usize, at: usize| {
            let distance = (at as f64 + 0.5 - (place as f64 + 0.5) * scale) / scale.max(1.0);
            (1.0 - distance.abs()).max(0.0)
        };
        let mean = |place| {
            let (sum, total) = line.iter().enumerate().fold((0.0, 0.0), |(sum, total), (at, value)| {
                (sum + weight(place, at) * value, total + weight(place, at))
            });
            sum / total
        };
        (0..count).map(mean).collect()
    }

    #[test]
    fn resized_images_are_means_under_a_triangle() {
        let (from_height, from_width) = (13, 19);
        let byte = |x: u32, y: u32| (x * x * 7 + y * 31 + x * y * 13) % 256;
        let image = image::GrayImage::from_fn(from_width, from_height, |x, y| image::Luma([byte(x, y) as u8]));
        for (height, width) in [(5, 4), (13, 7), (26, 19), (30, 41), (6, 40)] {
            let rows = (0..from_height).map(|y| {
                let line: Vec<f64> = (0..from_width).map(|x| f64::from(byte(x, y))).collect();
                triangle(&line, width)
            });
            let rows: Vec<Vec<f64>> = rows.collect();
            let columns = (0..width).map(|x| {
                let line: Vec<f64> = rows.iter().map(|row| row[x]).collect();
                triangle(&line, height)
            });
            let columns: Vec<Vec<f64>> = columns.collect();
            for (at, value) in fit(image.clone(), height, width).into_iter().enumerate() {
                let expected = columns[at % width][at / width];
                assert!((f64::from(value) - expected).abs() < 1.6, "{at} of {height}x{width}: {value}, not {expected}");
            }
        }
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
