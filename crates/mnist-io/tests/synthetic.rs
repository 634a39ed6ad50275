//! The synthetic digits: the same for the same seed, however made, and hard enough to be worth learning.

use mnist_io::file::hex;
use mnist_io::idx::{Elements, Idx};
use mnist_io::mnist::FILES;
use mnist_io::synthetic::Synthetic;
use mnist_io::{Dataset, Fault, Mnist};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// SHA-256 over the four arrays' IDX bytes, one after the other, of `Synthetic { train: 300, test: 100, seed: 1 }`.
///
/// Every published number on synthetic digits hangs on it. After a deliberate change of the generator, copy the new
/// value from the message of the failing test, and make those numbers anew.
const FROZEN_SHA256: &str = "d81fdf7622c614f6cfd478641464229434e613bdd7f537d4d7292f9b3ef293ca";

fn sha256(arrays: &[Idx]) -> String {
    let mut hasher = Sha256::new();
    arrays.iter().for_each(|idx| hasher.update(idx.to_bytes().unwrap()));
    hex(&hasher.finalize())
}

fn bytes(idx: &Idx) -> &[u8] {
    let Elements::U8(bytes) = &idx.elements else { panic!("{} elements", idx.elements.type_name()) };
    bytes
}

fn images(set: &Dataset) -> impl Iterator<Item = &[u8]> {
    (0..set.len()).map(|i| set.image(i))
}

fn generate(train: usize, test: usize, seed: u64) -> Mnist {
    Synthetic { train, test, seed }.generate(2).unwrap()
}

#[test]
fn the_generator_still_draws_the_digits_that_results_were_published_for() {
    let found = sha256(&Synthetic { train: 300, test: 100, seed: 1 }.arrays(2));
    assert_eq!(found, FROZEN_SHA256, "the generator has changed; if on purpose, FROZEN_SHA256 is to be {found}");
}

#[test]
fn any_number_of_threads_draws_the_same_bytes() {
    // Not divisible by the threads, and fewer images than threads.
    for (train, test) in [(301, 100), (7, 1), (2, 3)] {
        let synthetic = Synthetic { train, test, seed: 5 };
        let one = synthetic.arrays(1);
        assert_eq!(one[0].shape, [train as u32, 28, 28]);
        assert_eq!(one[1].shape, [train as u32]);
        assert_eq!(one[2].shape, [test as u32, 28, 28]);
        assert_eq!(one[3].shape, [test as u32]);
        for threads in [0, 1, 2, 3, 8] {
            assert!(synthetic.arrays(threads) == one, "{threads} threads, {train} and {test} images");
        }
    }
}

#[test]
fn another_seed_or_set_gives_other_images_and_labels() {
    let of_seed = |seed| Synthetic { train: 100, test: 100, seed }.arrays(2);
    let sets: Vec<_> = [0, 1, 2, 3, u64::MAX].into_iter().flat_map(of_seed).collect();
    let (pixels, labels): (Vec<_>, Vec<_>) = sets.chunks(2).map(|pair| (bytes(&pair[0]), bytes(&pair[1]))).unzip();
    assert_eq!(labels.iter().collect::<HashSet<_>>().len(), 10, "two sets have the same labels");
    let images: HashSet<_> = pixels.iter().flat_map(|pixels| pixels.chunks(784)).collect();
    assert_eq!(images.len(), 1000, "an image is in two sets, or twice in one");
}

#[test]
fn an_image_does_not_depend_on_how_many_follow_it() {
    let (few, many) = (generate(50, 20, 1), generate(200, 90, 1));
    assert!(images(&few.train).eq(images(&many.train).take(50)));
    assert!(images(&few.test).eq(images(&many.test).take(20)));
    assert_eq!(few.train.labels(), &many.train.labels()[..50]);
    assert_eq!(few.test.labels(), &many.test.labels()[..20]);
}

#[test]
fn no_image_is_in_both_the_training_and_the_test_set_or_twice_in_one() {
    let digits = generate(5000, 2000, 1);
    let distinct: HashSet<_> = images(&digits.train).chain(images(&digits.test)).collect();
    assert_eq!(distinct.len(), 7000);
}

#[test]
fn every_class_has_its_share_and_no_image_is_empty_or_full() {
    let digits = generate(5000, 1, 1).train;
    let mut counts = [0; 10];
    digits.labels().iter().for_each(|&label| counts[usize::from(label)] += 1);
    assert!(counts.iter().all(|count| (350..=650).contains(count)), "{counts:?} of 5000");
    for (i, image) in images(&digits).enumerate() {
        let ink = image.iter().map(|&byte| f64::from(byte)).sum::<f64>() / 255.0;
        let dark = image.iter().filter(|&&byte| byte >= 128).count();
        let label = digits.labels()[i];
        assert!((12..=400).contains(&dark), "image {i}, a {label}: {dark} dark pixels of 784");
        assert!((15.0..400.0).contains(&ink), "image {i}, a {label}: {ink} pixels' worth of ink");
    }
}

