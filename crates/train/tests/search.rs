//! Random search: which trials there are, where they lie, how ranges narrow and trials rank.

mod common;
#[path = "common/searches.rs"]
mod searches;

use mnist_io::Dataset;
use optim::Rule;
use searches::{data, search};
use std::sync::Mutex;
use tensor::Exec;
use tensor::isa::AnyIsa;
use train::search::{Found, LogRange, Search, Shard, Trial, validation_split};
use train::{Config, Length, Trainer};

/// On this thread.
fn run(search: &Search) -> Found {
    let (train, validation) = data();
    search.run(Exec::serial(), &train, &validation, None, &|_| ()).unwrap()
}

/// The trials without the work of training: only where they lie.
fn drawn(count: usize, seed: u64) -> Vec<Trial> {
    let mut search = search(&[count], seed);
    search.base.length = Length::Steps(0);
    search.base.architecture.hidden.clear();
    run(&search).trials
}

#[test]
fn a_trial_does_not_depend_on_how_many_trials_there_are() {
    let all = run(&search(&[12], 3)).trials;
    assert_eq!(all.len(), 12);
    for count in [0, 1, 5] {
        assert_eq!(run(&search(&[count], 3)).trials, all[..count], "{count} trials");
    }
    // Neither do the trials of a first round depend on the rounds after it.
    assert_eq!(run(&search(&[5, 3], 3)).trials[..5], all[..5]);
}

#[test]
fn a_trial_does_not_depend_on_jobs_or_isa() {
    let (train, validation) = data();
    let plan = search(&[6, 3], 4);
    let want = run(&plan);
    for isa in AnyIsa::available() {
        for jobs in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build().unwrap();
            let exec = Exec::with_isa(isa, jobs);
            let got = pool.install(|| plan.run(exec, &train, &validation, None, &|_| ())).unwrap();
            assert_eq!(got.trials, want.trials, "{jobs} jobs on {}", isa.name());
            assert_eq!(got.ranges, want.ranges, "{jobs} jobs on {}", isa.name());
        }
    }
}

#[test]
fn shards_are_the_whole_search_cut_in_parts() {
    let all = run(&search(&[11], 5)).trials;
    for of in [1, 2, 3, 20] {
        let mut together = Vec::new();
        for index in 0..of {
            let part = Search { shard: Some(Shard { index, of }), ..search(&[11], 5) };
            let trials = run(&part).trials;
            assert!(trials.iter().all(|trial| trial.number % of == index), "shard {index}/{of}: {trials:?}");
            together.extend(trials);
        }
        together.sort_by_key(|trial| trial.number);
        assert_eq!(together, all, "{of} shards");
    }
}

#[test]
fn a_shard_of_several_rounds_is_refused_with_the_reason() {
    let (train, validation) = data();
    let plan = Search { shard: Some(Shard { index: 0, of: 2 }), ..search(&[2, 2], 5) };
    let message = plan.run(Exec::serial(), &train, &validation, None, &|_| ()).unwrap_err().to_string();
    assert!(message.contains("several rounds; ") && message.contains("--rounds 1"), "{message:?}");
    assert_eq!(message.lines().count(), 1, "{message:?}");
}

#[test]
fn settings_that_cannot_be_are_refused_before_the_first_trial() {
    let (train, validation) = data();
    let mut plan = search(&[2], 5);
    plan.base.batch = 0;
    let told = Mutex::new(0);
    let result = plan.run(Exec::serial(), &train, &validation, None, &|_| *told.lock().unwrap() += 1);
    assert!(result.unwrap_err().to_string().contains("--batch-size"));
    assert_eq!(*told.lock().unwrap(), 0);
}

