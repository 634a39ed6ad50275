//! Resumed runs: they have the bits of uninterrupted ones, and no other file is resumed.

mod common;

use common::{images, small};
use layers::{BatchNormForm, DropoutForm};
use mnist_io::{Dataset, Sampling};
use optim::{Rule, Schedule};
use serde_json::{Value, json};
use std::path::Path;
use tensor::Exec;
use train::{
    Checkpoints, Config, EpochReport, Error, JsonLog, Length, Model, Observer, Preset, Trainer, accuracy, run,
    run_with_checkpoints, weights_sha256,
};

const STEPS: u64 = 9;

/// 30 images in batches of 8: three steps an epoch.
fn data() -> Dataset {
    images(30, 1)
}

fn rich(rule: Rule, preset: Preset, sampling: Sampling) -> Config {
    let length = Length::Steps(STEPS);
    let mut config = Config { rule, preset, sampling, length, weight_decay: 0.01, ..small(&[6, 5]) };
    config.schedule = Schedule::Step { every: 1, gamma: 0.5 };
    config.architecture.batch_norm = Some(BatchNormForm::Torch);
    config.architecture.dropout = Some((0.3, DropoutForm::Book));
    config
}

/// All that a step leaves.
fn everything(trainer: &mut Trainer) -> (String, Vec<u32>, [u64; 3], u64) {
    let mut statistics = Vec::new();
    let network = trainer.network();
    network.statistics(&mut |_, statistic| statistics.extend(statistic.value.iter().map(|value| value.to_bits())));
    let weights = weights_sha256(network);
    let after = trainer.loss_after().unwrap();
    (weights, statistics, [trainer.last_loss(), trainer.epoch_loss(), after].map(f64::to_bits), trainer.steps())
}

#[test]
fn a_resumed_run_has_the_bits_of_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint.safetensors");
    for rule in Rule::ALL {
        for preset in [Preset::Book, Preset::Torch] {
            for sampling in [Sampling::Replacement, Sampling::Shuffle] {
                let config = rich(rule, preset, sampling);
                let mut whole = Trainer::new(config.clone(), Exec::serial(), data()).unwrap();
                let mut want = Vec::new();
                for _ in 0..STEPS {
                    whole.step().unwrap();
                    want.push(everything(&mut whole));
                }
                // A trainer that is kept and let go after every step, and one that is kept once.
                for every in [1, 4] {
                    let mut trainer = Trainer::new(config.clone(), Exec::serial(), data()).unwrap();
                    for step in 0..STEPS {
                        trainer.step().unwrap();
                        let got = everything(&mut trainer);
                        assert_eq!(got, want[step as usize], "{rule:?} {preset:?} {sampling:?}, kept after {every}");
                        if (step + 1) % every == 0 {
                            trainer.save_checkpoint(&path).unwrap();
                            trainer = Trainer::resume(config.clone(), Exec::serial(), data(), &path).unwrap();
                            assert_eq!(everything(&mut trainer), want[step as usize], "{rule:?}, as it was resumed");
                        }
                    }
                }
            }
        }
    }
}

