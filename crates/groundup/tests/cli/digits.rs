//! `groundup data`, and where the other commands look for digits.

use super::support::data::{TEST, TRAIN};
use super::support::run::{Ran, command, groundup};
use super::{digits, failure, failure_of, train};
use std::fs;
use std::path::Path;

/// The four files of a folder of synthetic digits, in bytes, by name.
fn synth(seed: &str) -> Vec<(String, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("new/folder");
    groundup(&["data", "synth", "--dir", dir.to_str().unwrap(), "--train", "30", "--test", "20", "--seed", seed]);
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// A folder with the small digits' four files at `path`.
fn copy_to(path: &Path) {
    fs::create_dir_all(path).unwrap();
    for entry in fs::read_dir(digits()).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, path.join(from.file_name().unwrap())).unwrap();
    }
}

/// The first line of a run of `train` in `dir`: where its digits come from.
fn origin(dir: &Path, options: &[&str], mnist_dir: Option<&str>) -> String {
    let args = [&["train", "--hidden", "none", "--steps", "1"], options].concat();
    let mut command = command(dir, &args);
    if let Some(mnist_dir) = mnist_dir {
        command.env("MNIST_DIR", mnist_dir);
    }
    let ran = Ran::of(&mut command);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    ran.out.lines().next().unwrap().to_owned()
}

#[test]
fn synthetic_digits_are_described_and_trained_on() {
    let about = groundup(&["data", "info", digits()]);
    let lines: Vec<&str> = about.lines().collect();
    assert!(lines[0].starts_with(&format!("training: {TRAIN} images of 28x28")), "{about}");
    assert!(lines[1].starts_with(&format!("test: {TEST} images of 28x28")), "{about}");
    for (line, count) in lines.iter().zip([TRAIN, TEST]) {
        let (_, by_digit) = line.split_once("by digit: ").unwrap();
        let counts: Vec<usize> = by_digit.split(' ').map(|count| count.parse().unwrap()).collect();
        assert_eq!((counts.len(), counts.iter().sum::<usize>()), (10, count), "{line}");
        assert!(counts.iter().all(|&of| of > count / 20), "{line}");
    }
    let run = train(&["--hidden", "none", "--epochs", "1"]);
    assert_eq!(run["steps"].as_u64(), Some(TRAIN as u64 / 100));
    // Of no more samples than there are.
    let all = train(&["--hidden", "none", "--epochs", "1", "--train-samples", "1000000"]);
    assert_eq!(all["weights_sha256"], run["weights_sha256"]);
}

#[test]
fn an_idx_file_is_described_with_its_type_shape_and_checksum() {
    let file = fs::read_dir(digits())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("t10k-images"))
        .unwrap();
    let about = groundup(&["data", "info", file.to_str().unwrap()]);
    assert!(about.contains(&format!("IDX, u8 of shape {TEST}x28x28")), "{about}");
    assert!(about.contains(&mnist_io::file::sha256_of_file(&file).unwrap()), "{about}");
    assert!(!about.contains("published"), "synthetic digits are not the published file: {about}");

    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text");
    fs::write(&text, "not an IDX file").unwrap();
    for path in [text, dir.path().join("none")] {
        let [cause, _] = failure_of(&["data", "info", path.to_str().unwrap()]);
        assert!(cause.starts_with(&format!("{}: ", path.display())), "{cause}");
    }
}

#[test]
fn synthetic_digits_are_the_same_bytes_for_the_same_seed() {
    let files = synth("1");
    let names: Vec<&str> = files.iter().map(|(name, _)| name.trim_end_matches(".gz")).collect();
    assert_eq!(
        names,
        ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "train-images-idx3-ubyte", "train-labels-idx1-ubyte"]
    );
    assert!(synth("1") == files, "the same seed gave other bytes");
    let other = synth("2");
    assert!(files.iter().zip(&other).all(|(these, those)| these.0 == those.0 && these.1 != those.1));
}