#[test]
fn a_trial_is_the_run_that_its_settings_say() {
    let (train, validation) = data();
    let plan = search(&[4], 6);
    for trial in run(&plan).trials {
        let Trial { learning_rate, weight_decay, seed, .. } = trial;
        let config = Config { learning_rate, weight_decay, seed, ..plan.base.clone() };
        let mut trainer = Trainer::new(config, Exec::serial(), train.clone()).unwrap();
        let (mut on_train, mut on_validation) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            for _ in 0..4 {
                trainer.step().unwrap();
            }
            on_train.push(trainer.accuracy(&train).unwrap());
            on_validation.push(trainer.accuracy(&validation).unwrap());
        }
        assert_eq!((&trial.train_accuracy, &trial.validation_accuracy), (&on_train, &on_validation));
        assert_eq!(trial.score(), on_validation[1]);
    }
}

#[test]
fn every_trial_has_its_own_settings_and_its_own_seed_and_another_seed_has_others() {
    let (one, two) = (drawn(500, 1), drawn(500, 2));
    let mut all: Vec<[u64; 3]> = one
        .iter()
        .chain(&two)
        .map(|trial| [trial.seed, trial.learning_rate.to_bits(), trial.weight_decay.to_bits()])
        .collect();
    for part in 0..3 {
        all.sort_unstable_by_key(|trial| trial[part]);
        let twice = all.windows(2).filter(|pair| pair[0][part] == pair[1][part]).count();
        assert_eq!(twice, 0, "value {part} of two trials is the same");
    }
    assert!(one.iter().enumerate().all(|(i, trial)| trial.number == i && trial.round == 0));
}

#[test]
fn trials_lie_in_their_ranges_evenly_in_the_logarithm_and_the_two_know_nothing_of_each_other() {
    const BINS: usize = 20;
    let trials = drawn(4000, 7);
    let share = |value: f64, low: f64, high: f64| (value.log10() - low) / (high - low);
    let pairs: Vec<[f64; 2]> = trials
        .iter()
        .map(|trial| [share(trial.learning_rate, -3.0, 0.5), share(trial.weight_decay, -8.0, -4.0)])
        .collect();
    for (part, name) in ["learning rate", "weight decay"].into_iter().enumerate() {
        let mut counts = [0.0; BINS];
        for pair in &pairs {
            assert!((-1e-12..=1.0 + 1e-12).contains(&pair[part]), "a {name} at {} of its range", pair[part]);
            counts[((pair[part] * BINS as f64) as usize).min(BINS - 1)] += 1.0;
        }
        let expected = trials.len() as f64 / BINS as f64;
        let chi_square: f64 = counts.iter().map(|count| (count - expected) * (count - expected) / expected).sum();
        // 19 degrees of freedom: one in a thousand is above 43.8, and one in a thousand below 5.4.
        assert!((5.4..43.8).contains(&chi_square), "{name}: chi-square {chi_square}, counts {counts:?}");
    }
    let mean = |f: &dyn Fn(&[f64; 2]) -> f64| pairs.iter().map(f).sum::<f64>() / pairs.len() as f64;
    let correlation = 12.0 * mean(&|pair| (pair[0] - 0.5) * (pair[1] - 0.5));
    // Its standard deviation is 1/√4000 = 0.016.
    assert!(correlation.abs() < 0.055, "correlation {correlation}");
    let from_one_to_the_next: f64 =
        12.0 * pairs.windows(2).map(|w| (w[0][0] - 0.5) * (w[1][0] - 0.5)).sum::<f64>() / pairs.len() as f64;
    assert!(from_one_to_the_next.abs() < 0.055, "correlation of neighbours {from_one_to_the_next}");
}