fn refusal(config: &Config, data: &Dataset, path: &Path) -> String {
    match Trainer::resume(config.clone(), Exec::serial(), data.clone(), path) {
        Err(error @ Error::Checkpoint { .. }) => {
            let message = error.to_string();
            assert_eq!(message.lines().count(), 1, "{message:?}");
            assert!(message.contains(path.to_str().unwrap()), "{message:?}");
            message
        }
        Err(other) => panic!("not the error of a checkpoint: {other}"),
        Ok(_) => panic!("it was resumed"),
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused_by_the_setting_that_differs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint.safetensors");
    let config = rich(Rule::ADAM, Preset::Book, Sampling::Shuffle);
    let mut trainer = Trainer::new(config.clone(), Exec::serial(), data()).unwrap();
    trainer.step().unwrap();
    trainer.save_checkpoint(&path).unwrap();
    type Change = fn(&mut Config);
    let changes: [(Change, &str); 12] = [
        (|c| c.architecture.hidden = vec![6, 6], "hidden 6,5, not 6,6"),
        (|c| c.architecture.activation = layers::Activation::Tanh, "activation relu, not tanh"),
        (|c| c.architecture.init = layers::Init::Xavier, "init he, not xavier"),
        (|c| c.architecture.batch_norm = None, "batch-norm torch, not none"),
        (|c| c.architecture.dropout = Some((0.4, DropoutForm::Book)), "dropout 0.3 (book), not 0.4 (book)"),
        (|c| c.rule = Rule::ADAMW, "optimizer"),
        (|c| c.learning_rate = 0.2, "lr 0.1, not 0.2"),
        (|c| c.schedule = Schedule::Constant, "schedule step:1:0.5, not constant"),
        (|c| c.weight_decay = 0.0, "weight-decay 0.01, not 0"),
        (|c| c.batch = 7, "batch-size 8, not 7"),
        (|c| c.sampling = Sampling::Replacement, "sampling shuffle, not replacement"),
        (|c| c.seed = 2, "seed 1, not 2"),
    ];
    for (change, says) in changes {
        let mut other = config.clone();
        change(&mut other);
        let message = refusal(&other, &data(), &path);
        assert!(message.contains(says), "{message:?} does not say {says:?}");
    }
    assert!(refusal(&config, &images(30, 2), &path).contains("training samples"));
    let of = |length| Trainer::resume(Config { length, ..config.clone() }, Exec::serial(), data(), &path).map(|_| ());
    for length in [Length::Epochs(7), Length::Steps(1)] {
        assert!(of(length).is_ok(), "the length may be another");
    }
    // But not shorter than what was done: one step, and then four.
    let shorter = |length, says: &str| {
        let message = of(length).expect_err("shorter").to_string();
        assert!(message.starts_with(path.to_str().unwrap()) && message.contains(says), "{message}");
    };
    shorter(Length::Steps(0), "1 steps were made, but the run is to have 0; give --steps 1 or more");
    (0..3).for_each(|_| assert!(trainer.step().is_ok()));
    trainer.save_checkpoint(&path).unwrap();
    shorter(Length::Epochs(1), "4 steps were made, but the run is to have 3; give --steps 4 or more");
}

#[test]
fn what_is_no_checkpoint_is_refused_and_a_checkpoint_is_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.safetensors");
    let config = rich(Rule::ADAM, Preset::Book, Sampling::Shuffle);
    assert!(refusal(&config, &data(), &path).contains("No such file"));
    let mut trainer = Trainer::new(config.clone(), Exec::serial(), data()).unwrap();
    (0..3).for_each(|_| assert!(trainer.step().is_ok()));
    Model::save(trainer.network(), &path).unwrap();
    assert!(refusal(&config, &data(), &path).contains("a model, and no checkpoint"));

    trainer.save_checkpoint(&path).unwrap();
    let mut model = Model::load(Exec::serial(), &path).unwrap();
    assert_eq!(weights_sha256(&mut model.network), weights_sha256(trainer.network()));
    let right = accuracy(Exec::serial(), &mut model.network, &data()).unwrap();
    assert_eq!(right, trainer.accuracy(data()).unwrap());

    // Cut short anywhere, or with a tensor of another name.
    let whole = std::fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(97) {
        std::fs::write(&path, &whole[..length]).unwrap();
        refusal(&config, &data(), &path);
    }
    for (name, other) in [("optimizer.2.1", "optimizer.2.7"), ("layers.1.gamma", "layers.1.gamme")] {
        let at = whole.windows(name.len()).position(|part| part == name.as_bytes()).expect("it is there");
        let mut bytes = whole.clone();
        bytes[at..at + name.len()].copy_from_slice(other.as_bytes());
        std::fs::write(&path, &bytes).unwrap();
        assert!(refusal(&config, &data(), &path).contains(&format!("no tensor {name}")));
    }
}

/// The mean losses of epochs.
struct Means(Vec<(u64, u64)>);

