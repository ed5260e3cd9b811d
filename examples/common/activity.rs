//! Windows of what people do, and which are to learn from.

use super::Start;

/// The data.
pub const DATA: &str = "../shared/data/activity/activity.safetensors";
/// The classes.
pub const ACTIVITIES: [&str; 5] = ["seated", "sitting down", "standing up", "turning", "walking"];
/// Windows that a new subject's first recordings have at least.
pub const OWN: usize = 50;
/// Largest move of a window in a training step: channels and samples.
pub const SHIFT: [usize; 2] = [0, 16];
/// How a base of many subjects is made.
pub const BASE: Start = Start { widths: [16, 32, 64], blocks: 2, epochs: 24, rate: 1e-2, seed: 0 };

/// A subject's windows, cut at the first start of a recording that leaves `least` of them or more before it. Within a
/// recording the phone's windows come before the watch's.
pub fn split<'a>(windows: &'a [usize], watches: &[usize], least: usize) -> (&'a [usize], &'a [usize]) {
    let starts = |&at: &usize| at > 0 && watches[windows[at - 1]] > watches[windows[at]];
    windows.split_at((least..windows.len()).find(starts).unwrap_or(windows.len()))
}
