//! `groundup search --study`: the same answer whether trials are done at once, in shares, or after a kill; and Optuna
//! reads and writes the same file.

use super::{digits, failure, failure_of, json};
use crate::support::isa::is_portable;
use crate::support::run::{Ran, command, groundup};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The options of a search on the small digits.
fn options(more: &str) -> Vec<&str> {
    ["search", "--data", digits(), "--epochs", "2"].into_iter().chain(more.split_whitespace()).collect()
}

/// The answer of a search with `--json` and these options.
fn search(options_: &str) -> Value {
    json(&options(&format!("{options_} --json")))
}

/// The same with a study.
fn study(path: &Path, options: &str) -> Value {
    search(&format!("{options} --study {}", path.display()))
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.log");
    (dir, path)
}

/// Starts a search with a study.
fn start(path: &Path, more: &str) -> Child {
    let study = path.to_str().unwrap();
    let args = [&options(more)[..], &["--json", "--study", study]].concat();
    command(path.parent().unwrap(), &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The whole lines of trials in a file.
fn written(path: &Path) -> usize {
    let of_ours = |line: &&str| line.contains("\"train_accuracy\"") && line.ends_with('\n');
    fs::read_to_string(path).map_or(0, |text| text.split_inclusive('\n').filter(of_ours).count())
}

#[test]
fn shares_in_processes_at_the_same_time_fill_one_file_and_their_answers_are_those_without_it() {
    let (dir, path) = place();
    let whole = search("--trials 12");
    let shares = ["--trials 12 --shard 1/3", "--trials 12 --shard 2/3 --jobs 2", "--trials 12 --shard 3/3 --jobs 1"];
    let running = shares.map(|share| start(&path, share));
    for (child, share) in running.into_iter().zip(shares) {
        let answer: Value = serde_json::from_str(&end(child)).unwrap();
        assert_eq!(answer, search(share), "{share}");
    }
    assert_eq!(written(&path), 12);
    assert_eq!(study(&path, "--trials 12 --resume"), whole);
    assert_eq!(study(&path, "--trials 12 --shard 2/3 --resume"), search("--trials 12 --shard 2/3"));
    assert_eq!(study(&path, "--trials 14 --resume"), search("--trials 14"));
    assert_eq!(written(&path), 14);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a lock is left behind");
}

#[test]
fn a_search_that_is_killed_is_taken_up_and_finds_what_it_would_have_found() {
    // Enough for the kill to come in between; without vector instructions that are few, and each takes a second.
    let trials = if is_portable() { 20 } else { 200 };
    for search_of in &[format!("--trials {trials}"), format!("--trials {} --rounds 2", trials / 2)] {
        let (_dir, path) = place();
        let mut child = start(&path, &format!("{search_of} --jobs 2"));
        let began = Instant::now();
        while written(&path) < 5 && child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_secs(60), "no trial ends");
            sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let known = written(&path);
        assert!((5..trials).contains(&known), "{known} trials were written before it was killed");
        // If it held the lock, that would be broken after half a minute.
        let _ = fs::remove_file(path.with_file_name("study.log.lock"));
        let words = groundup(&options(&format!("{search_of} --study {} --resume", path.display())));
        let says = format!("\n{known} of {trials} trials are in {}\n", path.display());
        assert!(words.contains(&says), "{words}");
        assert_eq!(written(&path), trials);
        assert_eq!(study(&path, &format!("{search_of} --resume")), search(search_of));
    }
}

#[test]
fn what_a_study_cannot_be_used_for_is_refused_before_any_work_with_status_1() {
    let (dir, path) = place();
    let file = path.to_str().unwrap();
    let refused = |more: &str| {
        let before = fs::read(&path).ok();
        let failure = failure(&mut command(dir.path(), &[&options(more)[..], &["--study", file]].concat()));
        assert_eq!(fs::read(&path).ok(), before, "{more} changed the file");
        failure
    };
    let [cause, cure] = refused("--trials 3 --resume");
    assert_eq!(cause, format!("{file}: there is no such file"));
    assert!(cure.contains("leave --resume out"), "{cure}");
    study(&path, "--trials 3");
    let [cause, cure] = refused("--trials 3");
    assert_eq!(cause, format!("{file}: trial 0 is in it already"));
    assert!(cure.contains("--resume"), "{cure}");
    for (options, says) in [
        ("--trials 3 --resume --lr 1e-5..1e-2", "lr 1e-6..1e-2, not 1e-5..1e-2"),
        ("--trials 3 --resume --weight-decay 1e-8..1e-5", "weight-decay 1e-8..1e-4, not 1e-8..1e-5"),
        ("--trials 3 --resume --seed 2", "seed 1, not 2"),
        ("--trials 2 --rounds 2 --resume", "trial 2 has round 1 in it, not 2"),
    ] {
        assert!(refused(options)[0].contains(says), "{options}: {:?}", refused(options));
    }
    let args = ["search", "--data", digits(), "--trials", "3", "--epochs", "3", "--study", file, "--resume"];
    assert!(failure(&mut command(dir.path(), &args))[0].contains("epochs 2, not 3"));
    let others = dir.path().join("others");
    let others = others.to_str().unwrap();
    groundup(&["data", "synth", "--dir", others, "--train", "500", "--test", "1", "--seed", "2"]);
    let args = ["search", "--data", others, "--trials", "3", "--epochs", "2", "--study", file, "--resume"];
    assert!(failure(&mut command(dir.path(), &args))[0].contains("training samples SHA-256 "));
    let [cause, _] = failure_of(&[&options("--trials 3")[..], &["--study", &format!("{file}/below")]].concat());
    assert!(cause.starts_with(file), "{cause}");
    let [cause, _] = failure_of(&options("--trials 3 --rounds 2 --shard 1/2 --study none.log"));
    assert!(cause.contains("several rounds"), "{cause}");
}

/// A Python with Optuna, named by `PYTHON`; where `GROUNDUP_REQUIRE_OPTUNA` is set there must be one.
fn python() -> Option<String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import optuna"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(found || std::env::var_os("GROUNDUP_REQUIRE_OPTUNA").is_none(), "{python} has no Optuna");
    found.then_some(python)
}

