//! The chapter on real MNIST against the marks of `tests/reference/chapter6.json` (five runs of the book's NumPy code),
//! and the chapter's claims as statements. All tests here look at one run of the chapter, five seeds of each
//! experiment.
//!
//! ```text
//! MNIST_DIR=… cargo test --release -p groundup --test reference -- --ignored --nocapture
//! ```

mod support {
    pub mod korean;
    pub mod run;
}

use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use support::korean::english_results;
use support::run::groundup;

/// The experiments that depend on the digits.
const NAMES: [&str; 6] =
    ["optimizer-comparison", "init-comparison", "batch-norm", "weight-decay", "dropout", "hyperparameter-search"];

/// (experiment, quantity) of the reference, and ours of the same meaning.
const LOSS_CURVES: [(&str, &str); 4] =
    [("loss100", "loss100"), ("loss500", "loss500"), ("last100", "last100"), ("test_acc", "test_accuracy")];
const OVERFITTING: [(&str, &str); 2] = [("train_acc", "train_accuracy"), ("test_acc", "test_accuracy")];
const BATCH_NORM: [(&str, &str); 4] = [
    ("bn_final", "batch_norm_final"),
    ("bn_epoch5", "batch_norm_step50"),
    ("plain_final", "plain_final"),
    ("plain_epoch5", "plain_step50"),
];

/// The row of chapter6.json whose mark is taken from more seeds.
const LUCKY_ROW: (&str, &str, &str) = ("batch-norm", "0.002154", "bn_final");

/// A file of marks.
fn marks(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference").join(name);
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// What the chapter left: each experiment's `results`, by name, and the page.
struct Chapter(HashMap<&'static str, Value>, String);

/// The chapter on the files of `MNIST_DIR`, run once; `None`, and a line that says so, without them.
fn chapter(test: &str) -> Option<&'static Chapter> {
    static CHAPTER: OnceLock<Chapter> = OnceLock::new();
    let Some(mnist) = std::env::var_os("MNIST_DIR").filter(|dir| !dir.is_empty()) else {
        println!("SKIPPED: {test}: MNIST_DIR is not set");
        return None;
    };
    Some(CHAPTER.get_or_init(|| {
        let mnist = fs::canonicalize(mnist).expect("MNIST_DIR is a folder");
        let out = tempfile::tempdir().unwrap();
        let mut args = vec!["chapter"];
        args.extend(NAMES);
        args.extend(["--runs", "5", "--data", mnist.to_str().unwrap(), "--out", out.path().to_str().unwrap()]);
        args.extend(["--lang", "ko"]);
        println!("{}", groundup(&args));
        let read = |name: &'static str| {
            let text = fs::read_to_string(out.path().join(format!("{name}.json"))).unwrap();
            let json: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&json["experiment"], &json["data"]), (&name.into(), &"MNIST".into()));
            assert_eq!(json["runs"], 5);
            (name, json["results"].clone())
        };
        let page = fs::read_to_string(out.path().join("index.html")).unwrap();
        Chapter(NAMES.into_iter().map(read).collect(), page)
    }))
}

impl Chapter {
    /// The values of a quantity, one a run. A value that is not a number (JSON has no NaN) is NaN here.
    fn runs(&self, experiment: &str, variant: &str, quantity: &str) -> Vec<f64> {
        let runs = self.0[experiment][variant][quantity].as_array();
        let runs = runs.unwrap_or_else(|| panic!("{experiment}.json has no {variant:?} {quantity:?}"));
        assert_eq!(runs.len(), 5, "{experiment} {variant} {quantity}");
        runs.iter().map(|run| run.as_f64().unwrap_or(f64::NAN)).collect()
    }

    /// Train minus test accuracy of each run.
    fn gaps(&self, experiment: &str, variant: &str) -> Vec<f64> {
        let runs = |quantity| self.runs(experiment, variant, quantity);
        runs("train_accuracy").iter().zip(runs("test_accuracy")).map(|(train, test)| train - test).collect()
    }

