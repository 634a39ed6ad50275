//! Studies: a search that is taken up finds what one that never ended finds, processes share a file, and nothing else
//! is taken for a study or harmed.

mod common;
#[path = "common/searches.rs"]
mod searches;

use common::images;
use layers::{Activation, BatchNormForm, DropoutForm, Init};
use mnist_io::Sampling;
use optim::{Rule, Schedule};
use searches::data;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};
use tensor::Exec;
use train::search::{Found, LogRange, Search, Shard, Trial};
use train::{Config, Error, Length, Preset, STUDY_NAME, Study};

fn search(rounds: &[usize]) -> Search {
    searches::search(rounds, 3)
}

/// The same without the work of training.
fn quick(rounds: &[usize]) -> Search {
    let mut search = search(rounds);
    search.base.length = Length::Steps(0);
    search.base.architecture.hidden.clear();
    search
}

fn begin(path: &Path, search: &Search) -> Result<Study, Error> {
    let (train, validation) = data();
    Study::begin(path, search, &train, &validation, |_| ())
}

fn resume(path: &Path, search: &Search) -> Result<Study, Error> {
    let (train, validation) = data();
    Study::resume(path, search, &train, &validation, |_| ())
}

/// What a search finds on this thread, and how many trials it ran.
fn run(search: &Search, study: Option<&Study>) -> Result<(Found, usize), Error> {
    let (train, validation) = data();
    let ran = AtomicUsize::new(0);
    let count = |_: &Trial| {
        ran.fetch_add(1, Ordering::Relaxed);
    };
    let found = search.run(Exec::serial(), &train, &validation, study, &count)?;
    Ok((found, ran.into_inner()))
}

fn assert_same(got: &Found, want: &Found, what: &str) {
    assert_eq!(got.trials, want.trials, "{what}");
    assert_eq!(got.ranges, want.ranges, "{what}");
}

/// A folder with the path of a study in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.log");
    (dir, path)
}

/// The file of a whole search, and what it found.
fn written(search: &Search) -> (Vec<u8>, Found) {
    let (_dir, path) = place();
    let (found, ran) = run(search, Some(&begin(&path, search).unwrap())).unwrap();
    assert_eq!(ran, found.trials.len());
    (fs::read(&path).unwrap(), found)
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').collect()
}

/// The records of a file, each of which must be a whole line of JSON.
fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "a line has no end");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// Our numbers of the trials in a file, in its order.
fn numbers(path: &Path) -> Vec<u64> {
    records(path).iter().filter_map(|record| record["user_attrs"]["groundup"]["number"].as_u64()).collect()
}

