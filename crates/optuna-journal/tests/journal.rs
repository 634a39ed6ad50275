//! What is written is read back; a damaged end is mended; whatever cannot be used is refused and left as it is.

mod common;

use common::{attributes, create, open, place, records, trial};
use optuna_journal::{Error, Fault, Parameter};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The bytes of a journal with one study of these trials.
fn written(trials: u64) -> Vec<u8> {
    let (_dir, path) = place();
    let mut journal = create(&path).unwrap();
    let mut locked = journal.lock().unwrap();
    locked.create_study(&attributes()).unwrap();
    (0..trials).for_each(|number| locked.add_trial(&trial(number)).unwrap());
    drop(locked);
    fs::read(&path).unwrap()
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').collect()
}

/// The message of an error, in one line that begins with the file.
fn refusal<T>(result: Result<T, Error>, path: &Path) -> String {
    let message = result.map(|_| ()).expect_err("it was not refused").to_string();
    assert_eq!(message.lines().count(), 1, "{message:?}");
    assert!(message.starts_with(path.to_str().unwrap()) && message.contains("; "), "{message:?}");
    message
}

#[test]
fn a_trial_that_is_read_back_is_the_one_that_was_written_to_the_last_bit() {
    let (_dir, path) = place();
    fs::write(&path, written(40)).unwrap();
    let journal = open(&path).unwrap();
    assert_eq!(journal.study(), Some(0));
    assert_eq!(journal.state().attributes, [("batch".to_owned(), json!(100))]);
    assert_eq!(journal.state().trials.len(), 40);
    for (number, (read, value, lr, values)) in (0..).zip(&journal.state().trials) {
        let want = trial(number);
        assert_eq!(*read, number);
        assert_eq!(value.to_bits(), want.value.to_bits());
        assert_eq!(lr.to_bits(), want.parameters[0].value.to_bits());
        assert!(values.iter().map(|value| value.to_bits()).eq(want.intermediate_values.iter().map(|v| v.to_bits())));
    }
}

