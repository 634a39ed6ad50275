//! The settings of a run: lengths, presets, and what cannot be.

mod common;

use common::{WIDTH, images, small};
use layers::{BatchNormForm, DropoutForm, Init};
use mnist_io::Sampling;
use optim::{Form, Rule, Schedule};
use serde_json::{Value, json};
use tensor::Exec;
use train::{Config, Length, Preset, Trainer};

#[test]
fn an_epoch_is_the_whole_batches_that_fit_and_at_least_one_step() {
    let cases = [
        (100, 10, 10),
        (105, 10, 10),
        (109, 10, 10),
        (110, 10, 11),
        (9, 10, 1),
        (10, 10, 1),
        (1, 1, 1),
        (60_000, 100, 600),
        (60_000, 128, 468),
    ];
    for (samples, batch, want) in cases {
        let config = Config { batch, ..small(&[]) };
        assert_eq!(config.steps_per_epoch(samples), want, "{samples} samples in batches of {batch}");
    }
}

#[test]
fn a_run_in_epochs_is_as_many_steps_as_they_have_and_a_run_in_steps_what_it_says() {
    for (length, samples, want) in [
        (Length::Steps(0), 100, 0),
        (Length::Steps(7), 100, 7),
        (Length::Steps(7), 5, 7),
        (Length::Epochs(0), 100, 0),
        (Length::Epochs(3), 100, 30),
        (Length::Epochs(3), 109, 30),
        (Length::Epochs(3), 4, 3),
        (Length::Epochs(u64::MAX), 100, u64::MAX),
    ] {
        let config = Config { batch: 10, length, ..small(&[]) };
        assert_eq!(config.steps(samples), want, "{length:?} of {samples} samples");
    }
}

#[test]
fn the_chapters_run_has_the_chapters_settings() {
    let config = Config::book(&[100; 4], Rule::ADAM, Length::Epochs(2), 9);
    assert_eq!((config.architecture.inputs, config.architecture.classes), (784, 10));
    assert_eq!(config.architecture.hidden, [100; 4]);
    assert_eq!(config.architecture.init, Init::He);
    assert_eq!((config.architecture.batch_norm, config.architecture.dropout), (None, None));
    assert_eq!((config.batch, config.sampling, config.preset), (100, Sampling::Replacement, Preset::Book));
    assert_eq!((config.schedule, config.weight_decay, config.seed), (Schedule::Constant, 0.0, 9));
    assert_eq!(config.learning_rate, 0.001);
    assert_eq!(Config::book(&[], Rule::ADAGRAD, Length::Steps(1), 0).learning_rate, 0.01);
}

#[test]
fn a_preset_decides_every_form_at_once() {
    let of = |preset: Preset| {
        (preset.name(), preset.optimizer_form(), preset.batch_norm_form(), preset.dropout_form(), preset.sampling())
    };
    let book = ("book", Form::Book, BatchNormForm::Book, DropoutForm::Book, Sampling::Replacement);
    let torch = ("torch", Form::Torch, BatchNormForm::Torch, DropoutForm::Torch, Sampling::Shuffle);
    assert_eq!((of(Preset::Book), of(Preset::Torch)), (book, torch));
}

/// What is changed in good settings, and what the message must say of it: the cause, and the cure.
type Case = (fn(&mut Config), &'static [&'static str], &'static str);

