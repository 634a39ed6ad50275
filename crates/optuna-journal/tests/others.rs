//! A file that is shared: with other studies, with Optuna's own JSON, with processes that write at the same time.

mod common;

use common::{Kept, attributes, create, open, place, records, trial};
use serde_json::{Value, json};
use std::fs;
use std::sync::Barrier;

/// A record that another program wrote.
fn record(op_code: u64, more: Value) -> String {
    let mut record = json!({"op_code": op_code, "worker_id": "5f0c-1"});
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    format!("{record}\n")
}

fn study(name: &str) -> String {
    record(0, json!({"study_name": name, "directions": [1]}))
}

const START: &str = "2026-01-02T03:04:05.000006+00:00";

#[test]
fn the_records_of_others_are_left_alone_and_ours_is_found_among_them() {
    let distribution = "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 0.0, \"high\": 1.0, \"log\": false}}";
    let theirs = [
        study("first"),
        study("first"), // Taken: no study.
        study("second"),
        record(1, json!({"study_id": 0})),
        study("first"), // Given again: the third.
        record(2, json!({"study_id": 1, "user_attr": {"batch": "refused"}})),
        record(3, json!({"study_id": 1, "system_attr": {"key": [1]}})),
        record(4, json!({"study_id": 1, "datetime_start": START})),
        record(
            5,
            json!({"trial_id": 0, "param_name": "lr", "param_value_internal": 0.5, "distribution": distribution}),
        ),
        record(7, json!({"trial_id": 0, "step": 1, "intermediate_value": 0.5})),
        record(8, json!({"trial_id": 0, "user_attr": {"number": 3}})),
        record(9, json!({"trial_id": 0, "system_attr": {"key": null}})),
        record(6, json!({"trial_id": 0, "state": 1, "values": [0.5], "datetime_complete": START})),
        record(4, json!({"study_id": 1, "datetime_start": START, "user_attrs": {"number": 0}})),
        record(10, json!({"study_id": 1, "trial_ids": [0]})),
    ]
    .concat();
    let (_dir, path) = place();
    fs::write(&path, &theirs).unwrap();
    let mut journal = create(&path).unwrap();
    assert_eq!((journal.study(), journal.state()), (None, &Kept::default()));
    let mut locked = journal.lock().unwrap();
    locked.create_study(&attributes()).unwrap();
    (0..4).for_each(|number| locked.add_trial(&trial(number)).unwrap());
    drop(locked);
    assert_eq!((journal.study(), journal.state().numbers()), (Some(3), vec![0, 1, 2, 3]));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&theirs), "what was there was changed");
    let ours = &records(&path)[theirs.lines().count()..];
    assert_eq!(ours.len(), 6);
    assert!(ours[1..].iter().all(|record| record["study_id"] == 3), "{ours:?}");

    // Optuna's trials in our study, as it asks for them and as it adds them.
    let asked = [
        record(4, json!({"study_id": 3, "datetime_start": START})),
        record(4, json!({"study_id": 3, "datetime_start": START, "state": 3, "user_attrs": {"mine": 1}})),
        record(8, json!({"trial_id": 6, "user_attr": {"number": 2}})),
        record(11, json!({"study_id": 2, "what": "nobody knows"})),
        // `create_study(study_name=…, load_if_exists=True)` asks for our name again.
        study("tuning"),
        record(2, json!({"study_id": 3, "user_attr": {"note": "ours, and theirs"}})),
        study("fourth"),
    ];
    fs::write(&path, format!("{text}{}", asked.concat())).unwrap();
    let mut again = open(&path).unwrap();
    assert_eq!((again.state().numbers(), again.state().others), (vec![0, 1, 2, 3], 2));
    assert_eq!(again.state().attributes[1], ("note".to_owned(), json!("ours, and theirs")));
    again.lock().unwrap().add_trial(&trial(4)).unwrap();
    journal.refresh().unwrap();
    assert_eq!(journal.state(), again.state());
    assert_eq!(records(&path).last().unwrap()["study_id"], 3);

    // Ours is deleted while it is in use. A new one has another id, and nothing of the old one.
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}{}", record(1, json!({"study_id": 3})))).unwrap();
    journal.refresh().unwrap();
    assert_eq!((journal.study(), journal.state()), (None, &Kept::default()));
    journal.lock().unwrap().create_study(&attributes()).unwrap();
    assert_eq!(journal.study(), Some(5));
    journal.lock().unwrap().add_trial(&trial(0)).unwrap();
    assert_eq!(records(&path).last().unwrap()["study_id"], 5);
}

#[test]
fn what_python_alone_takes_for_json_is_read_over() {
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
    let mut journal = create(&path).unwrap();
    journal.lock().unwrap().create_study(&attributes()).unwrap();
    (0..3).for_each(|number| journal.lock().unwrap().add_trial(&trial(number)).unwrap());
    let text = fs::read_to_string(&path).unwrap();
    let ours: Vec<Value> =
        text.strip_prefix(&theirs).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(ours.len() == 5 && ours[1..].iter().all(|record| record["study_id"] == 2), "{ours:?}");
    // In our study, and without an end.
    let more = r#"{"op_code":4,"worker_id":"w","study_id":2,"datetime_start":null,"user_attrs":{"mine":NaN}}"#;
    fs::write(&path, format!("{text}{more}")).unwrap();
    let mut again = open(&path).unwrap();
    assert_eq!(again.state(), journal.state());
    again.mend_last_line().unwrap();
    assert_eq!((again.state().numbers(), again.state().others), (vec![0, 1, 2], 1));
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{text}{more}\n"));
}

#[test]
fn processes_that_write_at_the_same_time_lose_nothing_and_write_nothing_twice() {
    const PROCESSES: usize = 4;
    const TRIALS: u64 = 60;
    let (dir, path) = place();
    let barrier = Barrier::new(PROCESSES);
    // Each thread opens the journal for itself, as processes do, and does all the trials that are not there.
    std::thread::scope(|scope| {
        for _ in 0..PROCESSES {
            let (path, barrier) = (&path, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let mut journal = create(path).unwrap();
                let mut locked = journal.lock().unwrap();
                if locked.study().is_none() {
                    locked.create_study(&attributes()).unwrap();
                }
                drop(locked);
                for number in 0..TRIALS {
                    let mut locked = journal.lock().unwrap();
                    if !locked.state().numbers().contains(&number) {
                        locked.add_trial(&trial(number)).unwrap();
                    }
                }
            });
        }
    });
    let mut numbers = open(&path).unwrap().state().numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..TRIALS).collect::<Vec<_>>());
    assert_eq!(records(&path).len(), 2 + TRIALS as usize, "a study or a trial is in it twice");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["study.log"], "a lock is left behind");
}
