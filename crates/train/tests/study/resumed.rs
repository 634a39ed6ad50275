//! What a study keeps, and what a search finds with it.

use crate::searches::data;
use crate::support::{
    append, assert_same, begin, found_otherwise, lines, numbers, place, quick, records, refusal, resume, run, search,
    written,
};
use serde_json::{Value, json};
use std::fs;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};
use tensor::Exec;
use train::search::{LogRange, Search, Shard, Trial};
use train::{Config, Length, STUDY_NAME};

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
fn a_search_resumed_after_any_trial_finds_what_an_uninterrupted_one_finds() {
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
            assert_same(&got, &want, &format!("resumed after {known}"));
            assert_eq!(ran, total - known, "trials were run again");
            assert_eq!(resume(&path, &plan).unwrap().trials(), want.trials);
            assert_eq!(fs::read(&path).unwrap()[..whole[..2 + known].concat().len()], whole[..2 + known].concat());
        }
        // Trials end in any order.
        let (_dir, path) = place();
        fs::write(&path, [whole[0], whole[1], whole[5], whole[3]].concat()).unwrap();
        let (got, ran) = run(&plan, Some(&resume(&path, &plan).unwrap())).unwrap();
        assert_same(&got, &want, "resumed with trials 3 and 1");
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
fn a_line_cut_short_anywhere_is_removed_and_one_that_lacks_its_end_alone_is_ended() {
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
fn trials_of_optuna_in_our_study_are_skipped_and_a_study_that_is_deleted_is_not_written_to() {
    let plan = quick(&[4]);
    let (_dir, path) = place();
    let study = begin(&path, &plan).unwrap();
    let (want, _) = run(&plan, Some(&study)).unwrap();
    let record = |op_code: u64, more: Value| {
        let mut record = json!({"op_code": op_code, "worker_id": "5f0c-1", "study_id": 0});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{record}\n")
    };
    let start = "2026-01-02T03:04:05.000006+00:00";
    append(&path, &record(4, json!({"datetime_start": start})));
    append(&path, &record(4, json!({"datetime_start": start, "state": 3, "user_attrs": {"mine": 1}})));
    append(&path, &record(4, json!({"datetime_start": start, "user_attrs": {"number": 1}})));
    append(&path, &record(2, json!({"user_attr": {"note": "ours, and theirs"}})));
    let study = resume(&path, &quick(&[5])).unwrap();
    assert_eq!(study.trials(), want.trials);
    run(&quick(&[5]), Some(&study)).unwrap();

    // Deleted while it is in use: it is not written to, and a new one has another id.
    append(&path, &record(1, json!({})));
    let message = refusal(run(&quick(&[6]), Some(&study)), &path);
    assert!(message.contains(&format!("no study {STUDY_NAME} is in it")), "{message}");
    assert!(refusal(resume(&path, &plan), &path).contains("leave --resume out"));
    let second = begin(&path, &plan).unwrap();
    assert_eq!(second.trials(), []);
    assert_same(&run(&plan, Some(&second)).unwrap().0, &want, "begun again");
    assert_eq!(records(&path).last().unwrap()["study_id"], 1);
}
