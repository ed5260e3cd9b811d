//! What the kernels are tried at.

use candle_core::{DType, Device, Result, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::optimizer::{BLOCK, Rule};
use super::super::*;
use crate::format::{Adapter, Digest, Draft, Encoding, Role, Shape, Summary, TensorDraft};
use crate::kernels::{Activation, Grid, Window};

const NUMBERS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];
/// Around the threads of a group and of its parts, and their multiples.
const COLS: [usize; 11] = [1, 3, 31, 32, 33, 77, 127, 128, 130, 300, 1030];
const ELEMENTS: [usize; 6] = [1, 255, 1023, 1024, 1025, 4099];

/// All of f32; of others, whose kernels are of the same text, every third.
fn sizes(all: &[usize], dtype: DType) -> impl Iterator<Item = &usize> {
    all.iter().step_by(if dtype == DType::F32 { 1 } else { 3 })
}

/// Values about 0, with some large ones.
fn random(seed: u64, shape: &[usize], dtype: DType, device: &Device) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut value = || random.random_range(-1.0f32..1.0) * if random.random_range(0..16) == 0 { 6.0 } else { 1.5 };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| value()).collect();
    Tensor::from_vec(values, shape, device).unwrap().to_dtype(dtype).unwrap()
}

/// Where examples of these lengths begin, and the end.
fn starts(lengths: [usize; 3], device: &Device) -> Tensor {
    let [a, b, c] = lengths.map(|length| length as u32);
    Tensor::from_slice(&[0, a, a + b, a + b + c], 4, device).unwrap()
}

/// An adapter of one delta.
fn adapter(encoding: Encoding, shape: Shape, values: &[f32]) -> Vec<u8> {
    let digest = Digest::of(&[]);
    let tensor = TensorDraft { name: "w", role: Role::Delta, encoding, shape, base: Some(digest), values };
    let draft = Draft {
        task: "task",
        architecture: "none",
        method: "none",
        base: digest,
        content: digest,
        summary: Summary::default(),
        labels: &[],
        settings: &[],
        tensors: &[tensor],
    };
    let mut file = vec![0; draft.encoded_len().unwrap()];
    draft.encode(&mut file).unwrap();
    file
}

pub(super) type Case = (String, Box<dyn Fn(&Device) -> Result<Vec<Tensor>>>);

