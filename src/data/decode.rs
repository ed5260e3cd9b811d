//! How an image file becomes the bytes that a base reads.

use super::{Error, Result};
use crate::files;
use crate::runtime::{Filter, ImageSpec, MAX_SIDE};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::error::{ImageFormatHint, LimitError, LimitErrorKind, ParameterError, ParameterErrorKind};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult};
use std::io::Cursor;
use std::path::Path;

/// Pixels of a decoded file, in bytes: more is a mistake or an attack.
const MAX_DECODED: u64 = 512 << 20;
/// Bytes of a file.
const MAX_FILE: u64 = 512 << 20;

/// Checks that images of this kind can be made.
///
/// # Errors
/// [`Error::ImageSpec`].
pub(super) fn check(spec: &ImageSpec) -> Result<()> {
    spec.problem().map_or(Ok(()), |reason| Err(Error::ImageSpec { reason }))
}

/// Black images, `[count, channels, height, width]`.
pub(super) fn blank(spec: &ImageSpec, count: usize) -> Result<Vec<u8>> {
    check(spec)?;
    let mut pixels = Vec::new();
    match spec.size().checked_mul(count).map(|total| (total, pixels.try_reserve_exact(total))) {
        Some((total, Ok(()))) => pixels.resize(total, 0),
        _ => return Err(Error::Parts { reason: format!("{count} images do not fit into memory") }),
    }
    Ok(pixels)
}

/// Normalized value of each byte, one table a channel.
pub(super) fn levels(spec: &ImageSpec) -> Vec<[f32; 256]> {
    let level = |mean: f32, std: f32| std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std);
    spec.mean.iter().zip(&spec.std).map(|(&mean, &std)| level(mean, std)).collect()
}

/// Decodes the file at `path` into `out`, `[channels, height, width]`.
pub(super) fn read(spec: &ImageSpec, path: &Path, out: &mut [u8]) -> Result<()> {
    fit(spec, decode(path)?, out).map_err(|source| Error::Image { path: path.to_path_buf(), source })
}

/// Makes `image` one that the base reads: resized, the middle cut out where the spec says so, `[channels, height, width]`.
///
/// # Errors
/// If it has no pixels, or is so much longer than wide that it would become too large.
pub(super) fn fit(spec: &ImageSpec, image: DynamicImage, out: &mut [u8]) -> ImageResult<()> {
    let from = [image.height() as usize, image.width() as usize];
    let (kind, mut pixels) = match spec.channels {
        1 => (PixelType::U8, image.into_luma8().into_raw()),
        _ => (PixelType::U8x3, image.into_rgb8().into_raw()),
    };
    if pixels.is_empty() {
        return Err(wrong("no pixels"));
    }
    let to = spec.resize.crop.map_or([spec.height, spec.width], |crop| crop.scale.of(from));
    if to[0].max(to[1]) > MAX_SIDE || to[0] < spec.height || to[1] < spec.width {
        return Err(wrong(format_args!("{}x{} pixels would become {}x{}", from[0], from[1], to[0], to[1])));
    }
    if from != to {
        pixels = resize(&pixels, from, to, kind, spec.resize.filter)?;
    }
    let centre = spec.resize.crop.map(|crop| crop.centre);
    let offset = |length, size| centre.map_or(0, |centre| centre.offset(length, size));
    let (top, left) = (offset(to[0], spec.height), offset(to[1], spec.width));
    let plane = spec.height * spec.width;
    for line in 0..spec.height {
        let start = (top + line) * to[1] + left;
        let line_of = &pixels[start * spec.channels..(start + spec.width) * spec.channels];
        for (column, pixel) in line_of.chunks_exact(spec.channels).enumerate() {
            for (channel, &value) in pixel.iter().enumerate() {
                out[channel * plane + line * spec.width + column] = value;
            }
        }
    }
    Ok(())
}