#[test]
fn a_range_is_cut_in_the_logarithm_and_takes_two_positive_numbers_in_order() {
    let range = LogRange::new(1e-6, 1e-2).unwrap();
    for (u, want) in [(0.0, 1e-6), (0.25, 1e-5), (0.5, 1e-4), (0.75, 1e-3), (1.0, 1e-2)] {
        assert!((range.at(u) / want - 1.0).abs() < 1e-13, "at {u}: {:e}", range.at(u));
    }
    for (range, [low, high]) in [(range, [1e-6, 1e-2]), (LogRange::decades(-6.0, -2.0), [1e-6, 1e-2])] {
        let bounds = range.bounds();
        assert!((bounds[0] / low - 1.0).abs() < 1e-13 && (bounds[1] / high - 1.0).abs() < 1e-13, "{bounds:?}");
    }
    let point = LogRange::new(0.03, 0.03).unwrap();
    assert!((point.at(0.7) / 0.03 - 1.0).abs() < 1e-13);

    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for (low, high) in
        [(0.0, 1.0), (-1.0, 1.0), (1e-2, 1e-6), (nan, 1.0), (1.0, nan), (1.0, inf), (-inf, 1.0), (0.0, 0.0)]
    {
        let message = LogRange::new(low, high).unwrap_err().to_string();
        assert!(message.contains(&format!("{low}..{high}")), "{message:?}");
        assert!(message.contains("two positive numbers, the smaller first"), "{message:?}");
        assert_eq!(message.lines().count(), 1, "{message:?}");
    }
}

#[test]
fn a_rounds_range_is_what_the_best_fifth_so_far_span_with_a_margin_inside_the_one_before() {
    let rounds = [15, 15, 15, 15];
    let found = run(&search(&rounds, 8));
    assert_eq!((found.ranges.len(), found.trials.len()), (4, 60));
    let logs = |range: LogRange| range.bounds().map(f64::log10);
    assert_eq!(found.ranges[0], [LogRange::decades(-3.0, 0.5), LogRange::decades(-8.0, -4.0)]);
    let mut shrunk = 0;
    for round in 1..4 {
        let before = Found { trials: found.trials[..15 * round].to_vec(), ranges: Vec::new() };
        let best = &before.ranking()[..3 * round];
        let values: [fn(&Trial) -> f64; 2] = [|trial| trial.learning_rate, |trial| trial.weight_decay];
        for (part, value) in values.into_iter().enumerate() {
            let ([low, high], [old_low, old_high]) =
                (logs(found.ranges[round][part]), logs(found.ranges[round - 1][part]));
            assert!(old_low <= low + 1e-12 && low < high && high <= old_high + 1e-12, "round {round}: {low}..{high}");
            shrunk += usize::from(high - low < 0.99 * (old_high - old_low));
            let spanned: Vec<f64> = best.iter().map(|trial| value(trial).log10()).collect();
            let least = spanned.iter().copied().fold(f64::INFINITY, f64::min);
            let most = spanned.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let margin = 0.1 * (most - least).max(0.1);
            let want = [(least - margin).max(old_low), (most + margin).min(old_high)];
            assert!((low - want[0]).abs() < 1e-11 && (high - want[1]).abs() < 1e-11, "{low}..{high}, but {want:?}");
        }
    }
    assert!(shrunk >= 2, "hardly any of six ranges is narrower than the one before");
    for trial in &found.trials {
        assert_eq!(trial.round, trial.number / 15);
        for (range, value) in found.ranges[trial.round].iter().zip([trial.learning_rate, trial.weight_decay]) {
            let [low, high] = range.bounds();
            assert!(low * (1.0 - 1e-12) <= value && value <= high * (1.0 + 1e-12), "{trial:?} outside {low}..{high}");
        }
    }
}

#[test]
fn the_best_comes_first_and_of_equals_the_one_with_the_lower_number() {
    let trial = |number: usize, validation: &[f64]| Trial {
        number,
        round: 0,
        learning_rate: 0.1,
        weight_decay: 0.1,
        seed: 0,
        validation_accuracy: validation.to_vec(),
        // Not what a trial is judged by.
        train_accuracy: vec![1.0 - validation.last().unwrap_or(&0.0)],
    };
    let trials =
        vec![trial(0, &[0.9, 0.5]), trial(1, &[0.1, 0.7]), trial(2, &[]), trial(3, &[0.7]), trial(4, &[0.2, 0.8])];
    for reversed in [false, true] {
        let mut trials = trials.clone();
        if reversed {
            trials.reverse();
        }
        let found = Found { trials, ranges: Vec::new() };
        let numbers: Vec<usize> = found.ranking().iter().map(|trial| trial.number).collect();
        assert_eq!(numbers, [4, 1, 3, 0, 2], "reversed: {reversed}");
    }
    // The last epoch, even if an earlier one was better.
    assert_eq!(trials[0].score(), 0.5);
}

