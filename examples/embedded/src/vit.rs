//! The demo's vision transformer on images of 8 × 8 pixels: 16 patches and a class token, 4 blocks, 4 heads.

use taps::format::Error;

use crate::task::{Task, weight};

const HIDDEN: usize = 64;
const INNER: usize = 128;
const TOKENS: usize = 17;
const HEADS: usize = 4;
const BLOCKS: usize = 4;
const PATCH: usize = 2;
const SIDE: usize = 8;
const EPS: f32 = 1e-6;
/// `image_mean` and `image_std` of the base.
const MEAN: f32 = 0.3;
const STD: f32 = 0.4;

/// Classes that a head may have.
pub const CLASSES: usize = 10;

/// Everything a forward pass needs beside the base and the adapter. The largest part is one merged layer.
pub struct Buffers {
    layer: [f32; HIDDEN * INNER],
    bias: [f32; INNER],
    rows: [[f32; HIDDEN]; TOKENS],
    normed: [[f32; HIDDEN]; TOKENS],
    heads: [[[f32; HIDDEN]; TOKENS]; 3],
}

impl Buffers {
    /// Buffers that hold nothing yet.
    pub const fn new() -> Self {
        let rows = [[0.0; HIDDEN]; TOKENS];
        Self { layer: [0.0; HIDDEN * INNER], bias: [0.0; INNER], rows, normed: rows, heads: [rows; 3] }
    }

    /// Reads weight and bias of a layer.
    fn read(&mut self, task: Task<'_>, layer: Name) -> Result<(), Error> {
        weight(task, layer.tensor("weight").text(), &mut self.layer)?;
        weight(task, layer.tensor("bias").text(), &mut self.bias)?;
        Ok(())
    }

    /// Normalizes every row to `normed` by scale and bias of a layer.
    fn norm(&mut self, task: Task<'_>, layer: Name) -> Result<(), Error> {
        self.read(task, layer)?;
        for (row, out) in self.rows.iter().zip(&mut self.normed) {
            let mean = row.iter().sum::<f32>() / HIDDEN as f32;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / HIDDEN as f32;
            let scale = 1.0 / libm::sqrtf(variance + EPS);
            let affine = self.layer.iter().zip(&self.bias);
            for ((out, x), (weight, bias)) in out.iter_mut().zip(row).zip(affine) {
                *out = (x - mean) * scale * weight + bias;
            }
        }
        Ok(())
    }
}

/// The name of a tensor, put together without an allocator.
#[derive(Clone, Copy)]
struct Name {
    bytes: [u8; 80],
    length: usize,
}

impl Name {
    fn new(text: &str) -> Self {
        Name { bytes: [0; 80], length: 0 }.and(text)
    }

    fn block(number: usize, layer: &str) -> Self {
        let digit = [b'0' + number as u8];
        let digit = core::str::from_utf8(&digit).unwrap_or_default();
        Name::new("vit.encoder.layer.").and(digit).and(".").and(layer)
    }

    fn tensor(self, part: &str) -> Self {
        self.and(".").and(part)
    }

    fn and(mut self, text: &str) -> Self {
        let room = self.bytes.iter_mut().skip(self.length);
        room.zip(text.bytes()).for_each(|(to, from)| *to = from);
        self.length += text.len();
        self
    }

    fn text(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// `weight [outputs, inputs]` and bias on one row.
fn linear(x: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
    for ((out, row), bias) in out.iter_mut().zip(weight.chunks(x.len())).zip(bias) {
        *out = bias + row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
    }
}

fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * core::f32::consts::FRAC_1_SQRT_2))
}

/// Class scores of an image, `[8, 8]` bytes, by a task. Returns how many classes it has.
///
/// # Errors
/// If a value of the adapter is not allowed.
pub fn scores(
    task: Task<'_>,
    image: &[u8; SIDE * SIDE],
    buffers: &mut Buffers,
    scores: &mut [f32; CLASSES],
) -> Result<usize, Error> {
    embed(task, image, buffers)?;
    for block in 0..BLOCKS {
        attend(task, block, buffers)?;
        feed_forward(task, block, buffers)?;
    }
    buffers.norm(task, Name::new("vit.layernorm"))?;
    let head = Name::new("classifier");
    buffers.read(task, head)?;
    let classes = weight(task, head.tensor("bias").text(), &mut buffers.bias)?.min(CLASSES);
    linear(&buffers.normed[0], &buffers.layer, &buffers.bias, &mut scores[..classes]);
    Ok(classes)
}