/// `pixels` of a height and width as those of another.
///
/// Where the image shrinks, a pixel is the weighted mean of all that fall on it, as PIL has it, with which most networks
/// were trained.
fn resize(pixels: &[u8], from: [usize; 2], to: [usize; 2], kind: PixelType, filter: Filter) -> ImageResult<Vec<u8>> {
    let [from, to] = [from, to].map(|[height, width]| (width as u32, height as u32));
    let source = ImageRef::new(from.0, from.1, pixels, kind).map_err(wrong)?;
    let mut target = Image::new(to.0, to.1, kind);
    let algorithm = match filter {
        Filter::Nearest => ResizeAlg::Nearest,
        Filter::Box => ResizeAlg::Convolution(FilterType::Box),
        Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Filter::Hamming => ResizeAlg::Convolution(FilterType::Hamming),
        Filter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Filter::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
    };
    Resizer::new().resize(&source, &mut target, &ResizeOptions::new().resize_alg(algorithm)).map_err(wrong)?;
    Ok(target.into_vec())
}

fn wrong(error: impl ToString) -> ImageError {
    ImageError::Parameter(ParameterError::from_kind(ParameterErrorKind::Generic(error.to_string())))
}

/// Decodes the image file at `path`, and turns it as a camera's EXIF data says.
///
/// # Errors
/// [`Error::Io`], [`Error::File`] and [`Error::Image`]; the last of a file that was cut off, too.
pub(super) fn decode(path: &Path) -> Result<DynamicImage> {
    let bytes = files::read_up_to(path, MAX_FILE)?;
    upright(&bytes).map_err(|source| Error::Image { path: path.to_path_buf(), source })
}