impl Observer for Means {
    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        self.0.push((report.epoch, report.mean_loss.to_bits()));
        Ok(())
    }
}

#[test]
fn a_run_keeps_itself_as_often_as_asked_and_goes_on_in_the_middle_of_an_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint.safetensors");
    let config = Config { length: Length::Epochs(3), ..rich(Rule::ADAM, Preset::Torch, Sampling::Shuffle) };
    let mut means = Means(Vec::new());
    let mut whole = Trainer::new(config.clone(), Exec::serial(), data()).unwrap();
    let want = run(&mut whole, &data(), &data(), &mut [&mut means]).unwrap();
    assert_eq!(want.steps, STEPS);

    // A run that ends by a fault in step 6, kept after step 5.
    struct Fault;
    impl Observer for Fault {
        fn step(&mut self, report: &train::StepReport) -> Result<(), Error> {
            match report.step {
                6 => Err(Error::Config { what: "a fault".to_owned(), cure: "none".to_owned() }),
                _ => Ok(()),
            }
        }
    }
    let checkpoints = Checkpoints { path: path.clone(), every: 5 };
    let mut trainer = Trainer::new(config.clone(), Exec::serial(), data()).unwrap();
    assert!(run_with_checkpoints(&mut trainer, &data(), &data(), &mut [&mut Fault], Some(&checkpoints)).is_err());
    let mut trainer = Trainer::resume(config.clone(), Exec::serial(), data(), &path).unwrap();
    assert_eq!(trainer.steps(), 5);
    let mut rest = Means(Vec::new());
    let got = run_with_checkpoints(&mut trainer, &data(), &data(), &mut [&mut rest], Some(&checkpoints)).unwrap();
    assert_eq!(rest.0, means.0[1..], "the epoch that was cut has the mean of all its steps");
    assert_eq!(weights_sha256(trainer.network()), weights_sha256(whole.network()));
    assert_eq!((got.steps, got.train_loss.to_bits()), (want.steps, want.train_loss.to_bits()));
    assert_eq!((got.train_accuracy, got.test_accuracy), (want.train_accuracy, want.test_accuracy));

    // There is one after the last step too, and nothing is left to do for it but to be kept where it is asked for.
    let mut trainer = Trainer::resume(config, Exec::serial(), data(), &path).unwrap();
    let elsewhere = Checkpoints { path: dir.path().join("elsewhere.safetensors"), every: 5 };
    let again = run_with_checkpoints(&mut trainer, &data(), &data(), &mut [], Some(&elsewhere)).unwrap();
    assert_eq!((again.steps, again.train_loss.to_bits()), (want.steps, want.train_loss.to_bits()));
    assert!(std::fs::read(&elsewhere.path).unwrap() == std::fs::read(&path).unwrap());
}

#[test]
fn the_log_of_a_resumed_run_has_each_step_once() {
    let dir = tempfile::tempdir().unwrap();
    let (path, kept) = (dir.path().join("run.jsonl"), dir.path().join("checkpoint.safetensors"));
    let settings = json!({"hidden": [6, 5]}).as_object().unwrap().clone();
    let config = Config { length: Length::Epochs(3), ..rich(Rule::ADAM, Preset::Torch, Sampling::Shuffle) };
    let lines = |path: &Path| -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        let without_time = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("seconds");
            line
        };
        text.lines().map(without_time).collect()
    };
    let mut whole = Trainer::new(config.clone(), Exec::serial(), data()).unwrap();
    let mut log = JsonLog::create(&path, &settings).unwrap();
    // All nine steps are in the log, of which a checkpoint knows five.
    let checkpoints = Checkpoints { path: kept.clone(), every: 5 };
    struct StopAfter(u64);
    impl Observer for StopAfter {
        fn keep(&mut self) -> Result<(), Error> {
            self.0 -= 1;
            if self.0 == 0 {
                Err(Error::Config { what: "a fault".to_owned(), cure: "none".to_owned() })
            } else {
                Ok(())
            }
        }
    }
    let mut observers: [&mut dyn Observer; 2] = [&mut log, &mut StopAfter(2)];
    assert!(run_with_checkpoints(&mut whole, &data(), &data(), &mut observers, Some(&checkpoints)).is_err());
    drop(log);
    let want = lines(&path);
    assert_eq!(want.len(), 13, "the settings, nine steps and three epochs");

    let mut trainer = Trainer::resume(config, Exec::serial(), data(), &kept).unwrap();
    let mut log = JsonLog::resume(&path, &settings, trainer.steps()).unwrap();
    assert_eq!(lines(&path), want[..7], "the settings, five steps and one epoch are kept");
    run(&mut trainer, &data(), &data(), &mut [&mut log]).unwrap();
    log.finish(&settings).unwrap();
    assert_eq!(lines(&path)[..13], want[..]);
    assert_eq!(lines(&path).len(), 14, "and the end");

    let new = dir.path().join("new.jsonl");
    assert!(JsonLog::resume(&new, &settings, 5).is_ok() && lines(&new).len() == 1);
}

