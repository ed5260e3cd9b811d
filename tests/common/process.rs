//! What Linux tells about this process.

use std::fs::read_to_string;
use std::path::Path;

/// Bytes of the mappings of a file, summed over them.
#[derive(Debug, Default, PartialEq)]
pub struct Mapped {
    /// Mapped at all.
    pub size: usize,
    /// In memory.
    pub resident: usize,
    /// In memory, in no other process, and different from what the disk has.
    pub private_dirty: usize,
    /// Private copies of pages, made by writing to them.
    pub anonymous: usize,
}

/// The mappings of `path` in this process, from `/proc/self/smaps`.
pub fn mapped(path: &Path) -> Mapped {
    let path = path.canonicalize().unwrap().display().to_string();
    let mut sum = Mapped::default();
    let mut ours = false;
    for line in read_to_string("/proc/self/smaps").unwrap().lines() {
        let Some((key, rest)) = line.split_once(':') else { continue };
        if key.contains(' ') {
            ours = line.ends_with(&path);
            continue;
        }
        let field = match key {
            "Size" => &mut sum.size,
            "Rss" => &mut sum.resident,
            "Private_Dirty" => &mut sum.private_dirty,
            "Anonymous" => &mut sum.anonymous,
            _ => continue,
        };
        if ours {
            *field += 1024 * rest.trim().trim_end_matches(" kB").parse::<usize>().unwrap();
        }
    }
    sum
}

/// How often this thread gave up the processor to wait for something.
pub fn waits() -> usize {
    let status = read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

/// Bytes of memory that no file backs: heap, stacks and private copies of mapped pages, as far as touched.
pub fn anonymous() -> usize {
    let status = read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    1024 * line.unwrap().trim().trim_end_matches(" kB").parse::<usize>().unwrap()
}
