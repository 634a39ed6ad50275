//! `groundup train`: every flag does something, the answers agree with each other, and the bits do not depend on the
//! machine.

use super::support::run::{Ran, command, groundup};
use super::{digits, failure, failure_of, json, train};
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use tensor::isa::AnyIsa;

/// A short run: two epochs of two steps.
const SHORT: [&str; 6] = ["--hidden", "30,20", "--train-samples", "200", "--epochs", "2"];

fn weights(run: &Value) -> String {
    run["weights_sha256"].as_str().unwrap().to_owned()
}

/// The weights after a short run with these options.
fn weights_with(options: &str) -> String {
    let mut all = SHORT.to_vec();
    all.extend(options.split_whitespace());
    weights(&train(&all))
}

/// [`train`] with an environment variable.
fn train_on(isa: &str, options: &[&str]) -> Value {
    let args = [&["train", "--data", digits(), "--json"], options].concat();
    let ran = Ran::of(command(Path::new("."), &args).env("GROUNDUP_ISA", isa));
    assert_eq!(ran.status, Some(0), "{isa}: {}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn every_flag_changes_the_weights_in_its_own_way() {
    let options = [
        "",
        "--activation sigmoid",
        "--activation tanh",
        "--init xavier",
        "--init glorot",
        "--init normal:0.01",
        "--init normal:0.02",
        "--init zeros",
        "--batch-norm",
        "--dropout 0.3",
        "--dropout 0.4",
        "--weight-decay 0.1",
        "--optimizer momentum",
        "--optimizer nesterov",
        "--optimizer adagrad",
        "--optimizer rmsprop",
        "--optimizer adam",
        "--optimizer adamw --preset torch --sampling replacement",
        "--lr 0.02",
        "--schedule step:1:0.5",
        "--schedule step:1:0.25",
        "--schedule cosine:3:0",
        "--schedule cosine:3:0.001",
        "--batch-size 50",
        "--sampling shuffle",
        "--seed 2",
    ];
    let mut seen = HashMap::new();
    for option in options {
        if let Some(other) = seen.insert(weights_with(option), option) {
            panic!("{option:?} and {other:?} give the same weights");
        }
    }
    // What the short run has flags for already.
    let unlike = |options: &str| assert_ne!(weights(&train(&options.split(' ').collect::<Vec<_>>())), weights_with(""));
    unlike("--hidden 20,30 --train-samples 200 --epochs 2");
    unlike("--hidden none --train-samples 200 --epochs 2");
    unlike("--hidden 30,20 --train-samples 400 --steps 4");
    unlike("--hidden 30,20 --train-samples 200 --epochs 3");
}

#[test]
fn what_is_not_given_is_the_default_of_the_contract() {
    let spelt = "--activation relu --init he --weight-decay 0 --optimizer sgd --lr 0.01 --schedule constant --batch-size 100 \
                 --preset book --sampling replacement --seed 1 --threads 1";
    assert_eq!(weights_with(spelt), weights_with(""));
    assert_eq!(weights_with("--optimizer adam --lr 0.001"), weights_with("--optimizer adam"));
    assert_eq!(weights_with("--dropout 0"), weights_with(""), "dropout of nothing");
    let wide = |options: &[&str]| weights(&train(&[&["--steps", "2"], options].concat()));
    assert_eq!(wide(&["--hidden", "100,100,100,100"]), wide(&[]));
    // Two epochs of 200 samples in batches of 100 are four steps.
    let steps = ["--hidden", "30,20", "--train-samples", "200", "--steps", "4"];
    assert_eq!(weights(&train(&steps)), weights_with(""));
    assert_eq!((train(&steps)["steps"].as_u64(), train(&SHORT)["steps"].as_u64()), (Some(4), Some(4)));
}

#[test]
fn the_torch_preset_shuffles_and_has_forms_of_its_own() {
    // SGD is the same in both presets, so that only the batches differ.
    assert_eq!(weights_with("--preset torch"), weights_with("--sampling shuffle"));
    assert_eq!(weights_with("--preset torch --sampling replacement"), weights_with(""));
    for form in [
        "--batch-norm",
        "--dropout 0.3",
        "--weight-decay 0.1",
        "--optimizer adagrad",
        "--optimizer rmsprop",
        "--optimizer adam",
        "--optimizer nesterov",
    ] {
        let torch = weights_with(&format!("{form} --preset torch --sampling replacement"));
        assert_ne!(torch, weights_with(form), "{form} is the same in both presets");
    }
}

#[test]
fn sigmoid_with_zero_weights_starts_at_a_loss_of_ln_10_and_stays_near_it() {
    let options = ["--init", "zeros", "--activation", "sigmoid", "--steps"];
    let loss = |steps| train(&[&options[..], &[steps]].concat())["train_loss"].as_f64().unwrap();
    assert!((loss("1") - 10_f64.ln()).abs() < 1e-6, "first loss {}", loss("1"));
    let later = loss("20");
    assert!((later - 10_f64.ln()).abs() < 0.05 && later != loss("1"), "loss at step 20: {later}");
}

#[test]
fn training_learns_the_digits() {
    let run = train(&["--hidden", "50", "--epochs", "8", "--batch-size", "50", "--optimizer", "adam", "--lr", "0.003"]);
    let number = |key: &str| run[key].as_f64().unwrap();
    assert!(number("train_loss") < 0.5 && number("train_accuracy") > 0.9, "{run}");
    assert!(number("test_accuracy") > 0.8 && number("test_accuracy") <= 1.0, "{run}");
}

#[test]
fn json_is_one_object_of_the_six_keys_and_nothing_else_is_printed() {
    let run = train(&SHORT);
    let keys: Vec<&str> = run.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["steps", "seconds", "train_loss", "train_accuracy", "test_accuracy", "weights_sha256"]);
    assert!(run["steps"].is_u64() && run["seconds"].as_f64().unwrap() > 0.0, "{run}");
    let sha256 = weights(&run);
    assert!(sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{sha256}");
    // Accuracies are shares of the 200 samples used, and of the 500 test images.
    for (key, of) in [("train_accuracy", 200.0), ("test_accuracy", 500.0)] {
        let right = run[key].as_f64().unwrap() * of;
        assert!((right - right.round()).abs() < 1e-9 && (0.0..=of).contains(&right), "{key}: {right} of {of}");
    }
    let quiet = train(&[&SHORT[..], &["--quiet"]].concat());
    assert_eq!(weights(&quiet), sha256, "--quiet --json");
}

#[test]
fn quiet_prints_nothing_and_in_a_pipe_there_is_no_progress() {
    let dir = tempfile::tempdir().unwrap();
    let args = [&["train", "--data", digits()], &SHORT[..]].concat();
    let quiet = Ran::of(&mut command(dir.path(), &[&args[..], &["--quiet"]].concat()));
    assert_eq!((quiet.status, quiet.out.as_str(), quiet.err.as_str()), (Some(0), "", ""));

    let talking = Ran::of(&mut command(dir.path(), &args));
    assert_eq!((talking.status, talking.err.as_str()), (Some(0), ""));
    assert!(!talking.out.contains(['\r', '\u{1b}']), "a bar in a pipe: {:?}", talking.out);
    let starts: Vec<&str> = talking.out.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(starts, ["data:", "net:", "epoch", "epoch", "4"], "{}", talking.out);
    assert!(talking.out.contains("784-30-20-10"), "{}", talking.out);
}

#[test]
fn the_log_has_a_line_for_each_step_and_epoch_and_ends_with_the_result() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jsonl");
    let options = ["--schedule", "step:1:0.5", "--log", path.to_str().unwrap()];
    let result = train(&[&SHORT[..], &options].concat());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    let order: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(order, ["run", "step", "step", "epoch", "step", "step", "epoch", "end"]);

    let run = &lines[0];
    assert_eq!((&run["schema"], &run["train_samples"], &run["seed"]), (&1.into(), &200.into(), &1.into()), "{run}");
    assert_eq!((&run["hidden"], &run["optimizer"]), (&vec![30, 20].into(), &"sgd".into()), "{run}");
    assert_eq!((&run["schedule"], &run["init"]), (&"step:1:0.5".into(), &"he".into()), "{run}");
    assert_eq!((&run["sampling"], &run["steps"]), (&"replacement".into(), &4.into()), "{run}");
    let steps: Vec<_> = of("step").iter().map(|step| (step["step"].as_u64(), step["epoch"].as_u64())).collect();
    assert_eq!(steps, [(1, 0), (2, 0), (3, 1), (4, 1)].map(|(step, epoch)| (Some(step), Some(epoch))));
    let rates: Vec<f64> = of("step").iter().map(|step| step["learning_rate"].as_f64().unwrap()).collect();
    assert_eq!(rates, [0.01, 0.01, 0.005, 0.005]);
    let losses: Vec<f64> = of("step").iter().map(|step| step["loss"].as_f64().unwrap()).collect();
    for (epoch, losses) in of("epoch").iter().zip(losses.chunks(2)) {
        let mean = epoch["mean_loss"].as_f64().unwrap();
        assert!((mean - (losses[0] + losses[1]) / 2.0).abs() < 1e-12, "{epoch}, of {losses:?}");
    }
    let epochs: Vec<_> = of("epoch").iter().map(|epoch| (epoch["epoch"].as_u64(), epoch["step"].as_u64())).collect();
    assert_eq!(epochs, [(Some(1), Some(2)), (Some(2), Some(4))]);

    let end = of("end")[0];
    assert_eq!(Some(losses[3]), end["train_loss"].as_f64());
    for key in ["train_accuracy", "test_accuracy"] {
        assert_eq!(of("epoch")[1][key], result[key], "{key} of the last epoch");
    }
    for (key, value) in result.as_object().unwrap() {
        assert_eq!(&end[key], value, "{key} of the last line");
    }
    // A run in steps is evaluated at its end only.
    train(&["--hidden", "none", "--steps", "3", "--log", path.to_str().unwrap()]);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!((text.lines().count(), text.contains("\"epoch\",")), (5, false), "{text}");
}