#[test]
fn a_file_that_is_no_log_of_a_run_is_refused_by_its_first_such_line_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jsonl");
    let settings = json!({"hidden": [6, 5]}).as_object().unwrap().clone();
    const RUN: &[u8] = b"{\"schema\":1,\"event\":\"run\",\"hidden\":[6,5]}\n";
    const STEP: &[u8] = b"{\"event\":\"step\",\"step\":1,\"epoch\":0,\"loss\":2.5,\"learning_rate\":0.1}\n";
    let cases: [(&[&[u8]], u64); 16] = [
        // A study, as `search --study` writes it.
        (&[b"{\"op_code\":0,\"worker_id\":\"w\",\"study_name\":\"groundup\"}\n", b"{\"op_code\":4}\n"], 1),
        (&[b"not a line\n"], 1),
        (&[b"\n"], 1),
        (&[b"{\"event\":\"run\"}\n", STEP], 1),
        (&[b"{\"schema\":2,\"event\":\"run\"}\n", STEP], 1),
        (&[STEP, RUN], 1),
        // Of another run.
        (&[b"{\"schema\":1,\"event\":\"run\",\"hidden\":[6,6]}\n", STEP], 1),
        (&[b"{\"schema\":1,\"event\":\"run\",\"hidden\":[6,5],\"seed\":2}\n", STEP], 1),
        (&[b"{\"results\":[1,2,3]}"], 1),
        (&[RUN, RUN, STEP], 2),
        (&[RUN, b"not a line\n", STEP], 2),
        (&[RUN, b"{\"event\":\"step\",\"loss\":2.5}\n", STEP], 2),
        (&[RUN, STEP, b"{\"step\":2}\n", STEP], 3),
        (&[RUN, STEP, b"{\"event\":\"save\",\"step\":2}\n", STEP], 3),
        (&[RUN, STEP, b"[1,2]\n", STEP], 3),
        (&[RUN, STEP, STEP, b"\xff\xfe\n", STEP], 4),
    ];
    for (lines, bad) in cases {
        let bytes = lines.concat();
        std::fs::write(&path, &bytes).unwrap();
        let message = JsonLog::resume(&path, &settings, 5).map(|_| ()).expect_err("no log").to_string();
        let says = format!("{}: line {bad} is none of this run's log (", path.display());
        assert!(message.starts_with(&says) && message.contains("; give --log another file"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message:?}");
        assert!(std::fs::read(&path).unwrap() == bytes, "{message}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "another file is left there");
    }
    // Which is a cure.
    assert!(JsonLog::resume(&dir.path().join("another.jsonl"), &settings, 5).is_ok());
    // Later lines of the run itself are removed.
    std::fs::write(&path, [RUN, STEP, b"{\"event\":\"epoch\",\"step\":6}\n{\"event\":\"end\"}\n"].concat()).unwrap();
    assert!(JsonLog::resume(&path, &settings, 5).is_ok());
    assert_eq!(std::fs::read(&path).unwrap(), [RUN, STEP].concat());
}

#[test]
fn a_last_line_that_was_cut_short_is_removed_and_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jsonl");
    // The data's name is cut in the middle of a letter, too.
    let settings = json!({"data": "숫자"}).as_object().unwrap().clone();
    let config = Config { length: Length::Steps(6), ..rich(Rule::SGD, Preset::Book, Sampling::Shuffle) };
    let mut log = JsonLog::create(&path, &settings).unwrap();
    let mut trainer = Trainer::new(config.clone(), Exec::serial(), data()).unwrap();
    run(&mut trainer, &data(), &data(), &mut [&mut log]).unwrap();
    log.finish(&settings).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let starts: Vec<usize> = (1..whole.len()).filter(|&at| whole[at - 1] == b'\n').collect();
    // Of four steps; the log is cut anywhere behind them.
    let mut begun =
        Trainer::new(Config { length: Length::Steps(4), ..config.clone() }, Exec::serial(), data()).unwrap();
    run(&mut begun, &data(), &data(), &mut []).unwrap();
    let kept = dir.path().join("checkpoint.safetensors");
    begun.save_checkpoint(&kept).unwrap();
    for length in starts[4]..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        drop(JsonLog::resume(&path, &settings, 4).unwrap_or_else(|error| panic!("{length}: {error}")));
        assert!(std::fs::read(&path).unwrap() == whole[..starts[4]], "cut to {length} bytes");
    }
    let mut trainer = Trainer::resume(config, Exec::serial(), data(), &kept).unwrap();
    std::fs::write(&path, &whole[..starts[5] + 9]).unwrap();
    let mut log = JsonLog::resume(&path, &settings, 4).unwrap();
    run(&mut trainer, &data(), &data(), &mut [&mut log]).unwrap();
    log.finish(&settings).unwrap();
    assert!(std::fs::read(&path).unwrap() == whole);
    // Nothing at all, as a machine that lost power may leave it, is begun with; a first line is not guessed at.
    std::fs::write(&path, "").unwrap();
    drop(JsonLog::resume(&path, &settings, 4).unwrap());
    assert!(std::fs::read(&path).unwrap() == whole[..starts[0]]);
    std::fs::write(&path, &whole[..starts[0] - 2]).unwrap();
    assert!(JsonLog::resume(&path, &settings, 4).map(|_| ()).unwrap_err().to_string().contains("line 1 is none"));
}

