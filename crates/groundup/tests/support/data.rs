//! A small folder of synthetic digits, made once a test program.

use super::run::groundup;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Training images in the folder.
pub const TRAIN: usize = 2000;
/// Test images in the folder.
pub const TEST: usize = 500;

/// The folder with the four files.
pub fn digits() -> &'static str {
    static DIGITS: OnceLock<TempDir> = OnceLock::new();
    let made = DIGITS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (train, test) = (TRAIN.to_string(), TEST.to_string());
        groundup(&["data", "synth", "--dir", dir.path().to_str().unwrap(), "--train", &train, "--test", &test]);
        dir
    });
    made.path().to_str().unwrap()
}
