//! Bases that are not what their `config.json` says.

use taps::models;

use super::*;

/// The error of opening the network of a base of these weights.
fn refused(weights: &Weights, dtype: Dtype, parts: &[&str]) -> Error {
    let folder = weights.folder(dtype);
    let base = Base::open(folder.path()).unwrap();
    let error = Model::open(&base).err().expect("refused");
    let message = error.to_string();
    let path = folder.path().display().to_string();
    for part in [path.as_str()].iter().chain(parts) {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
    match error {
        models::Error::Layout(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_tensor_is_missing() {
    let mut weights = Weights::bert(TINY, 1);
    weights.tensors.remove(QUERY);
    let error = refused(&weights, Dtype::F32, &["bert", QUERY, "has none"]);
    assert!(matches!(error, Error::MissingTensor { tensor, .. } if tensor == QUERY));

    let mut weights = Weights::bert(TINY, 1);
    weights.put("classifier.weight", &[2, 16], &[0.0; 32]);
    let error = refused(&weights, Dtype::F32, &["classifier.bias"]);
    assert!(matches!(error, Error::MissingTensor { .. }), "a head has a bias");
}

#[test]
fn a_tensor_has_another_shape() {
    let mut weights = Weights::bert(TINY, 1);
    weights.put(QUERY, &[8, 32], &[0.0; 256]);
    let error = refused(&weights, Dtype::F32, &[QUERY, "[8, 32]", "[16, 16]"]);
    assert!(matches!(error, Error::TensorShape { .. }));
}

#[test]
fn a_tensor_has_integers() {
    let weights = Weights::bert(TINY, 1);
    let error = refused(&weights, Dtype::I32, &["embeddings.word_embeddings.weight", "dtype I32", "F32, F16 or BF16"]);
    assert!(matches!(error, Error::TensorDtype { .. }));
}

#[test]
fn the_head_has_other_classes_than_labels() {
    let mut weights = Weights::bert(TINY, 1);
    weights.labels = LABELS.map(str::to_owned).to_vec();
    weights.put("classifier.weight", &[2, 16], &[0.0; 32]);
    weights.put("classifier.bias", &[2], &[0.0; 2]);
    let error = refused(&weights, Dtype::F32, &["3 labels", "2 classes"]);
    assert!(matches!(error, Error::Labels { labels: 3, classes: 2, .. }));
}
