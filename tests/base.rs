//! Bases on disk: which files make one up, what is refused, what is touched, and its two digests.
#![cfg(feature = "runtime")]

mod common;

use std::fs::{create_dir, read, write};
use std::path::Path;

use common::base::{Sizes, TINY, Weights, raw};
use safetensors::tensor::Dtype;
use taps::base::{Base, Error};

/// The error of opening `path`, whose message must have all `parts`; in memory it is the same.
fn refused(path: &Path, parts: &[&str]) -> Error {
    let error = Base::open(path).expect_err("refused");
    let message = error.to_string();
    parts.iter().for_each(|part| assert!(message.contains(part), "no {part:?} in {message:?}"));
    assert_eq!(Base::open_in_memory(path).expect_err("refused").to_string(), message);
    error
}

/// A file of one header.
fn one(header: &str, data: &[u8]) -> Base {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.safetensors");
    write(&path, raw(header, data)).unwrap();
    Base::open(path).unwrap()
}

#[test]
fn a_folder_without_weights() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nothing");
    assert!(matches!(refused(&missing, &["nothing: "]), Error::Io { .. }));
    let path = folder.path().display().to_string();
    assert!(matches!(refused(folder.path(), &[&path, "no .safetensors file"]), Error::NoWeights { .. }));
    Weights::bert(TINY, 1).write(&folder.path().join("a.safetensors"), Dtype::F32, |_| true);
    assert_eq!(Base::open(folder.path()).unwrap().bytes(), TINY.bytes(), "one file of any name will do");
    Weights::bert(TINY, 1).write(&folder.path().join("b.safetensors"), Dtype::F32, |_| true);
    assert!(matches!(refused(folder.path(), &[&path, "2 of them and no index"]), Error::NoWeights { .. }));
}

