//! The kernels against what stands beside them: compiled as C++ with the threads of a group in turn, and on what
//! `TAPS_TEST_DEVICE` names.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use candle_core::{DType, Device, Result, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::launch::{Launch, Settings, Threads};
use super::optimizer::{BLOCK, Rule};
use super::*;
use crate::device::open;
use crate::format::{Adapter, Digest, Draft, Encoding, Role, Shape, Summary, TensorDraft};
use crate::runtime::Processor;

const NUMBERS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];
/// Around the threads of a group and of its parts, and their multiples.
const COLS: [usize; 11] = [1, 3, 31, 32, 33, 77, 127, 128, 130, 300, 1030];
const ELEMENTS: [usize; 6] = [1, 255, 1023, 1024, 1025, 4099];

/// A launch on the processor.
struct Recorded {
    entry: String,
    threads: Threads,
    settings: Settings,
    inputs: Vec<Vec<u8>>,
    /// What it began with, where a tensor was updated.
    before: Option<Vec<u8>>,
    out: Vec<u8>,
    dtype: DType,
}

thread_local! {
    static RECORDED: RefCell<Option<Vec<Recorded>>> = const { RefCell::new(None) };
}

fn keep(launch: &Launch<'_>, inputs: Vec<Vec<u8>>, before: Option<Vec<u8>>, out: Vec<u8>, dtype: DType) {
    let (entry, threads, settings) = (launch.entry(), launch.threads, launch.settings);
    RECORDED.with_borrow_mut(|recorded| {
        if let Some(recorded) = recorded {
            recorded.push(Recorded { entry, threads, settings, inputs, before, out, dtype });
        }
    });
}

/// Keeps a launch for the test that asks for it.
pub(super) fn record(launch: &Launch<'_>, inputs: &[Tensor], out: &Tensor) {
    keep(launch, inputs.iter().map(bytes).collect(), None, bytes(out), out.dtype());
}

