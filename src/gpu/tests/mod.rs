//! The kernels against what stands beside them: compiled as C++ with the threads of a group in turn, and on what
//! `TAPS_TEST_DEVICE` names.

mod cases;
mod shim;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::process::Command;

use candle_core::{DType, Device, Tensor};

use self::cases::cases;
use self::shim::{compiler, in_turn, program};
use super::launch::{Launch, Settings, Source, Threads};
use super::*;

/// All files of kernels.
const SOURCES: [&Source; 12] = [
    &add::SOURCE,
    &channels::SOURCE,
    &cross_entropy::SOURCE,
    &gelu::SOURCE,
    &heads::SOURCE,
    &merge::SOURCE,
    &norm::SOURCE,
    &optimizer::SOURCE,
    &pool::SOURCE,
    &softmax::SOURCE,
    &sums::SOURCE,
    &window::SOURCE,
];

/// A launch on the processor.
struct Recorded {
    source: &'static str,
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
    let (entry, threads, settings, source) = (launch.entry(), launch.threads, launch.settings, launch.source.name);
    RECORDED.with_borrow_mut(|recorded| {
        if let Some(recorded) = recorded {
            recorded.push(Recorded { source, entry, threads, settings, inputs, before, out, dtype });
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
    let sources: BTreeSet<&str> = launches.iter().map(|launch| launch.source).collect();
    assert!(sources.into_iter().eq(SOURCES.map(|source| source.name)), "every file has been tried");
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
    let Ok(name) = std::env::var("TAPS_TEST_DEVICE") else {
        return println!("not run: TAPS_TEST_DEVICE names no device");
    };
    let device = match name.as_str() {
        "cuda" => Device::new_cuda(0),
        "metal" => Device::new_metal(0),
        name => panic!("TAPS_TEST_DEVICE={name}: cuda or metal"),
    };
    let device = device.expect("TAPS_TEST_DEVICE");
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

#[test]
fn tensors_of_other_lengths_are_refused() {
    let of = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let (x, short) = (of(&[4, 6]), of(&[5]));
    let (grid, window) =
        (crate::kernels::Grid { images: 1, height: 2, width: 2 }, crate::kernels::Window::square(3, 1, 1));
    let spread = of(&[2, 6]);
    let results = [
        add_bias(&x, &of(&[6]), &short),
        bias_gelu_grad(&x, &of(&[6]), &short),
        layer_norm(&x, &short, &of(&[6]), 1e-5),
        layer_norm_grad(&x, &of(&[6]), &short, 1e-5),
        channel_norm(&x, None, [&short, &of(&[6]), &spread], crate::kernels::Activation::None),
        channel_norm_grad(&x, &short, [&of(&[6]), &spread], None),
        depthwise(&x, &short, grid, window),
        max_pool(&of(&[5, 6]), grid, window),
        merge_floats(&x, &short),
        softmax_grad(&x, &short, 1.0),
    ];
    for (number, result) in results.into_iter().enumerate() {
        let error = result.err().unwrap_or_else(|| panic!("case {number} is not refused")).to_string();
        assert!(error.contains("values in place of"), "{error}");
    }
}

/// With Metal's own prelude, by a C++ compiler that is told Metal's words.
#[test]
fn metal_reads_the_kernels() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("metal_stdlib"), include_str!("metal_stdlib")).unwrap();
    let read = |source: &str| {
        let path = folder.path().join("kernels.cpp");
        std::fs::write(&path, [include_str!("../prelude.metal"), source].concat()).unwrap();
        let mut command = compiler();
        command.args(["-std=c++14", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-attributes", "-I"]);
        command.arg(folder.path()).arg(path).output().expect("a C++ compiler, CXX or c++")
    };
    for Source { name, text, .. } in SOURCES {
        let out = read(&[COMMON, text].concat());
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(!read(&[COMMON, &text.replacen("];", "]", 1)].concat()).status.success(), "{name}: an error is seen");
    }
}

#[cfg(feature = "cuda")]
#[test]
fn kernels_compile_for_cuda() {
    for source in SOURCES {
        assert!(super::cuda::ptx(source).unwrap().contains(".entry"), "{}", source.name);
    }
}