#[test]
fn each_trial_is_told_of_once_as_it_ends() {
    let (train, validation) = data();
    let plan = search(&[5, 4], 9);
    let told = Mutex::new(Vec::new());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let exec = Exec::new(2).unwrap();
    let found = pool
        .install(|| plan.run(exec, &train, &validation, None, &|trial| told.lock().unwrap().push(trial.clone())))
        .unwrap();
    let mut told = told.into_inner().unwrap();
    told.sort_by_key(|trial| trial.number);
    assert_eq!(told, found.trials);
    assert_eq!(told.len(), 9);
}

#[test]
fn a_trial_that_diverges_is_a_result_like_any_other() {
    let mut plan = search(&[2], 10);
    plan.learning_rate = LogRange::decades(25.0, 26.0);
    for trial in run(&plan).trials {
        // A network of NaN predicts class 0, which two of the 20 validation samples are.
        assert_eq!(trial.validation_accuracy, [0.1, 0.1], "{trial:?}");
    }
}

#[test]
fn a_validation_split_is_a_shuffle_cut_in_two_and_a_function_of_its_seed() {
    // Image i is told by its pixels.
    let pixels = (0..500_u32).flat_map(|i| [(i / 250) as u8, (i % 250) as u8]).collect();
    let data = Dataset::new(pixels, (0..500).map(|i| (i % 10) as u8).collect(), 1, 2).unwrap();
    let numbers = |data: &Dataset| -> Vec<usize> {
        (0..data.len())
            .map(|i| {
                let number = 250 * usize::from(data.image(i)[0]) + usize::from(data.image(i)[1]);
                assert_eq!(usize::from(data.labels()[i]), number % 10, "an image with another's label");
                number
            })
            .collect()
    };
    let split = |share: f64, seed: u64| {
        let (train, validation) = validation_split(&data, share, seed);
        (numbers(&train), numbers(&validation))
    };
    for (share, size) in [(0.2, 100), (0.5, 250), (0.0, 0), (1.0, 500), (0.001, 0)] {
        let (train, validation) = split(share, 1);
        assert_eq!((train.len(), validation.len()), (500 - size, size), "a share of {share}");
        let mut together = [train, validation].concat();
        together.sort_unstable();
        assert_eq!(together, (0..500).collect::<Vec<_>>(), "a share of {share}");
    }
    assert_eq!(split(0.2, 1), split(0.2, 1));
    let (one, two) = (split(0.2, 1).1, split(0.2, 2).1);
    assert_ne!(one, two);
    let common = one.iter().filter(|number| two.contains(number)).count();
    assert!(common < 40, "two seeds share {common} of 100; chance is 20");
    assert!(one.windows(2).any(|pair| pair[0] > pair[1]), "the first hundred are no shuffle");
}

#[test]
fn the_chapters_search_has_the_chapters_ranges_and_network() {
    let book = Search::book(3);
    assert_eq!(book.learning_rate, LogRange::decades(-6.0, -2.0));
    assert_eq!(book.weight_decay, LogRange::decades(-8.0, -4.0));
    assert_eq!((book.rounds, book.seed, book.shard), (vec![100], 3, None));
    assert_eq!(book.base.architecture.hidden, [100; 6]);
    assert_eq!((book.base.length, book.base.rule, book.base.batch), (Length::Epochs(50), Rule::SGD, 100));
}
