//! How a checkpoint's authors turn an image into numbers: `preprocessor_config.json` of transformers, `pretrained_cfg`
//! of timm.

use serde_json::Value;

use super::Error;
use super::config::{Config, as_size, height_and_width, per_channel};
use crate::files::read_json;
use crate::runtime::{Centre, Crop, Filter, ImageSpec, Resize, Scale};

/// Mean and deviation of the channels of ImageNet's photographs.
pub(super) const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
/// Mean and deviation of values that end up from −1 to 1.
pub(super) const HALF: [[f32; 3]; 2] = [[0.5; 3], [0.5; 3]];

/// What a network's authors do where their files do not say.
pub(super) struct Defaults {
    /// Height and width.
    pub(super) size: [usize; 2],
    /// Mean and deviation of each channel.
    pub(super) normalization: [[f32; 3]; 2],
    /// The class of transformers' image processors that belongs to the network.
    pub(super) processor: &'static str,
}

impl Config<'_> {
    /// The images that the network reads.
    ///
    /// # Errors
    /// If a file says something that is not implemented, or an image of that size cannot be.
    pub(super) fn images(&self, channels: usize, defaults: &Defaults) -> Result<ImageSpec, Error> {
        let spec = match self.processor_file()? {
            Some((file, json)) => Processor { config: self, file, json: &json }.images(channels, defaults)?,
            None => self.stated_images(channels, defaults)?,
        };
        if let Some(problem) = spec.problem() {
            return Err(Error::Images { base: self.base().path().to_owned(), problem });
        }
        Ok(spec)
    }

    /// The file in which transformers has it, and what it says; none for a base of timm's, whose config.json does.
    fn processor_file(&self) -> Result<Option<(&'static str, Value)>, Error> {
        if self.has("pretrained_cfg") {
            return Ok(None);
        }
        for name in ["processor_config.json", "preprocessor_config.json"] {
            let path = self.base().folder().join(name);
            if !path.is_file() {
                continue;
            }
            let json = read_json(&path)?;
            match json.get("image_processor") {
                Some(within) => return Ok(Some((name, within.clone()))),
                None if name == "preprocessor_config.json" => return Ok(Some((name, json))),
                None => {}
            }
        }
        Ok(None)
    }

    /// As config.json has it: `image_mean` and `image_std`, or timm's `mean` and `std`; and how timm resizes images, where
    /// it says so.
    fn stated_images(&self, channels: usize, defaults: &Defaults) -> Result<ImageSpec, Error> {
        let size = match self.options().image_size {
            Some(size) => size,
            None => self.height_and_width(&["image_size", "img_size", "input_size"])?.unwrap_or(defaults.size),
        };
        let [mean, std] = defaults.normalization;
        let stated = |keys: [&str; 2], default: [f32; 3]| {
            let key = if self.has(keys[0]) { keys[0] } else { keys[1] };
            let found = self.per_channel(key, channels)?;
            Ok::<_, Error>(found.unwrap_or_else(|| default.iter().copied().cycle().take(channels).collect()))
        };
        let (mean, std) = (stated(["image_mean", "mean"], mean)?, stated(["image_std", "std"], std)?);
        let mut spec = ImageSpec::new(channels, size, mean, std);
        if ["crop_pct", "interpolation", "crop_mode"].iter().any(|key| self.optional(key).is_some()) {
            spec.resize = self.timm_resize(size)?;
        }
        Ok(spec)
    }

    /// timm's `transforms_imagenet_eval`.
    fn timm_resize(&self, size: [usize; 2]) -> Result<Resize, Error> {
        let name = self.optional("interpolation").map_or(Some("bicubic"), Value::as_str);
        let filter = name.and_then(Filter::of_name);
        let filter = filter.ok_or_else(|| self.wrong("interpolation", "a filter, as bicubic"))?;
        let share = self.optional("crop_pct").map_or(Some(0.875), Value::as_f64);
        let share = share.filter(|share| (0.01..=1.0).contains(share));
        let share = share.ok_or_else(|| self.wrong("crop_pct", "a share from 0.01 to 1"))?;
        let least = size.map(|side| (side as f64 / share).floor() as usize);
        let scale = match self.optional("crop_mode").map_or(Some("center"), Value::as_str) {
            Some("center") if least[0] == least[1] => Scale::Shortest(least[0]),
            Some("center") => Scale::Cover(least),
            Some("squash") => Scale::Exact(least),
            _ => return Err(self.wrong("crop_mode", "center or squash; nothing else is implemented")),
        };
        Ok(Resize { filter, crop: Some(Crop { scale, centre: Centre::Even }) })
    }
}

