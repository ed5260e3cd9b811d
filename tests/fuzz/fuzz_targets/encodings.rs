//! Any values in any encoding: refused, or read back as finite values; any payload: refused, or finite.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use taps::format::{Digest, Encoding, Role, Shape, TensorDraft};

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    which: u8,
    numbers: [u8; 2],
    dims: [u8; 2],
    vector: bool,
    bytes: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let [rows, width] = case.dims.map(|dim| u32::from(dim % 40) + 1);
    let dims = if case.vector { vec![width] } else { vec![rows, width] };
    let Ok(shape) = Shape::new(&dims) else { return };
    let [first, second] = case.numbers.map(u32::from);
    let floats: Vec<f32> = case.bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let elements = dims.iter().product::<u32>() as usize;
    let values: Vec<f32> = floats.iter().copied().chain(std::iter::repeat(0.25)).take(elements).collect();
    let encoding = match case.which % 8 {
        0 => Encoding::F32,
        1 => Encoding::F16,
        2 => Encoding::Int8,
        3 => Encoding::Int4 { group: first },
        4 => Encoding::OneBit,
        5 => Encoding::LowRank { rank: first % 41, half: second % 2 == 1 },
        6 => Encoding::sparse(&values, first),
        _ => Encoding::Sparse { count: first, places: second },
    };
    let Some(length) = encoding.payload_len(&shape) else { return };
    let payload: Vec<u8> = case.bytes.iter().copied().chain(std::iter::repeat(0)).take(length as usize).collect();
    let mut out = vec![f32::NAN; elements];
    let finite = |out: &[f32]| assert!(out.iter().all(|value| value.is_finite()), "{encoding}");
    let base = Some(Digest::of(&[]));
    let count = encoding.values(&shape).unwrap() as usize;
    let written: Vec<f32> = floats.iter().copied().chain(std::iter::repeat(0.25)).take(count).collect();
    let draft = TensorDraft { name: "t", role: Role::Delta, encoding, shape: shape.clone(), base, values: &written };
    let mut room = payload.clone();
    if draft.read_back(&mut room, &mut out).is_ok() {
        finite(&out);
    }
    // A payload that nobody wrote, as an entry of a file.
    let file = forged(&shape, encoding, &payload);
    if let Ok(adapter) = taps::format::Adapter::parse(&file) {
        for entry in adapter.entries() {
            if entry.decode_into(&mut out).is_ok() {
                finite(&out);
            }
        }
    }
});

/// A file with one tensor of this payload.
fn forged(shape: &Shape, encoding: Encoding, payload: &[u8]) -> Vec<u8> {
    let values = vec![0.25; encoding.values(shape).unwrap() as usize];
    let tensors = [TensorDraft {
        name: "t",
        role: Role::Delta,
        encoding,
        shape: shape.clone(),
        base: Some(Digest::of(&[])),
        values: &values,
    }];
    let draft = taps::format::Draft {
        task: "t",
        architecture: "a",
        method: "m",
        base: Digest::of(&[]),
        content: Digest::of(&[]),
        summary: Default::default(),
        labels: &[],
        settings: &[],
        tensors: &tensors,
    };
    let Ok(length) = draft.encoded_len() else { return Vec::new() };
    let mut file = vec![0; length];
    // Where these values do not suit the encoding, the layout is there all the same.
    let _ = draft.encode(&mut file);
    let end = length - 32;
    let start = end - payload.len().next_multiple_of(64);
    file[start..start + payload.len()].copy_from_slice(payload);
    let digest = Digest::of(&file[..end]);
    file[end..].copy_from_slice(digest.as_bytes());
    file
}