fn case(name: String, run: impl Fn(&Device) -> Result<Vec<Tensor>> + 'static) -> Case {
    (name, Box::new(run))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for dtype in NUMBERS {
        for &cols in sizes(&COLS, dtype) {
            let rows = 1 + cols % 7;
            cases.push(case(format!("norm of {rows} × {cols}, {dtype:?}"), move |device| {
                let of = |seed, shape: &[usize]| random(seed, shape, dtype, device);
                let (x, scale, bias, dy) = (of(1, &[rows, cols]), of(2, &[cols]), of(3, &[cols]), of(4, &[rows, cols]));
                let [scales, biases] = layer_norm_sums(&x, &dy, 1e-5)?;
                Ok(vec![
                    layer_norm(&x, &scale, &bias, 1e-5)?,
                    layer_norm_grad(&x, &scale, &dy, 1e-5)?,
                    scales.contiguous()?,
                    biases.contiguous()?,
                ])
            }));
            cases.push(case(format!("softmax of rows of {cols}, {dtype:?}"), move |device| {
                let shape = [3, 2, 2, cols];
                let (scores, dweights) = (random(5, &shape, dtype, device), random(6, &shape, dtype, device));
                let starts = starts([1, cols, cols.div_ceil(2)], device);
                let weights = softmax(&scores, &starts, 0.7)?;
                Ok(vec![softmax_grad(&weights, &dweights, 0.7)?, weights])
            }));
            cases.push(case(format!("cross-entropy of {rows} × {cols}, {dtype:?}"), move |device| {
                let logits = random(7, &[rows, cols], dtype, device);
                let labels: Vec<u32> = (0..2 * rows).map(|at| (at * 5 % cols) as u32).collect();
                let labels = Tensor::from_vec(labels, (rows, 2), device)?;
                Ok(cross_entropy(&logits, &labels, [0.8, 0.1, 0.5])?.into())
            }));
        }
        for [rows, cols] in [[1, 1], [7, 33], [64, 32], [75, 40], [200, 65]] {
            cases.push(case(format!("sums of {rows} × {cols}, {dtype:?}"), move |device| {
                let (x, dy) = (random(8, &[rows, cols], dtype, device), random(9, &[rows, cols], dtype, device));
                let [scale, bias] = layer_norm_sums(&x, &dy, 1e-12)?;
                Ok(vec![scale.contiguous()?, bias.contiguous()?, column_sums(&dy)?])
            }));
        }
        for (heads, each, lengths) in [(1, 1, [1, 1, 1]), (3, 5, [4, 1, 9]), (2, 32, [17, 17, 17]), (4, 8, [33, 2, 5])]
        {
            cases.push(case(format!("{heads} heads of {each} over {lengths:?}, {dtype:?}"), move |device| {
                let (rows, longest) = (lengths.iter().sum(), lengths.into_iter().max().unwrap());
                let division = Division { starts: starts(lengths, device), rows, longest, heads, each };
                let of = |seed, shape: &[usize]| random(seed, shape, dtype, device);
                let (x, bias) = (of(20, &[rows, heads * each]), of(21, &[heads * each]));
                let split = split_heads(&x, Some(&bias), &division)?;
                Ok(vec![join_heads(&split, &division)?, split, split_heads(&x, None, &division)?])
            }));
            for skip in [0, 1, 3] {
                cases.push(case(format!("means of {lengths:?} after {skip}, {dtype:?}"), move |device| {
                    let (rows, starts) = (lengths.iter().sum(), starts(lengths, device));
                    let of = |seed, rows| random(seed, &[rows, heads * each], dtype, device);
                    let means = mean_rows(&of(22, rows), &starts, skip)?;
                    Ok(vec![means, mean_rows_grad(&of(23, lengths.len()), &starts, skip, rows)?])
                }));
            }
        }
        for &count in sizes(&ELEMENTS, dtype) {
            for cols in [1, count] {
                cases.push(case(format!("GELU of {count} by {cols}, {dtype:?}"), move |device| {
                    let of = |seed, shape: &[usize]| random(seed, shape, dtype, device);
                    let (x, bias, dy) = (of(10, &[count]), of(11, &[cols]), of(12, &[count]));
                    Ok(vec![bias_gelu(&x, &bias)?, bias_gelu_grad(&x, &bias, &dy)?])
                }));
            }
            cases.push(case(format!("bias and {count} added, {dtype:?}"), move |device| {
                let cols = if count % 5 == 0 { 5 } else { 1 };
                let of = |seed, shape: &[usize]| random(seed, shape, dtype, device);
                Ok(vec![add_bias(&of(24, &[count]), &of(25, &[cols]), &of(26, &[count]))?])
            }));
            cases.push(case(format!("floats added to {count}, {dtype:?}"), move |device| {
                let (base, delta) = (random(13, &[count], dtype, device), random(14, &[count], DType::F32, device));
                Ok(vec![merge_floats(&base, &delta)?])
            }));
        }
        let encodings = [Encoding::F32, Encoding::F16, Encoding::Int8, Encoding::Int4 { group: 6 }, Encoding::OneBit];
        for (encoding, dims) in
            encodings.into_iter().flat_map(|encoding| [[1, 1], [3, 7], [5, 64], [17, 243]].map(|dims| (encoding, dims)))
        {
            cases.push(case(format!("{encoding} added to {dims:?}, {dtype:?}"), move |device| {
                let values = random(15, &dims, DType::F32, &Device::Cpu).flatten_all()?.to_vec1::<f32>()?;
                let shape = Shape::new(&dims.map(|size| size as u32)).unwrap();
                let file = adapter(encoding, shape, &values);
                let entry = Adapter::parse(&file).unwrap().entries().next().unwrap();
                entry.check().unwrap();
                Ok(vec![merge(&random(16, &dims, dtype, device), &entry)?.unwrap()])
            }));
        }
    }
    for dtype in NUMBERS {
        cases.extend(image_cases(dtype));
    }
    for blocks in [1, 2, 5, 19] {
        let count = blocks * BLOCK;
        let rules = [(3, Rule::AdamW { betas: [0.9, 0.999], eps: 1e-8, step: 3 }), (2, Rule::Momentum(0.9))];
        for (rows, rule) in rules {
            cases.push(case(format!("update of {blocks} blocks by {rule:?}"), move |device| {
                let (states, gradient) =
                    (random(17, &[rows, count], DType::F32, device).abs()?, random(18, &[count], DType::F32, device));
                let paces = random(19, &[blocks, 2], DType::F32, device).abs()?;
                update(&states, &gradient, &paces, rule, [0.01, 0.5])?;
                Ok(vec![states])
            }));
        }
    }
    cases
}