/// The configuration of one of transformers' image processors.
struct Processor<'a> {
    config: &'a Config<'a>,
    file: &'static str,
    json: &'a Value,
}

/// What a class of transformers does where its file does not say.
struct Class {
    name: &'static str,
    size: Size,
    /// What a single number as `size` means.
    square: bool,
    filter: Filter,
    crop: Option<[usize; 2]>,
    normalization: [[f32; 3]; 2],
}

/// What an image is resized to.
#[derive(Clone, Copy)]
enum Size {
    Exact([usize; 2]),
    Shortest(usize),
}

const CLIP: [[f32; 3]; 2] = [[0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_55, 0.261_302_6, 0.275_777_1]];

impl Class {
    const ALL: [Class; 6] = [
        Class::new("ViTImageProcessor", Size::Exact([224; 2]), Filter::Bilinear, None, HALF),
        Class::new("DeiTImageProcessor", Size::Exact([256; 2]), Filter::Bicubic, Some([224; 2]), HALF),
        Class::new("ConvNextImageProcessor", Size::Shortest(384), Filter::Bicubic, None, HALF),
        Class::new("BitImageProcessor", Size::Shortest(224), Filter::Bicubic, Some([224; 2]), CLIP),
        Class::new("CLIPImageProcessor", Size::Shortest(224), Filter::Bicubic, Some([224; 2]), CLIP),
        Class::new("MobileNetV2ImageProcessor", Size::Shortest(256), Filter::Bilinear, Some([224; 2]), HALF),
    ];

    const fn new(
        name: &'static str,
        size: Size,
        filter: Filter,
        crop: Option<[usize; 2]>,
        normalization: [[f32; 3]; 2],
    ) -> Self {
        Self { name, size, square: matches!(size, Size::Exact(_)), filter, crop, normalization }
    }
}