#[test]
fn a_configuration_that_is_no_json() {
    let folder = Weights::bert(TINY, 1).folder(Dtype::F32);
    write(folder.path().join("config.json"), r#"{"model_type": "bert","#).unwrap();
    assert!(matches!(refused(folder.path(), &["config.json", "not valid JSON"]), Error::Config { .. }));
    let shards = Weights::bert(TINY, 1).shards(2);
    write(shards.path().join("model.safetensors.index.json"), "[").unwrap();
    assert!(matches!(refused(shards.path(), &["index.json", "not valid JSON"]), Error::Config { .. }));
}

#[test]
fn a_shard_index_that_is_not_that_of_the_shards() {
    let folder = Weights::bert(TINY, 1).shards(2);
    let path = folder.path().join("model.safetensors.index.json");
    let index = String::from_utf8(read(&path).unwrap()).unwrap();
    let name = "embeddings.position_embeddings.weight";
    let (one, two) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    let listed = [one, two].map(|file| format!(r#""{name}":"{file}""#)).into_iter().find(|line| index.contains(line));
    let listed = listed.expect("listed in one of them");
    let refuse = |changed: String, parts: &[&str]| {
        assert_ne!(changed, index);
        write(&path, changed).unwrap();
        let error = refused(folder.path(), parts);
        assert!(matches!(error, Error::ShardIndex { .. } | Error::Io { .. }), "{error}");
    };
    refuse("{}".to_owned(), &["index.json", "no weight_map"]);
    let with = |line: String| index.replace(&listed, &line);
    let other = if listed.contains(one) { two } else { one };
    refuse(with(format!(r#""{name}":"{other}""#)), &["index.json", name, "is not in", other]);
    refuse(with(format!(r#"{listed},"classifier.weight":"{one}""#)), &["classifier.weight", "is not in", one]);
    refuse(index.replace(&format!("{listed},"), ""), &["index.json", name, "is not listed"]);
    for outside in
        ["../model.safetensors", "/etc/passwd", "sub/model.safetensors", "..", ".", "/", "", "model.safetensors/."]
    {
        refuse(
            with(format!(r#""{name}":"{outside}""#)),
            &["index.json", name, "not the name of a file in this folder"],
        );
    }
    refuse(with(format!(r#""{name}":3"#)), &["index.json", name, "not the name of a file"]);
    refuse(with(format!(r#""{name}":"gone.safetensors""#)), &["gone.safetensors"]);
    write(&path, &index).unwrap();
    assert!(Base::open(folder.path()).is_ok());
}

#[test]
fn a_tensor_in_two_shards() {
    let weights = Weights::bert(TINY, 1);
    let folder = weights.shards(2);
    let (first, second) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    weights.write(&folder.path().join(second), Dtype::F32, |number| number < 1 || number % 2 == 1);
    let error = refused(folder.path(), &["embeddings.LayerNorm.bias", first, second]);
    assert!(matches!(error, Error::DuplicateTensor { .. }));
}

#[test]
fn a_file_cut_anywhere() {
    let folder = Weights::bert(Sizes { layers: 0, ..TINY }, 1).folder(Dtype::F32);
    let path = folder.path().join("model.safetensors");
    let whole = read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for length in (0..whole.len()).filter(|length| *length < header + 16 || length % 97 == 0) {
        write(&path, &whole[..length]).unwrap();
        let error = refused(&path, &["model.safetensors", "truncated"]);
        match error {
            Error::Truncated { needed, found, .. } => {
                assert!(length < header && found == length as u64 && needed > found)
            }
            Error::OutOfBounds { available, .. } => assert_eq!(available as usize, length - header),
            other => panic!("{length} bytes: {other}"),
        }
    }
}

#[test]
fn a_file_of_another_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch.safetensors");
    write(&path, b"PK\x03\x04 a zip archive, as torch.save writes them").unwrap();
    assert!(matches!(refused(&path, &["pytorch.safetensors", "not a safetensors file"]), Error::HeaderTooLarge { .. }));
    write(&path, raw("no json", &[])).unwrap();
    assert!(matches!(refused(&path, &["pytorch.safetensors", "header"]), Error::Header { .. }));
    let directory = folder.path().join("model.safetensors");
    create_dir(&directory).unwrap();
    assert!(matches!(refused(&directory, &["no .safetensors file"]), Error::NoWeights { .. }));
}

#[test]
fn in_memory_it_is_the_same_and_keeps_what_it_read() {
    let weights = Weights::bert(TINY, 1);
    let folder = weights.folder(Dtype::F32);
    let (mapped, read) = (Base::open(folder.path()).unwrap(), Base::open_in_memory(folder.path()).unwrap());
    let all = |base: &Base| -> Vec<_> {
        base.tensors().map(|view| (view.name.to_owned(), view.shape.to_vec(), view.to_vec())).collect()
    };
    let expected: Vec<_> =
        weights.tensors.iter().map(|(name, (shape, values))| (name.clone(), shape.clone(), values.clone())).collect();
    assert_eq!(all(&mapped), expected, "what safetensors wrote");
    assert_eq!(all(&read), expected);
    assert_eq!((mapped.fingerprint(), mapped.config()), (read.fingerprint(), read.config()));
    write(folder.path().join("model.safetensors"), vec![0xff; 4]).unwrap();
    assert_eq!(all(&read), expected);
    assert_eq!(all(&read.clone()), expected);
}

#[test]
fn the_fingerprint_is_of_names_dtypes_and_shapes() {
    let a = r#""a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}"#;
    let b = r#""b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]}"#;
    let first = one(&format!("{{{a},{b}}}"), &[0; 12]);
    assert_eq!(first.fingerprint(), one(&format!("{{{b},{a}}}"), &[7; 12]).fingerprint(), "order and contents");
    let (a_last, b_first) = (a.replace("[0,8]", "[4,12]"), b.replace("[8,12]", "[0,4]"));
    assert_eq!(first.fingerprint(), one(&format!("{{{a_last},{b_first}}}"), &[0; 12]).fingerprint(), "place");
    let changes = [
        ("\"a\"", "\"c\""),
        ("F32", "I32"),
        ("[2,1]", "[1,2]"),
        ("[2,1]", "[2]"),
        ("[2,1]", "[2,1,1]"),
        ("\"b\"", "\"b \""),
    ];
    for (from, to) in changes {
        let changed = format!("{{{a},{b}}}").replace(from, to);
        assert_ne!(first.fingerprint(), one(&changed, &[0; 12]).fingerprint(), "{from} to {to}");
    }

    let mut expected = Vec::new();
    for (name, dtype, shape) in [("a", "F32", &[2u64, 1][..]), ("b", "F16", &[2])] {
        for text in [name, dtype] {
            expected.extend((text.len() as u32).to_le_bytes());
            expected.extend(text.as_bytes());
        }
        expected.extend((shape.len() as u32).to_le_bytes());
        shape.iter().for_each(|size| expected.extend(size.to_le_bytes()));
    }
    assert_eq!(first.fingerprint().as_bytes(), blake3::hash(&expected).as_bytes(), "as the specification has it");
}

#[test]
fn the_content_is_of_all_bytes() {
    let weights = Weights::bert(TINY, 1);
    let base = |weights: &Weights| Base::open(weights.folder(Dtype::F32).path()).unwrap();
    let first = base(&weights);
    let mut expected = Vec::new();
    for (_, values) in weights.tensors.values() {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        expected.extend(blake3::hash(&bytes).as_bytes());
    }
    assert_eq!(first.content().as_bytes(), blake3::hash(&expected).as_bytes());
    assert_eq!(first.content(), Base::open(weights.shards(3).path()).unwrap().content());
    for name in weights.tensors.keys() {
        let mut other = weights.clone();
        other.tensors.get_mut(name).unwrap().1[0] += 1.0;
        let other = base(&other);
        assert_eq!(other.fingerprint(), first.fingerprint());
        assert_ne!(other.content(), first.content(), "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn opening_touches_the_header_only() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = Sizes { hidden: 384, inner: 1536, layers: 12, positions: 512, ..TINY }.filled_to(1 << 30);
    sizes.write_sparse(folder.path());
    let file = folder.path().join("model.safetensors");
    let base = Base::open(folder.path()).unwrap();
    assert!(base.bytes() >= 1 << 30);
    let mapped = common::process::mapped(&file);
    assert!(mapped.size >= 1 << 30, "{mapped:?}");
    assert!(mapped.resident < 4 << 20, "{mapped:?}");
    let last = base.tensor(base.find("encoder.layer.11.output.dense.weight").unwrap());
    assert!(last.to_vec().iter().all(|&value| value == 0.0));
    let after = common::process::mapped(&file).resident;
    assert!(after >= mapped.resident + last.bytes.len() / 2, "what is read becomes resident: {after}");
}

/// A download that did not follow the pointer, a pickle, and an index beside a file that needs none.
#[test]
fn what_is_no_base_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    write(&file, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90868376\n").unwrap();
    refused(folder.path(), &["model.safetensors", "LFS", "git lfs pull"]);
    std::fs::remove_file(&file).unwrap();
    write(folder.path().join("training_args.bin"), [0; 64]).unwrap();
    refused(folder.path(), &["no .safetensors file"]);
    write(folder.path().join("pytorch_model.bin"), [0; 64]).unwrap();
    refused(folder.path(), &["pytorch_model.bin", "safetensors"]);
}

#[test]
fn a_whole_file_counts_where_an_index_is_left_of_other_shards() {
    let folder = Weights::bert(TINY, 1).folder(Dtype::F32);
    let expected = Base::open(folder.path()).unwrap().content();
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors"}}"#;
    write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    assert_eq!(Base::open(folder.path()).unwrap().content(), expected);
}

/// A hundred thousand files that are not there are named by the first, and soon.
#[test]
fn an_index_of_many_files_is_read_in_one_pass() {
    let folder = tempfile::tempdir().unwrap();
    let entries: Vec<String> = (0..100_000).map(|n| format!(r#""t{n}":"f{n}.safetensors""#)).collect();
    let index = format!("{{\"weight_map\":{{{}}}}}", entries.join(","));
    write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    refused(folder.path(), &["f0.safetensors"]);
}

#[test]
fn a_base_that_was_cut_or_written_over_is_noticed() {
    for cut in [true, false] {
        let folder = Weights::bert(TINY, 1).folder(Dtype::F32);
        let path = folder.path().join("model.safetensors");
        let base = Base::open(&path).unwrap();
        base.check_whole().unwrap();
        let content = base.content();
        let bytes = read(&path).unwrap();
        if cut {
            std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes.len() as u64 - 4).unwrap();
            let message = base.check_whole().expect_err("it is cut").to_string();
            assert!(message.contains("model.safetensors"), "{message}");
        } else {
            use std::io::{Seek, SeekFrom, Write};
            let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.seek(SeekFrom::End(-4)).unwrap();
            file.write_all(&7.0f32.to_le_bytes()).unwrap();
            drop(file);
            base.check_whole().unwrap();
            let message = base.check_content(content).expect_err("it changed").to_string();
            assert!(message.contains("model.safetensors") && message.contains("changed"), "{message}");
        }
    }
}

#[test]
fn no_tensor_of_a_network_is_empty() {
    use taps::models::Model;
    for (name, dims) in [("hidden", [0, 16]), ("vocab", [16, 0])] {
        let header = format!(
            r#"{{"embeddings.word_embeddings.weight":{{"dtype":"F32","shape":{dims:?},"data_offsets":[0,0]}}}}"#
        );
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("model.safetensors"), raw(&header, &[])).unwrap();
        write(folder.path().join("config.json"), r#"{"model_type":"bert","num_attention_heads":2}"#).unwrap();
        let refused = Base::open(folder.path()).map(|base| Model::open(&base).map(drop).expect_err("an error"));
        assert!(refused.is_err() || refused.unwrap().to_string().contains("word_embeddings"), "{name}");
    }
}
