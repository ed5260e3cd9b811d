//! The images that a network reads, and how others become such.

use std::fmt;

use super::Settings;
use super::settings::numbers;

/// Size and normalization of the images that a network reads.
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
    /// Mean of each channel, of values 0 to 1, `[channels]`.
    pub mean: Vec<f32>,
    /// Deviation of each channel, `[channels]`.
    pub std: Vec<f32>,
    /// How an image of another size becomes one of this.
    pub resize: Resize,
}

/// How an image becomes one of the size that a network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// By which filter. One that shrinks an image takes all pixels into account.
    pub filter: Filter,
    /// What is cut out of the resized image; without, the image is stretched to the size whatever its shape was.
    pub crop: Option<Crop>,
}

/// A resized image whose middle is cut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// The size before.
    pub scale: Scale,
    /// The middle, where it lies between two pixels.
    pub centre: Centre,
}

/// What an image is resized to before its middle is cut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// This height and width.
    Exact([usize; 2]),
    /// A shorter side of so many pixels, and the longer one in proportion.
    Shortest(usize),
    /// In proportion, at least this height and width, and one of them.
    Cover([usize; 2]),
}

/// Which of two pixels a middle between them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Centre {
    /// The first, as in transformers.
    Down,
    /// The one with the even number, as in torchvision.
    Even,
}

/// A filter to resize by, with PIL's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The nearest pixel.
    Nearest,
    /// The mean over a box.
    Box,
    /// A triangle.
    Bilinear,
    /// A Hamming window.
    Hamming,
    /// Keys's cubic with a = −0.5.
    Bicubic,
    /// Lanczos's of three lobes.
    Lanczos,
}

/// The widest side of an image in pixels.
pub const MAX_SIDE: usize = 1 << 14;

impl ImageSpec {
    /// Images that are stretched to their size by the bilinear filter.
    pub fn new(channels: usize, [height, width]: [usize; 2], mean: Vec<f32>, std: Vec<f32>) -> Self {
        Self { channels, height, width, mean, std, resize: Resize::default() }
    }

    /// Bytes of one image, which [`ImageSpec::problem`] has found nothing wrong with.
    pub fn size(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Why there can be no such images, where there cannot.
    pub fn problem(&self) -> Option<String> {
        let sides = 1..=MAX_SIDE;
        let side = |size: &[usize]| size.iter().all(|side| sides.contains(side));
        let resized = self.resize.crop.map_or([self.height, self.width], |crop| crop.scale.least());
        if !matches!(self.channels, 1 | 3) {
            Some(format!("{} channels, not 1 or 3", self.channels))
        } else if !side(&[self.height, self.width]) {
            Some(format!("{}x{} pixels, not 1 to {MAX_SIDE} a side", self.height, self.width))
        } else if !side(&resized) || resized[0] < self.height || resized[1] < self.width {
            let [height, width] = resized;
            Some(format!("{}x{} pixels cut out of {height}x{width}", self.height, self.width))
        } else if self.mean.len() != self.channels || self.std.len() != self.channels {
            let (means, stds) = (self.mean.len(), self.std.len());
            Some(format!("{means} means and {stds} standard deviations for {} channels", self.channels))
        } else if !self.mean.iter().all(|mean| mean.is_finite()) {
            Some("a mean is not finite".to_owned())
        } else if !self.std.iter().all(|std| std.is_finite() && *std > 0.0) {
            Some("a standard deviation is not a positive number".to_owned())
        } else {
            None
        }
    }

    /// Its settings, to which an adapter is bound.
    pub fn settings(&self) -> Settings {
        Settings::default()
            .with(Settings::IMAGE_SIZE, format_args!("{}x{}", self.height, self.width))
            .with(Settings::IMAGE_MEAN, numbers(&self.mean))
            .with(Settings::IMAGE_STD, numbers(&self.std))
            .with(Settings::IMAGE_RESIZE, self.resize)
    }
}

impl Default for Resize {
    fn default() -> Self {
        Self { filter: Filter::Bilinear, crop: None }
    }
}

impl Scale {
    /// The least height and width of what is resized so.
    fn least(self) -> [usize; 2] {
        match self {
            Scale::Exact(size) | Scale::Cover(size) => size,
            Scale::Shortest(side) => [side; 2],
        }
    }

