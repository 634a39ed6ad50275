//! The command line as a contract: other programs call these names and read these answers.
//!
//! | file | what it holds |
//! |---|---|
//! | `main.rs` | exit status, help, the two lines of an error |
//! | `train.rs` | every flag of `train`, its outputs, the same bits on every ISA and number of threads |
//! | `model.rs` | saved networks: what is in the file, `evaluate`, damaged files |
//! | `profile.rs` | `train --profile` and `roofline` |
//! | `search.rs` | `search` |
//! | `study.rs` | `search --study`: processes that share a file, searches that are taken up, Optuna on the same file |
//! | `digits.rs` | `data`, and where digits are looked for |

mod digits;
mod model;
mod profile;
mod search;
mod study;
mod train;

#[path = "../support"]
mod support {
    pub mod data;
    pub mod isa;
    pub mod markup;
    pub mod run;
}

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use support::data::digits;
use support::run::{Ran, command, groundup};
use tensor::isa::AnyIsa;

/// What the binary printed, which must be one JSON value and nothing else.
fn json(args: &[&str]) -> Value {
    let out = groundup(args);
    assert_eq!(out.lines().count(), 1, "one line: {out:?}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out:?}"))
}

/// `train` on the small digits, with `--json`.
fn train(options: &[&str]) -> Value {
    json(&[&["train", "--data", digits(), "--json"], options].concat())
}

/// The cause and the cure of a command whose work fails: status 1, and these two lines on stderr alone.
fn failure(command: &mut Command) -> [String; 2] {
    let ran = Ran::of(command);
    assert_eq!(ran.status, Some(1), "{command:?}:\n{}{}", ran.out, ran.err);
    let lines: Vec<&str> = ran.err.lines().filter(|line| !line.starts_with("note: a debug build")).collect();
    let [cause, cure] = lines[..] else { panic!("not two lines: {}", ran.err) };
    let text = |line: &str, label: &str| {
        let text = line.strip_prefix(label).unwrap_or_else(|| panic!("{line:?} does not start with {label:?}"));
        assert!(text.len() > 3, "nothing after {label:?}: {}", ran.err);
        text.to_owned()
    };
    [text(cause, "error: "), text(cure, "cure:  ")]
}

/// [`failure`] of these arguments, in an empty folder.
fn failure_of(args: &[&str]) -> [String; 2] {
    let dir = tempfile::tempdir().unwrap();
    let failure = failure(&mut command(dir.path(), args));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{args:?} left a file behind");
    failure
}

#[test]
fn the_ladder_has_a_bar_for_each_rung_on_the_terminal_and_in_the_drawing() {
    let dir = tempfile::tempdir().unwrap();
    let drawing = dir.path().join("ladder.svg");
    let out = groundup(&["ladder", "--shape", "20x30x40", "--threads", "2", "--out", drawing.to_str().unwrap()]);
    let svg = std::fs::read_to_string(&drawing).unwrap();
    assert_eq!(support::markup::markup_fault(&svg), None);
    for rung in tensor::gemm::ladder::RUNGS.iter().map(|rung| rung.name).chain(["gemm"]) {
        let line = out.lines().find(|line| line.starts_with(rung)).unwrap_or_else(|| panic!("no {rung} in {out}"));
        assert!(line.contains("GFLOP/s") && line.contains("% of"), "{line}");
        assert!(svg.contains(rung), "{rung} is not in the drawing");
    }
    let below = format!("{}/below.svg", drawing.display());
    for plot in ["--out", "--sizes"] {
        let [cause, _] = failure_of(&["ladder", "--shape", "2x2x2", "--threads", "1", plot, &below]);
        assert!(cause.contains(drawing.to_str().unwrap()), "{cause}");
    }
}

#[test]
fn seeds_up_to_the_last_are_run_and_none_beyond_it() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("report");
    let chapter = |seed: &str, runs: &str| {
        let options =
            ["--runs", runs, "--threads", "1", "--out", out.to_str().unwrap(), "--data", "synthetic", "--seed", seed];
        command(dir.path(), &[&["chapter", "optimizer-paths"], &options[..]].concat())
    };
    let last = Ran::of(&mut chapter("18446744073709551614", "2"));
    assert_eq!(last.status, Some(0), "{}", last.err);
    let [cause, cure] = failure(&mut chapter("18446744073709551615", "3"));
    assert!(cause.contains("3 runs from seed 18446744073709551615") && cure.contains("--seed"), "{cause}\n{cure}");
}