/// The class token and the patches, at their positions.
fn embed(task: Task<'_>, image: &[u8; SIDE * SIDE], buffers: &mut Buffers) -> Result<(), Error> {
    let embeddings = Name::new("vit.embeddings");
    buffers.read(task, embeddings.and(".patch_embeddings.projection"))?;
    for (number, row) in buffers.rows.iter_mut().skip(1).enumerate() {
        let (top, left) = (number / (SIDE / PATCH) * PATCH, number % (SIDE / PATCH) * PATCH);
        let mut patch = [0.0; PATCH * PATCH];
        for (at, pixel) in patch.iter_mut().enumerate() {
            let byte = image[(top + at / PATCH) * SIDE + left + at % PATCH];
            *pixel = (f32::from(byte) / 255.0 - MEAN) / STD;
        }
        linear(&patch, &buffers.layer, &buffers.bias, row);
    }
    weight(task, embeddings.and(".cls_token").text(), &mut buffers.rows[0])?;
    weight(task, embeddings.and(".position_embeddings").text(), &mut buffers.layer)?;
    for (row, positions) in buffers.rows.iter_mut().zip(buffers.layer.chunks(HIDDEN)) {
        row.iter_mut().zip(positions).for_each(|(x, position)| *x += position);
    }
    Ok(())
}

/// Self-attention, added to the rows.
fn attend(task: Task<'_>, block: usize, buffers: &mut Buffers) -> Result<(), Error> {
    const WIDTH: usize = HIDDEN / HEADS;
    buffers.norm(task, Name::block(block, "layernorm_before"))?;
    for (number, part) in ["query", "key", "value"].into_iter().enumerate() {
        buffers.read(task, Name::block(block, "attention.attention.").and(part))?;
        for (row, out) in buffers.normed.iter().zip(&mut buffers.heads[number]) {
            linear(row, &buffers.layer, &buffers.bias, out);
        }
    }
    let [queries, keys, values] = &buffers.heads;
    for (query, out) in queries.iter().zip(&mut buffers.normed) {
        for head in (0..HIDDEN).step_by(WIDTH) {
            let mut shares = [0.0_f32; TOKENS];
            for (share, key) in shares.iter_mut().zip(keys) {
                let dot =
                    query[head..head + WIDTH].iter().zip(&key[head..head + WIDTH]).map(|(q, k)| q * k).sum::<f32>();
                *share = dot / libm::sqrtf(WIDTH as f32);
            }
            let highest = shares.iter().fold(f32::NEG_INFINITY, |highest, &share| highest.max(share));
            shares.iter_mut().for_each(|share| *share = libm::expf(*share - highest));
            let sum = shares.iter().sum::<f32>();
            for (column, out) in out[head..head + WIDTH].iter_mut().enumerate() {
                *out = shares.iter().zip(values).map(|(share, value)| share * value[head + column]).sum::<f32>() / sum;
            }
        }
    }
    buffers.read(task, Name::block(block, "attention.output.dense"))?;
    let mut out = [0.0; HIDDEN];
    for (row, x) in buffers.rows.iter_mut().zip(&buffers.normed) {
        linear(x, &buffers.layer, &buffers.bias, &mut out);
        row.iter_mut().zip(out).for_each(|(x, out)| *x += out);
    }
    Ok(())
}

/// Two layers with GELU between them, added to the rows.
fn feed_forward(task: Task<'_>, block: usize, buffers: &mut Buffers) -> Result<(), Error> {
    buffers.norm(task, Name::block(block, "layernorm_after"))?;
    buffers.read(task, Name::block(block, "intermediate.dense"))?;
    // The inner rows take the place of what attention is done with: two of the one width each.
    let [first, second, _] = &mut buffers.heads;
    for ((x, first), second) in buffers.normed.iter().zip(first.iter_mut()).zip(second.iter_mut()) {
        let (upper, lower) = buffers.layer.split_at(HIDDEN * HIDDEN);
        linear(x, upper, &buffers.bias[..HIDDEN], first);
        linear(x, lower, &buffers.bias[HIDDEN..], second);
        first.iter_mut().chain(second.iter_mut()).for_each(|x| *x = gelu(*x));
    }
    buffers.read(task, Name::block(block, "output.dense"))?;
    let [first, second, _] = &buffers.heads;
    let outputs = || buffers.layer.chunks(INNER).zip(&buffers.bias);
    for ((row, first), second) in buffers.rows.iter_mut().zip(first).zip(second) {
        for (x, (weight, bias)) in row.iter_mut().zip(outputs()) {
            let inner = first.iter().chain(second);
            *x += bias + weight.iter().zip(inner).map(|(w, x)| w * x).sum::<f32>();
        }
    }
    Ok(())
}