#[test]
fn a_record_says_what_optuna_needs_to_know() {
    let (_dir, path) = place();
    fs::write(&path, written(1)).unwrap();
    let records = records(&path);
    let worker = records[0]["worker_id"].as_str().unwrap();
    assert!(worker.starts_with("tests-") && records.iter().all(|record| record["worker_id"] == worker), "{worker}");
    let study = json!({"op_code": 0, "worker_id": worker, "study_name": "tuning", "directions": [2]});
    assert_eq!(records[0], study);
    let user_attr = json!({"op_code": 2, "worker_id": worker, "study_id": 0, "user_attr": {"batch": 100}});
    assert_eq!(records[1], user_attr);
    let record = &records[2];
    assert_eq!((&record["op_code"], &record["study_id"], &record["state"]), (&json!(4), &json!(0), &json!(1)));
    assert_eq!((&record["values"], &record["system_attrs"]), (&Value::Null, &json!({})));
    let distribution: Value = serde_json::from_str(record["distributions"]["lr"].as_str().unwrap()).unwrap();
    let want =
        json!({"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-6, "high": 1e3, "log": true}});
    assert_eq!(distribution, want);
    let [start, complete] = ["datetime_start", "datetime_complete"].map(|time| record[time].as_str().unwrap());
    assert!(start <= complete && start > "2020-01-01T00:00:00.000000+00:00", "{start}, {complete}");
    assert!(start.len() == 32 && start.ends_with("+00:00"), "{start}");
}

#[test]
fn a_line_cut_short_anywhere_is_removed_and_one_that_lacks_its_end_alone_is_ended() {
    let whole = written(3);
    let (_dir, path) = place();
    let last = whole.len() - lines(&whole)[4].len();
    for cut in last..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let mut journal = open(&path).unwrap();
        assert_eq!(journal.state().numbers(), [0, 1], "cut at {cut}");
        assert_eq!(fs::read(&path).unwrap(), whole[..cut], "to read it changed it, cut at {cut}");
        journal.mend_last_line().unwrap();
        let ended = cut == whole.len() - 1;
        assert_eq!(journal.state().numbers(), &[0, 1, 2][..2 + usize::from(ended)], "cut at {cut}");
        assert_eq!(fs::read(&path).unwrap(), whole[..if ended { whole.len() } else { last }], "cut at {cut}");
        journal.lock().unwrap().add_trial(&trial(7)).unwrap();
        let numbers = open(&path).unwrap().state().numbers();
        assert_eq!(numbers, if ended { vec![0, 1, 2, 7] } else { vec![0, 1, 7] }, "cut at {cut}");
        assert_eq!(journal.state().numbers(), numbers, "cut at {cut}");
    }
    // By another process, while the journal is open.
    fs::write(&path, &whole[..last]).unwrap();
    let mut journal = open(&path).unwrap();
    fs::write(&path, &whole[..last + 20]).unwrap();
    journal.lock().unwrap().add_trial(&trial(2)).unwrap();
    assert_eq!(journal.state().numbers(), [0, 1, 2]);
    assert_eq!(records(&path).len(), 5);
    // Cut short while the study was created: what is missing is written.
    for cut in 0..lines(&whole)[..2].iter().map(|line| line.len()).sum::<usize>() - 1 {
        fs::write(&path, &whole[..cut]).unwrap();
        let mut journal = create(&path).unwrap();
        journal.lock().unwrap().create_study(&attributes()).unwrap();
        assert_eq!((records(&path).len(), journal.study()), (2, Some(0)), "cut at {cut}");
        assert_eq!(journal.state().attributes, [("batch".to_owned(), json!(100))], "cut at {cut}");
    }
}

#[test]
fn what_is_no_journal_is_refused_by_its_line_and_left_as_it_is() {
    let good = written(3);
    let whole = lines(&good);
    let (_dir, path) = place();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut record: Value = serde_json::from_slice(whole[3]).unwrap();
        change(&mut record);
        [whole[0], whole[1], whole[2], format!("{record}\n").as_bytes()].concat()
    };
    let no_journal = "is none of an Optuna journal";
    let refused = "{\"op_code\":2,\"study_id\":0,\"user_attr\":{\"name\":\"refused\"}}\n";
    let files: [(Vec<u8>, &str, &str); 18] = [
        ([whole[0], whole[1], &whole[2][..99], whole[3]].concat(), "line 3", no_journal),
        ([whole[0], whole[1], &whole[2][..99], b"\n", whole[3]].concat(), "line 3", no_journal),
        ([&good[..], b"\n"].concat(), "line 6", no_journal),
        ([&good[..], b"{\"op_code\":12}\n"].concat(), "line 6", no_journal),
        ([&good[..], b"[1]\n"].concat(), "line 6", no_journal),
        (b"a note without an end of line".to_vec(), "line 1", no_journal),
        (b"{\"other\":".to_vec(), "line 1", no_journal),
        (vec![0xff; 9], "line 1", no_journal),
        ([&good[..], b"{\"op_code\":5,\"a\":NaNo}\n"].concat(), "line 6", no_journal),
        ([&good[..], b"{\"op_code\":5,\"a\":\"NaN}\n"].concat(), "line 6", no_journal),
        ([&good[..], b"{\"op_code\":5,\"a\":\"\xff\"}\n"].concat(), "line 6", no_journal),
        ([&good[..], b"{\"op_code\":11,\"study_id\":0}\n"].concat(), "line 6", no_journal),
        ([&good[..], b"{\"op_code\":1}\n"].concat(), "line 6", no_journal),
        ([&good[..], b"{\"op_code\":0}\n"].concat(), "line 6", no_journal),
        // What the program that follows the study refuses.
        ([&good[..], refused.as_bytes()].concat(), "line 6", "is an attribute to be refused"),
        (changed(&|record| record["state"] = json!(3)), "line 4", "is no whole trial"),
        (changed(&|record| record["intermediate_values"] = json!({"2": 0.5})), "line 4", "is no whole trial"),
        (changed(&|record| record["params"]["lr"] = Value::Null), "line 4", "is no whole trial"),
    ];
    for (bytes, line, says) in files {
        fs::write(&path, &bytes).unwrap();
        for result in [create(&path), open(&path)] {
            let message = refusal(result, &path);
            assert!(
                message.contains(&format!("its {line} {says}; take that line out")),
                "{message:?}, of {line}: {says}"
            );
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "it was changed");
    }
    // A last line that is whole but for its end is judged when it is ended.
    fs::write(&path, [&good[..], b"{\"op_code\":12}"].concat()).unwrap();
    let message = refusal(open(&path).unwrap().mend_last_line(), &path);
    assert!(message.contains("its line 6 is none of an Optuna journal"), "{message}");
    assert_eq!(fs::read(&path).unwrap(), [&good[..], b"{\"op_code\":12}"].concat(), "it was changed");
    let text = format!("{}\n", json!({"op_code": 0, "worker_id": "w", "study_name": "tuning", "directions": [1]}));
    fs::write(&path, text).unwrap();
    assert!(refusal(open(&path), &path).contains("line 1 is a study of that name that is not this program's"));
}