    /// Height and width that an image of `size` is resized to, as torchvision, transformers and timm round them.
    pub fn of(self, size: [usize; 2]) -> [usize; 2] {
        match self {
            Scale::Exact(size) => size,
            Scale::Shortest(side) => {
                let shorter = size[0].min(size[1]).max(1);
                size.map(|length| if length == shorter { side } else { side.saturating_mul(length) / shorter })
            }
            Scale::Cover(least) => {
                let ratio = |axis: usize| size[axis] as f64 / least[axis].max(1) as f64;
                let ratio = ratio(0).min(ratio(1));
                size.map(|length| (length as f64 / ratio).round_ties_even() as usize)
            }
        }
    }
}

impl Centre {
    /// Pixels before the middle of `size` pixels out of `length`.
    pub fn offset(self, length: usize, size: usize) -> usize {
        let rest = length.saturating_sub(size);
        match self {
            Centre::Even if rest % 4 == 3 => rest / 2 + 1,
            Centre::Down | Centre::Even => rest / 2,
        }
    }
}

impl Filter {
    /// All of them, in the order of PIL's numbers but for the first two.
    const ALL: [(Filter, &str, u64); 6] = [
        (Filter::Nearest, "nearest", 0),
        (Filter::Lanczos, "lanczos", 1),
        (Filter::Bilinear, "bilinear", 2),
        (Filter::Bicubic, "bicubic", 3),
        (Filter::Box, "box", 4),
        (Filter::Hamming, "hamming", 5),
    ];

    /// The one that PIL, torchvision and transformers give this number.
    pub fn of_number(number: u64) -> Option<Self> {
        Self::ALL.iter().find(|row| row.2 == number).map(|row| row.0)
    }

    /// The one of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|row| row.0 == *self).map_or("", |row| row.1);
        f.write_str(name)
    }
}

/// As settings hold it: `stretch bilinear`, `exact 256x256 bicubic down`, `shortest 256 bicubic even`.
impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(crop) = self.crop else { return write!(f, "stretch {}", self.filter) };
        match crop.scale {
            Scale::Exact([height, width]) => write!(f, "exact {height}x{width}")?,
            Scale::Shortest(side) => write!(f, "shortest {side}")?,
            Scale::Cover([height, width]) => write!(f, "cover {height}x{width}")?,
        }
        let centre = if crop.centre == Centre::Down { "down" } else { "even" };
        write!(f, " {} {centre}", self.filter)
    }
}

