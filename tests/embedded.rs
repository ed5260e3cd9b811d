//! The firmware's images, by the desktop's runtime: what `examples/embedded` is to print.
#![cfg(all(feature = "train", feature = "data"))]

mod common;

use std::path::Path;
use std::{env, fs};

use common::digits::open;
use taps::format::Encoding;
use taps::runtime::{Images, Settings, Weights as _};
use taps::{Adapter, Input, Runtime};

#[test]
fn the_firmware_is_expected_to_print_what_the_desktop_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/embedded");
    let images = fs::read(folder.join("images.bin")).unwrap();
    let images: Vec<&[u8]> = images.chunks(64).collect();
    let (plain, inverted) = images.split_at(images.len() / 2);
    let (_, model) = open();
    let runtime = Runtime::new(model).with_threads(1);
    let tasks = ["digits", "inverted"].map(|name| runtime.load(folder.join(format!("{name}.taps"))).unwrap());
    let encodings = ["digits", "inverted"].map(|name| {
        let file = fs::read(folder.join(format!("{name}.taps"))).unwrap();
        let adapter = Adapter::parse(&file).unwrap();
        adapter.entries().map(|entry| entry.encoding).filter(|encoding| *encoding != Encoding::F32).collect::<Vec<_>>()
    });
    // One file of a version without settings, and one with them: the firmware reads both.
    let versions = ["digits", "inverted"].map(|name| fs::read(folder.join(format!("{name}.taps"))).unwrap()[8]);
    assert_eq!(versions, [1, 3]);
    let made = Settings::of_adapter(&Adapter::parse(&fs::read(folder.join("inverted.taps")).unwrap()).unwrap());
    let checked = fs::read_to_string(folder.join("src/main.rs")).unwrap();
    for setting in made.iter() {
        assert!(checked.contains(&format!("(\"{}\", Some(\"{}\"))", setting.name, setting.value)), "{setting:?}");
    }
    assert_eq!(encodings[0], [Encoding::Int8; 2]);
    assert_eq!(encodings[1], [Encoding::OneBit; 6]);
    let mut lines = String::new();
    for (number, pair) in plain.iter().zip(inverted).enumerate() {
        for (task, image) in tasks.iter().zip([pair.0, pair.1]) {
            let pixels = image.iter().map(|&byte| (f32::from(byte) / 255.0 - 0.3) / 0.4).collect();
            let input = Input::Images(Images { pixels, batch: 1, channels: 1, height: 8, width: 8 });
            let prediction = runtime.predict_as(task.clone(), &input).unwrap();
            let highest = prediction.logits().iter().fold(f32::NEG_INFINITY, |highest, &score| highest.max(score));
            let (task, label) = (prediction.task().name().to_owned(), prediction.label(0));
            lines += &format!("{number} {task} {label} {highest:.2}\n");
        }
    }
    let expected = folder.join("expected.txt");
    if env::var_os("TAPS_BLESS").is_some() {
        fs::write(&expected, &lines).unwrap();
    }
    assert_eq!(fs::read_to_string(expected).unwrap().replace("\r\n", "\n"), lines);
}