#[test]
fn the_weights_are_the_same_with_one_thread_and_two() {
    for options in ["", "--activation tanh --batch-norm --dropout 0.2 --optimizer adam --weight-decay 0.01"] {
        let run = |threads| {
            let mut all = vec!["--steps", "20", "--batch-size", "200", "--threads", threads];
            all.extend(options.split_whitespace());
            let mut run = train(&all);
            run["seconds"] = Value::Null;
            run
        };
        let one = run("1");
        for threads in ["2", "3"] {
            assert_eq!(run(threads), one, "{threads} threads, {options}");
        }
    }
}

#[test]
fn the_weights_are_the_same_on_every_isa_of_this_machine() {
    // Three steps and a small network: the portable row is slow.
    let short = ["--hidden", "50,30", "--batch-size", "60", "--steps", "3", "--train-samples", "120"];
    for options in ["", "--activation sigmoid --batch-norm --optimizer adam", "--activation tanh --dropout 0.2"] {
        let all = [&short[..], &options.split_whitespace().collect::<Vec<_>>()].concat();
        let run = |isa: AnyIsa| {
            let mut run = train_on(isa.name(), &all);
            run["seconds"] = Value::Null;
            run
        };
        let runs: Vec<Value> = AnyIsa::available().map(run).collect();
        let names: Vec<&str> = AnyIsa::available().map(AnyIsa::name).collect();
        assert!(runs.iter().all(|run| *run == runs[0]), "{options}: {names:?} give {runs:#?}");
        if runs.len() < 3 {
            println!("SKIPPED: this machine has only {names:?}");
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_with_its_step_and_leaves_no_model() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model.safetensors");
    let save = ["--save", model.to_str().unwrap()];
    let args = [&["train", "--data", digits(), "--lr", "1e9", "--steps", "50"], &save[..]].concat();
    let [cause, cure] = failure(&mut command(dir.path(), &args));
    assert!(cause.starts_with("the loss is not finite"), "{cause}");
    let step: u64 = cause.rsplit_once("at step ").and_then(|(_, step)| step.parse().ok()).expect("the step is named");
    assert!((2..50).contains(&step), "{cause}");
    assert!(cure.contains("learning rate") && cure.contains("1000000000"), "{cure}");
    assert!(!model.exists(), "a model of a run that failed");
    // The step named is the first: one step less is a run like any other.
    let steps = (step - 1).to_string();
    assert!(train(&["--lr", "1e9", "--steps", &steps])["train_loss"].is_f64());
}

#[test]
fn settings_that_cannot_be_are_refused_with_a_cure() {
    let settings: [(&[&str], &str); 4] = [
        (&["--batch-size", "5000", "--sampling", "shuffle"], "--batch-size"),
        (&["--batch-size", "101", "--train-samples", "100", "--preset", "torch"], "--sampling replacement"),
        (&["--hidden", "1000000000000"], "--hidden"),
        (&["--batch-size", "18446744073709551615"], "--batch-size"),
    ];
    for (options, says) in settings {
        let [_, cure] = failure_of(&[&["train", "--steps", "1", "--data", digits()], options].concat());
        assert!(cure.contains(says), "{options:?}: {cure}");
    }
}

#[test]
fn a_log_or_model_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a file");
    fs::write(&file, "x").unwrap();
    let below = file.join("below");
    for flag in ["--log", "--save"] {
        let args = ["train", "--data", digits(), "--hidden", "none", "--steps", "1", flag, below.to_str().unwrap()];
        let [cause, _] = failure(&mut command(dir.path(), &args));
        assert!(cause.starts_with(file.to_str().unwrap()), "{flag}: {cause}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "x");
    // That is found out before anything is computed.
    let log = dir.path().join("run.jsonl");
    let [save, run] = [below.to_str().unwrap(), log.to_str().unwrap()];
    failure(&mut command(dir.path(), &["train", "--data", digits(), "--steps", "1", "--save", save, "--log", run]));
    assert!(!log.exists(), "the run had begun");
    // A folder that is not there yet is made for a model.
    let model = dir.path().join("new/model.safetensors");
    groundup(&["train", "--data", digits(), "--hidden", "none", "--steps", "1", "--save", model.to_str().unwrap()]);
    assert!(json(&["evaluate", "--json", "--data", digits(), "--model", model.to_str().unwrap()]).is_object());
}

#[test]
fn a_run_that_is_taken_up_ends_with_the_weights_and_the_log_of_one_that_never_ended() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let [kept, log, whole_log] = ["kept.safetensors", "run.jsonl", "whole.jsonl"].map(file);
    let run = |options: &[&str]| {
        let network =
            ["--hidden", "30,20", "--batch-norm", "--dropout", "0.2", "--optimizer", "adam", "--threads", "2"];
        train(&[&network[..], options].concat())
    };
    let whole = run(&["--steps", "8", "--log", &whole_log]);
    let half = run(&["--steps", "5", "--log", &log, "--checkpoint", &kept, "--checkpoint-every", "2"]);
    assert_ne!(weights(&half), weights(&whole));
    let rest = run(&["--steps", "8", "--log", &log, "--resume", &kept]);
    assert_eq!(weights(&rest), weights(&whole));
    for key in ["steps", "train_loss", "train_accuracy", "test_accuracy"] {
        assert_eq!(rest[key], whole[key], "{key}");
    }
    let steps = |path: &str| -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["event"] == "step").collect()
    };
    assert_eq!(steps(&log), steps(&whole_log));
    // Another run is not taken up, and a checkpoint is a model.
    let other =
        ["train", "--data", digits(), "--batch-norm", "--dropout", "0.2", "--optimizer", "adam", "--hidden", "30"];
    let [cause, cure] = failure_of(&[&other[..], &["--resume", &kept]].concat());
    assert!(cause.contains("hidden 30,20, not 30") && cure.contains("these settings"), "{cause}\n{cure}");
    assert!(json(&["evaluate", "--json", "--data", digits(), "--model", &kept]).is_object());
}