/// Windows over images, and their channels.
fn image_cases(dtype: DType) -> Vec<Case> {
    let mut cases = Vec::new();
    let grid = |images, height, width| Grid { images, height, width };
    for (grid, window) in [
        (grid(2, 5, 7), Window::square(3, 1, 1)),
        (grid(1, 6, 5), Window::square(3, 2, 1)),
        (grid(2, 7, 8), Window::same(3, 2, grid(2, 7, 8))),
        (grid(1, 9, 9), Window::square(7, 2, 3)),
        (grid(3, 4, 5), Window::square(1, 2, 0)),
        (grid(1, 4, 6), Window::square(2, 2, 0)),
        (grid(5, 1, 1), Window::square(1, 1, 0)),
    ] {
        for &channels in sizes(&[1, 3, 33, 70], dtype) {
            cases.push(case(format!("{channels} channels under {window:?} over {grid:?}, {dtype:?}"), move |device| {
                let of = |seed, shape: &[usize]| random(seed, shape, dtype, device);
                let (rows, offsets) = (window.output(grid).rows(), window.size[0] * window.size[1]);
                let (x, dy) = (of(30, &[grid.rows(), channels]), of(31, &[rows, channels]));
                let (weight, columns) = (of(32, &[channels, offsets]), of(33, &[rows, offsets * channels]));
                Ok(vec![
                    window_columns(&x, grid, window)?,
                    window_columns_grad(&columns, grid, window)?,
                    depthwise(&x, &weight, grid, window)?,
                    depthwise_grad(&dy, &weight, grid, window)?,
                    depthwise_sums(&x, &dy, grid, window)?,
                    max_pool(&x, grid, window)?,
                    max_pool_grad(&x, &dy, grid, window)?,
                ])
            }));
        }
    }
    for (rows, cols) in [(1, 1), (5, 3), (70, 33), (130, 64)] {
        for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
            cases.push(case(format!("{activation:?} of {rows} × {cols} channels, {dtype:?}"), move |device| {
                let of = |seed, shape: &[usize]| random(seed, shape, dtype, device);
                let (x, dy, residual) = (of(40, &[rows, cols]), of(41, &[rows, cols]), of(42, &[rows, cols]));
                let [weight, bias, mean, variance] = [43, 44, 45, 46].map(|seed| of(seed, &[cols]));
                let spread = channel_spread(&mean, &variance.abs()?, 1e-3)?;
                let y = channel_norm(&x, Some(&residual), [&weight, &bias, &spread], activation)?;
                let dz = activation_grad(&y, &dy, activation)?;
                let sums = channel_norm_sums(&x, &dz, &spread)?;
                Ok(vec![
                    channel_norm(&x, None, [&weight, &bias, &spread], activation)?,
                    channel_norm_grad(&x, &dz, [&weight, &spread], None)?,
                    channel_norm_grad(&x, &dz, [&weight, &spread], Some(&sums))?,
                    column_squares(&x, &mean.to_dtype(DType::F32)?)?,
                    y,
                    sums,
                ])
            }));
        }
    }
    cases
}
