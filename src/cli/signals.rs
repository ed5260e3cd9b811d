//! Signals that ask a process to end.

use std::io;

/// Calls `then` for each such signal, with the exit code of a process that it ends. A hang-up that was ignored when the
/// process began, as under nohup, stays ignored.
#[cfg(unix)]
pub(super) fn on_each(then: impl Fn(i32) + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let asked = [SIGINT, SIGTERM].into_iter().chain((!is_among(SIGHUP, ignored())).then_some(SIGHUP));
    let mut signals = signal_hook::iterator::Signals::new(asked)?;
    let listen = move || signals.forever().for_each(|signal| then(128 + signal));
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map(drop)
}

/// The signals that are ignored, a bit each, where the system tells it in a file.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(unix)]
fn is_among(signal: i32, mask: u64) -> bool {
    mask >> (signal - 1) & 1 == 1
}

#[cfg(not(unix))]
pub(super) fn on_each(then: impl Fn(i32) + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(move || then(130)).map_err(io::Error::other)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_a_bit_for_each_signal() {
        assert!(is_among(1, 0b1) && !is_among(2, 0b1) && is_among(15, 1 << 14));
    }
}