#[test]
fn the_digits_have_about_as_much_ink_as_mnist() {
    let digits = generate(5000, 1, 1).train;
    let pixels: Vec<f64> = digits.pixels().iter().map(|&byte| f64::from(byte) / 255.0).collect();
    let mean_of = |f: &dyn Fn(f64) -> f64| pixels.iter().map(|&x| f(x)).sum::<f64>() / pixels.len() as f64;
    let (mean, square) = (mean_of(&|x| x), mean_of(&|x| x * x));
    let lit = mean_of(&|x| f64::from(u8::from(x > 0.0)));
    let deviation = (square - mean * mean).sqrt();
    // MNIST's training images: 0.1912, 0.1307 and 0.3081.
    assert!((0.18..0.20).contains(&lit), "{lit} of the pixels are not 0");
    assert!((0.125..0.137).contains(&mean), "mean {mean}");
    assert!((0.29..0.32).contains(&deviation), "standard deviation {deviation}");
}

#[test]
fn the_files_written_are_read_back_as_what_is_generated_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let synthetic = Synthetic { train: 120, test: 40, seed: 9 };
    synthetic.write(dir.path(), 3).unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected = FILES.map(|file| format!("{}.gz", file.name));
    expected.sort();
    assert_eq!(names, expected, "the four files and nothing else");

    let (read, made) = (Mnist::load(dir.path()).unwrap(), synthetic.generate(1).unwrap());
    for (read, made, count) in [(&read.train, &made.train, 120), (&read.test, &made.test, 40)] {
        assert_eq!((read.len(), made.len(), read.image_shape()), (count, count, [28, 28]));
        assert!(images(read).eq(images(made)));
        assert_eq!(read.labels(), made.labels());
    }
    for (file, idx) in FILES.iter().zip(synthetic.arrays(2)) {
        assert!(Idx::read(&dir.path().join(format!("{}.gz", file.name))).unwrap() == idx, "{}", file.name);
    }
}

#[test]
fn a_set_without_images_is_refused() {
    for (train, test) in [(0, 5), (5, 0)] {
        let fault = Synthetic { train, test, seed: 1 }.generate(2).expect_err("a set is empty");
        assert!(matches!(fault, Fault::Inconsistent { .. }), "{fault}");
    }
}

#[test]
fn the_default_is_as_large_as_mnist() {
    assert_eq!(Synthetic::default(), Synthetic { train: 60_000, test: 10_000, seed: 1 });
}

/// The share of `test` whose nearest class mean of `train` is that of their label.
fn nearest_mean_accuracy(train: &Dataset, test: &Dataset) -> f64 {
    let mut means = vec![[0.0; 784]; 10];
    let mut counts = [0.0; 10];
    for (image, &label) in images(train).zip(train.labels()) {
        counts[usize::from(label)] += 1.0;
        means[usize::from(label)].iter_mut().zip(image).for_each(|(mean, &byte)| *mean += f64::from(byte));
    }
    for (mean, count) in means.iter_mut().zip(counts) {
        mean.iter_mut().for_each(|sum| *sum /= count);
    }
    let right = images(test).zip(test.labels()).filter(|&(image, &label)| {
        let distance =
            |mean: &[f64; 784]| mean.iter().zip(image).map(|(m, &x)| (m - f64::from(x)).powi(2)).sum::<f64>();
        let nearest = (0..10).min_by(|&a, &b| distance(&means[a]).total_cmp(&distance(&means[b])));
        nearest == Some(usize::from(label))
    });
    right.count() as f64 / test.len() as f64
}

#[test]
fn the_nearest_class_mean_learns_the_digits_but_not_all_of_them() {
    let digits = generate(3000, 1000, 1);
    let accuracy = nearest_mean_accuracy(&digits.train, &digits.test);
    assert!(accuracy > 0.40, "{accuracy}: noise");
    // 0.82 on MNIST.
    assert!(accuracy < 0.95, "{accuracy}: too easy to tell one network from another");
    let shifted = Dataset::new(
        images(&digits.test).flatten().copied().collect(),
        digits.test.labels().iter().map(|label| (label + 1) % 10).collect(),
        28,
        28,
    );
    let by_wrong_labels = nearest_mean_accuracy(&digits.train, &shifted.unwrap());
    assert!(by_wrong_labels < 0.15, "{by_wrong_labels} right by wrong labels: the measure is broken");
}