#[test]
fn help_of_each_command_is_status_0_and_names_every_flag_of_the_contract() {
    let digits = "--data";
    let contract: [(&[&str], &[&str]); 10] = [
        (&[], &["chapter", "train", "evaluate", "search", "data", "info", "ladder", "roofline"]),
        (
            &["chapter"],
            &[
                "optimizer-paths",
                "optimizer-comparison",
                "activation-histograms",
                "init-comparison",
                "batch-norm",
                "weight-decay",
                "dropout",
                "hyperparameter-search",
                digits,
                "--out",
                "--seed",
                "--runs",
                "--threads",
            ],
        ),
        (
            &["train"],
            &[
                digits,
                "--hidden",
                "--activation",
                "--init",
                "--batch-norm",
                "--dropout",
                "--weight-decay",
                "--optimizer",
                "--lr",
                "--schedule",
                "--batch-size",
                "--epochs",
                "--steps",
                "--train-samples",
                "--preset",
                "--sampling",
                "--seed",
                "--threads",
                "--log",
                "--save",
                "--checkpoint",
                "--checkpoint-every",
                "--resume",
                "--profile",
                "--quiet",
                "--json",
            ],
        ),
        (&["evaluate"], &["--model", digits, "--json"]),
        (
            &["search"],
            &[
                digits,
                "--trials",
                "--epochs",
                "--lr",
                "--weight-decay",
                "--rounds",
                "--jobs",
                "--seed",
                "--shard",
                "--study",
                "--resume",
                "--json",
            ],
        ),
        (&["ladder"], &["--shape", "--threads", "--out", "--sizes"]),
        (&["roofline"], &["--out", "--workload", "--threads"]),
        (&["data"], &["download", "synth", "info"]),
        (&["data", "synth"], &["--dir", "--train", "--test", "--seed"]),
        (&["data", "download"], &["--dir"]),
    ];
    for (command, names) in contract {
        let help = groundup(&[command, &["--help"]].concat());
        for name in names {
            let is = |word: &str| word.trim_matches(['[', ']', ',', ':', '.']) == *name;
            assert!(help.split_whitespace().any(is), "groundup {command:?} --help does not name {name}:\n{help}");
        }
    }
    assert_eq!(groundup(&["--version"]), format!("groundup {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_status_2_says_what_is_wrong_and_does_nothing() {
    let wrong: &[(&[&str], &str)] = &[
        (&["frobnicate"], "frobnicate"),
        (&["--frobnicate"], "--frobnicate"),
        (&["chapter", "optimizer-path"], "optimizer-paths"),
        (&["chapter", "optimizer-paths", "--runs", "0"], "--runs"),
        (&["chapter", "optimizer-paths", "--threads", "0"], "--threads"),
        (&["train", "--frobnicate"], "--frobnicate"),
        (&["train", "--activation", "gelu"], "relu, sigmoid, tanh"),
        (&["train", "--init", "normal:-1"], "normal:STD"),
        (&["train", "--optimizer", "sgdd"], "sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw"),
        (&["train", "--preset", "keras"], "book, torch"),
        (&["train", "--sampling", "some"], "shuffle, replacement"),
        (&["train", "--schedule", "step:0:0.5"], "step:EPOCHS:FACTOR"),
        (&["train", "--hidden", "100,,100"], "--hidden"),
        (&["train", "--dropout", "1"], "--dropout"),
        (&["train", "--batch-size", "0"], "--batch-size"),
        (&["train", "--threads", "0"], "--threads"),
        (&["train", "--threads", "1025", "--data", "synthetic"], "1 to 1024"),
        (&["chapter", "optimizer-paths", "--threads", "100000"], "1 to 1024"),
        (&["ladder", "--threads", "100000"], "1 to 1024"),
        (&["roofline", "--threads", "100000"], "1 to 1024"),
        (&["search", "--jobs", "100000"], "1 to 1024"),
        (&["train", "--lr", "fast"], "0 or more"),
        (&["train", "--lr", "-0.1"], "0 or more"),
        (&["train", "--lr=inf"], "0 or more"),
        (&["train", "--weight-decay", "nan"], "0 or more"),
        (&["train", "--schedule", "step:1:nan"], "step:EPOCHS:FACTOR"),
        (&["train", "--schedule", "cosine:2:-1"], "no negative number"),
        (&["train", "--seed", "-1"], "-1"),
        (&["train", "--steps", "1", "--epochs", "1"], "--epochs"),
        (&["train", "--checkpoint-every", "5"], "--checkpoint"),
        (&["train", "--checkpoint", "c.safetensors", "--checkpoint-every", "0"], "--checkpoint-every"),
        (&["evaluate"], "--model"),
        (&["search", "--lr", "1e-2..1e-6"], "1e-6..1e-2"),
        (&["search", "--weight-decay", "0..1"], "1e-6..1e-2"),
        (&["search", "--shard", "3/2"], "1/4"),
        (&["search", "--shard", "0/2"], "1/4"),
        (&["search", "--trials", "0"], "--trials"),
        (&["search", "--rounds", "18446744073709551615"], "1 to 1000"),
        (&["search", "--jobs", "0"], "--jobs"),
        (&["search", "--resume"], "--study"),
        (&["roofline", "--workload", "F"], "A, B, C, D, E"),
        (&["roofline", "--threads", "0"], "--threads"),
        (&["data", "synth", "--train", "0"], "--train"),
        (&["data", "info"], "<PATH>"),
        (&["data"], "synth"),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (args, says) in wrong {
        let ran = Ran::of(&mut command(dir.path(), args));
        assert_eq!(ran.status, Some(2), "groundup {args:?}:\n{}{}", ran.out, ran.err);
        assert!(ran.err.contains(says), "groundup {args:?} does not say {says:?}:\n{}", ran.err);
        assert_eq!(ran.out, "", "groundup {args:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "a wrong command line wrote something");
}

#[test]
fn an_unknown_isa_is_refused_by_every_command_that_computes() {
    let commands: &[&[&str]] = &[
        &["train", "--data", digits(), "--steps", "1"],
        &["chapter", "optimizer-paths", "--data", digits()],
        &["search", "--data", digits(), "--trials", "1"],
        &["evaluate", "--model", "none.safetensors"],
        &["info"],
        &["roofline"],
    ];
    for args in commands {
        let [cause, cure] = failure(command(Path::new("."), args).env("GROUNDUP_ISA", "sse9"));
        assert_eq!(cause, "GROUNDUP_ISA=sse9 is not an ISA", "{args:?}");
        assert!(cure.contains("portable, avx2, avx512"), "{args:?}: {cure}");
    }
}

#[test]
fn info_names_the_isa_in_use_and_measures_each_there_is() {
    for isa in AnyIsa::available().map(AnyIsa::name) {
        let mut info = command(Path::new("."), &["info"]);
        let ran = Ran::of(info.env("GROUNDUP_ISA", isa));
        assert_eq!(ran.status, Some(0), "{}", ran.err);
        assert!(ran.out.starts_with(&format!("ISA        {isa} (available: ")), "{}", ran.out);
        for measured in AnyIsa::available().map(AnyIsa::name) {
            let line = ran.out.lines().find(|line| line.starts_with("peak") && line.ends_with(measured));
            let line = line.unwrap_or_else(|| panic!("no peak of {measured}:\n{}", ran.out));
            let peak: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            assert!(peak > 0.0, "{line}");
        }
        assert!(ran.out.lines().any(|line| line.starts_with("bandwidth") && line.contains("DRAM")), "{}", ran.out);
    }
}

/// That digits are made by no more threads than there are cores shows in that making them does not fail.
#[cfg(target_os = "linux")]
#[test]
fn threads_that_the_system_refuses_are_an_error_that_says_so_and_not_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    // Addresses for as many stacks of a GiB as there are cores, and for some more; with one arena, all that these leave
    // is the heap's.
    let addresses = (std::thread::available_parallelism().unwrap().get() + 4) << 20;
    let limited = format!("ulimit -v {addresses} && exec \"$0\" \"$@\"");
    for work in [&["train", "--steps", "3"][..], &["chapter", "optimizer-paths"]] {
        let mut command = Command::new("sh");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_groundup")]).args(work).current_dir(dir.path());
        command.args(["--data", "synthetic", "--threads", "1000"]);
        let [cause, cure] = failure(command.env("RUST_MIN_STACK", "1073741824").env("MALLOC_ARENA_MAX", "1"));
        assert!(cause.starts_with("1000 threads cannot be started: "), "{cause}");
        assert!(cure.contains("fewer") && cure.contains("cores"), "{cure}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "something was written");
}

#[test]
fn a_reader_of_errors_who_has_left_changes_neither_the_work_nor_the_exit_status() {
    let dir = tempfile::tempdir().unwrap();
    let status = |args: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command(dir.path(), args).stderr(writer).status().unwrap().code()
    };
    assert_eq!(status(&["train", "--data", "nowhere"]), Some(1));
    // A debug build begins with a note.
    assert_eq!(status(&["chapter", "optimizer-paths", "--data", digits(), "--threads", "1"]), Some(0));
    assert!(dir.path().join("report/index.html").exists(), "the work was not done");
}

#[test]
fn a_reader_who_has_left_stops_no_work_and_a_full_disk_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let train = ["train", "--data", digits(), "--steps", "3", "--save", "net.safetensors"];
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = Ran::of(command(dir.path(), &train).stdout(writer));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert!(dir.path().join("net.safetensors").exists(), "the work was not done");

    if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
        let [cause, cure] = failure(
            command(dir.path(), &["evaluate", "--model", "net.safetensors", "--json"])
                .args(["--data", digits()])
                .stdout(full),
        );
        assert!(cause.starts_with("standard output: ") && cure.contains("can be written"), "{cause}; {cure}");
    }
}
