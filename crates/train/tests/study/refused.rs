//! What is refused: other searches, other results, files that can no longer be written.

use crate::common::images;
use crate::searches::data;
use crate::support::{
    append, assert_same, begin, found_otherwise, lines, place, quick, refusal, resume, run, search, written,
};
use layers::{Activation, BatchNormForm, DropoutForm, Init};
use mnist_io::Sampling;
use optim::{Rule, Schedule};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use tensor::Exec;
use train::search::{LogRange, Search, Shard, Trial};
use train::{Error, Length, Preset, STUDY_NAME, Study};

#[test]
fn a_journal_whose_trials_are_not_this_programs_is_refused_by_its_line_and_left_as_it_is() {
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
    let study = |change: &dyn Fn(&mut Value)| {
        let mut record: Value = serde_json::from_slice(whole[1]).unwrap();
        change(&mut record["user_attr"]["groundup"]);
        [whole[0], format!("{record}\n").as_bytes(), whole[2]].concat()
    };
    let no_study = "is not a study as this program writes one";
    let no_trial = "is not a trial as this program writes one";
    let files: [(Vec<u8>, &str, &str); 11] = [
        (b"a note without an end of line".to_vec(), "line 1", "is none of an Optuna journal"),
        (study(&|about| about["settings"] = json!([1])), "line 2", no_study),
        (study(&|about| about["schema"] = json!("one")), "line 2", no_study),
        (trial(&|record| record["value"] = json!(0.123)), "line 4", no_trial),
        (trial(&|record| record["state"] = json!(3)), "line 4", no_trial),
        (trial(&|record| record["user_attrs"]["groundup"]["train_accuracy"] = json!([0.5])), "line 4", no_trial),
        (trial(&|record| record["params"]["lr"] = Value::Null), "line 4", no_trial),
        (trial(&|record| record["user_attrs"]["groundup"]["round"] = json!(usize::MAX)), "line 4", no_trial),
        (trial(&|record| record["user_attrs"]["groundup"] = json!(7)), "line 4", no_trial),
        (
            [&good[..], &trial(&|record| record["params"]["lr"] = json!(0.1))].concat(),
            "line 9",
            "is a trial that is in it twice, with other results",
        ),
        (
            format!("{}\n", json!({"op_code": 0, "worker_id": "w", "study_name": STUDY_NAME, "directions": [1]}))
                .into(),
            "line 1",
            "is a study of that name that is not this program's",
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
        fs::write(&path, text.replace("\"schema\":2", "\"schema\":3").replace(then, "new")).unwrap();
        assert!(refusal(resume(&path, &plan), &path).contains("a search with schema 3, not 2"));
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
    let (_dir, path) = place();
    begin(&path, &quick(&[1])).unwrap();
    fs::write(path.with_file_name("study.log.lock"), "[[package]]").unwrap();
    let message = refusal(run(&quick(&[1]), Some(&resume(&path, &quick(&[1])).unwrap())), &path);
    assert!(message.ends_with("study.log.lock: it is not a lock; move it, or give another file"), "{message}");
}
