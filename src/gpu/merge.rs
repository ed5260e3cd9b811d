//! A weight and a delta, added where the weight is.

use candle_core::{DType, Result, Tensor};

use super::launch::{Launch, Settings, Source, Threads, check};
use crate::format::{Encoding, Entry};

pub(super) static SOURCE: Source = Source::new("merge", include_str!("merge.metal"));

/// The sum of a weight of the base and what an entry of an adapter holds, decoded on the device; none where there is no
/// kernel for its encoding. The entry has passed its check and is of as many elements.
pub(crate) fn merge(base: &Tensor, entry: &Entry<'_>) -> Result<Option<Tensor>> {
    let name = match entry.encoding {
        Encoding::F32 => "merge_delta_f32",
        Encoding::F16 => "merge_delta_f16",
        Encoding::Int8 => "merge_int8",
        Encoding::Int4 { .. } => "merge_int4",
        Encoding::OneBit => "merge_one_bit",
        _ => return Ok(None),
    };
    let group = match entry.encoding {
        Encoding::Int4 { group } => group as usize,
        _ => 0,
    };
    let rows = match entry.shape.dims() {
        // A vector is one row of four bits an element.
        [_] | [] => 1,
        [first, ..] => *first as usize,
    };
    let width = (entry.elements() / rows.max(1)).max(1);
    check(name, [(base, entry.elements())])?;
    let payload = Tensor::from_slice(entry.payload, entry.payload.len(), base.device())?;
    let host = |values: &[Vec<f32>]| {
        let mut out = values[0].clone();
        // It has passed its check.
        let _ = entry.add_to(&mut out);
        out
    };
    added(name, base, &payload, [width, group], &host).map(Some)
}

/// The sum of a weight and of as many f32 values.
pub(crate) fn merge_floats(base: &Tensor, delta: &Tensor) -> Result<Tensor> {
    let host = |values: &[Vec<f32>]| values[0].iter().zip(&values[1]).map(|(weight, delta)| weight + delta).collect();
    check("merge_delta_f32", [(delta, base.elem_count())])?;
    added("merge_delta_f32", base, delta, [base.elem_count().max(1), 0], &host)
}

fn added(
    name: &'static str,
    base: &Tensor,
    payload: &Tensor,
    [width, group]: [usize; 2],
    host: &dyn Fn(&[Vec<f32>]) -> Vec<f32>,
) -> Result<Tensor> {
    let count = base.elem_count();
    let settings = Settings::new([count, width, group], [])?;
    let threads = Threads::of_elements(count);
    debug_assert!(matches!(payload.dtype(), DType::U8 | DType::F32));
    let launch = Launch { source: &SOURCE, name, number: Some(base.dtype()), threads, settings, host };
    launch.run(&[base, payload], base.shape(), base.dtype())
}
