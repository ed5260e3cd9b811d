//! The base in flash: the demo's file as it is, and where its tensors lie in it.

/// In ascending order of names.
static TENSORS: &[(&str, usize, usize)] = &include!(concat!(env!("OUT_DIR"), "/tensors.rs"));

static FILE: &[u8] = include!(concat!(env!("OUT_DIR"), "/base.rs"));

/// The bytes of a tensor, which are f32; empty where there is none.
pub fn tensor(name: &str) -> &'static [[u8; 4]] {
    let found = TENSORS.iter().find(|(of, _, _)| *of == name);
    let bytes = found.and_then(|&(_, start, end)| FILE.get(start..end)).unwrap_or_default();
    bytes.as_chunks().0
}
