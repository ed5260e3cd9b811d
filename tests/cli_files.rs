//! What the command does to files, and how it ends: outputs, two runs, a base that changes, signals, closed pipes.
#![cfg(all(feature = "cli", unix))]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const BASE: &str = "adapters/digits/base";
const DATA: &str = "adapters/digits/data";
const ADAPTER: &str = "adapters/digits/inverted.taps";
const LONG: [&str; 2] = ["--epochs", "100000"];

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taps"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

fn taps(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code and stderr of a command that fails.
fn failure(args: &[&str]) -> (i32, String) {
    let output = taps(args);
    assert!(!output.status.success(), "{args:?}: {}", text(&output.stdout));
    (output.status.code().unwrap(), text(&output.stderr))
}

fn success(args: &[&str]) {
    let output = taps(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
}

fn train<'a>(base: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = ["train", "--base", base, "--data", DATA, "--task", "digits", "--out", out, "--threads", "1"];
    [&args[..], &["--max-active-layers", "1"], more].concat()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A run that goes on until it is stopped; it is tuning already.
fn long(args: &[&str]) -> (Child, impl FnOnce() -> String + use<>) {
    let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains("epoch 2/") {
        said += &lines.next().unwrap_or_else(|| panic!("it ended: {said}")).unwrap();
        said.push('\n');
    }
    // Progress goes on; nobody else may fill the pipe.
    let rest = std::thread::spawn(move || lines.map(|line| line.unwrap() + "\n").collect::<String>());
    (child, move || said + &rest.join().unwrap())
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// A copy of the shipped base that may be changed.
fn copy_of_base(folder: &Path) -> PathBuf {
    let base = folder.join("base");
    fs::create_dir(&base).unwrap();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(BASE)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), base.join(file.file_name())).unwrap();
    }
    base
}