impl Processor<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.json.get(key)
    }

    fn wrong(&self, key: &str, expected: &str) -> Error {
        let found = self.get(key).map_or("missing".to_owned(), Value::to_string);
        let base = self.config.base().path().to_owned();
        Error::Config { base, file: self.file, key: key.to_owned(), found, expected: expected.to_owned() }
    }

    /// Whether something is done; null is a no, as transformers takes it.
    fn does(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Null) => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(key, "true or false")),
        }
    }

    fn class(&self, default: &'static str) -> Result<&'static Class, Error> {
        let key =
            if self.get("image_processor_type").is_some() { "image_processor_type" } else { "feature_extractor_type" };
        let stated = self.get(key).and_then(Value::as_str).unwrap_or(default);
        let name = stated.replace("FeatureExtractor", "ImageProcessor");
        let name = name.strip_suffix("Fast").or_else(|| name.strip_suffix("Pil")).unwrap_or(&name);
        let class = Class::ALL.iter().find(|class| class.name == name);
        let known = || Class::ALL.iter().map(|class| class.name).collect::<Vec<_>>().join(", ");
        class.ok_or_else(|| self.wrong(key, &format!("one of {}", known())))
    }

    fn images(&self, channels: usize, defaults: &Defaults) -> Result<ImageSpec, Error> {
        let class = self.class(defaults.processor)?;
        if !self.does("do_resize", true)? {
            return Err(self.wrong("do_resize", "true; nothing else is implemented"));
        }
        if self.does("do_pad", false)? {
            return Err(self.wrong("do_pad", "false; nothing else is implemented"));
        }
        let filter = match self.get("resample") {
            None => Some(class.filter),
            Some(value) => value.as_u64().and_then(Filter::of_number),
        };
        let filter = filter.ok_or_else(|| self.wrong("resample", "a number from 0 to 5"))?;
        let (size, crop) = self.sizes(class)?;
        let (mean, std) = self.normalization(class, channels)?;
        let spec = |size: [usize; 2], scale: Option<Scale>| {
            let crop = scale.map(|scale| Crop { scale, centre: Centre::Down });
            ImageSpec { resize: Resize { filter, crop }, ..ImageSpec::new(channels, size, mean, std) }
        };
        let stated = match (crop, size) {
            (Some(crop), _) => crop,
            (None, Size::Exact(size)) => size,
            (None, Size::Shortest(_)) => {
                let expected = "height and width, or do_center_crop with it: the network reads images of one size";
                return Err(self.wrong("size", expected));
            }
        };
        let wanted = self.config.options().image_size.unwrap_or(stated);
        // At another size than the stated one as much of an image is cut off.
        let grown = |side: usize, axis: usize| side.saturating_mul(wanted[axis]) / stated[axis];
        let scale = match size {
            Size::Exact(size) if size == stated => None,
            Size::Exact(size) => Some(Scale::Exact([grown(size[0], 0), grown(size[1], 1)])),
            Size::Shortest(side) if wanted[0] == wanted[1] && stated[0] == stated[1] => {
                Some(Scale::Shortest(grown(side, 0)))
            }
            Size::Shortest(side) => Some(Scale::Cover([grown(side, 0), grown(side, 1)])),
        };
        Ok(spec(wanted, scale))
    }

    /// What an image is resized to, and what is cut out of that.
    fn sizes(&self, class: &Class) -> Result<(Size, Option<[usize; 2]>), Error> {
        let square = self.does("default_to_square", class.square)?;
        let size = match self.get("size") {
            None => class.size,
            Some(value) => self.size(value, square)?,
        };
        if class.name == "ConvNextImageProcessor" {
            // Below 384 pixels the middle is cut out of somewhat larger ones, from there on images are stretched.
            let Size::Shortest(side) = size else {
                return Err(self.wrong("size", "a shortest_edge, as this processor needs"));
            };
            let share = match self.get("crop_pct") {
                None | Some(Value::Null) => Some(224.0 / 256.0),
                Some(value) => value.as_f64().filter(|share| (0.01..=1.0).contains(share)),
            };
            let share = share.ok_or_else(|| self.wrong("crop_pct", "a share from 0.01 to 1"))?;
            return Ok(match side < 384 {
                true => (Size::Shortest((side as f64 / share) as usize), Some([side; 2])),
                false => (Size::Exact([side; 2]), None),
            });
        }
        if !self.does("do_center_crop", class.crop.is_some())? {
            return Ok((size, None));
        }
        let crop = match self.get("crop_size") {
            None => class.crop,
            Some(value) => match self.size(value, true)? {
                Size::Exact(crop) => Some(crop),
                Size::Shortest(_) => None,
            },
        };
        crop.map(|crop| (size, Some(crop))).ok_or_else(|| self.wrong("crop_size", "height and width"))
    }

    fn size(&self, value: &Value, square: bool) -> Result<Size, Error> {
        let wrong = || {
            let found = value.to_string();
            let base = self.config.base().path().to_owned();
            let expected = "pixels, or height and width, or a shortest_edge".to_owned();
            Error::Config { base, file: self.file, key: "size".to_owned(), found, expected }
        };
        let Some(map) = value.as_object() else {
            return match (as_size(value), height_and_width(value)) {
                (Some(side), _) if !square => Ok(Size::Shortest(side)),
                (_, Some(size)) => Ok(Size::Exact(size)),
                _ => Err(wrong()),
            };
        };
        // transformers writes the other ways to say it as null.
        let mut keys: Vec<&str> =
            map.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        let side = |key: &str| map.get(key).and_then(as_size).ok_or_else(wrong);
        match keys[..] {
            ["height", "width"] => Ok(Size::Exact([side("height")?, side("width")?])),
            ["shortest_edge"] => Ok(Size::Shortest(side("shortest_edge")?)),
            _ => Err(wrong()),
        }
    }

    /// Mean and deviation of each channel of values from 0 to 1.
    fn normalization(&self, class: &Class, channels: usize) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let factor = match (self.does("do_rescale", true)?, self.get("rescale_factor")) {
            (false, _) => Some(1.0),
            (true, None) => Some(1.0 / 255.0),
            (true, Some(value)) => value.as_f64().filter(|factor| *factor > 0.0 && factor.is_finite()),
        };
        let factor = factor.ok_or_else(|| self.wrong("rescale_factor", "a positive number"))?;
        // transformers normalizes bytes times the factor, and this crate bytes divided by 255.
        let scale = 255.0 * factor;
        if !self.does("do_normalize", true)? {
            return Ok((vec![0.0; channels], vec![(1.0 / scale) as f32; channels]));
        }
        let numbers = |key: &str, default: [f32; 3]| match self.get(key) {
            None => Ok(default.iter().copied().cycle().take(channels).collect()),
            Some(value) => per_channel(value, channels).ok_or_else(|| self.wrong(key, &format!("{channels} numbers"))),
        };
        let scaled = |values: Vec<f32>| match (scale - 1.0).abs() < 1e-6 {
            true => values,
            false => values.into_iter().map(|value| (f64::from(value) / scale) as f32).collect(),
        };
        let [mean, std] = class.normalization;
        Ok((scaled(numbers("image_mean", mean)?), scaled(numbers("image_std", std)?)))
    }
}
