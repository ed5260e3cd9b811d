//! Random drafts come back, and whatever is accepted is canonical.

use proptest::prelude::*;
use taps::format::{Adapter, Digest, Draft, Encoding, Entry, Role, Shape, Summary};

use crate::model::{Model, Tensor, bits, borrow, decode, encode, minimal};

fn tensor() -> impl Strategy<Value = Tensor> {
    let role = prop_oneof![Just(Role::Delta), Just(Role::Replacement), Just(Role::Statistics)];
    let encoding = prop_oneof![
        Just(Encoding::F32),
        Just(Encoding::F16),
        Just(Encoding::Int8),
        (1..5_u32).prop_map(|pairs| Encoding::Int4 { group: 2 * pairs }),
        Just(Encoding::OneBit),
        (1..4_u32, any::<bool>()).prop_map(|(rank, half)| Encoding::LowRank { rank, half }),
        (0..30_u32).prop_map(|count| Encoding::Sparse { count, places: 0 }),
    ];
    let dims = prop::collection::vec(1..7_u32, 0..5);
    (role, encoding, dims, any::<bool>()).prop_flat_map(|(role, encoding, dims, orphan)| {
        let elements = dims.iter().product::<u32>();
        let encoding = match (encoding, dims.len()) {
            (Encoding::F32 | Encoding::F16 | Encoding::Sparse { .. }, _) => encoding,
            (Encoding::Int4 { .. }, 1) => encoding,
            (_, 0..2) => Encoding::F32,
            (Encoding::LowRank { rank, half }, _) => {
                Encoding::LowRank { rank: rank.min(dims[0]).min(elements / dims[0]), half }
            }
            _ => encoding,
        };
        let count = encoding.values(&Shape::new(&dims).unwrap()).unwrap() as usize;
        let value = prop_oneof![Just(0.0_f32), -4.0..4.0_f32, -6e4..6e4_f32, -1e-6..1e-6_f32];
        prop::collection::vec(value, count).prop_map(move |values| {
            let encoding = match encoding {
                Encoding::Sparse { count, .. } => Encoding::sparse(&values, count),
                encoding => encoding,
            };
            let mut tensor = Tensor::new("", role, encoding, &dims, values);
            tensor.base = tensor.base.filter(|_| role == Role::Delta || !orphan);
            tensor
        })
    })
}

fn model() -> impl Strategy<Value = Model> {
    let text = || r"[a-zA-Z0-9 ._/äß世🙂-]{1,12}";
    let named = prop::collection::btree_map(text(), tensor(), 0..6);
    let labels = prop::collection::vec(text(), 0..5);
    let numbers = (any::<(u32, u32, u64)>(), prop::option::of(any::<u32>()), prop::option::of(0.0..=1.0_f32));
    let settings = prop::collection::btree_map(text(), (any::<bool>(), text()), 0..4);
    let settings = prop_oneof![Just(Default::default()), settings];
    ((text(), text(), text()), numbers, labels, settings, named).prop_map(
        |(texts, numbers, labels, settings, named)| {
            let ((steps, examples, seed), max_active_layers, validation) = numbers;
            let (task, architecture, method) = texts;
            let summary = Summary { steps, examples, seed, max_active_layers, validation, ..Summary::default() };
            let tensors = named.into_iter().map(|(name, tensor)| Tensor { name, ..tensor }).collect();
            let settings = settings.into_iter().map(|(name, (required, value))| (name, required, value)).collect();
            Model { task, architecture, method, summary, labels, settings, tensors }
        },
    )
}

