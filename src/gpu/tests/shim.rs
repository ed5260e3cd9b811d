//! The kernels as C++.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::COMMON;
use super::super::launch::Threads;
use super::{Recorded, SOURCES};

/// The kernels as a program of this machine, with checks of memory where the compiler has them.
pub(super) fn program(folder: &Path) -> PathBuf {
    let kernels: String = SOURCES.iter().map(|source| source.text).collect();
    std::fs::write(folder.join("kernels.h"), [COMMON, &kernels].concat()).unwrap();
    let (source, program) = (folder.join("shim.cpp"), folder.join("shim"));
    std::fs::write(&source, include_str!("shim.cpp")).unwrap();
    let compile = |checks: &[&str]| {
        let mut command = compiler();
        command.args(["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations"]).args(checks);
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
pub(super) fn compiler() -> Command {
    Command::new(std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned()))
}

/// What threads in turn make of all launches, in one of the shim's orders.
pub(super) fn in_turn(program: &Path, launches: &[Recorded], order: u32) -> Vec<u8> {
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
    let mut command = Command::new(program);
    // Stacks of threads are let go of with the program.
    command.env("ASAN_OPTIONS", "detect_leaks=0").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(out.status.success(), "the shim ended with {}", out.status);
    out.stdout
}