    /// Our key of the batch-norm scale nearest, by ratio, to `wanted`; it must be within 1 %.
    fn scale(&self, wanted: f64) -> &str {
        let scales = self.0["batch-norm"].as_object().unwrap().iter();
        let away = |scale: &Value| (scale["scale"].as_f64().unwrap() / wanted).ln().abs();
        let (key, scale) = scales.min_by(|(_, a), (_, b)| away(a).total_cmp(&away(b))).unwrap();
        assert!(away(scale) < 0.01, "the scale nearest to {wanted} is {key}");
        key
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation with divisor n − 1.
fn std(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
}

/// The mean score of the trials of a round of the search, and their number.
fn round_mean(chapter: &Chapter, round: u64) -> (f64, usize) {
    let trials = chapter.0["hyperparameter-search"]["trials"].as_array().unwrap().iter();
    let scores: Vec<f64> =
        trials.filter(|trial| trial["round"] == round).map(|trial| trial["score"].as_f64().unwrap()).collect();
    (mean(&scores), scores.len())
}

/// Whether every value of `low` is under every value of `high`; a NaN is under nothing, and nothing under it.
fn all_under(low: &[f64], high: &[f64]) -> bool {
    low.iter().all(|low| high.iter().all(|high| low < high))
}

/// Whether `narrow` is a narrower gap than `wide` in every run; seed k of both trained on the same images.
fn narrower_in_every_run(narrow: &[f64], wide: &[f64]) -> bool {
    narrow.iter().zip(wide).all(|(narrow, wide)| narrow < wide)
}

#[test]
#[ignore = "needs MNIST_DIR, and minutes in release"]
fn every_mean_over_five_seeds_lies_within_three_standard_deviations_of_the_books_code() {
    let Some(chapter) = chapter("reference") else { return };
    let reference = marks("chapter6.json");
    let spread: Vec<f64> = serde_json::from_value(marks("batch_norm_spread.json")).unwrap();
    let (mut rows, mut outside) = (0, Vec::new());
    println!("{:54} {:>18}   {:>18} {:>8}  away", "", "the book's code", "ours", "margin");
    for (experiment, variants) in reference.as_object().unwrap() {
        let quantities: &[(&str, &str)] = match experiment.as_str() {
            "optimizer-comparison" | "init-comparison" => &LOSS_CURVES,
            "weight-decay" | "dropout" => &OVERFITTING,
            "batch-norm" => &BATCH_NORM,
            _ => panic!("an experiment {experiment:?} that this test does not know"),
        };
        for (variant, runs) in variants.as_object().unwrap() {
            let runs: Vec<_> = runs.as_array().unwrap().iter().map(|run| run.as_object().unwrap()).collect();
            assert_eq!(runs.len(), 5, "{experiment} {variant}");
            for quantity in runs[0].keys() {
                let (_, name) = quantities.iter().find(|(theirs, _)| theirs == quantity).expect("a known quantity");
                let key = if experiment == "batch-norm" { chapter.scale(variant.parse().unwrap()) } else { variant };
                let ours = chapter.runs(experiment, key, name);
                let theirs: Vec<f64> = runs.iter().map(|run| run[quantity].as_f64().unwrap()).collect();
                let spare = if name.contains("loss") || name.contains("last") { 0.1 * mean(&theirs) } else { 0.01 };
                // One row's five seeds happen to lie far closer together than the experiment's seeds do: a third of 240
                // seeds (tests/reference/batch_norm_spread.py) end below 0.95 there, none of these five. For that row
                // the mark is the mean over the 240, and the margin what a mean of five may be away from it.
                let lucky = (experiment.as_str(), variant.as_str(), quantity.as_str()) == LUCKY_ROW;
                let theirs = if lucky { spread.clone() } else { theirs };
                let deviation = if lucky { std(&theirs) / 5.0_f64.sqrt() } else { std(&theirs) };
                let margin = 3.0 * deviation + spare;
                let away = mean(&ours) - mean(&theirs);
                let row = format!(
                    "{:54} {:9.5} ± {:.5}  {:9.5} ± {:.5} {margin:8.5} {:5.2}",
                    format!("{experiment}, {variant}, {quantity}"),
                    mean(&theirs),
                    std(&theirs),
                    mean(&ours),
                    std(&ours),
                    away / margin
                );
                rows += 1;
                // Written so that a NaN is outside.
                let inside = away.abs() <= margin;
                println!("{row}{}", if inside { "" } else { "  OUTSIDE" });
                if !inside {
                    outside.push(row);
                }
            }
        }
    }
    assert_eq!(rows, 4 * 4 + 3 * 3 + 2 * 2 + 2 + 8 * 4, "rows of the reference");
    assert!(outside.is_empty(), "{} of {rows} rows are outside:\n{}", outside.len(), outside.join("\n"));
}

#[test]
#[ignore = "needs MNIST_DIR, and minutes in release"]
fn sgd_is_the_last_of_the_six_optimizers_in_every_run() {
    let Some(chapter) = chapter("optimizer-comparison") else { return };
    let last = |rule| chapter.runs("optimizer-comparison", rule, "last100");
    for rule in ["momentum", "adagrad", "adam", "nesterov", "rmsprop"] {
        assert!(all_under(&last(rule), &last("sgd")), "{rule} {:?}, sgd {:?}", last(rule), last("sgd"));
    }
}

#[test]
#[ignore = "needs MNIST_DIR, and minutes in release"]
fn with_std_0_01_nothing_is_learnt_and_he_ends_below_xavier_and_xavier_below_that() {
    let Some(chapter) = chapter("init-comparison") else { return };
    let runs = |init, quantity| chapter.runs("init-comparison", init, quantity);
    let small = runs("std0.01", "test_accuracy");
    assert!(all_under(&small, &[0.12]), "test accuracy with std 0.01: {small:?}");
    let (he, xavier) = (runs("he", "last100"), runs("xavier", "last100"));
    assert!(all_under(&he, &xavier), "last loss: He {he:?}, Xavier {xavier:?}");
    let none = runs("std0.01", "last100");
    assert!(all_under(&xavier, &none), "last loss: Xavier {xavier:?}, std 0.01 {none:?}");
}

#[test]
#[ignore = "needs MNIST_DIR, and minutes in release"]
fn batch_norm_learns_at_a_scale_of_1e_4_where_the_plain_network_does_not() {
    let Some(chapter) = chapter("batch-norm") else { return };
    let key = chapter.scale(1e-4);
    let (norm, plain) = ("batch_norm_final", "plain_final");
    let (norm, plain) = (chapter.runs("batch-norm", key, norm), chapter.runs("batch-norm", key, plain));
    assert!(mean(&norm) > 0.4 && all_under(&plain, &[0.2]), "batch norm {norm:?}, plain {plain:?}");
}

#[test]
#[ignore = "needs MNIST_DIR, and minutes in release"]
fn weight_decay_and_dropout_narrow_the_gap_between_training_and_test_in_every_run() {
    for (experiment, variant) in [("weight-decay", "lambda 0.1"), ("dropout", "ratio 0.15")] {
        let Some(chapter) = chapter(experiment) else { return };
        let (with, without) = (chapter.gaps(experiment, variant), chapter.gaps(experiment, "none"));
        assert!(narrower_in_every_run(&with, &without), "{experiment}: {with:?}, without {without:?}");
    }
}

#[test]
#[ignore = "needs MNIST_DIR, and minutes in release"]
fn the_five_best_trials_of_the_first_round_agree_on_a_learning_rate_between_1e_3_and_1e_2() {
    let Some(chapter) = chapter("hyperparameter-search") else { return };
    let trials = chapter.0["hyperparameter-search"]["trials"].as_array().unwrap();
    let mut first: Vec<&Value> = trials.iter().filter(|trial| trial["round"] == 0).collect();
    assert_eq!(first.len(), 100, "trials of the first round");
    let number = |trial: &Value, what: &str| trial[what].as_f64().unwrap();
    first.sort_by(|a, b| number(b, "score").total_cmp(&number(a, "score")));
    let rates: Vec<f64> = first[..5].iter().map(|trial| number(trial, "learning_rate")).collect();
    assert!(rates.iter().all(|rate| (1e-3..=1e-2).contains(rate)), "learning rates of the best five: {rates:?}");
    // The ranges ask for four decades, so that this is not a matter of course.
    let all: Vec<f64> = first.iter().map(|trial| number(trial, "learning_rate")).collect();
    assert!(all.iter().filter(|&&rate| rate < 1e-3).count() > 50, "learning rates of all: {all:?}");
}

#[test]
#[ignore = "needs MNIST_DIR, and minutes in release"]
fn each_narrower_round_of_the_search_is_better_on_the_whole() {
    let Some(chapter) = chapter("hyperparameter-search") else { return };
    let rounds = [0, 1, 2].map(|round| round_mean(chapter, round));
    assert_eq!(rounds.map(|(_, trials)| trials), [100, 20, 20]);
    let [first, second, third] = rounds.map(|(mean, _)| mean);
    assert!(second > first + 0.1 && third > second, "mean scores of the rounds: {first}, {second}, {third}");
}

#[test]
#[ignore = "needs MNIST_DIR, and minutes in release"]
fn the_average_of_32_sub_networks_is_the_scaled_network_and_one_alone_is_worse() {
    let Some(chapter) = chapter("dropout") else { return };
    let ensemble = &chapter.0["dropout"]["ratio 0.15"]["ensemble"];
    assert_eq!(ensemble["sizes"], serde_json::json!([1, 2, 4, 8, 16, 32]));
    let list = |values: &Value| -> Vec<f64> { serde_json::from_value(values.clone()).unwrap() };
    let scaled = list(&ensemble["scaled_test_accuracy"]);
    assert_eq!(
        scaled,
        chapter.runs("dropout", "ratio 0.15", "test_accuracy").as_slice(),
        "another network, or its state"
    );
    let averaged: Vec<Vec<f64>> = ensemble["averaged_test_accuracy"].as_array().unwrap().iter().map(list).collect();
    let of = |size: usize| averaged.iter().map(|run| run[size]).collect::<Vec<f64>>();
    assert_eq!(of(0).len(), 5);
    let (one, all) = (of(0), of(5));
    assert!((mean(&all) - mean(&scaled)).abs() < 0.02, "32 averaged: {all:?}, scaled: {scaled:?}");
    assert!(one.iter().zip(&scaled).all(|(one, scaled)| *one < scaled - 0.02), "one: {one:?}, scaled: {scaled:?}");
}

#[test]
#[ignore = "needs MNIST_DIR, and minutes in release"]
fn the_korean_page_has_no_english_results() {
    let Some(Chapter(_, page)) = chapter("Korean") else { return };
    let english = english_results(page);
    assert!(english.is_empty(), "{english:?}");
}
