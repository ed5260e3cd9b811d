//! Adapters stored anew: what is read back, what it costs, and that limits hold.
#![cfg(all(feature = "train", feature = "data"))]

mod common;

use std::sync::OnceLock;

use common::digits::{digits, open};
use taps::convert::{Error, Kind, Rank, Recode, Recoded, Storage, recode};
use taps::format::{Adapter, Encoding, Role};
use taps::kernels::Workspace;
use taps::runtime::{Task, evaluate};
use taps::train::{Budget, Quiet};
use taps::{Config, Examples, fine_tune};

const COUNT: usize = 300;

/// A task of inverted digits with four layers.
fn tuned() -> &'static [u8] {
    static TUNED: OnceLock<Vec<u8>> = OnceLock::new();
    TUNED.get_or_init(|| {
        let (base, model) = open();
        let config = Config {
            epochs: 6,
            rate: 3e-3,
            budget: Budget::layers(4),
            validation: 0.0,
            threads: 1,
            ..Config::default()
        };
        let tuned = fine_tune(&base, &model, &digits(COUNT), &config, &mut Quiet).unwrap();
        tuned.adapter(&base, &model, "inverted", Encoding::F32).unwrap()
    })
}

fn settings(storage: Storage) -> Recode {
    Recode { storage, calibration: 60, examples: 128, seed: 0, threads: 1 }
}

fn every(deltas: Kind) -> Recode {
    settings(Storage::Every { deltas, head: Kind::F32 })
}

fn stored(settings: &Recode) -> Result<Recoded, Error> {
    let (base, model) = open();
    let examples = digits(COUNT);
    recode(&base, &model, &Adapter::parse(tuned()).unwrap(), settings, Some(&examples as &dyn Examples))
}

fn accuracy(file: &[u8]) -> f64 {
    let (_, model) = open();
    let task = Task::build(&model, &Adapter::parse(file).unwrap(), "memory").unwrap();
    let order: Vec<usize> = (0..COUNT).collect();
    evaluate(&model, &task, &digits(COUNT), &order, 64, &Workspace::new(1)).unwrap().accuracy()
}

#[test]
fn exact_encodings_change_nothing() {
    let recoded = stored(&every(Kind::F32)).unwrap();
    assert_eq!(recoded.bytes, tuned());
    assert_eq!(recoded.divergence, Some(0.0));
    let full = Kind::LowRank { rank: Rank::Of(u32::MAX), half: false };
    assert!(stored(&every(full)).unwrap().divergence.unwrap() < 1e-6);
}

#[test]
fn fewer_bytes_lose_more_and_all_of_it_is_told() {
    let exact = accuracy(tuned());
    let mut before = (usize::MAX, -1.0);
    for (kind, loses) in [(Kind::F16, 1e-3), (Kind::Int8, 0.01), (Kind::INT4, 0.13), (Kind::OneBit, 0.9)] {
        let recoded = stored(&every(kind)).unwrap();
        let file = Adapter::parse(&recoded.bytes).unwrap();
        let divergence = recoded.divergence.unwrap();
        println!("{kind:?}: {} bytes, {divergence}, {}", recoded.bytes.len(), accuracy(&recoded.bytes));
        assert!(recoded.bytes.len() < before.0 && divergence > before.1, "{kind:?}: {divergence}");
        before = (recoded.bytes.len(), divergence);
        for (entry, tensor) in file.entries().zip(&recoded.tensors) {
            assert_eq!((entry.name, entry.encoding), (tensor.name.as_str(), tensor.encodings[1]));
            assert_eq!(entry.payload.len(), tensor.bytes);
            let is_delta = entry.role == Role::Delta && entry.shape.dims().len() > 1;
            assert_eq!(entry.encoding == Encoding::F32, !is_delta, "{}", entry.name);
            // The head makes up for what one bit loses.
            let moved = if kind == Kind::OneBit && entry.role == Role::Replacement { 0.1 } else { 1e-9 };
            assert!(tensor.error < if is_delta { loses } else { moved }, "{tensor:?}");
        }
        assert!(exact - accuracy(&recoded.bytes) < 0.1);
    }
}

#[test]
fn calibration_brings_one_bit_nearer() {
    let without = stored(&Recode { calibration: 0, ..every(Kind::OneBit) }).unwrap();
    let with = stored(&every(Kind::OneBit)).unwrap();
    assert!(with.divergence < without.divergence, "{:?} {:?}", with.divergence, without.divergence);
    assert_eq!(with.bytes.len(), without.bytes.len());
    assert_eq!(stored(&every(Kind::OneBit)).unwrap().bytes, with.bytes, "the same again");
}

#[test]
fn a_limit_on_bytes_holds_and_more_bytes_lose_less() {
    let mut before = f64::INFINITY;
    for limit in [16, 12, 8, 6, 4, 3, 2, 1].map(|part| tuned().len() / part) {
        let recoded = stored(&settings(Storage::Within(limit))).unwrap();
        let divergence = recoded.divergence.unwrap();
        println!("{limit}: {} bytes, {divergence}", recoded.bytes.len());
        assert!(recoded.bytes.len() <= limit && divergence <= before);
        before = divergence;
    }
    assert_eq!(before, 0.0, "with room for all nothing is lost");
    let error = stored(&settings(Storage::Within(1000))).unwrap_err();
    let Error::Limit { least, .. } = error else { panic!("{error}") };
    assert_eq!(stored(&settings(Storage::Within(least))).unwrap().bytes.len(), least);
}

#[test]
fn a_limit_on_the_loss_holds() {
    let exact = stored(&every(Kind::F32)).unwrap().scores.unwrap()[0].loss;
    let mut before = usize::MAX;
    for limit in [0.0, 0.01, 1.0] {
        let recoded = stored(&settings(Storage::AtLoss(limit))).unwrap();
        let [_, after] = recoded.scores.unwrap();
        println!("{limit}: {} bytes, {}", recoded.bytes.len(), after.loss);
        assert!(after.loss <= exact + limit + 1e-5 && recoded.bytes.len() <= before);
        before = recoded.bytes.len();
    }
    assert!(before < tuned().len() / 4);
}

#[test]
fn what_cannot_be_is_refused() {
    let (base, model) = open();
    let adapter = Adapter::parse(tuned()).unwrap();
    let error = recode(&base, &model, &adapter, &settings(Storage::Within(1 << 20)), None).unwrap_err();
    assert!(matches!(error, Error::NoExamples { .. }), "{error}");
    let zero = Kind::LowRank { rank: Rank::Of(0), half: false };
    assert!(matches!(stored(&every(zero)).unwrap_err(), Error::Setting { .. }));
    let odd = Kind::Int4 { group: 3 };
    assert!(matches!(stored(&every(odd)).unwrap_err(), Error::Format(_)));
}