/// The message of the error of a study.
fn refusal<T>(result: Result<T, Error>, path: &Path) -> String {
    match result {
        Err(error @ Error::Study { .. }) => {
            let message = error.to_string();
            assert_eq!(message.lines().count(), 1, "{message:?}");
            assert!(message.starts_with(path.to_str().unwrap()) && message.contains("; "), "{message:?}");
            message
        }
        Err(other) => panic!("not the error of a study: {other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

#[test]
fn a_trial_that_is_read_back_is_the_one_that_was_written_to_the_last_bit() {
    let plan = search(&[40, 20]);
    let (_dir, path) = place();
    let (found, _) = run(&plan, Some(&begin(&path, &plan).unwrap())).unwrap();
    assert_same(&found, &run(&plan, None).unwrap().0, "with a study and without");
    let read = resume(&path, &plan).unwrap().trials();
    assert_eq!(read, found.trials);
    let bits = |trial: &Trial| [trial.learning_rate, trial.weight_decay, trial.score()].map(f64::to_bits);
    assert!(read.iter().map(bits).eq(found.trials.iter().map(bits)));
    assert!(read.iter().any(|trial| trial.seed > i64::MAX as u64), "no seed is above what an i64 holds");
}

#[test]
fn the_file_says_what_optuna_needs_to_know_of_each_trial() {
    let plan = search(&[6, 4]);
    let (_dir, path) = place();
    let (found, _) = run(&plan, Some(&begin(&path, &plan).unwrap())).unwrap();
    let records = records(&path);
    assert_eq!((&records[0]["op_code"], &records[0]["study_name"]), (&json!(0), &json!(STUDY_NAME)));
    assert_eq!(records[0]["directions"], json!([2]), "it is to be maximised");
    assert_eq!((records.len(), &records[1]["op_code"]), (12, &json!(2)));
    for (trial, record) in found.trials.iter().zip(&records[2..]) {
        assert_eq!((&record["op_code"], &record["state"], &record["study_id"]), (&json!(4), &json!(1), &json!(0)));
        assert_eq!(record["value"], trial.score());
        assert_eq!(record["intermediate_values"]["1"], trial.validation_accuracy[0]);
        for (range, (name, value)) in
            found.ranges[trial.round].iter().zip([("lr", trial.learning_rate), ("weight_decay", trial.weight_decay)])
        {
            let distribution: Value = serde_json::from_str(record["distributions"][name].as_str().unwrap()).unwrap();
            let bounds = ["low", "high"].map(|end| distribution["attributes"][end].as_f64().unwrap());
            assert_eq!(bounds, range.bounds());
            assert!(bounds[0] <= value && value <= bounds[1], "{name} {value} is not in {bounds:?}");
            assert_eq!(record["params"][name], value);
        }
        let [start, complete] = ["datetime_start", "datetime_complete"].map(|time| record[time].as_str().unwrap());
        assert!(start <= complete && start > "2020-01-01T00:00:00.000000+00:00", "{start}, {complete}");
        assert!(start.len() == 32 && start.ends_with("+00:00"), "{start}");
    }
}

#[test]
fn no_value_leaves_its_range_by_rounding() {
    for decades in [[-6.0, -2.0], [-1.5, 1.12], [0.02, 0.55], [3.3, 3.3], [-300.0, 300.0]] {
        for range in [
            LogRange::decades(decades[0], decades[1]),
            LogRange::new(10_f64.powf(decades[0]), 10_f64.powf(decades[1])).unwrap(),
        ] {
            let [low, high] = range.bounds();
            for u in (0..=1000).map(|u| f64::from(u) * f64::EPSILON).flat_map(|u| [u, 0.5 + u, 1.0 - u]) {
                assert!((low..=high).contains(&range.at(u)), "{:e} at {u} of {low:e}..{high:e}", range.at(u));
            }
        }
    }
}

#[test]
fn a_search_that_is_taken_up_after_any_trial_finds_what_one_that_never_ended_finds() {
    for rounds in [&[7][..], &[5, 4]] {
        let plan = search(rounds);
        let (whole, want) = written(&plan);
        let (whole, total) = (lines(&whole), want.trials.len());
        for known in 0..=total {
            let (_dir, path) = place();
            fs::write(&path, whole[..2 + known].concat()).unwrap();
            let study = resume(&path, &plan).unwrap();
            assert_eq!(study.trials(), want.trials[..known]);
            let (got, ran) = run(&plan, Some(&study)).unwrap();
            assert_same(&got, &want, &format!("taken up after {known}"));
            assert_eq!(ran, total - known, "trials were run again");
            assert_eq!(resume(&path, &plan).unwrap().trials(), want.trials);
            assert_eq!(fs::read(&path).unwrap()[..whole[..2 + known].concat().len()], whole[..2 + known].concat());
        }
        // Trials end in any order.
        let (_dir, path) = place();
        fs::write(&path, [whole[0], whole[1], whole[5], whole[3]].concat()).unwrap();
        let (got, ran) = run(&plan, Some(&resume(&path, &plan).unwrap())).unwrap();
        assert_same(&got, &want, "taken up with trials 3 and 1");
        assert_eq!((ran, numbers(&path)[..4].to_vec()), (total - 2, vec![3, 1, 0, 2]));
    }
}

#[test]
fn a_search_can_be_made_longer_and_a_study_of_more_trials_serves_fewer() {
    let (_dir, path) = place();
    let short = search(&[4]);
    run(&short, Some(&begin(&path, &short).unwrap())).unwrap();
    for (rounds, new) in [(&[6][..], 2), (&[6, 3], 3), (&[5], 0)] {
        let plan = search(rounds);
        let (got, ran) = run(&plan, Some(&resume(&path, &plan).unwrap())).unwrap();
        assert_same(&got, &run(&plan, None).unwrap().0, &format!("{rounds:?}"));
        assert_eq!(ran, new, "{rounds:?}");
    }
    // But trial 6 is of the second round now.
    let plan = search(&[8]);
    let message = refusal(run(&plan, Some(&resume(&path, &plan).unwrap())), &path);
    assert!(message.contains("trial 6 has round 2 in it, not 1"), "{message}");
}

#[test]
fn a_line_cut_short_anywhere_is_cut_off_and_one_that_lacks_its_end_alone_is_ended() {
    let plan = Search { base: Config { length: Length::Steps(1), ..search(&[]).base }, ..search(&[3]) };
    let (whole, want) = written(&plan);
    let (_dir, path) = place();
    let last = whole.len() - lines(&whole)[4].len();
    for cut in last..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let study = resume(&path, &plan).unwrap();
        let ended = cut == whole.len() - 1;
        assert_eq!(study.trials(), want.trials[..2 + usize::from(ended)], "cut at {cut}");
        assert_eq!(fs::read(&path).unwrap(), whole[..if ended { whole.len() } else { last }], "cut at {cut}");
        let (got, ran) = run(&plan, Some(&study)).unwrap();
        assert_same(&got, &want, &format!("cut at {cut}"));
        assert_eq!((ran, numbers(&path)), (usize::from(!ended), vec![0, 1, 2]), "cut at {cut}");
        assert_eq!(records(&path).len(), 5, "cut at {cut}");
    }
    // By another process, while the study is open.
    fs::write(&path, &whole[..last]).unwrap();
    let study = resume(&path, &plan).unwrap();
    fs::write(&path, &whole[..last + 20]).unwrap();
    assert_same(&run(&plan, Some(&study)).unwrap().0, &want, "cut meanwhile");
    assert_eq!(numbers(&path), [0, 1, 2]);
    // Cut short while the study was created.
    let quick = quick(&[2]);
    let (created, want) = written(&quick);
    for cut in 0..lines(&created)[..2].iter().map(|line| line.len()).sum::<usize>() - 1 {
        fs::write(&path, &created[..cut]).unwrap();
        assert!(refusal(resume(&path, &quick), &path).contains("leave --resume out"), "cut at {cut}");
        let (got, _) = run(&quick, Some(&begin(&path, &quick).unwrap())).unwrap();
        assert_same(&got, &want, &format!("cut at {cut}"));
        assert_eq!((records(&path).len(), numbers(&path)), (4, vec![0, 1]), "cut at {cut}");
    }
}

#[test]
fn what_is_no_journal_is_refused_by_its_line_and_left_as_it_is() {
    let plan = quick(&[3]);
    let (whole, _) = written(&plan);
    let whole = lines(&whole);
    let (_dir, path) = place();
    let good = whole.concat();
    let trial = |change: &dyn Fn(&mut Value)| {
        let mut record: Value = serde_json::from_slice(whole[3]).unwrap();
        change(&mut record);
        [whole[0], whole[1], whole[2], format!("{record}\n").as_bytes()].concat()
    };
    let no_journal = "is none of an Optuna journal";
    let no_trial = "is not a trial as this program writes one";
    let files: [(Vec<u8>, &str, &str); 20] = [
        ([whole[0], whole[1], &whole[2][..99], whole[3]].concat(), "line 3", no_journal),
        ([whole[0], whole[1], &whole[2][..99], b"\n", whole[3]].concat(), "line 3", no_journal),
        ([&good[..], b"\n"].concat(), "line 6", no_journal),
        ([&good[..], b"{\"op_code\":12}\n"].concat(), "line 6", no_journal),
        ([&good[..], b"[1]\n"].concat(), "line 6", no_journal),
        (b"a note without an end of line".to_vec(), "line 1", no_journal),
        (b"{\"other\":".to_vec(), "line 1", no_journal),
        (vec![0xff; 9], "line 1", no_journal),
        (trial(&|record| record["value"] = json!(0.123)), "line 4", no_trial),
        (trial(&|record| record["state"] = json!(3)), "line 4", no_trial),
        (trial(&|record| record["user_attrs"]["groundup"]["train_accuracy"] = json!([0.5])), "line 4", no_trial),
        (trial(&|record| record["params"]["lr"] = Value::Null), "line 4", no_trial),
        (trial(&|record| record["user_attrs"]["groundup"]["round"] = json!(usize::MAX)), "line 4", no_trial),
        (trial(&|record| record["user_attrs"]["groundup"] = json!(7)), "line 4", no_trial),
        ([&good[..], b"{\"op_code\":5,\"a\":NaNo}\n"].concat(), "line 6", no_journal),
        ([&good[..], b"{\"op_code\":5,\"a\":\"NaN}\n"].concat(), "line 6", no_journal),
        ([&good[..], b"{\"op_code\":5,\"a\":\"\xff\"}\n"].concat(), "line 6", no_journal),
        ([&good[..], b"{\"op_code\":11,\"study_id\":0}\n"].concat(), "line 6", no_journal),
        ([&good[..], b"{\"op_code\":12}"].concat(), "line 6", no_journal),
        (
            [&good[..], &trial(&|record| record["params"]["lr"] = json!(0.1))].concat(),
            "line 9",
            "is a trial that is in it twice, with other results",
        ),
    ];
    for (bytes, line, says) in files {
        fs::write(&path, &bytes).unwrap();
        for result in [begin(&path, &plan), resume(&path, &plan)] {
            let message = refusal(result, &path);
            assert!(message.contains(&format!("its {line} {says}")), "{message:?}, of {line}: {says}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "it was changed");
    }
    let text = format!("{}\n", json!({"op_code": 0, "worker_id": "w", "study_name": STUDY_NAME, "directions": [1]}));
    fs::write(&path, text).unwrap();
    assert!(refusal(begin(&path, &plan), &path).contains("line 1 is a study of that name that is not this program's"));
}

#[test]
fn a_study_of_another_search_is_refused_by_the_setting_that_differs() {
    let (_dir, path) = place();
    let plan = search(&[3]);
    run(&plan, Some(&begin(&path, &plan).unwrap())).unwrap();
    let bytes = fs::read(&path).unwrap();
    type Change = fn(&mut Search);
    let changes: [(Change, &str); 17] = [
        (|s| s.base.architecture.hidden = vec![7], "hidden 6, not 7"),
        (|s| s.base.architecture.classes = 11, "classes 10, not 11"),
        (|s| s.base.architecture.activation = Activation::Tanh, "activation relu, not tanh"),
        (|s| s.base.architecture.init = Init::Xavier, "init he, not xavier"),
        (|s| s.base.architecture.batch_norm = Some(BatchNormForm::Torch), "batch-norm none, not torch"),
        (|s| s.base.architecture.dropout = Some((0.4, DropoutForm::Book)), "dropout none, not 0.4 (book)"),
        (|s| s.base.rule = Rule::ADAM, "optimizer"),
        (|s| s.base.schedule = Schedule::Step { every: 1, gamma: 0.5 }, "schedule constant, not step:1:0.5"),
        (|s| s.base.batch = 7, "batch-size 10, not 7"),
        (|s| s.base.sampling = Sampling::Shuffle, "sampling replacement, not shuffle"),
        (|s| s.base.preset = Preset::Torch, "preset book, not torch"),
        (|s| s.base.length = Length::Epochs(3), "epochs 2, not 3"),
        (|s| s.base.length = Length::Steps(8), "steps unknown, not 8"),
        (|s| s.seed = 4, "seed 3, not 4"),
        (|s| s.learning_rate = LogRange::new(1e-3, 1.0).unwrap(), "lr 1e-3..3."),
        (|s| s.weight_decay = LogRange::new(1e-9, 1e-4).unwrap(), "weight-decay 1e-8..1e-4, not 1e-9..1e-4"),
        (|s| s.weight_decay = LogRange::new(1e-8, 1.1e-4).unwrap(), "weight-decay 1e-8..1e-4, not 1e-8..1.09"),
    ];
    for (change, says) in changes {
        let mut other = plan.clone();
        change(&mut other);
        for result in [begin(&path, &other), resume(&path, &other)] {
            let message = refusal(result, &path);
            assert!(message.contains(&format!("it is of a search with {says}")), "{message:?} does not say {says:?}");
        }
    }
    let (train, validation) = data();
    let message = refusal(Study::resume(&path, &plan, &images(40, 7), &validation, |_| ()), &path);
    assert!(message.contains("with training samples SHA-256 "), "{message}");
    let message = refusal(Study::resume(&path, &plan, &train, &images(20, 7), |_| ()), &path);
    assert!(message.contains("with validation samples SHA-256 "), "{message}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "it was changed");
    // What a trial replaces, and what decides how many there are, may be another.
    let mut other = Search { shard: Some(Shard { index: 1, of: 2 }), ..search(&[5]) };
    (other.base.learning_rate, other.base.weight_decay, other.base.seed) = (0.5, 0.5, 9);
    assert!(resume(&path, &other).is_ok());

    let text = String::from_utf8(bytes).unwrap();
    let one_more = text.replace("\"settings\":{", "\"settings\":{\"momentum\\n\":\"0.9\\n\",");
    fs::write(&path, one_more).unwrap();
    assert!(refusal(resume(&path, &plan), &path).contains("a search with momentum  0.9 , not unknown"));
    // Whatever else there is to it.
    for then in ["settings", "train_accuracy"] {
        fs::write(&path, text.replace("\"schema\":1", "\"schema\":2").replace(then, "new")).unwrap();
        assert!(refusal(resume(&path, &plan), &path).contains("a search with schema 2, not 1"));
    }
}

#[test]
fn a_trial_that_is_not_what_the_settings_make_it_is_refused_before_any_is_run() {
    let plan = search(&[4, 2]);
    let (whole, want) = written(&plan);
    let (_dir, path) = place();
    let next_up = |value: &Value| json!(value.as_f64().unwrap().next_up());
    type Change<'a> = &'a dyn Fn(&mut Value);
    let changes: [(Change<'_>, &str); 5] = [
        (&|record| record["params"]["lr"] = next_up(&record["params"]["lr"]), "learning rate"),
        (&|record| record["params"]["weight_decay"] = next_up(&record["params"]["weight_decay"]), "weight decay"),
        (&|record| record["user_attrs"]["groundup"]["seed"] = json!(1), "seed 1 in it, not "),
        (&|record| record["user_attrs"]["groundup"]["round"] = json!(1), "round 2 in it, not 1"),
        (
            &|record| {
                record["intermediate_values"] = json!({"1": record["value"]});
                record["user_attrs"]["groundup"]["train_accuracy"] = json!([0.5]);
            },
            "epochs 1 in it, not 2",
        ),
    ];
    for (change, says) in changes {
        let mut record: Value = serde_json::from_slice(lines(&whole)[4]).unwrap();
        change(&mut record);
        fs::write(&path, [lines(&whole)[..2].concat(), format!("{record}\n").into_bytes()].concat()).unwrap();
        let study = resume(&path, &plan).unwrap();
        let (train, validation) = data();
        let none = |trial: &Trial| panic!("trial {} was run", trial.number);
        let message = refusal(plan.run(Exec::serial(), &train, &validation, Some(&study), &none), &path);
        assert!(message.contains(&format!("trial 2 has {says}")), "{message:?} does not say {says:?}");
    }
    // One of the second round, which is known only when the first is done.
    let mut record: Value = serde_json::from_slice(lines(&whole)[7]).unwrap();
    record["params"]["lr"] = json!(want.trials[5].learning_rate.next_down());
    fs::write(&path, [lines(&whole)[..2].concat(), format!("{record}\n").into_bytes()].concat()).unwrap();
    let message = refusal(run(&plan, Some(&resume(&path, &plan).unwrap())), &path);
    assert!(message.contains("trial 5 has learning rate"), "{message}");
}

#[test]
fn a_file_that_holds_a_trial_to_be_done_is_not_begun_again() {
    let (_dir, path) = place();
    let share = |index| Search { shard: Some(Shard { index, of: 2 }), ..search(&[6]) };
    let message = refusal(resume(&path, &share(1)), &path);
    assert!(message.contains("there is no such file; leave --resume out"), "{message}");
    assert!(!path.exists());
    run(&share(1), Some(&begin(&path, &share(1)).unwrap())).unwrap();
    let message = refusal(begin(&path, &share(1)), &path);
    assert!(message.contains("trial 1 is in it already; give --resume"), "{message}");
    assert!(begin(&path, &search(&[7])).is_err(), "trial 1 is one of seven too");
    // The other share is begun in the same file, and shows its own trials alone.
    let (found, ran) = run(&share(0), Some(&begin(&path, &share(0)).unwrap())).unwrap();
    assert_eq!((found.trials.iter().map(|trial| trial.number).collect::<Vec<_>>(), ran), (vec![0, 2, 4], 3));
    let (all, ran) = run(&search(&[6]), Some(&resume(&path, &search(&[6])).unwrap())).unwrap();
    assert_same(&all, &run(&search(&[6]), None).unwrap().0, "both shares");
    assert_eq!(ran, 0);
}

#[test]
fn a_search_that_cannot_be_done_leaves_no_file() {
    let (dir, path) = place();
    let mut none = search(&[2]);
    none.base.batch = 0;
    let shards = Search { shard: Some(Shard { index: 0, of: 2 }), ..search(&[2, 2]) };
    for plan in [none, shards] {
        assert!(matches!(begin(&path, &plan), Err(Error::Config { .. })));
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn the_records_of_others_are_left_alone_and_ours_is_found_among_them() {
    let worker = "5f0c-1";
    let record = |op_code: u64, more: Value| {
        let mut record = json!({"op_code": op_code, "worker_id": worker});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{record}\n")
    };
    let study = |name: &str| record(0, json!({"study_name": name, "directions": [1]}));
    let distribution = "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 0.0, \"high\": 1.0, \"log\": false}}";
    let start = "2026-01-02T03:04:05.000006+00:00";
    let theirs = [
        study("first"),
        study("first"), // Taken: no study.
        study("second"),
        record(1, json!({"study_id": 0})),
        study("first"), // Given again: the third.
        record(2, json!({"study_id": 1, "user_attr": {"groundup": "theirs"}})),
        record(3, json!({"study_id": 1, "system_attr": {"key": [1]}})),
        record(4, json!({"study_id": 1, "datetime_start": start})),
        record(
            5,
            json!({"trial_id": 0, "param_name": "lr", "param_value_internal": 0.5, "distribution": distribution}),
        ),
        record(7, json!({"trial_id": 0, "step": 1, "intermediate_value": 0.5})),
        record(8, json!({"trial_id": 0, "user_attr": {"groundup": {"number": 3}}})),
        record(9, json!({"trial_id": 0, "system_attr": {"key": null}})),
        record(6, json!({"trial_id": 0, "state": 1, "values": [0.5], "datetime_complete": start})),
        record(4, json!({"study_id": 1, "datetime_start": start, "user_attrs": {"groundup": {"number": 0}}})),
        record(10, json!({"study_id": 1, "trial_ids": [0]})),
    ]
    .concat();
    let plan = quick(&[4]);
    let (_dir, path) = place();
    fs::write(&path, &theirs).unwrap();
    let study_3 = begin(&path, &plan).unwrap();
    assert_eq!(study_3.trials(), []);
    let (want, _) = run(&plan, Some(&study_3)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&theirs), "what was there was changed");
    let ours = &records(&path)[theirs.lines().count()..];
    assert_eq!(ours.len(), 6);
    assert!(ours[1..].iter().all(|record| record["study_id"] == 3), "{ours:?}");

    // Optuna's trials in our study, as it asks for them and as it adds them.
    let asked = [
        record(4, json!({"study_id": 3, "datetime_start": start})),
        record(4, json!({"study_id": 3, "datetime_start": start, "state": 3, "user_attrs": {"mine": 1}})),
        record(4, json!({"study_id": 3, "datetime_start": start, "user_attrs": {"number": 1}})),
        record(8, json!({"trial_id": 6, "user_attr": {"groundup": {"number": 2}}})),
        record(11, json!({"study_id": 2, "what": "nobody knows"})),
        // `create_study(study_name=…, load_if_exists=True)` asks for our name again.
        study(STUDY_NAME),
        record(2, json!({"study_id": 3, "user_attr": {"note": "ours, and theirs"}})),
        study("fourth"),
    ];
    fs::write(&path, format!("{text}{}", asked.concat())).unwrap();
    let study_3 = resume(&path, &quick(&[5])).unwrap();
    assert_eq!(study_3.trials(), want.trials);
    run(&quick(&[5]), Some(&study_3)).unwrap();
    assert_eq!(records(&path).last().unwrap()["study_id"], 3);

    // Ours is deleted while it is in use: it is not written to, and a new one has another id.
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}{}", record(1, json!({"study_id": 3})))).unwrap();
    let message = refusal(run(&quick(&[6]), Some(&study_3)), &path);
    assert!(message.contains(&format!("no study {STUDY_NAME} is in it")), "{message}");
    assert!(refusal(resume(&path, &plan), &path).contains("leave --resume out"));
    let study_5 = begin(&path, &plan).unwrap();
    assert_eq!(study_5.trials(), []);
    assert_same(&run(&plan, Some(&study_5)).unwrap().0, &want, "begun anew");
    assert_eq!(records(&path).last().unwrap()["study_id"], 5);
}

#[test]
fn what_python_alone_takes_for_json_is_read_over() {
    let plan = quick(&[3]);
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let theirs = [
        r#"{"op_code":0,"worker_id":"w","study_name":"\ud800 \",\"directions\":","directions":[1]}"#.to_owned(),
        r#"{"op_code":0,"worker_id":"w","study_name":"\ud800 \",\"directions\":","directions":[2]}"#.to_owned(), // Taken.
        r#"{"op_code":0,"worker_id":"w","study_name":"\udc00","directions":[1]}"#.to_owned(),
        r#"{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"a \\\" NaN":NaN}}"#.to_owned(),
        r#"{"op_code":7,"worker_id":"w","trial_id":0,"step":1,"intermediate_value":Infinity}"#.to_owned(),
        r#"{"op_code":6,"worker_id":"w","trial_id":0,"state":1,"values":[-Infinity]}"#.to_owned(),
        format!(r#"{{"op_code":8,"worker_id":"w","trial_id":0,"user_attr":{{"deep":{deep}}}}}"#),
        format!(r#"{{"op_code":8,"worker_id":"w","trial_id":0,"user_attr":{{"huge":{}}}}}"#, "9".repeat(500)),
    ];
    let theirs = theirs.join("\n") + "\n";
    let (_dir, path) = place();
    fs::write(&path, &theirs).unwrap();
    let (want, _) = run(&plan, Some(&begin(&path, &plan).unwrap())).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let ours: Vec<Value> =
        text.strip_prefix(&theirs).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(ours.len() == 5 && ours[1..].iter().all(|record| record["study_id"] == 2), "{ours:?}");
    // In our study, and without an end.
    let more = r#"{"op_code":4,"worker_id":"w","study_id":2,"datetime_start":null,"user_attrs":{"mine":NaN}}"#;
    fs::write(&path, format!("{text}{more}")).unwrap();
    let study = resume(&path, &plan).unwrap();
    assert_eq!(study.trials(), want.trials);
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{text}{more}\n"));
}

#[test]
fn processes_that_write_at_the_same_time_lose_nothing_and_write_nothing_twice() {
    const SHARES: usize = 4;
    const TRIALS: usize = 60;
    let want = run(&quick(&[TRIALS]), None).unwrap().0;
    let (_dir, path) = place();
    let barrier = Barrier::new(SHARES);
    // Each of them has a study of its own, as processes have.
    std::thread::scope(|scope| {
        for index in 0..SHARES {
            let (path, barrier) = (&path, &barrier);
            scope.spawn(move || {
                let share = Search { shard: Some(Shard { index, of: SHARES }), ..quick(&[TRIALS]) };
                barrier.wait();
                run(&share, Some(&begin(path, &share).unwrap())).unwrap();
            });
        }
    });
    assert_eq!(resume(&path, &quick(&[TRIALS])).unwrap().trials(), want.trials);
    assert_eq!(records(&path).len(), 2 + TRIALS, "a study or a trial is in it twice");

    // All of them do all.
    let (dir, path) = place();
    begin(&path, &quick(&[TRIALS])).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..SHARES {
            let (path, barrier) = (&path, &barrier);
            scope.spawn(move || {
                let study = resume(path, &quick(&[TRIALS])).unwrap();
                barrier.wait();
                run(&quick(&[TRIALS]), Some(&study)).unwrap();
            });
        }
    });
    let mut numbers = numbers(&path);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..TRIALS as u64).collect::<Vec<_>>());
    assert_eq!(resume(&path, &quick(&[TRIALS])).unwrap().trials(), want.trials);
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["study.log"], "a lock is left behind");
}

/// The line of a trial with an accuracy that is not the one it has.
fn found_otherwise(plan: &Search, number: usize) -> String {
    let mut record: Value = serde_json::from_slice(lines(&written(plan).0)[2 + number]).unwrap();
    (record["value"], record["intermediate_values"]) = (json!(0.5), json!({"1": 0.5}));
    record["user_attrs"]["groundup"]["train_accuracy"] = json!([0.5]);
    format!("{record}\n")
}

fn append(path: &Path, line: &str) {
    fs::write(path, fs::read_to_string(path).unwrap() + line).unwrap();
}

#[test]
fn a_trial_that_another_process_found_otherwise_is_an_error() {
    let plan = quick(&[1]);
    let (_dir, path) = place();
    let (train, validation) = data();
    let lock = path.with_file_name("study.log.lock");
    begin(&path, &plan).unwrap();
    // It is written while this one waits for the lock, its trial done.
    let line = found_otherwise(&plan, 0);
    let (its_path, its_lock) = (path.clone(), lock.clone());
    let say = move |said: &str| {
        assert!(said.starts_with("waiting for ") && said.contains("study.log.lock, "), "{said}");
        append(&its_path, &line);
        fs::remove_file(&its_lock).unwrap();
    };
    let study = Study::resume(&path, &plan, &train, &validation, say).unwrap();
    fs::write(&lock, "").unwrap();
    let message = refusal(run(&plan, Some(&study)), &path);
    assert!(message.contains("trial 0 is in it with other results"), "{message}");
    assert!(!lock.exists());
}

#[test]
fn a_trial_that_another_process_has_done_meanwhile_is_not_done_again() {
    for rounds in [&[3][..], &[2, 1]] {
        let mut plan = quick(rounds);
        plan.base.length = Length::Steps(1);
        let (_dir, path) = place();
        let (train, validation) = data();
        let study = begin(&path, &plan).unwrap();
        let told = Mutex::new(Vec::new());
        // After the first trial of ours, another process has done the second; to do it again would be an error.
        let done = |trial: &Trial| {
            let mut told = told.lock().unwrap();
            told.push(trial.number);
            if told.len() == 1 {
                append(&path, &found_otherwise(&plan, 1));
            }
        };
        let found = plan.run(Exec::serial(), &train, &validation, Some(&study), &done).unwrap();
        let scores: Vec<f64> = found.trials.iter().map(Trial::score).collect();
        assert_eq!((scores[1], scores.len()), (0.5, 3), "{scores:?}");
        assert_eq!(told.into_inner().unwrap(), [0, 1, 2]);
    }
}

#[test]
fn the_lock_that_optuna_takes_is_waited_for() {
    let (_dir, path) = place();
    let lock = path.with_file_name("study.log.lock");
    fs::write(&lock, "").unwrap();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            assert!(!path.exists(), "the file was created under another's lock");
            fs::remove_file(&lock).unwrap();
        });
        begin(&path, &quick(&[1])).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(300));
    });
    assert!(!lock.exists());
}

