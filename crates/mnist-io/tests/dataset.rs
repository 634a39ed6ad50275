//! The data set: what is shared and what is copied, the floats of a batch, and whether the samplers are fair.

use mnist_io::dataset::{below, shuffle};
use mnist_io::idx::{Elements, Idx};
use mnist_io::{Dataset, Fault, Sampler, Sampling};
use rand::rand_core::TryRng;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::panic::{UnwindSafe, catch_unwind};

fn rng(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// `count` images of 3×2 pixels, each pixel and label a function of where it stands.
fn digits(count: usize) -> Dataset {
    let pixels = (0..count * 6).map(|i| (i * 7 + i / 256) as u8).collect();
    Dataset::new(pixels, (0..count).map(|i| (i % 10) as u8).collect(), 3, 2).unwrap()
}

fn images(set: &Dataset) -> Vec<&[u8]> {
    (0..set.len()).map(|i| set.image(i)).collect()
}

/// What a call panics with.
fn panic_of<T>(call: impl FnOnce() -> T + UnwindSafe) -> String {
    let Err(panic) = catch_unwind(call) else { panic!("should have panicked") };
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap().to_string())
}

/// Pearson's chi-square against equal shares.
fn chi_square(counts: impl ExactSizeIterator<Item = usize> + Clone) -> f64 {
    let expected = counts.clone().sum::<usize>() as f64 / counts.len() as f64;
    counts.map(|count| (count as f64 - expected).powi(2) / expected).sum()
}

