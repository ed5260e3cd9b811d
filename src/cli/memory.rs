//! The memory of this machine, and what does not fit into it.

use std::fs::read_to_string;

use super::Error;
use super::text::bytes;
use crate::models::Model;
use crate::runtime::{ImageSpec, Images, Input};
use crate::train::plan_forward;

/// Refuses images of a size that this machine could not read one of.
///
/// # Errors
/// [`Error::Usage`], with what it would take and what there is. Where the system does not say what there is, nothing is
/// refused.
pub(super) fn check(model: &Model, spec: &ImageSpec) -> Result<(), Error> {
    of_machine().map_or(Ok(()), |there| check_within(there, model, spec))
}

fn check_within(there: usize, model: &Model, spec: &ImageSpec) -> Result<(), Error> {
    let (channels, height, width) = (spec.channels, spec.height, spec.width);
    let refuse = |takes| {
        let (takes, there) = (bytes(takes), bytes(there));
        let image = format!("an image of {height}x{width} pixels takes {takes}, and this machine has {there}");
        Err(Error::Usage(format!("{image}: choose a smaller --image-size")))
    };
    let pixels = spec.size();
    // A plan reads the number of pixels alone, and no page of them is touched.
    let mut values: Vec<f32> = Vec::new();
    if pixels.saturating_mul(4) > there || values.try_reserve_exact(pixels).is_err() {
        return refuse(pixels.saturating_mul(4));
    }
    drop(values);
    let input = Input::Images(Images { pixels: vec![0.0; pixels], batch: 1, channels, height, width });
    match plan_forward(model, &input, 1)?.total() {
        takes if takes > there => refuse(takes),
        _ => Ok(()),
    }
}

/// Bytes that the machine has, or the group of processes that this one is in.
fn of_machine() -> Option<usize> {
    let total = read_to_string("/proc/meminfo").ok()?;
    let total = total.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"))?;
    let total = total.parse::<usize>().ok()?.saturating_mul(1024);
    let of_group = read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|limit| limit.trim().parse().ok());
    Some(of_group.map_or(total, |limit: usize| limit.min(total)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Base;
    use crate::models::{InputSpec, Options};

    #[test]
    #[cfg(target_os = "linux")]
    fn what_does_not_fit_is_refused_with_both_sizes() {
        assert!(of_machine().is_some_and(|there| there > 1 << 28));
        let base = Base::open("tests/golden/vit").unwrap();
        let spec = |side| {
            let model =
                Model::open_with(&base, &Options { image_size: Some([side; 2]), ..Options::default() }).unwrap();
            let InputSpec::Images(spec) = model.input() else { panic!("a vit reads images") };
            (model, spec)
        };
        let (model, small) = spec(16);
        check(&model, &small).unwrap();
        let (model, large) = spec(512);
        let message = check_within(1 << 30, &model, &large).unwrap_err().to_string();
        assert!(message.contains("512x512 pixels") && message.contains("has 1.1 GB"), "{message}");
    }
}