#[test]
fn a_study_that_can_no_longer_be_written_stops_the_search() {
    let (train, validation) = data();
    type Harm = fn(&Path);
    // The last one takes two calls, between which another job would see the first.
    let harms: [(Harm, &str, &[usize]); 3] = [
        (|path| fs::remove_file(path).unwrap(), "No such file", &[1, 2]),
        (|path| fs::write(path, "").unwrap(), "it has become shorter", &[1, 2]),
        (|path| fs::remove_file(path).and_then(|()| fs::create_dir(path)).unwrap(), "Is a directory", &[1]),
    ];
    for (harm, says, jobs) in harms {
        for &jobs in jobs {
            let plan = quick(&[50]);
            let (_dir, path) = place();
            let study = begin(&path, &plan).unwrap();
            let ran = Mutex::new(0);
            let after_the_third = |_: &Trial| {
                let mut ran = ran.lock().unwrap();
                *ran += 1;
                if *ran == 3 {
                    harm(&path);
                }
            };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build().unwrap();
            let exec = Exec::new(jobs).unwrap();
            let result = pool.install(|| plan.run(exec, &train, &validation, Some(&study), &after_the_third));
            let message = refusal(result, &path);
            assert!(message.contains(says), "{message:?} does not say {says:?}");
            assert!(ran.into_inner().unwrap() < 10, "the search went on");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.log");
    begin(&path, &quick(&[1])).unwrap();
    fs::write(dir.path().join("study.log.lock"), "[[package]]").unwrap();
    let message = refusal(run(&quick(&[1]), Some(&resume(&path, &quick(&[1])).unwrap())), &path);
    assert!(message.ends_with("study.log.lock: it is not a lock; move it, or give another file"), "{message}");
    let message = refusal(begin(dir.path(), &quick(&[1])), dir.path());
    assert!(message.contains("Is a directory") && message.ends_with("give a file that can be read and written"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        let link = dir.path().join("link");
        symlink("nowhere", &link).unwrap();
        for result in [begin(&link, &quick(&[1])), resume(&link, &quick(&[1]))] {
            assert!(refusal(result, &link).contains("it is a link to a file that is not there"));
        }
        // A link and what it leads to have one lock.
        fs::remove_file(&link).unwrap();
        symlink("study.log", &link).unwrap();
        let message = refusal(run(&quick(&[1]), Some(&resume(&link, &quick(&[1])).unwrap())), dir.path());
        assert!(message.contains("study.log.lock: it is not a lock"), "{message}");
    }
    fs::write(dir.path().join("file"), "").unwrap();
    let below = dir.path().join("file/study.log");
    assert!(refusal(begin(&below, &quick(&[1])), &below).contains("give a file"));
}