#[test]
fn an_output_that_cannot_be_is_refused_before_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("folder.taps")).unwrap();
    assert!(Command::new("mkfifo").arg(at("fifo.taps")).status().unwrap().success());
    let _socket = UnixListener::bind(at("socket.taps")).unwrap();
    let long = format!("{}.taps", "n".repeat(300));
    let slash = format!("{}/", path(&at("new.taps")));
    let others = ["folder.taps", "fifo.taps", "socket.taps", &long].map(at);
    for out in others.iter().map(|out| path(out)).chain([slash.as_str(), "", "/dev/null"]) {
        let (code, message) = failure(&train(BASE, out, &[]));
        assert!(code == 2 && message.contains("--out") && !message.contains("epoch"), "{out}: {code}: {message}");
    }
    for (flag, name) in [("--record", "x.run.json"), ("--checkpoint", "checkpoint")] {
        fs::create_dir(at(name)).unwrap();
        let out = at("x.taps");
        let args = if flag == "--record" { vec![flag] } else { vec![flag, path(others[0].as_path())] };
        let (code, message) = failure(&train(BASE, path(&out), &args));
        assert!(code == 2 && !message.contains("epoch"), "{flag}: {code}: {message}");
    }
    for name in ["", "a\nb", "a\u{1b}[2Jb", &"n".repeat(10_000)] {
        let out = at("y.taps");
        let (code, message) = failure(&train(BASE, path(&out), &["--task", name]));
        assert!(code == 2 && !message.contains("epoch") && !out.exists(), "{name:?}: {code}: {message}");
    }
    assert!(fs::metadata(at("fifo.taps")).unwrap().file_type().is_fifo());
    assert!(fs::metadata(at("socket.taps")).unwrap().file_type().is_socket());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn no_command_writes_over_what_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let base = copy_of_base(folder.path());
    let adapter = at("a.taps");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(ADAPTER), &adapter).unwrap();
    symlink(&adapter, at("link.taps")).unwrap();
    fs::hard_link(&adapter, at("hard.taps")).unwrap();
    success(&["keygen", path(&at("key"))]);
    let files: Vec<PathBuf> =
        [base.join("model.safetensors"), base.join("config.json"), adapter.clone(), at("key")].into_iter().collect();
    let (base, adapter) = (path(&base), path(&adapter));
    let [weights, config, _, key] = [0, 1, 2, 3].map(|number| path(&files[number]));
    let (link, hard) = (at("link.taps"), at("hard.taps"));
    let around = format!("{}/../{}/a.taps", path(folder.path()), folder.path().file_name().unwrap().to_str().unwrap());
    let mut cases = vec![
        train(base, weights, &[]),
        train(base, config, &[]),
        train(base, "x.taps", &["--checkpoint", weights]),
        vec!["sign", adapter, "--key", key, "--out", key],
        vec!["rank", "--base", base, "--data", DATA, "--out", config],
        vec!["inspect", adapter, "--svg", adapter],
        vec!["recode", adapter, adapter, "--base", base, "--encoding", "int8"],
        vec!["combine", adapter, adapter, "--base", base, "--task", "t", "--out", adapter],
        vec!["merge", "--adapter", adapter, "--base", base, "--out", base],
        vec!["merge", "--adapter", adapter, "--base", base, "--out", weights],
    ];
    for out in [path(&link), path(&hard), &around] {
        cases.push(vec!["scale", adapter, out, "--base", base, "--lines", "0.6,0.4"]);
    }
    // Labels that lie beside images, files that a folder leads to, a name that the base would read, and keys.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["digits-images-idx3-ubyte", "digits-labels-idx1-ubyte"] {
        fs::copy(root.join(DATA).join(name), at(name)).unwrap();
    }
    let linked = at("linked");
    fs::create_dir(&linked).unwrap();
    for name in ["digits-images-idx3-ubyte", "digits-labels-idx1-ubyte"] {
        symlink(at(name), linked.join(name)).unwrap();
    }
    let [images, labels] = ["digits-images-idx3-ubyte", "digits-labels-idx1-ubyte"].map(at);
    let (processor, public) = (Path::new(base).join("preprocessor_config.json"), at("key.pub"));
    let files: Vec<PathBuf> = files.iter().cloned().chain([labels.clone(), public.clone()]).collect();
    let before: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let of_data = |data: &'_ Path, out: &'_ Path| -> Vec<String> {
        ["train", "--base", base, "--data", path(data), "--task", "t", "--out", path(out)].map(str::to_owned).to_vec()
    };
    let owned = [
        of_data(&images, &labels),
        of_data(&linked, &labels),
        of_data(&linked, &images),
        of_data(&images, &processor),
        ["rank", "--base", base, "--data", path(&images), "--out", path(&labels)].map(str::to_owned).to_vec(),
        ["sign", adapter, "--key", key, "--out", path(&public)].map(str::to_owned).to_vec(),
        ["scale", adapter, path(&public), "--base", base, "--lines", "0.6,0.4"].map(str::to_owned).to_vec(),
    ];
    cases.extend(owned.iter().map(|args| args.iter().map(String::as_str).collect()));
    for args in cases {
        let (code, message) = failure(&args);
        assert_eq!(code, 2, "{args:?}: {message}");
        assert!(!processor.exists(), "{args:?}");
        for (file, before) in files.iter().zip(&before) {
            assert!(fs::read(file).unwrap() == *before, "{args:?} changed {}", file.display());
        }
    }
}

