//! `groundup search`: trial i is a function of (seed, i) alone, whoever does it, and rounds narrow the ranges.

use super::{digits, failure_of, json};
use crate::support::run::groundup;
use serde_json::Value;

/// `search` on the small digits, one epoch a trial, with `--json`.
fn search(options: &str) -> Value {
    let mut all = vec!["search", "--data", digits(), "--json", "--epochs", "1"];
    all.extend(options.split_whitespace());
    json(&all)
}

fn trials(found: &Value) -> &[Value] {
    found["trials"].as_array().unwrap()
}

fn numbers(found: &Value, what: &str) -> Vec<f64> {
    trials(found).iter().map(|trial| trial[what].as_f64().unwrap()).collect()
}

/// [low, high] of a round's range.
fn range(found: &Value, round: usize, of: &str) -> [f64; 2] {
    [0, 1].map(|end| found["ranges"][round][of][end].as_f64().unwrap())
}

#[test]
fn one_job_and_two_find_the_same() {
    for rounds in ["--trials 7", "--trials 5 --rounds 2"] {
        let one = search(&format!("{rounds} --jobs 1"));
        for jobs in ["2", "3"] {
            assert_eq!(search(&format!("{rounds} --jobs {jobs}")), one, "{jobs} jobs, {rounds}");
        }
    }
}

#[test]
fn a_trial_is_a_function_of_the_seed_and_its_number_alone() {
    let few = search("--trials 3");
    let many = search("--trials 6");
    assert_eq!(trials(&few), &trials(&many)[..3]);
    let other = search("--trials 6 --seed 2");
    for what in ["learning_rate", "weight_decay", "seed"] {
        let (these, those) = (numbers(&many, what), numbers(&other, what));
        assert!(these.iter().zip(&those).all(|(a, b)| a != b), "{what} of seeds 1 and 2: {these:?}, {those:?}");
        assert!((1..6).all(|i| !these[..i].contains(&these[i])), "{what} of two trials is the same: {these:?}");
    }
}

#[test]
fn the_shards_together_are_the_whole() {
    let whole = search("--trials 7");
    for of in [2, 3] {
        let shards: Vec<Value> = (1..=of).map(|i| search(&format!("--trials 7 --shard {i}/{of}"))).collect();
        let mut together: Vec<Value> = shards.iter().flat_map(trials).cloned().collect();
        together.sort_by_key(|trial| trial["number"].as_u64());
        assert_eq!(together, trials(&whole), "{of} shards");
        assert!(shards.iter().all(|shard| trials(shard).len().abs_diff(7 / of) <= 1), "{of} shards are uneven");
    }
    let [cause, cure] = failure_of(&["search", "--data", digits(), "--rounds", "2", "--shard", "1/2", "--trials", "2"]);
    assert!(cause.contains("shard") && cure.contains("--rounds 1"), "{cause}; {cure}");
}

#[test]
fn the_second_round_looks_only_inside_the_first_and_around_its_best_trials() {
    let found = search("--trials 10 --rounds 2");
    let rounds: Vec<u64> = trials(&found).iter().map(|trial| trial["round"].as_u64().unwrap()).collect();
    assert_eq!(rounds, [[0; 10], [1; 10]].concat());
    let numbered: Vec<u64> = trials(&found).iter().map(|trial| trial["number"].as_u64().unwrap()).collect();
    assert_eq!(numbered, (0..20).collect::<Vec<u64>>());
    assert_eq!(trials(&search("--trials 10")), &trials(&found)[..10], "the first round alone");

    let mut best: Vec<&Value> = trials(&found)[..10].iter().collect();
    best.sort_by(|a, b| b["score"].as_f64().unwrap().total_cmp(&a["score"].as_f64().unwrap()));
    for (of, whole) in [("learning_rate", [1e-6, 1e-2]), ("weight_decay", [1e-8, 1e-4])] {
        assert_eq!(range(&found, 0, of), whole);
        let [low, high] = range(&found, 1, of);
        assert!(whole[0] <= low && low < high && high <= whole[1], "{of}: {low}..{high}");
        assert!(high / low < 0.9 * whole[1] / whole[0], "{of}: {low}..{high} is hardly narrower");
        let values = numbers(&found, of);
        for (i, &value) in values.iter().enumerate() {
            let [low, high] = range(&found, i / 10, of);
            assert!((low..=high).contains(&value), "trial {i}: {of} {value} is not in {low}..{high}");
        }
        for trial in &best[..2] {
            let value = trial[of].as_f64().unwrap();
            assert!((low..=high).contains(&value), "{of} {value} of one of the best is not in {low}..{high}");
        }
    }
}

#[test]
fn ranges_trials_and_epochs_are_what_the_flags_say() {
    let found = search("--trials 8 --lr 1e-3..1e-1 --weight-decay 1e-7..1e-5");
    for (of, low, high) in [("learning_rate", 1e-3, 1e-1), ("weight_decay", 1e-7, 1e-5)] {
        let values = numbers(&found, of);
        assert!(values.len() == 8 && values.iter().all(|value| (low..=high).contains(value)), "{of}: {values:?}");
        // Uniform in the logarithm: of eight, some are under the middle of the decades and some over it.
        let under = values.iter().filter(|&&value| value < (low * high).sqrt()).count();
        assert!((1..8).contains(&under), "{of}: {values:?}");
    }
    let longer = json(&["search", "--data", digits(), "--json", "--trials", "2", "--epochs", "3"]);
    for trial in trials(&longer) {
        let curve = trial["validation_accuracy"].as_array().unwrap();
        assert_eq!((curve.len(), trial["train_accuracy"].as_array().unwrap().len()), (3, 3), "{trial}");
        assert_eq!(trial["score"], curve[2], "a trial is judged at its end");
    }
}

#[test]
fn the_ranking_is_best_first_as_json_and_in_words() {
    let found = search("--trials 6 --lr 1e-3..1e-1");
    let scores = numbers(&found, "score");
    let ranking: Vec<usize> =
        found["ranking"].as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as usize).collect();
    let mut expected: Vec<usize> = (0..6).collect();
    expected.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    assert_eq!(ranking, expected, "{scores:?}");

    let words = groundup(&["search", "--data", digits(), "--epochs", "1", "--trials", "6", "--lr", "1e-3..1e-1"]);
    let lines: Vec<&str> = words.lines().filter(|line| line.starts_with("Best-")).collect();
    assert_eq!(lines.len(), 6, "{words}");
    for (rank, (line, &number)) in lines.iter().zip(&ranking).enumerate() {
        let rate = numbers(&found, "learning_rate")[number];
        let start = format!("Best-{} (val acc {:.2}) | lr {rate:.3e}", rank + 1, scores[number]);
        assert!(line.starts_with(&start), "{line}, expected {start}");
    }
    assert!(words.contains("400 to train, 100 to validate"), "{words}");
}
