//! The four files: found plain or packed, missed by name, and MNIST itself where it is at hand.

use mnist_io::file::sha256_of_file;
use mnist_io::idx::Idx;
use mnist_io::mnist::FILES;
use mnist_io::synthetic::Synthetic;
use mnist_io::{Dataset, Error, Mnist};
use std::fs;
use std::path::{Path, PathBuf};

/// Four small arrays under MNIST's names; `packed` says which of them are `.gz`.
fn write(dir: &Path, packed: [bool; 4]) -> [Idx; 4] {
    let arrays = Synthetic { train: 12, test: 5, seed: 3 }.arrays(1);
    for ((file, idx), packed) in FILES.iter().zip(&arrays).zip(packed) {
        idx.write(&dir.join(format!("{}{}", file.name, if packed { ".gz" } else { "" }))).unwrap();
    }
    arrays
}

fn assert_holds(set: &Dataset, images: &Idx, labels: &Idx) {
    let expected = Dataset::from_idx(images.clone(), labels.clone()).unwrap();
    assert_eq!((set.len(), set.image_shape(), set.labels()), (expected.len(), [28, 28], expected.labels()));
    assert!((0..set.len()).all(|i| set.image(i) == expected.image(i)));
}

#[test]
fn the_four_files_are_loaded_plain_packed_and_in_every_mixture() {
    for mixture in 0..16 {
        let dir = tempfile::tempdir().unwrap();
        let [train_images, train_labels, test_images, test_labels] =
            write(dir.path(), std::array::from_fn(|i| mixture >> i & 1 == 1));
        assert!(Mnist::is_in(dir.path()));
        let mnist = Mnist::load(dir.path()).unwrap();
        assert_holds(&mnist.train, &train_images, &train_labels);
        assert_holds(&mnist.test, &test_images, &test_labels);
    }
}

#[test]
fn the_plain_file_is_preferred_to_the_packed_one_and_a_folder_of_its_name_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let arrays = write(dir.path(), [false; 4]);
    for file in FILES {
        fs::write(dir.path().join(format!("{}.gz", file.name)), b"not read").unwrap();
    }
    assert_holds(&Mnist::load(dir.path()).unwrap().train, &arrays[0], &arrays[1]);

    let dir = tempfile::tempdir().unwrap();
    let arrays = write(dir.path(), [true; 4]);
    for file in FILES {
        fs::create_dir(dir.path().join(file.name)).unwrap();
    }
    assert!(Mnist::is_in(dir.path()));
    assert_holds(&Mnist::load(dir.path()).unwrap().test, &arrays[2], &arrays[3]);
}

#[test]
fn one_of_the_files_in_place_of_their_folder_is_told_to_be_a_file() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), [false; 4]);
    let file = dir.path().join(FILES[0].name);
    assert!(!Mnist::is_in(&file));
    let error = Mnist::load(&file).expect_err("a file is no folder");
    assert!(matches!(&error, Error::NoFolder { path } if *path == file), "{error}");
    assert!(error.to_string().contains("name the folder that has it"), "{error}");
}

#[test]
fn a_missing_file_is_named_with_its_folder_and_the_cure() {
    for missing in 0..4 {
        for packed in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), [packed; 4]);
            let name = FILES[missing].name;
            fs::remove_file(dir.path().join(format!("{name}{}", if packed { ".gz" } else { "" }))).unwrap();
            assert!(Mnist::is_in(dir.path()), "the others are there, without {name}");
            let error = Mnist::load(dir.path()).expect_err("a file is missing");
            assert!(matches!(&error, Error::Missing { dir: of, file } if of == dir.path() && *file == name), "{error}");
            let message = error.to_string();
            let parts = [dir.path().to_str().unwrap(), name, "--data", "MNIST_DIR", "groundup data download --dir"];
            assert!(parts.iter().all(|part| message.contains(part)) && !message.contains('\n'), "{message}");
        }
    }
}

#[test]
fn a_folder_that_is_not_there_is_missing_all_four() {
    let path = tempfile::tempdir().unwrap().path().join("nowhere");
    assert!(!Mnist::is_in(&path));
    let message = Mnist::load(&path).expect_err("nothing is there").to_string();
    assert!(message.starts_with(&format!("{}: no {}(.gz);", path.display(), FILES[0].name)), "{message}");
}

/// Where MNIST itself is, if anywhere.
fn mnist_dir(test: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("MNIST_DIR").map(PathBuf::from);
    if dir.is_none() {
        println!("SKIPPED: {test}: MNIST_DIR is not set");
    }
    dir
}

#[test]
fn mnist_has_its_published_sizes_labels_and_pixels() {
    let Some(dir) = mnist_dir("mnist_has_its_published_sizes_labels_and_pixels") else { return };
    let mnist = Mnist::load(&dir).unwrap();
    let histogram = |set: &Dataset| {
        let mut counts = [0; 10];
        set.labels().iter().for_each(|&label| counts[usize::from(label)] += 1);
        counts
    };
    assert_eq!((mnist.train.len(), mnist.test.len()), (60_000, 10_000));
    assert_eq!((mnist.train.image_shape(), mnist.test.image_shape()), ([28, 28], [28, 28]));
    assert_eq!(histogram(&mnist.train), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    assert_eq!(histogram(&mnist.test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    assert_eq!(mnist.train.labels()[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    assert_eq!(mnist.test.labels()[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    // The well-known mean and standard deviation of the training pixels.
    let (mut sum, mut squares) = (0_u64, 0_u64);
    for i in 0..mnist.train.len() {
        for &byte in mnist.train.image(i) {
            sum += u64::from(byte);
            squares += u64::from(byte).pow(2);
        }
    }
    let count = 60_000.0 * 784.0;
    let mean = sum as f64 / count / 255.0;
    let deviation = (squares as f64 / count / 255.0 / 255.0 - mean * mean).sqrt();
    assert!((mean - 0.1307).abs() < 5e-5 && (deviation - 0.3081).abs() < 5e-5, "{mean} {deviation}");
}

#[test]
fn the_files_of_mnist_are_the_published_ones() {
    let Some(dir) = mnist_dir("the_files_of_mnist_are_the_published_ones") else { return };
    for file in FILES {
        let path = dir.join(format!("{}.gz", file.name));
        if path.is_file() {
            assert_eq!(sha256_of_file(&path).unwrap(), file.sha256, "{}", path.display());
        } else {
            println!("SKIPPED: {}: only the .gz has a published SHA-256", path.display());
        }
    }
}