#[test]
fn digits_are_taken_from_data_then_mnist_dir_then_the_default_folder() {
    let dir = tempfile::tempdir().unwrap();
    copy_to(&dir.path().join("elsewhere"));
    assert!(origin(dir.path(), &["--data", "elsewhere"], Some("nowhere")).contains("elsewhere (--data)"));
    assert!(origin(dir.path(), &[], Some("elsewhere")).contains("elsewhere (MNIST_DIR)"));
    copy_to(&dir.path().join("data/mnist"));
    assert!(origin(dir.path(), &[], Some("elsewhere")).contains("elsewhere (MNIST_DIR)"));
    assert!(origin(dir.path(), &[], None).contains("data/mnist (the default folder)"));
    assert!(origin(dir.path(), &[], Some("")).contains("data/mnist (the default folder)"), "an empty MNIST_DIR");
}

#[test]
fn a_default_folder_that_lacks_one_of_the_files_is_an_error_and_not_synthetic_digits() {
    let dir = tempfile::tempdir().unwrap();
    copy_to(&dir.path().join("data/mnist"));
    fs::remove_file(dir.path().join("data/mnist/train-labels-idx1-ubyte.gz")).unwrap();
    let [cause, cure] = failure(&mut command(dir.path(), &["train", "--steps", "1"]));
    assert!(cause.contains("data/mnist: no train-labels-idx1-ubyte"), "{cause}");
    assert!(cure.contains("groundup data download"), "{cure}");
}

#[test]
fn synthetic_digits_are_not_written_where_a_plain_file_would_be_read_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("t10k-images-idx3-ubyte");
    fs::write(&plain, "kept").unwrap();
    let args = ["data", "synth", "--dir", ".", "--train", "30", "--test", "20"];
    let [cause, cure] = failure(&mut command(dir.path(), &args));
    assert!(cause.contains("t10k-images-idx3-ubyte is there") && cure == "give another folder", "{cause}\n{cure}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was written");
    assert_eq!(fs::read_to_string(&plain).unwrap(), "kept");
}

#[test]
fn mnist_itself_is_not_overwritten_by_synthetic_digits() {
    let Some(mnist) = std::env::var_os("MNIST_DIR").map(std::path::PathBuf::from) else {
        println!("SKIPPED: MNIST_DIR is not set");
        return;
    };
    let name = "t10k-labels-idx1-ubyte.gz";
    let dir = tempfile::tempdir().unwrap();
    if fs::copy(mnist.join(name), dir.path().join(name)).is_err() {
        println!("SKIPPED: {} has no {name}", mnist.display());
        return;
    }
    let args = ["data", "synth", "--dir", ".", "--train", "30", "--test", "20"];
    let [cause, _] = failure(&mut command(dir.path(), &args));
    assert!(cause.contains(name) && cause.contains("would be lost"), "{cause}");
    assert_eq!(fs::read(dir.path().join(name)).unwrap(), fs::read(mnist.join(name)).unwrap());
}

#[test]
fn a_folder_that_was_named_and_has_no_digits_is_an_error_that_names_it() {
    for args in [
        &["train", "--data", "nowhere", "--steps", "1"][..],
        &["search", "--data", "nowhere", "--trials", "1"],
        &["chapter", "optimizer-paths", "--data", "nowhere"],
    ] {
        let [cause, cure] = failure_of(args);
        assert!(cause.starts_with("nowhere: no train-images-idx3-ubyte"), "{args:?}: {cause}");
        assert!(cure.contains("--data") && cure.contains("groundup data download"), "{args:?}: {cure}");
    }
    // Also in MNIST_DIR: never synthetic digits in its place.
    let dir = tempfile::tempdir().unwrap();
    let [cause, _] = failure(command(dir.path(), &["train", "--steps", "1"]).env("MNIST_DIR", "nowhere"));
    assert!(cause.starts_with("nowhere: "), "{cause}");
    // And a folder that lacks one of the four.
    copy_to(dir.path());
    let labels = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().contains("t10k-labels"))
        .unwrap();
    fs::write(&labels, "damaged").unwrap();
    let [cause, _] = failure(&mut command(dir.path(), &["train", "--data", ".", "--steps", "1"]));
    assert!(cause.contains("t10k-labels-idx1-ubyte"), "{cause}");
    fs::remove_file(&labels).unwrap();
    let [cause, _] = failure(&mut command(dir.path(), &["train", "--data", ".", "--steps", "1"]));
    assert!(cause.contains("no t10k-labels-idx1-ubyte"), "{cause}");
}
