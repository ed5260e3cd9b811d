//! A browser's picture of a file.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Chromium's picture of a file; `None` where there is no Chromium.
pub fn screenshot(file: &Path, size: &str) -> Option<image::RgbImage> {
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|folder| folder.join(name).is_file())
    })?;
    let work = tempfile::tempdir().unwrap();
    let out = work.path().join("page.png");
    let mut browser = Command::new(found)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", work.path().join("profile").display()))
        .arg(format!("--screenshot={}", out.display()))
        .arg(format!("--window-size={size}"))
        .arg(format!("file://{}", file.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while browser.try_wait().unwrap().is_none() {
        if started.elapsed() > Duration::from_secs(120) {
            browser.kill().unwrap();
            browser.wait().unwrap();
            panic!("{found} takes more than two minutes for {}", file.display());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(image::open(&out).expect("a PNG").to_rgb8())
}