#[test]
fn optuna_reads_what_is_written_and_writes_to_the_same_file_at_the_same_time() {
    let Some(python) = python() else {
        println!("SKIPPED: no Python with Optuna; name one by PYTHON");
        return;
    };
    let (dir, path) = place();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/study.py");
    let optuna = |work: &str, more: &str| {
        let mut command = Command::new(&python);
        command.arg(script).args([work, "study.log", more]).current_dir(dir.path());
        command
    };
    let read = |whole: &Value| {
        fs::write(dir.path().join("whole.json"), whole.to_string()).unwrap();
        let ran = Ran::of(&mut optuna("read", "whole.json"));
        assert_eq!(ran.status, Some(0), "{}{}", ran.out, ran.err);
        println!("{}", ran.out.trim());
    };
    let two_rounds = "--trials 6 --rounds 2";
    assert_eq!(study(&path, two_rounds), search(two_rounds));
    read(&search(two_rounds));

    // From here on with trials of Optuna's in our study, and a study of its own, written while ours are.
    let whole = search("--trials 60");
    fs::remove_file(&path).unwrap();
    study(&path, "--trials 2");
    let mut writing = optuna("write", "stop").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let of_optuna = |line: &str| line.contains("\"mine\"");
    let text = || fs::read_to_string(&path).unwrap();
    while !text().lines().any(of_optuna) && writing.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(1));
    }
    let shares = ["--trials 60 --shard 1/2 --resume", "--trials 60 --shard 2/2 --resume"];
    for child in shares.map(|share| start(&path, share)) {
        end(child);
    }
    let writes = writing.try_wait().unwrap().is_none();
    fs::write(dir.path().join("stop"), "").unwrap();
    end(writing);
    assert!(writes, "Optuna ended early");
    assert_eq!(written(&path), 60);
    let turns: Vec<bool> = text().lines().skip(4).map(of_optuna).collect();
    let first_of_ours = text().lines().skip(4).position(|line| line.contains("\"train_accuracy\"")).unwrap();
    assert!(turns[..first_of_ours].contains(&true) && turns[first_of_ours..].contains(&true), "one after the other");
    read(&whole);
    assert_eq!(study(&path, "--trials 60 --resume"), whole);

    // And from a study that Optuna copied to another file.
    let ran = Ran::of(&mut optuna("copy", "copy.log"));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let copy = dir.path().join("copy.log");
    assert_eq!(study(&copy, "--trials 62 --resume"), search("--trials 62"));
    assert_eq!(written(&copy), 62);
}
