//! Two activations and a bias of columns, added in one pass.

use candle_core::{Result, Tensor};

use super::launch::{Launch, Settings, Source, Threads, check};

pub(super) static SOURCE: Source = Source::new("add", include_str!("add.metal"));

/// `x`, `bias` in each of its rows, and `y`.
pub(crate) fn add_bias(x: &Tensor, bias: &Tensor, y: &Tensor) -> Result<Tensor> {
    let host = |values: &[Vec<f32>]| {
        let [x, bias, y] = values else { return Vec::new() };
        x.iter().zip(bias.iter().cycle()).zip(y).map(|((x, bias), y)| x + bias + y).collect()
    };
    let count = x.elem_count();
    check("add_bias", [(y, count)])?;
    let settings = Settings::new([count, bias.elem_count()], [])?;
    let threads = Threads::of_elements(count);
    let launch = Launch { source: &SOURCE, name: "add_bias", number: Some(x.dtype()), threads, settings, host: &host };
    launch.run(&[x, bias, y], x.shape(), x.dtype())
}