#[test]
fn links_are_followed_permissions_are_kept_and_keys_are_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("real.taps"), "old").unwrap();
    fs::set_permissions(at("real.taps"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("real.taps", at("link.taps")).unwrap();
    let recode = |out: &Path| taps(&["recode", ADAPTER, path(out), "--base", BASE, "--encoding", "int8"]);
    let output = recode(&at("link.taps"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(fs::symlink_metadata(at("link.taps")).unwrap().is_symlink());
    assert!(fs::read(at("real.taps")).unwrap().len() > 1000);
    assert_eq!(fs::metadata(at("real.taps")).unwrap().permissions().mode() & 0o777, 0o600);

    fs::write(at("key.pub"), "somebody's").unwrap();
    let (_, message) = failure(&["keygen", path(&at("key"))]);
    assert!(message.contains("key.pub"), "{message}");
    assert_eq!(fs::read(at("key.pub")).unwrap(), b"somebody's");
    assert!(!at("key").exists());
    success(&["keygen", path(&at("other"))]);
    assert_eq!(fs::metadata(at("other")).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(at("other"), fs::Permissions::from_mode(0o644)).unwrap();
    let output = taps(&["sign", path(&at("real.taps")), "--key", path(&at("other"))]);
    assert!(output.status.success() && text(&output.stderr).contains("others"), "{}", text(&output.stderr));
}

#[test]
fn many_writers_of_one_file_leave_one_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.taps");
    let args = ["recode", ADAPTER, path(&out), "--base", BASE, "--encoding", "int8"];
    let writers: Vec<Child> =
        (0..12).map(|_| command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()).collect();
    for writer in writers {
        let output = writer.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    success(&["verify", path(&out), "--base", BASE]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_adapter_is_not_bound_to_a_base_that_changed_meanwhile() {
    [0.25, f32::NAN].into_iter().for_each(written_over);
}

fn written_over(worst: f32) {
    let folder = tempfile::tempdir().unwrap();
    let base = copy_of_base(folder.path());
    let out = folder.path().join("x.taps");
    let (child, said) = long(&train(path(&base), path(&out), &LONG));
    let weights = base.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let end = bytes.len();
    // Other numbers, or none.
    bytes[end - 400..].copy_from_slice(&worst.to_le_bytes().repeat(100));
    // In place, as a download does that writes over a file.
    use std::os::unix::fs::FileExt;
    fs::OpenOptions::new().write(true).open(&weights).unwrap().write_all_at(&bytes, 0).unwrap();
    if worst.is_finite() {
        signal(&child, "-INT");
    }
    let output = child.wait_with_output().unwrap();
    let said = said();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("model.safetensors") && said.contains("changed"), "{said}");
    assert!(!out.exists());
}

/// Whether hang-ups are ignored, as under nohup; then they are in the processes that are started here, too.
fn ignores_hang_ups() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1)
}

#[test]
fn signals_that_end_a_process_leave_a_whole_adapter() {
    for name in if ignores_hang_ups() { &["-TERM"][..] } else { &["-TERM", "-HUP"] } {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("x.taps");
        let (child, said) = long(&train(BASE, path(&out), &LONG));
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{name}: {}", said());
        success(&["verify", path(&out), "--base", BASE]);
    }
}

#[test]
fn closed_and_full_outputs_end_no_training() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let outputs: [fn(&mut Command, Stdio) -> &mut Command; 2] = [Command::stdout, Command::stderr];
    for to in outputs {
        for (what, stdio) in [("full", Stdio::from(full())), ("closed", Stdio::from(closed()))] {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("x.taps");
            let mut command = command(&train(BASE, path(&out), &["--epochs", "1"]));
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let output = to(&mut command, stdio).spawn().unwrap().wait_with_output().unwrap();
            let code = output.status.code().expect("no signal ended it");
            let said = text(&output.stderr);
            assert!((code == 0 || code == 1) && !said.contains("panicked"), "{what}: {code}: {said}");
            success(&["verify", path(&out), "--base", BASE]);
        }
    }
}

#[test]
fn a_second_run_on_one_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (first, second, checkpoint) = (at("a.taps"), at("b.taps"), at("run.checkpoint"));
    let more = [&["--checkpoint", path(&checkpoint)], &LONG[..]].concat();
    let (child, said) = long(&train(BASE, path(&first), &more));
    let (code, message) = failure(&train(BASE, path(&second), &more));
    assert!(code == 1 || code == 2, "{code}");
    assert!(message.contains("run.checkpoint") && message.contains("another"), "{message}");
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said());
    success(&["verify", path(&first), "--base", BASE]);
    assert!(!second.exists());
}