impl std::str::FromStr for Resize {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split(' ').collect();
        let side = |text: &str| text.parse().map_err(|_| ());
        let pair = |text: &str| {
            let (height, width) = text.split_once('x').ok_or(())?;
            Ok([side(height)?, side(width)?])
        };
        let (scale, filter, centre) = match parts[..] {
            ["stretch", filter] => return Ok(Self { filter: Filter::of_name(filter).ok_or(())?, crop: None }),
            ["exact", size, filter, centre] => (Scale::Exact(pair(size)?), filter, centre),
            ["shortest", size, filter, centre] => (Scale::Shortest(side(size)?), filter, centre),
            ["cover", size, filter, centre] => (Scale::Cover(pair(size)?), filter, centre),
            _ => return Err(()),
        };
        let centre = match centre {
            "down" => Centre::Down,
            "even" => Centre::Even,
            _ => return Err(()),
        };
        Ok(Self { filter: Filter::of_name(filter).ok_or(())?, crop: Some(Crop { scale, centre }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_all_that_makes_numbers_of_an_image() {
        let mut spec = ImageSpec::new(3, [96, 80], vec![0.485, 0.456, 0.406], vec![0.25; 3]);
        let crop = Crop { scale: Scale::Shortest(110), centre: Centre::Even };
        spec.resize = Resize { crop: Some(crop), filter: Filter::Bicubic };
        let settings = spec.settings();
        assert_eq!(settings.get(Settings::IMAGE_SIZE), Some("96x80"));
        assert_eq!(settings.get(Settings::IMAGE_MEAN), Some("0.485,0.456,0.406"));
        assert_eq!(settings.get(Settings::IMAGE_STD), Some("0.25,0.25,0.25"));
        assert_eq!(settings.get(Settings::IMAGE_RESIZE), Some("shortest 110 bicubic even"));
    }

    #[test]
    fn a_resize_is_read_as_it_is_written() {
        let scales = [Scale::Exact([256, 200]), Scale::Shortest(9), Scale::Cover([7, 8])];
        let crops = scales.iter().flat_map(|&scale| [Centre::Down, Centre::Even].map(|centre| Crop { scale, centre }));
        for crop in crops.map(Some).chain([None]) {
            for (filter, name, number) in Filter::ALL {
                let resize = Resize { filter, crop };
                assert_eq!(resize.to_string().parse(), Ok(resize));
                assert_eq!((Filter::of_name(name), Filter::of_number(number)), (Some(filter), Some(filter)));
            }
        }
        let wrong = ["", "stretch", "stretch bilinear ", "exact 1 box down", "shortest x box down", "shortest 1 box"];
        for wrong in wrong {
            assert_eq!(wrong.parse::<Resize>(), Err(()), "{wrong}");
        }
    }

    /// What torchvision's `Resize` and `CenterCrop`, transformers' and timm's `ResizeKeepRatio` give.
    #[test]
    fn sizes_and_middles_are_rounded_as_the_references_do() {
        assert_eq!(Scale::Shortest(248).of([333, 500]), [248, 372]);
        assert_eq!(Scale::Shortest(248).of([500, 333]), [372, 248]);
        assert_eq!(Scale::Shortest(256).of([7, 7]), [256, 256]);
        assert_eq!(Scale::Exact([5, 6]).of([7, 7]), [5, 6]);
        assert_eq!(Scale::Cover([100, 200]).of([300, 300]), [200, 200]);
        assert_eq!(Scale::Cover([100, 200]).of([333, 1000]), [100, 300]);
        assert_eq!([256, 257, 225, 226, 227].map(|length| Centre::Even.offset(length, 224)), [16, 16, 0, 1, 2]);
        assert_eq!([256, 257, 225, 226, 227].map(|length| Centre::Down.offset(length, 224)), [16, 16, 0, 1, 1]);
    }

    #[test]
    fn impossible_specs_are_told() {
        let good = ImageSpec::new(1, [2, 2], vec![0.0], vec![1.0]);
        assert_eq!(good.problem(), None);
        let cropped = |scale| {
            let crop = Some(Crop { scale, centre: Centre::Down });
            ImageSpec { resize: Resize { crop, ..good.resize }, ..good.clone() }
        };
        let bad = [
            ImageSpec { channels: 2, ..good.clone() },
            ImageSpec { height: 0, ..good.clone() },
            ImageSpec { width: usize::MAX, ..good.clone() },
            ImageSpec { mean: vec![], ..good.clone() },
            ImageSpec { mean: vec![f32::NAN], ..good.clone() },
            ImageSpec { std: vec![0.0], ..good.clone() },
            cropped(Scale::Shortest(0)),
            cropped(Scale::Shortest(1)),
            cropped(Scale::Exact([2, 1 << 20])),
            cropped(Scale::Cover([1, 2])),
        ];
        assert_eq!(cropped(Scale::Exact([2, 3])).problem(), None);
        for spec in bad {
            assert!(spec.problem().is_some(), "{spec:?}");
        }
    }
}