/// One change of a byte string: the place as a fraction of its length.
#[derive(Clone, Debug)]
enum Change {
    Set(f64, u8),
    Insert(f64, u8),
    Remove(f64),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let (Change::Set(place, _) | Change::Insert(place, _) | Change::Remove(place)) = *self;
        let at = (place * bytes.len() as f64) as usize;
        match *self {
            _ if at >= bytes.len() => {}
            Change::Set(_, byte) => bytes[at] = byte,
            Change::Insert(_, byte) => bytes.insert(at, byte),
            Change::Remove(_) => drop(bytes.remove(at)),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let byte = || prop_oneof![0..4_u8, Just(0x80), any::<u8>()];
    prop_oneof![
        4 => (0.0..1.0, byte()).prop_map(|(place, byte)| Change::Set(place, byte)),
        1 => (0.0..1.0, byte()).prop_map(|(place, byte)| Change::Insert(place, byte)),
        1 => (0.0..1.0).prop_map(Change::Remove),
    ]
}

/// A file of these parts whose header, padding after the manifest and checksum hold.
fn seal(version: u8, manifest: &[u8], payloads: &[u8]) -> Vec<u8> {
    let mut file = b"\x89TAPS\r\n\x1a".to_vec();
    file.extend([version, 0, 0, 0]);
    file.extend((manifest.len() as u32).to_le_bytes());
    let start = (24 + manifest.len()).next_multiple_of(64);
    file.extend(((start + payloads.len() + 32) as u64).to_le_bytes());
    file.extend(manifest);
    file.resize(start, 0);
    file.extend(payloads);
    file.extend(Digest::of(&file).as_bytes());
    file
}

/// Writes what a parsed file says once more. Payloads that do not decode, or that the encoding rounded, are left out of
/// both.
fn assert_canonical(file: &[u8]) {
    let adapter = Adapter::parse(file).unwrap();
    let mut original = file.to_vec();
    let mut left_out = vec![];
    let mut tensors = vec![];
    for entry in adapter.entries() {
        let mut values = vec![0.0; entry.elements()];
        let mut exact = matches!(entry.encoding, Encoding::F32 | Encoding::F16 | Encoding::OneBit);
        let decodes = entry.decode_into(&mut values).is_ok();
        exact &= decodes;
        let sparse = matches!(entry.encoding, Encoding::Sparse { .. });
        if sparse && !decodes {
            // There are no values to write with these places.
            return;
        }
        if !exact {
            let start = entry.payload.as_ptr() as usize - file.as_ptr() as usize;
            left_out.push(start..start + entry.payload.len());
            if !sparse {
                values = vec![0.0; entry.encoding.values(&entry.shape).unwrap() as usize];
            }
        }
        let Entry { name, role, encoding, shape, base, .. } = entry;
        tensors.push(Tensor { name: name.into(), role, encoding, shape, base, values });
    }
    let draft = Draft {
        task: adapter.task(),
        architecture: adapter.architecture(),
        method: adapter.method(),
        base: adapter.base(),
        content: adapter.content(),
        summary: adapter.summary(),
        labels: &adapter.labels().collect::<Vec<_>>(),
        settings: &adapter.settings().collect::<Vec<_>>(),
        tensors: &tensors.iter().map(borrow).collect::<Vec<_>>(),
    };
    let mut again = encode(&draft);
    assert_eq!(again.len(), original.len());
    if left_out.is_empty() {
        assert!(again == original);
    }
    for bytes in [&mut again, &mut original] {
        left_out.iter().for_each(|range| bytes[range.clone()].fill(0));
        bytes.truncate(bytes.len() - 32);
    }
    assert!(again == original);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn drafts_come_back(model in model()) {
        let file = model.encode();
        let adapter = Adapter::parse(&file).unwrap();
        prop_assert_eq!(adapter.task(), &model.task);
        prop_assert_eq!(adapter.architecture(), &model.architecture);
        prop_assert_eq!(adapter.method(), &model.method);
        prop_assert_eq!(adapter.summary(), model.summary);
        prop_assert!(adapter.labels().eq(model.labels.iter().map(String::as_str)));
        let settings = adapter.settings().map(|found| (found.name.to_owned(), found.required, found.value.to_owned()));
        prop_assert!(settings.eq(model.settings.iter().cloned()));
        prop_assert_eq!(adapter.entries().len(), model.tensors.len());
        for (entry, tensor) in adapter.entries().zip(&model.tensors) {
            prop_assert_eq!(entry.name, &tensor.name);
            prop_assert_eq!((entry.role, entry.encoding, entry.base), (tensor.role, tensor.encoding, tensor.base));
            prop_assert_eq!(&entry.shape, &tensor.shape);
            prop_assert_eq!((entry.payload.as_ptr() as usize - file.as_ptr() as usize) % 64, 0);
            prop_assert_eq!(adapter.entry(&tensor.name).unwrap().payload, entry.payload);
        }
        assert_canonical(&file);
    }

    #[test]
    fn values_come_back(tensor in tensor()) {
        let model = Model { tensors: vec![Tensor { name: "w".into(), ..tensor.clone() }], ..minimal() };
        let file = model.encode();
        let entry = Adapter::parse(&file).unwrap().entry("w").unwrap();
        let decoded = decode(&entry);
        match tensor.encoding {
            Encoding::F32 => prop_assert_eq!(bits(&decoded), bits(&tensor.values)),
            Encoding::F16 => for (out, value) in decoded.iter().zip(&tensor.values) {
                prop_assert!((out - value).abs() <= value.abs() / 2048.0 + 3e-8);
            },
            Encoding::Int4 { group } => {
                let rows = if tensor.shape.dims().len() > 1 { tensor.shape.dims()[0] } else { 1 };
                let width = decoded.len() / rows as usize;
                let rows = decoded.chunks(width).zip(tensor.values.chunks(width));
                for (out, group) in rows.flat_map(|(out, row)| out.chunks(group as usize).zip(row.chunks(group as usize))) {
                    // No worse than with the scale that holds the largest, but for that scale's own rounding.
                    let largest = group.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
                    let far: f32 = out.iter().zip(group).map(|(out, value)| (out - value).powi(2)).sum();
                    let most = group.len() as f32 * (largest * (0.5 / 7.0 + 1.0 / 256.0)).powi(2);
                    prop_assert!(far <= most + 1e-30, "{} {}", far, most);
                }
            }
            Encoding::OneBit => {
                let width = decoded.len() / tensor.shape.dims()[0] as usize;
                for (out, row) in decoded.chunks(width).zip(tensor.values.chunks(width)) {
                    let mean = row.iter().map(|value| f64::from(value.abs())).sum::<f64>() / row.len() as f64;
                    for (out, value) in out.iter().zip(row) {
                        prop_assert!((f64::from(out.abs()) - mean).abs() <= mean * 1e-6);
                        prop_assert!(*value == 0.0 || *out == 0.0 || out.signum() == value.signum());
                    }
                }
            }
            Encoding::LowRank { rank, half } => {
                let rank = rank as usize;
                let rows = tensor.shape.dims()[0] as usize;
                let width = decoded.len() / rows;
                let (left, right) = tensor.values.split_at(rows * rank);
                let near = if half { 2e-3 } else { 1e-6 };
                for (at, out) in decoded.iter().enumerate() {
                    let terms = (0..rank).map(|k| [left[at / width * rank + k], right[k * width + at % width]]);
                    let terms: Vec<f64> = terms.map(|[a, b]| f64::from(a) * f64::from(b)).collect();
                    let size = terms.iter().map(|term| term.abs()).sum::<f64>();
                    let far = (f64::from(*out) - terms.iter().sum::<f64>()).abs();
                    prop_assert!(far <= near * size + if half { 0.02 } else { 0.0 }, "{} {}", far, size);
                }
            }
            Encoding::Sparse { count, .. } => {
                let mut sizes: Vec<f32> = tensor.values.iter().map(|value| value.abs()).collect();
                sizes.sort_by(|a, b| b.total_cmp(a));
                let scale = sizes.first().map_or(0.0, |largest| largest / 127.0).max(f32::MIN_POSITIVE);
                prop_assert_eq!(decoded.iter().filter(|value| **value != 0.0).count(), count as usize);
                for (out, value) in decoded.iter().zip(&tensor.values).filter(|(out, _)| **out != 0.0) {
                    prop_assert!(value.abs() >= sizes[count as usize - 1]);
                    prop_assert!((out - value).abs() <= scale * 1.00001, "{} {} {}", out, value, scale);
                }
            }
            _ => {
                let width = decoded.len() / tensor.shape.dims()[0] as usize;
                for (out, row) in decoded.chunks(width).zip(tensor.values.chunks(width)) {
                    let scale = row.iter().fold(0.0_f32, |max, value| max.max(value.abs())) / 127.0;
                    for (out, value) in out.iter().zip(row) {
                        prop_assert!((out - value).abs() <= scale * 0.50001, "{} {} {}", out, value, scale);
                    }
                }
            }
        }

        let weight: Vec<f32> = (0..decoded.len()).map(|i| i as f32 * 0.37).collect();
        let mut merged = weight.clone();
        entry.add_to(&mut merged).unwrap();
        let (mut copied, mut next) = (vec![f32::NAN; weight.len()], 0);
        let copy = |first: usize, part: &mut [f32]| {
            assert_eq!(first, next, "each part in turn");
            next += part.len();
            part.copy_from_slice(&weight[first..next]);
        };
        entry.add_to_copy(&mut copied, copy).unwrap();
        assert_eq!((copied, next), (merged.clone(), weight.len()));
        let expected: Vec<f32> = weight.iter().zip(&decoded).map(|(weight, delta)| weight + delta).collect();
        prop_assert_eq!(bits(&merged), bits(&expected));
    }

    #[test]
    fn whatever_is_accepted_is_canonical(
        model in model(),
        manifest in prop::collection::vec(change(), 0..3),
        payloads in prop::collection::vec(change(), 0..3),
    ) {
        let file = model.encode();
        let length = u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize;
        let start = (24 + length).next_multiple_of(64);
        let mut parts = (file[24..24 + length].to_vec(), file[start..file.len() - 32].to_vec());
        manifest.iter().for_each(|change| change.apply(&mut parts.0));
        payloads.iter().for_each(|change| change.apply(&mut parts.1));
        // The version stays, whatever the change made of what needs it.
        let file = seal(file[8], &parts.0, &parts.1);
        if Adapter::parse(&file).is_ok() {
            assert_canonical(&file);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(manifest in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Adapter::parse(&manifest);
        (1..4).for_each(|version| _ = Adapter::parse(&seal(version, &manifest, &[])));
    }
}