#[cfg(unix)]
#[test]
fn a_log_that_goes_to_a_device_goes_on_going_there() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    // By a link, so that it is the link that is lost if this goes wrong, and not the device.
    let null = dir.path().join("null");
    symlink("/dev/null", &null).unwrap();
    let settings = json!({}).as_object().unwrap().clone();
    assert!(JsonLog::create(&null, &settings).and_then(|mut log| log.keep()).is_ok());
    assert!(JsonLog::resume(&null, &settings, 4).and_then(|mut log| log.keep()).is_ok());
    assert!(std::fs::symlink_metadata(&null).unwrap().is_symlink());
    assert!(std::fs::metadata(&null).unwrap().file_type().is_char_device());
}

#[test]
fn the_log_of_a_run_that_goes_on_for_longer_says_how_long_it_is_now() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jsonl");
    let settings = |steps: u64| json!({"hidden": [6, 5], "steps": steps, "seed": 1}).as_object().unwrap().clone();
    let mut log = JsonLog::create(&path, &settings(2)).unwrap();
    let mut trainer = Trainer::new(
        Config { length: Length::Steps(2), ..rich(Rule::SGD, Preset::Book, Sampling::Shuffle) },
        Exec::serial(),
        data(),
    )
    .unwrap();
    run(&mut trainer, &data(), &data(), &mut [&mut log]).unwrap();
    drop(log);
    let short = std::fs::read_to_string(&path).unwrap();
    drop(JsonLog::resume(&path, &settings(STEPS), 2).unwrap());
    let long = std::fs::read_to_string(&path).unwrap();
    assert_eq!(long, short.replacen("\"steps\":2", "\"steps\":9", 1));
}