#[test]
fn settings_that_cannot_be_are_refused_in_one_line_with_cause_and_cure() {
    let cases: [Case; 13] = [
        (|c| c.batch = 0, &["a batch of 0"], "--batch-size at least 1"),
        (
            |c| (c.batch, c.sampling) = (21, Sampling::Shuffle),
            &["21", "20 samples", "without replacement"],
            "lower --batch-size, or use --sampling replacement",
        ),
        (|c| c.architecture.inputs = 784, &["784 inputs", "12 pixels"], "make them equal"),
        (|c| c.architecture.inputs = 0, &["0 inputs", "12 pixels"], "make them equal"),
        (|c| c.architecture.hidden = vec![5, 0, 5], &["hidden layer of 0"], "at least 1"),
        (|c| c.architecture.hidden = vec![1 << 40], &["1099511627776", "64 GiB"], "lower --hidden"),
        (|c| c.batch = usize::MAX, &["batches of", "64 GiB"], "or --batch-size"),
        (|c| c.learning_rate = -0.25, &["learning rate of -0.25"], "0 or more"),
        (|c| c.learning_rate = f64::NAN, &["learning rate of NaN"], "0 or more"),
        (|c| c.learning_rate = f64::INFINITY, &["learning rate of inf"], "0 or more"),
        (|c| c.weight_decay = -1e-9, &["weight decay of -0.000000001"], "0 or more"),
        (|c| c.weight_decay = f64::NAN, &["weight decay of NaN"], "0 or more"),
        (|c| c.weight_decay = f64::INFINITY, &["weight decay of inf"], "0 or more"),
    ];
    let data = images(20, 1);
    let good = small(&[5]);
    good.check(&data).unwrap();
    for (change, causes, cure) in cases {
        let mut config = good.clone();
        change(&mut config);
        let message = config.check(&data).expect_err(cure).to_string();
        let (cause, advice) = message.split_once("; ").unwrap_or_else(|| panic!("cause; cure: {message:?}"));
        for part in causes {
            assert!(cause.contains(part), "{message:?} says nothing of {part:?}");
        }
        assert!(advice.contains(cure), "{message:?} does not advise {cure:?}");
        assert_eq!(message.lines().count(), 1, "{message:?}");
        let started = Trainer::new(config, Exec::serial(), data.clone()).err().map(|error| error.to_string());
        assert_eq!(started, Some(message), "a trainer starts with what the check refuses");
    }
}

#[test]
fn settings_at_the_edge_of_what_can_be_are_accepted_and_run() {
    let data = images(20, 1);
    let edges: [fn(&mut Config); 5] = [
        |c| (c.batch, c.sampling) = (20, Sampling::Shuffle),
        |c| (c.batch, c.sampling) = (300, Sampling::Replacement),
        |c| c.architecture.hidden = vec![],
        |c| c.learning_rate = 0.0,
        |c| (c.batch, c.architecture.hidden) = (1, vec![1]),
    ];
    for (i, change) in edges.into_iter().enumerate() {
        let mut config = small(&[5]);
        change(&mut config);
        let inputs = config.architecture.inputs;
        let mut trainer =
            Trainer::new(config, Exec::serial(), data.clone()).unwrap_or_else(|error| panic!("edge {i}: {error}"));
        assert_eq!(inputs, WIDTH);
        let loss = trainer.step().unwrap();
        assert!(loss.is_finite() && loss > 0.0, "edge {i}: loss {loss}");
    }
}

#[test]
fn the_settings_of_a_run_as_json_are_all_that_decides_it_but_its_length_and_its_samples() {
    let mut config = Config { weight_decay: 1e-9, schedule: Schedule::Step { every: 2, gamma: 0.5 }, ..small(&[6, 5]) };
    let settings = |config: &Config| Value::Object(config.settings().to_json());
    let want = json!({"hidden": [6, 5], "classes": 10, "activation": "relu", "init": "he", "batch_norm": false,
        "dropout": null, "optimizer": "sgd", "learning_rate": 0.1, "schedule": "step:2:0.5", "weight_decay": 1e-9,
        "batch_size": 8, "sampling": "replacement", "preset": "book", "seed": 1});
    assert_eq!(settings(&config), want);
    config.length = Length::Epochs(7);
    assert_eq!(settings(&config), want);
    config.architecture.batch_norm = Some(BatchNormForm::Book);
    config.architecture.dropout = Some((0.25, DropoutForm::Torch));
    config.architecture.hidden.clear();
    let got = settings(&config);
    assert_eq!((&got["batch_norm"], &got["dropout"], &got["hidden"]), (&json!(true), &json!(0.25), &json!([])));
}

#[test]
fn a_run_in_a_few_words_has_its_widths_its_rule_and_its_rate() {
    assert_eq!(small(&[7, 5]).summary(), "12-7-5-10, sgd at 0.1");
    assert_eq!(Config::book(&[], Rule::ADAM, Length::Steps(1), 1).summary(), "784-10, adam at 0.001");
}
