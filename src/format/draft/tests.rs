use super::super::{Adapter, MAX_TEXT};
use super::*;

fn draft<'a>(labels: &'a [&'a str], tensors: &'a [TensorDraft<'a>]) -> Draft<'a> {
    let base = Digest::of(b"base");
    let summary = Summary::default();
    Draft { task: "t", architecture: "a", method: "m", base, content: base, summary, labels, settings: &[], tensors }
}

fn tensor<'a>(name: &'a str, dims: &[u32], values: &'a [f32]) -> TensorDraft<'a> {
    let shape = Shape::new(dims).unwrap();
    let (role, encoding) = (Role::Delta, Encoding::F32);
    TensorDraft { name, role, encoding, shape, base: Some(Digest::of(b"w")), values }
}

fn refusal(draft: &Draft<'_>) -> Error {
    let mut out = vec![0; 1 << 16];
    let error = draft.encode(&mut out).unwrap_err();
    if let Err(early) = draft.encoded_len() {
        assert_eq!(early, error);
    }
    error
}

#[test]
fn fills_exactly_the_length_it_tells() {
    let tensors = [tensor("a", &[2, 2], &[1.0, 2.0, 3.0, 4.0]), tensor("b", &[], &[5.0])];
    let draft = draft(&["x"], &tensors);
    let len = draft.encoded_len().unwrap();
    let mut out = vec![0xaa; len + 1];
    assert_eq!(draft.encode(&mut out), Ok(len));
    assert_eq!(out[len], 0xaa);
    let adapter = Adapter::parse(&out[..len]).unwrap();
    let mut values = [0.0; 4];
    adapter.entry("a").unwrap().decode_into(&mut values).unwrap();
    assert_eq!(values, [1.0, 2.0, 3.0, 4.0]);
    let refused = Error::OutputTooSmall { needed: len, found: len - 1 };
    assert_eq!(draft.encode(&mut out[..len - 1]), Err(refused));
}

#[test]
fn refuses_what_the_reader_refuses() {
    let twice = [tensor("a", &[1], &[1.0]), tensor("a", &[1], &[1.0])];
    assert_eq!(refusal(&draft(&[], &twice)), Error::Order { entry: 1 });
    let orphan = [TensorDraft { base: None, ..tensor("a", &[1], &[1.0]) }];
    assert_eq!(refusal(&draft(&[], &orphan)), Error::DeltaWithoutBase { entry: 0 });
    let vector = [TensorDraft { encoding: Encoding::Int8, ..tensor("a", &[1], &[1.0]) }];
    assert_eq!(refusal(&draft(&[], &vector)), Error::Rank { entry: 0, found: 1 });
    let short = [tensor("a", &[3], &[1.0])];
    assert_eq!(refusal(&draft(&[], &short)), Error::ValueCount { entry: 0, expected: 3, found: 1 });
    let huge = [tensor("a", &[u32::MAX; 3], &[1.0])];
    assert_eq!(refusal(&draft(&[], &huge)), Error::Oversized { entry: 0 });
    assert_eq!(refusal(&draft(&["x", ""], &[])), Error::EmptyText { place: Place::Label(1) });
    assert_eq!(refusal(&Draft { method: "", ..draft(&[], &[]) }), Error::EmptyText { place: Place::Method });
    let summary = Summary { validation: Some(2.0), ..Summary::default() };
    let bad = Draft { summary, ..draft(&[], &[]) };
    assert_eq!(refusal(&bad), Error::Summary { field: "validation" });
}

#[test]
fn refuses_values_that_cannot_be_held() {
    let infinite = [tensor("a", &[2], &[1.0, f32::INFINITY])];
    let not_finite = Error::NotFinite { entry: 0, element: 1 };
    assert_eq!(refusal(&draft(&[], &infinite)), not_finite);
    let large = [TensorDraft { encoding: Encoding::F16, ..tensor("a", &[1], &[1e6]) }];
    assert_eq!(refusal(&draft(&[], &large)), Error::Overflow { entry: 0, element: 0 });
}

#[test]
#[cfg_attr(miri, ignore = "takes too long")]
fn refuses_more_than_the_limits() {
    let labels = vec!["x"; MAX_LABELS + 1];
    assert_eq!(refusal(&draft(&labels, &[])), Error::TooManyLabels { found: MAX_LABELS + 1 });
    let tensors = vec![tensor("a", &[1], &[1.0]); MAX_ENTRIES + 1];
    let found = MAX_ENTRIES + 1;
    assert_eq!(refusal(&draft(&[], &tensors)), Error::TooManyEntries { found });

    let long = "x".repeat(MAX_TEXT);
    let labels = vec![long.as_str(); MAX_LABELS];
    let limit = MAX_MANIFEST as u64;
    let error = refusal(&draft(&labels, &[]));
    assert!(matches!(error, Error::ManifestLength { found, limit: l } if found > limit && l == limit));
}