#[test]
fn a_trial_needs_a_study_and_finite_numbers() {
    let (_dir, path) = place();
    let mut journal = create(&path).unwrap();
    assert!(matches!(journal.lock().unwrap().add_trial(&trial(0)), Err(Error { fault: Fault::NoStudy, .. })));
    journal.lock().unwrap().create_study(&attributes()).unwrap();
    let before = fs::read(&path).unwrap();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let parameter = trial(0).parameters[0];
        let mut trials = [(); 5].map(|()| trial(0));
        trials[0].value = bad;
        trials[1].intermediate_values[3] = bad;
        trials[2].parameters = vec![Parameter { value: bad, ..parameter }];
        trials[3].parameters = vec![Parameter { low: bad, ..parameter }];
        trials[4].parameters = vec![Parameter { high: bad, ..parameter }];
        for trial in trials {
            let refused = journal.lock().unwrap().add_trial(&trial);
            assert!(matches!(refused, Err(Error { fault: Fault::NotFinite, .. })), "{trial:?}");
        }
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_lock_that_was_lost_while_it_was_held_ends_the_writing() {
    let (dir, path) = place();
    fs::write(&path, written(1)).unwrap();
    let mut journal = open(&path).unwrap();
    let mut locked = journal.lock().unwrap();
    fs::remove_file(dir.path().join("study.log.lock")).unwrap();
    let message = refusal(locked.add_trial(&trial(1)), &path);
    assert!(message.contains("took its lock over, while this one held that; open it again"), "{message}");
    drop(locked);
    assert_eq!(open(&path).unwrap().state().numbers(), [0]);
}

#[test]
fn what_is_no_file_to_read_and_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.log");
    assert!(refusal(open(&path), &path).contains("there is no such file; create the journal first"));
    assert!(refusal(open(&dir.path().join("no/study.log")), dir.path()).contains("there is no such file"));
    // A folder that is not there is made.
    let below = dir.path().join("new/study.log");
    assert_eq!(create(&below).unwrap().study(), None);
    assert_eq!(fs::read(&below).unwrap(), b"");

    type Harm = fn(&Path);
    let harms: [(Harm, &str); 3] = [
        (|path| fs::remove_file(path).unwrap(), "No such file"),
        (|path| fs::write(path, "").unwrap(), "it has become shorter"),
        (|path| fs::remove_file(path).and_then(|()| fs::create_dir(path)).unwrap(), "Is a directory"),
    ];
    for (harm, says) in harms {
        let (_dir, path) = place();
        fs::write(&path, written(1)).unwrap();
        let mut journal = open(&path).unwrap();
        harm(&path);
        for message in [refusal(journal.lock().map(drop), &path), refusal(journal.refresh(), &path)] {
            assert!(message.contains(says), "{message:?} does not say {says:?}");
        }
    }

    create(&path).unwrap();
    fs::write(dir.path().join("study.log.lock"), "[[package]]").unwrap();
    let message = refusal(open(&path).unwrap().lock().map(drop), &path);
    assert!(message.ends_with("study.log.lock: it is not a lock; move it, or give another file"), "{message}");
    let message = refusal(create(dir.path()), dir.path());
    assert!(message.contains("Is a directory") && message.ends_with("give a file that can be read and written"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        let link = dir.path().join("link");
        symlink("nowhere", &link).unwrap();
        for result in [create(&link), open(&link)] {
            assert!(refusal(result, &link).contains("it is a link to a file that is not there"));
        }
        // A link and what it leads to have one lock.
        fs::remove_file(&link).unwrap();
        symlink("study.log", &link).unwrap();
        let message = refusal(open(&link).unwrap().lock().map(drop), dir.path());
        assert!(message.contains("study.log.lock: it is not a lock"), "{message}");
    }
    fs::write(dir.path().join("file"), "").unwrap();
    let below = dir.path().join("file/study.log");
    assert!(refusal(create(&below), &below).contains("give a file"));
}