#[test]
fn a_data_set_gives_its_images_row_by_row_and_their_labels() {
    let set = digits(25);
    assert_eq!((set.len(), set.is_empty(), set.width(), set.image_shape()), (25, false, 6, [3, 2]));
    assert_eq!(set.image(0), [0, 7, 14, 21, 28, 35]);
    assert_eq!(set.image(24), [240, 247, 254, 5, 12, 19]);
    assert_eq!(set.labels()[..12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    assert_eq!(set.labels().len(), 25);
}

#[test]
fn images_that_do_not_make_a_data_set_are_refused_with_their_numbers() {
    let fault = |pixels: usize, labels: &[u8], rows, columns| {
        Dataset::new(vec![0; pixels], labels.to_vec(), rows, columns).expect_err("no data set")
    };
    let inconsistent = |what: &str| Fault::Inconsistent { what: what.to_owned() };
    assert_eq!(fault(18, &[1, 2], 3, 2), inconsistent("3 images but 2 labels; there must be one each"));
    assert_eq!(fault(12, &[1, 2, 3], 3, 2), inconsistent("2 images but 3 labels; there must be one each"));
    let what = "17 bytes, which are no whole images of 3x2 pixels, but 3 labels; there must be one each";
    assert_eq!(fault(17, &[1, 2, 3], 3, 2), inconsistent(what));
    assert_eq!(fault(0, &[], 3, 2), inconsistent("0 images of 3x2 pixels; there must be some"));
    assert_eq!(fault(12, &[], 3, 2), inconsistent("2 images but 0 labels; there must be one each"));
    assert_eq!(fault(0, &[1], 0, 2), inconsistent("1 images of 0x2 pixels; there must be some"));
    assert_eq!(fault(0, &[1], 3, 0), inconsistent("1 images of 3x0 pixels; there must be some"));
    assert_eq!(fault(18, &[9, 0, 10], 3, 2), Fault::Label { label: 10, index: 2 });
    assert_eq!(fault(18, &[255, 10, 0], 3, 2), Fault::Label { label: 255, index: 0 });
}

#[test]
fn arrays_of_the_wrong_kind_are_refused_and_the_right_one_of_the_two_is_blamed() {
    let array = |shape: &[u32], elements| Idx { shape: shape.to_vec(), elements };
    let good_images = array(&[2, 1, 2], Elements::U8(vec![1, 2, 3, 4]));
    let good_labels = array(&[2], Elements::U8(vec![5, 6]));
    let set = Dataset::from_idx(good_images.clone(), good_labels.clone()).unwrap();
    assert_eq!((images(&set), set.labels()), (vec![&[1, 2][..], &[3, 4]], &[5, 6][..]));

    let kind = |found: &str, wanted| Fault::Kind { found: found.to_owned(), wanted };
    let of = |images: &Idx, labels: &Idx| Dataset::from_idx(images.clone(), labels.clone()).expect_err("no data set");
    let wanted = "u8 images of rank 3";
    let wrong = array(&[2, 2], Elements::U8(vec![1, 2, 3, 4]));
    assert_eq!(of(&wrong, &good_labels), (false, kind("u8 of shape [2, 2]", wanted)));
    let wrong = array(&[2, 1, 2], Elements::I8(vec![1, 2, 3, 4]));
    assert_eq!(of(&wrong, &good_labels), (false, kind("i8 of shape [2, 1, 2]", wanted)));
    let wanted = "u8 labels of rank 1";
    let wrong = array(&[2, 1], Elements::U8(vec![5, 6]));
    assert_eq!(of(&good_images, &wrong), (true, kind("u8 of shape [2, 1]", wanted)));
    let wrong = array(&[2], Elements::F64(vec![5.0, 6.0]));
    assert_eq!(of(&good_images, &wrong), (true, kind("f64 of shape [2]", wanted)));
    let wrong = array(&[2], Elements::U8(vec![5, 10]));
    assert_eq!(of(&good_images, &wrong), (true, Fault::Label { label: 10, index: 1 }));
    let wrong = array(&[1], Elements::U8(vec![5]));
    assert!(matches!(of(&good_images, &wrong), (false, Fault::Inconsistent { .. })));
}

#[test]
fn slices_and_splits_share_the_bytes_and_a_reordering_copies_the_right_ones() {
    let set = digits(40);
    let slice = set.slice(7..31);
    assert_eq!(images(&slice), images(&set)[7..31]);
    assert_eq!(slice.labels(), &set.labels()[7..31]);
    let inner = slice.slice(3..5);
    assert_eq!((images(&inner), inner.labels()), (images(&set)[10..12].to_vec(), &set.labels()[10..12]));
    assert_eq!(inner.image(1).as_ptr(), set.image(11).as_ptr(), "a slice of a slice shares the pixels");
    assert_eq!(inner.labels().as_ptr(), set.labels()[10..].as_ptr(), "and the labels");
    assert_eq!(set.clone().image(0).as_ptr(), set.image(0).as_ptr(), "so does a clone");

    let (head, tail) = set.split(13);
    assert_eq!((head.len(), tail.len()), (13, 27));
    assert_eq!([images(&head), images(&tail)].concat(), images(&set));
    assert_eq!([head.labels(), tail.labels()].concat(), set.labels());
    assert_eq!(tail.image(0).as_ptr(), set.image(13).as_ptr(), "a split shares the pixels");
    let (all, none) = set.split(41);
    assert_eq!((all.len(), none.len(), none.is_empty()), (40, 0, true));
    let (none, all) = set.split(0);
    assert_eq!((none.len(), none.is_empty(), images(&all)), (0, true, images(&set)));
    assert!(none.labels().is_empty());

    let order = [23, 0, 5, 5, 1];
    let reordered = slice.reordered(&order);
    assert_eq!(images(&reordered), order.map(|i| slice.image(i)));
    assert_eq!(reordered.labels(), order.map(|i| slice.labels()[i]));
    assert_eq!(reordered.image_shape(), [3, 2]);
    let all = set.image(0).as_ptr_range().start..set.image(39).as_ptr_range().end;
    assert!(!all.contains(&reordered.image(0).as_ptr()), "a reordering copies");
    assert_eq!(images(&set), images(&digits(40)), "and leaves the original as it was");
}

#[test]
fn a_clone_is_the_same_images_in_the_same_memory_and_nothing_else_is() {
    let set = digits(40);
    assert!(set.is_clone_of(&set.clone()) && set.slice(0..40).is_clone_of(&set));
    assert!(set.slice(3..9).is_clone_of(&set.slice(2..20).slice(1..7)), "the same slice, taken twice");
    for other in [set.slice(0..39), set.slice(1..40), digits(40), set.reordered(&[0; 40])] {
        assert!(!set.is_clone_of(&other) && !other.is_clone_of(&set), "{} images", other.len());
    }
    assert!(!set.slice(3..9).is_clone_of(&set.slice(4..10)), "as many, but others");
}

#[test]
fn a_slice_does_not_reach_beyond_its_range() {
    let set = digits(10).slice(2..6);
    assert_eq!(panic_of(|| set.image(4).to_vec()), "image 4 of 4");
    assert_eq!(panic_of(|| set.image(usize::MAX).to_vec()), "image 18446744073709551615 of 4");
    assert_eq!(panic_of(|| set.slice(1..5)), "images 1..5 of 4");
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is refused")]
    let backwards = panic_of(|| set.slice(3..2));
    assert_eq!(backwards, "images 3..2 of 4");
    assert_eq!(panic_of(|| set.reordered(&[0, 4])), "image 4 of 4");
    assert!(panic_of(|| set.reordered(&[])).contains("images of a data set make a data set"));
    assert_eq!(panic_of(|| set.gather(&[4], &mut [0.0; 6], &mut [0])), "image 4 of 4");
}

#[test]
fn a_batch_is_each_byte_divided_by_255_and_its_labels_in_the_order_asked_for() {
    // Every byte once, in 16 images of 16 pixels.
    let set = Dataset::new((0..=255).collect(), (0..16).map(|i| i % 10).collect(), 4, 4).unwrap();
    let indices = [15, 0, 7, 7, 3, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14];
    let mut x = [f32::NAN; 17 * 16];
    let mut labels = [99; 17];
    set.gather(&indices, &mut x, &mut labels);
    for (row, &index) in indices.iter().enumerate() {
        for column in 0..16 {
            let byte = (index * 16 + column) as u8;
            let right = (f64::from(byte) / 255.0) as f32;
            assert_eq!(x[row * 16 + column].to_bits(), right.to_bits(), "byte {byte}");
        }
        assert_eq!(usize::from(labels[row]), index % 10);
    }
    assert_eq!((x.iter().copied().fold(0.0, f32::max), x[16]), (1.0, 0.0), "from 0 to 1, both reached");

    let slice = set.slice(9..12);
    let (mut x, mut labels) = ([f32::NAN; 16], [99]);
    slice.gather(&[2], &mut x, &mut labels);
    assert_eq!((x[0], labels), (176.0 / 255.0, [1]), "indices are those of the slice");
    slice.gather(&[], &mut [], &mut []);
}

#[test]
fn buffers_that_do_not_fit_a_batch_are_refused() {
    let set = digits(4);
    for (floats, labels) in [(11, 2), (13, 2), (0, 2), (12, 1), (12, 3)] {
        let message = panic_of(|| set.gather(&[0, 1], &mut vec![0.0; floats], &mut vec![0; labels]));
        assert!(message.contains("room for the"), "{floats} floats, {labels} labels: {message}");
    }
}

#[test]
fn drawing_with_replacement_is_uniform_independent_and_the_same_for_the_same_seed() {
    const COUNT: usize = 50;
    let mut sampler = Sampler::new(Sampling::Replacement, rng(1), COUNT, 20);
    let mut again = sampler.clone();
    let mut other = Sampler::new(Sampling::Replacement, rng(2), COUNT, 20);
    let (mut singles, mut pairs, mut repeats, mut equal) = ([0; COUNT], vec![0; COUNT * COUNT], 0, 0);
    for _ in 0..5000 {
        let batch = sampler.next_batch().to_vec();
        assert_eq!(batch.len(), 20);
        assert_eq!(batch, again.next_batch(), "same seed, same batches");
        equal += usize::from(batch == other.next_batch());
        repeats += usize::from(batch.iter().collect::<HashSet<_>>().len() < 20);
        batch.iter().for_each(|&i| singles[i] += 1);
        batch.windows(2).for_each(|pair| pairs[pair[0] * COUNT + pair[1]] += 1);
    }
    assert_eq!(equal, 0, "another seed, other batches");
    // One batch of 20 out of 50 is without a repetition with probability 0.013.
    assert!((4800..5000).contains(&repeats), "{repeats} batches with repetitions");
    // 49 degrees of freedom: below 85.4 with probability 0.999, above 23.98 with 0.999 (less would be dealing, not
    // drawing).
    let single = chi_square(singles.iter().copied());
    assert!((23.98..85.4).contains(&single), "chi-square {single}");
    // 2499 degrees of freedom: mean 2499, standard deviation 70.7.
    let pair = chi_square(pairs.iter().copied());
    assert!((2499.0 - 4.0 * 70.7..2499.0 + 4.0 * 70.7).contains(&pair), "chi-square of neighbours {pair}");
}

#[test]
fn a_shuffled_epoch_deals_every_sample_at_most_once_and_exactly_once_if_batches_divide_it() {
    for (count, batch) in [(100, 10), (103, 10), (100, 100), (101, 100), (199, 100), (7, 1), (1, 1)] {
        let mut sampler = Sampler::new(Sampling::Shuffle, rng(3), count, batch);
        let steps = count / batch;
        let mut epochs: Vec<Vec<usize>> = Vec::new();
        for epoch in 0..30 {
            let dealt: Vec<_> = (0..steps).flat_map(|_| sampler.next_batch().to_vec()).collect();
            let distinct: HashSet<_> = dealt.iter().copied().collect();
            assert_eq!(distinct.len(), steps * batch, "epoch {epoch} of {count} by {batch} deals a sample twice");
            assert!(dealt.iter().all(|&i| i < count), "{dealt:?}");
            epochs.push(dealt);
        }
        if count > 10 {
            let distinct: HashSet<_> = epochs.iter().collect();
            assert_eq!(distinct.len(), 30, "two epochs of {count} by {batch} in the same order");
            assert_ne!(epochs[0], (0..steps * batch).collect::<Vec<_>>(), "the first epoch is shuffled, too");
        }
        let ever: HashSet<_> = epochs.concat().into_iter().collect();
        assert_eq!(ever.len(), count, "what one epoch of {count} by {batch} leaves out comes in another");
    }
}

#[test]
fn a_shuffling_sampler_gives_the_same_batches_for_the_same_seed_and_others_for_another() {
    let batches = |seed| {
        let mut sampler = Sampler::new(Sampling::Shuffle, rng(seed), 60, 7);
        (0..40).map(|_| sampler.next_batch().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(batches(4), batches(4));
    assert_ne!(batches(4), batches(5));
}

#[test]
fn samplers_that_cannot_deal_a_batch_are_refused() {
    let message = |sampling, count, batch| panic_of(move || Sampler::new(sampling, rng(0), count, batch));
    for sampling in [Sampling::Replacement, Sampling::Shuffle] {
        assert_eq!(message(sampling, 0, 5), "batches of 5 from 0 samples");
        assert_eq!(message(sampling, 5, 0), "batches of 0 from 5 samples");
    }
    assert_eq!(message(Sampling::Shuffle, 5, 6), "batches of 6 from 5 samples");
    let mut sampler = Sampler::new(Sampling::Replacement, rng(0), 5, 6);
    assert_eq!(sampler.next_batch().len(), 6, "with replacement a batch may be larger than the set");
}

#[test]
fn every_permutation_comes_from_a_shuffle_equally_often() {
    let mut rng = rng(6);
    let mut counts: HashMap<[u8; 4], usize> = HashMap::new();
    for _ in 0..24_000 {
        let mut items = [0, 1, 2, 3];
        shuffle(&mut rng, &mut items);
        *counts.entry(items).or_default() += 1;
    }
    assert_eq!(counts.len(), 24);
    // 23 degrees of freedom: below 49.7 with probability 0.999.
    let statistic = chi_square(counts.values().copied());
    assert!(statistic < 49.7, "chi-square {statistic}");
    shuffle(&mut rng, &mut [0; 0]);
    let mut one = ["alone"];
    shuffle(&mut rng, &mut one);
    assert_eq!(one, ["alone"]);
}

/// Gives the numbers it is told to give, in order.
struct Scripted(std::vec::IntoIter<u64>);

impl TryRng for Scripted {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("32 bits are too few")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next().expect("the script is long enough"))
    }
    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        panic!("not bytes")
    }
}

#[test]
fn a_number_below_a_bound_is_in_range_and_unbiased() {
    let mut rng = rng(7);
    assert!((0..100).all(|_| below(&mut rng, 1) == 0));
    for bound in [2, 3, 6, 10, 1000] {
        let mut counts = vec![0; bound];
        (0..1000 * bound).for_each(|_| counts[below(&mut rng, bound)] += 1);
        // Four standard deviations above the mean of chi-square.
        let (statistic, freedom) = (chi_square(counts.iter().copied()), (bound - 1) as f64);
        assert!(statistic < freedom + 4.0 * (2.0 * freedom).sqrt() + 4.0, "bound {bound}: chi-square {statistic}");
    }
    for bound in [1 << 40, (1 << 40) + 1, usize::MAX] {
        let mut eighths = [0; 8];
        for _ in 0..8000 {
            let number = below(&mut rng, bound);
            assert!(number < bound);
            eighths[(number as u128 * 8 / bound as u128) as usize] += 1;
        }
        let statistic = chi_square(eighths.iter().copied());
        assert!(statistic < 24.3, "bound {bound}: chi-square {statistic} of 7 degrees of freedom");
    }
}

#[test]
fn a_bound_that_is_a_large_part_of_all_numbers_shows_no_bias() {
    // With 3/4 of 2^64 as bound, a remainder gives the first third too often, and a product without rejection gives
    // multiples of 3 twice as often as others.
    const BOUND: usize = 3 << 62;
    let mut rng = rng(8);
    let (mut thirds, mut remainders) = ([0; 3], [0; 3]);
    for _ in 0..30_000 {
        let number = below(&mut rng, BOUND);
        thirds[number >> 62] += 1;
        remainders[number % 3] += 1;
    }
    // 2 degrees of freedom: below 13.8 with probability 0.999.
    for (what, counts) in [("thirds", thirds), ("remainders", remainders)] {
        assert!(chi_square(counts.iter().copied()) < 13.8, "{what}: {counts:?}");
    }
}

#[test]
fn the_few_draws_that_would_bias_a_bound_are_drawn_again_and_no_others() {
    // 2^64 = 3 · q + 1: of the 2^64 draws exactly one is too many, and it is 0.
    let third = u64::MAX / 3;
    let script = vec![0, 1, u64::MAX, 0, 0, third + 1, third, 2 * third, 2 * third + 1];
    let mut scripted = Scripted(script.into_iter());
    let numbers: Vec<_> = (0..6).map(|_| below(&mut scripted, 3)).collect();
    assert_eq!(numbers, [0, 2, 1, 0, 1, 2]);
    assert!(scripted.0.next().is_none(), "all draws used");
    // A power of two rejects nothing.
    let mut scripted = Scripted(vec![0, 1 << 62, u64::MAX].into_iter());
    assert_eq!([below(&mut scripted, 4), below(&mut scripted, 4), below(&mut scripted, 4)], [0, 1, 3]);
    assert_eq!(panic_of(|| below(&mut rng(0), 0)), "a number below 0");
    // One draw each, as the cost of a batch says.
    let mut counted = rng(9);
    let mut expected = counted.clone();
    Sampler::new(Sampling::Replacement, &mut counted, 50, 20).next_batch();
    assert_eq!(Some(counted.next_u64()), std::iter::repeat_with(|| expected.next_u64()).nth(20));
}