/// The same of an update, by values of f32.
pub(super) fn record_update(launch: &Launch<'_>, values: &[Vec<f32>; 3], out: &[f32]) {
    let [first, second, before] = values.each_ref().map(|values| bytemuck::cast_slice(values).to_vec());
    keep(launch, vec![first, second], Some(before), bytemuck::cast_slice(out).to_vec(), DType::F32);
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let tensor = tensor.flatten_all().unwrap();
    match tensor.dtype() {
        DType::F32 => bytemuck::cast_slice(&tensor.to_vec1::<f32>().unwrap()).to_vec(),
        DType::U32 => bytemuck::cast_slice(&tensor.to_vec1::<u32>().unwrap()).to_vec(),
        DType::U8 => tensor.to_vec1().unwrap(),
        DType::F16 => {
            tensor.to_vec1::<half::f16>().unwrap().iter().flat_map(|value| value.to_bits().to_ne_bytes()).collect()
        }
        DType::BF16 => {
            tensor.to_vec1::<half::bf16>().unwrap().iter().flat_map(|value| value.to_bits().to_ne_bytes()).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn floats(bytes: &[u8], dtype: DType) -> Vec<f32> {
    let words = || bytes.as_chunks().0.iter().map(|bytes| u16::from_ne_bytes(*bytes));
    match dtype {
        DType::F16 => words().map(|bits| half::f16::from_bits(bits).to_f32()).collect(),
        DType::BF16 => words().map(|bits| half::bf16::from_bits(bits).to_f32()).collect(),
        _ => bytes.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect(),
    }
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
        tensors: &[tensor],
    };
    let mut file = vec![0; draft.encoded_len().unwrap()];
    draft.encode(&mut file).unwrap();
    file
}

type Case = (String, Box<dyn Fn(&Device) -> Result<Vec<Tensor>>>);

fn case(name: String, run: impl Fn(&Device) -> Result<Vec<Tensor>> + 'static) -> Case {
    (name, Box::new(run))
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for dtype in NUMBERS {
        for cols in COLS {
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
        for count in ELEMENTS {
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

/// Fails where values are further apart than `dtype` explains.
fn check(name: &str, found: &[f32], expected: &[f32], dtype: DType) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let share = match dtype {
        DType::F16 => 1.5e-3,
        DType::BF16 => 1e-2,
        _ => 1e-5,
    };
    let largest = expected.iter().fold(1e-2f32, |largest, value| largest.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= share * largest, "{name}, element {at}: {found} for {expected}");
    }
}

/// The kernels as a program of this machine, with checks of memory where the compiler has them.
fn program(folder: &std::path::Path) -> PathBuf {
    std::fs::write(folder.join("kernels.h"), SOURCE).unwrap();
    let (source, program) = (folder.join("shim.cpp"), folder.join("shim"));
    std::fs::write(&source, include_str!("shim.cpp")).unwrap();
    let compile = |checks: &[&str]| {
        let mut command = compiler();
        command.args(["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror"]).args(checks);
        command.arg("-o").arg(&program).arg(&source).output().expect("a C++ compiler, CXX or c++")
    };
    let out = compile(&["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    if !out.status.success() {
        println!("without checks of memory: {}", String::from_utf8_lossy(&out.stderr));
        let out = compile(&[]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    program
}

/// The C++ compiler.
fn compiler() -> Command {
    Command::new(std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned()))
}

/// What threads in turn make of all launches, in one of the shim's orders.
fn in_turn(program: &std::path::Path, launches: &[Recorded], order: u32) -> Vec<u8> {
    let mut input = Vec::new();
    let word = |input: &mut Vec<u8>, value: usize| input.extend((value as u32).to_ne_bytes());
    for launch in launches {
        let noise = vec![0xa5; launch.out.len()];
        let tensors: Vec<&Vec<u8>> = launch.inputs.iter().chain([launch.before.as_ref().unwrap_or(&noise)]).collect();
        let Threads { groups, lanes } = launch.threads;
        let head = [launch.entry.len(), groups, lanes, order as usize, tensors.len()];
        head.into_iter().for_each(|value| word(&mut input, value));
        tensors.iter().for_each(|tensor| word(&mut input, tensor.len()));
        launch.settings.counts.iter().for_each(|&count| word(&mut input, count as usize));
        launch.settings.numbers.iter().for_each(|number| input.extend(number.to_ne_bytes()));
        input.extend(launch.entry.as_bytes());
        tensors.iter().for_each(|tensor| input.extend(*tensor));
    }
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(out.status.success(), "the shim ended with {}", out.status);
    out.stdout
}

#[test]
fn threads_in_turn_give_what_the_processor_gives() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    RECORDED.set(Some(Vec::new()));
    let mut names = Vec::new();
    for (name, run) in cases() {
        run(&Device::Cpu).unwrap();
        let count = RECORDED.with_borrow(|recorded| recorded.as_ref().unwrap().len());
        names.resize(count, name);
    }
    let launches = RECORDED.take().unwrap();
    let listed = Command::new(&program).arg("--list").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let listed: BTreeSet<&str> = listed.lines().collect();
    let launched: BTreeSet<&str> = launches.iter().map(|launch| launch.entry.as_str()).collect();
    assert_eq!(launched, listed, "every kernel is launched");
    let outs = [0, 1, 2].map(|order| in_turn(&program, &launches, order));
    let mut from = 0;
    for (launch, name) in launches.iter().zip(&names) {
        let name = format!("{}: {name}", launch.entry);
        let range = from..from + launch.out.len();
        from = range.end;
        check(&name, &floats(&outs[0][range.clone()], launch.dtype), &floats(&launch.out, launch.dtype), launch.dtype);
        // Where a barrier is missing, what threads find depends on their order.
        assert!(outs.iter().all(|out| out[range.clone()] == outs[0][range.clone()]), "{name}: depends on the order");
    }
    assert_eq!(outs[0].len(), from);
    println!("{} launches of {} kernels", launches.len(), listed.len());
}

#[test]
fn a_device_gives_what_the_processor_gives() {
    let Ok(name) = std::env::var("TAPS_TEST_DEVICE") else { return };
    let device = open(Processor::of_name(&name).expect("TAPS_TEST_DEVICE")).expect("TAPS_TEST_DEVICE");
    for (name, run) in cases() {
        let (expected, found) = (run(&Device::Cpu).unwrap(), run(&device).unwrap());
        for (found, expected) in found.iter().zip(&expected) {
            check(
                &name,
                &floats(&bytes(found), found.dtype()),
                &floats(&bytes(expected), found.dtype()),
                found.dtype(),
            );
        }
    }
}

/// With Metal's own prelude, by a C++ compiler that is told Metal's words.
#[test]
fn metal_reads_the_kernels() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("metal_stdlib"), include_str!("metal_stdlib")).unwrap();
    let read = |source: &str| {
        let path = folder.path().join("kernels.cpp");
        std::fs::write(&path, [include_str!("prelude.metal"), source].concat()).unwrap();
        let mut command = compiler();
        command.args(["-std=c++14", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-attributes", "-I"]);
        command.arg(folder.path()).arg(path).output().expect("a C++ compiler, CXX or c++")
    };
    let out = read(SOURCE);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(!read(&SOURCE.replacen("wide(", "wider(", 1)).status.success(), "an error is seen");
}

#[cfg(feature = "cuda")]
#[test]
fn kernels_compile_for_cuda() {
    let ptx = super::cuda::ptx().unwrap();
    assert!(ptx.contains(".entry layer_norm_bf16") && ptx.contains(".entry adamw"));
}