fn upright(bytes: &[u8]) -> ImageResult<DynamicImage> {
    let format = match image::guess_format(bytes)? {
        format @ (ImageFormat::Jpeg | ImageFormat::Png) => format,
        other => return Err(ImageError::Unsupported(ImageFormatHint::Exact(other).into())),
    };
    // The decoder fills what is missing with grey.
    if format == ImageFormat::Jpeg && !ends(bytes) {
        return Err(wrong("the file was cut off before its end"));
    }
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder()?;
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

/// Whether a JPEG file has the marker of its end, after markers with data of the lengths they state and scans of what is
/// not a marker.
fn ends(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    let mut rest = bytes;
    loop {
        // In a scan 0xff is followed by zero or a number of a restart; 0xff may be repeated before a marker.
        let Some(at) = rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff | 0xd0..=0xd7))
        else {
            return false;
        };
        let marker = rest[at + 1];
        rest = &rest[at + 2..];
        match marker {
            END => return true,
            // The beginning, and one that has no data.
            0xd8 | 0x01 => {}
            _ => {
                let length = rest.first_chunk::<2>().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
                let Some(after) = rest.get(length..).filter(|_| length >= 2) else { return false };
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, spec};
    use super::*;
    use crate::runtime::{Centre, Crop, Resize, Scale};

    #[test]
    fn channels_become_planes() {
        let folder = Folder::new();
        let path = folder.write_png("a.png", 5, 7, [10, 20, 30]);
        let mut pixels = [0; 12];
        read(&spec(3, 2, 2), &path, &mut pixels).unwrap();
        assert_eq!(pixels, [10, 10, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30]);
        let mut grey = [0; 4];
        read(&spec(1, 2, 2), &path, &mut grey).unwrap();
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
        read(&spec(1, 16, 1), &folder.write("a.jpg", bytes), &mut pixels).unwrap();
        assert!(pixels[0] < 20 && pixels[15] > 235, "{pixels:?}");
    }

    #[test]
    fn an_image_of_the_right_size_keeps_its_bytes() {
        let image = image::GrayImage::from_raw(3, 2, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let mut pixels = [0; 6];
        fit(&spec(1, 2, 3), image.into(), &mut pixels).unwrap();
        assert_eq!(pixels, [1, 2, 3, 4, 5, 6]);
    }

    fn stretch(image: image::GrayImage, height: usize, width: usize) -> Vec<u8> {
        let mut pixels = vec![0; height * width];
        fit(&spec(1, height, width), image.into(), &mut pixels).unwrap();
        pixels
    }

    #[test]
    fn one_colour_stays_that_colour() {
        for value in 0..=255 {
            for (height, width) in [(3, 5), (11, 9), (40, 30), (7, 1)] {
                let image = image::GrayImage::from_pixel(11, 17, image::Luma([value]));
                assert_eq!(stretch(image, height, width), vec![value; height * width]);
            }
        }
    }

    #[test]
    fn a_checkerboard_of_half_the_size_is_grey() {
        let board = image::GrayImage::from_fn(16, 16, |x, y| image::Luma([if (x + y) % 2 == 0 { 0 } else { 255 }]));
        for (at, value) in stretch(board, 8, 8).into_iter().enumerate() {
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
            for (at, value) in stretch(image.clone(), height, width).into_iter().enumerate() {
                let expected = columns[at % width][at / width];
                assert!((f64::from(value) - expected).abs() < 1.6, "{at} of {height}x{width}: {value}, not {expected}");
            }
        }
    }

    #[test]
    fn levels_are_normalized_bytes() {
        let spec = ImageSpec { mean: vec![0.5], std: vec![0.25], ..spec(1, 1, 1) };
        let levels = levels(&spec);
        assert_eq!((levels.len(), levels[0][0], levels[0][255]), (1, -2.0, 2.0));
    }

    #[test]
    fn impossible_specs_are_errors() {
        let good = spec(1, 2, 2);
        assert!(check(&good).is_ok());
        assert!(matches!(check(&ImageSpec { channels: 2, ..good.clone() }), Err(Error::ImageSpec { .. })));
        assert!(matches!(blank(&good, usize::MAX), Err(Error::Parts { .. })));
        assert!(matches!(blank(&good, usize::MAX / 8), Err(Error::Parts { .. })));
    }

    fn cropped(size: [usize; 2], scale: Scale, filter: Filter) -> ImageSpec {
        let crop = Some(Crop { scale, centre: Centre::Even });
        ImageSpec { resize: Resize { filter, crop }, ..spec(1, size[0], size[1]) }
    }

    #[test]
    fn the_middle_is_cut_out() {
        let image = image::GrayImage::from_fn(6, 3, |x, y| image::Luma([(10 * y + x) as u8]));
        let mut pixels = [0; 2];
        fit(&cropped([1, 2], Scale::Exact([3, 6]), Filter::Bicubic), image.clone().into(), &mut pixels).unwrap();
        assert_eq!(pixels, [12, 13]);
        let mut pixels = [0; 9];
        fit(&cropped([3, 3], Scale::Shortest(3), Filter::Bicubic), image.clone().into(), &mut pixels).unwrap();
        assert_eq!(pixels, [2, 3, 4, 12, 13, 14, 22, 23, 24], "of 6 columns 3 are cut off, 2 of them before");
        let line = image::GrayImage::new(1, 60_000);
        let error = fit(&cropped([3, 3], Scale::Shortest(3), Filter::Bicubic), line.into(), &mut pixels).unwrap_err();
        assert!(error.to_string().contains("60000x1 pixels would become"), "{error}");
    }

    /// A photograph in all its cut-off states is an error, as in PIL, and whole it is none.
    #[test]
    fn files_that_were_cut_off_are_errors() {
        let noise =
            image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([(x * 7 + y * y * 3) as u8, (x * x) as u8, y as u8]));
        let mut jpeg = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90);
        image::ImageEncoder::set_exif_metadata(&mut encoder, b"II*\0a thumbnail's end: \xff\xd9".to_vec()).unwrap();
        encoder.encode_image(&noise).unwrap();
        assert!(upright(&jpeg).is_ok());
        assert!(upright(&[&jpeg[..], b"what a camera adds"].concat()).is_ok());
        for length in 0..jpeg.len() {
            assert!(upright(&jpeg[..length]).is_err(), "{length} of {} bytes", jpeg.len());
        }
        let mut hole = jpeg.clone();
        hole[jpeg.len() / 2..].fill(0);
        assert!(upright(&hole).is_err());
        let mut png = Cursor::new(Vec::new());
        noise.write_to(&mut png, ImageFormat::Png).unwrap();
        let png = png.into_inner();
        assert!(upright(&png).is_ok());
        // What is last is a chunk without data and the check of the one before.
        for length in 0..png.len() - 20 {
            assert!(upright(&png[..length]).is_err(), "{length} of {} bytes", png.len());
        }
    }

    #[test]
    fn unreadable_files_are_errors() {
        let folder = Folder::new();
        let read = |path: &Path| read(&spec(1, 1, 1), path, &mut [0]).unwrap_err();
        assert!(matches!(read(&folder.write("a.png", "no image")), Error::Image { .. }));
        assert!(matches!(read(Path::new("/nonexistent/a.png")), Error::Io { .. }));
    }
}