#[test]
fn what_would_be_written_over_one_another_or_over_another_runs_checkpoint_is_refused() {
    for [one, other] in [["--save", "--checkpoint"], ["--save", "--log"], ["--checkpoint", "--log"]] {
        let args = ["train", "--data", digits(), "--steps", "1", one, "same", other, "same"];
        let [cause, _] = failure_of(&args);
        assert!(cause.contains(&format!("same is where {one} and {other}")), "{cause}");
    }
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept.safetensors");
    let args = ["train", "--data", digits(), "--hidden", "none", "--steps", "2", "--checkpoint", "kept.safetensors"];
    let again = |options: &[&str]| Ran::of(&mut command(dir.path(), &[&args[..], options].concat()));
    assert_eq!(again(&[]).status, Some(0));
    let before = fs::read(&kept).unwrap();
    let [cause, cure] = failure(&mut command(dir.path(), &args));
    assert!(cause.contains("kept.safetensors is there already") && cure.contains("--resume"), "{cause}\n{cure}");
    assert_eq!(fs::read(&kept).unwrap(), before);
    assert_eq!(again(&["--resume", "kept.safetensors"]).status, Some(0));
}

#[test]
fn a_run_at_its_end_that_is_taken_up_is_kept_again_goes_on_for_longer_and_is_never_cut() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let [kept, again, log] = ["kept.safetensors", "again.safetensors", "run.jsonl"].map(file);
    let run = |options: &[&str]| train(&[&["--hidden", "none"], options].concat());
    let six = run(&["--steps", "6", "--checkpoint", &kept, "--log", &log]);
    assert_eq!(weights(&run(&["--steps", "6", "--resume", &kept, "--checkpoint", &again])), weights(&six));
    assert!(fs::read(&again).unwrap() == fs::read(&kept).unwrap(), "the checkpoint is another");

    let before = fs::read(&log).unwrap();
    let shorter = ["train", "--data", digits(), "--hidden", "none", "--steps", "2", "--resume", &kept, "--log", &log];
    let [cause, cure] = failure_of(&shorter);
    assert!(cause.contains("6 steps were made, but the run is to have 2"), "{cause}");
    assert!(cure.contains("--steps 6 or more"), "{cure}");
    assert!(fs::read(&log).unwrap() == before, "the log of a run that was refused is another");

    run(&["--steps", "8", "--resume", &kept, "--log", &log]);
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["event"], &lines[0]["steps"]), (10, &"run".into(), &8.into()), "{text}");

    // What is another's is refused, and left as it is.
    let study = file("study.log");
    let journal =
        "{\"op_code\":0,\"worker_id\":\"w\",\"study_name\":\"groundup\"}\n{\"op_code\":4,\"worker_id\":\"w\"}\n";
    fs::write(&study, journal).unwrap();
    let wrong = ["train", "--data", digits(), "--hidden", "none", "--steps", "8", "--resume", &kept, "--log", &study];
    let [cause, cure] = failure_of(&wrong);
    assert!(cause.starts_with(&format!("{study}: line 1 ")) && cure.contains("--log"), "{cause}; {cure}");
    assert_eq!(fs::read_to_string(&study).unwrap(), journal);
}
