//! `groundup train`

use super::Failure;
use crate::cli::Train;
use crate::data::{self, Digits};
use crate::profile::Profile;
use crate::progress;
use crate::threads::on_threads;
use indicatif::ProgressBar;
use layers::Architecture;
use mnist_io::Dataset;
use mnist_io::file::check_writable;
use serde_json::{Map, Value, json};
use tensor::Exec;
use tensor::limits::Limits;
use train::{
    Checkpoints, Config, EpochReport, Error, JsonLog, Length, Model, Observer, Outcome, Quiet, StepReport, Trainer,
    run_with_checkpoints, weights_sha256,
};

/// Shows the epochs as lines and the steps as a bar.
struct Screen {
    bar: ProgressBar,
}

impl Observer for Screen {
    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        self.bar.set_position(report.step);
        Ok(())
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        let EpochReport { epoch, mean_loss, train_accuracy, test_accuracy, .. } = *report;
        let seconds = report.training_time.as_secs_f64();
        self.bar.suspend(|| {
            say!(
                "epoch {epoch:3}  loss {mean_loss:.4}  train {:.2} %  test {:.2} %  {seconds:.2} s",
                100.0 * train_accuracy,
                100.0 * test_accuracy
            )
        })
    }
}

/// Refuses places that cannot be written, that are given twice, or that hold another run's checkpoint.
fn check_outputs(options: &Train) -> Result<(), Failure> {
    let outputs = [("--save", &options.save), ("--checkpoint", &options.checkpoint), ("--log", &options.log)];
    for (i, (name, path)) in outputs.iter().enumerate() {
        let twice = outputs[..i].iter().find(|(_, earlier)| path.is_some() && earlier == path);
        if let (Some((other, _)), Some(path)) = (twice, path) {
            let what = format!("{} is where {other} and {name} are both to be written", path.display());
            return Err(Failure::new(format!("{what}; give each a file of its own")));
        }
    }
    for path in options.save.iter().chain(&options.checkpoint) {
        check_writable(path)?;
    }
    match &options.checkpoint {
        Some(path) if path.exists() && options.resume.as_ref() != Some(path) => {
            let path = path.display();
            Err(Failure::new(format!(
                "{path} is there already; go on from it with --resume {path}, or give another file"
            )))
        }
        _ => Ok(()),
    }
}

/// Trains a network and reports.
pub fn run(options: &Train) -> Result<(), Failure> {
    let exec = Exec::new(options.threads)?;
    let talk = !options.quiet && !options.json;
    let digits = data::find(options.data.as_deref(), options.threads)?;
    let (samples, _) = digits.mnist.train.split(options.train_samples.unwrap_or(usize::MAX));
    let config = config(options, samples.width());
    if talk {
        say!("data: {}", digits.origin)?;
        say!("net:  {}, on {}", config.summary(), exec.isa().name())?;
    }
    // Before anything is computed that could not be kept.
    check_outputs(options)?;
    let settings = settings(&config, &digits, samples.len());
    let mut trainer = match &options.resume {
        Some(path) => Trainer::resume(config, exec, samples.clone(), path)?,
        None => Trainer::new(config, exec, samples.clone())?,
    };
    let programs = options.explain.then(|| explain(&mut trainer));
    if let (true, Some(programs)) = (talk, &programs) {
        say!("{programs}")?;
    }
    let first = trainer.steps();
    if let (true, Some(path)) = (talk, &options.resume) {
        say!("resumed after step {first}, from {}", path.display())?;
    }
    let open = |path| match options.resume {
        Some(_) => JsonLog::resume(path, &settings, first),
        None => JsonLog::create(path, &settings),
    };
    let mut log = options.log.as_deref().map(open).transpose()?;
    let outcome = steps(options, &mut trainer, &samples, &digits.mnist.test, log.as_mut())?;

    let mut results = object(json!({
        "steps": outcome.steps,
        "seconds": outcome.training_time.as_secs_f64(),
        "train_loss": outcome.train_loss,
        "train_accuracy": outcome.train_accuracy,
        "test_accuracy": outcome.test_accuracy,
        "weights_sha256": weights_sha256(trainer.network()),
    }));
    if let Some(path) = &options.save {
        Model::save(trainer.network(), path)?;
    }
    if let Some(log) = log {
        log.finish(&results)?;
    }
    if talk {
        let rate = outcome.training_time.as_secs_f64() * 1e3 / (outcome.steps - first).max(1) as f64;
        say!(
            "{} steps, {rate:.3} ms each: loss {:.4}, train {:.2} %, test {:.2} %",
            outcome.steps,
            outcome.train_loss,
            100.0 * outcome.train_accuracy,
            100.0 * outcome.test_accuracy
        )?;
    }
    if let Some(programs) = programs {
        results.insert("programs".to_owned(), programs.into());
    }
    if options.profile && (talk || options.json) {
        let config = trainer.config().clone();
        let (profile, limits) = on_threads(options.threads, || -> Result<_, Error> {
            Ok((Profile::take(&config, exec, &samples)?, Limits::measure(exec)))
        })??;
        if talk {
            say!("{}", profile.to_text(&limits).trim_end())?;
        }
        results.insert("profile".to_owned(), Value::Array(profile.to_json(&limits)));
    }
    if options.json {
        say!("{}", Value::Object(results))?;
    }
    Ok(())
}

/// The programs of a step and of an evaluation, as text.
fn explain(trainer: &mut Trainer) -> String {
    let [training, inference] = trainer.network().programs().map(ToString::to_string);
    format!("a training step, {training}\nan evaluation, {}", inference.trim_end())
}

/// The run that the command line asks for, on images of `inputs` pixels.
fn config(options: &Train, inputs: usize) -> Config {
    let preset = options.preset;
    Config {
        architecture: Architecture {
            inputs,
            hidden: options.hidden.0.clone(),
            classes: 10,
            activation: options.activation,
            init: options.init,
            batch_norm: options.batch_norm.then(|| preset.batch_norm_form()),
            dropout: options.dropout.map(|ratio| (ratio, preset.dropout_form())),
        },
        rule: options.optimizer,
        learning_rate: options.lr.unwrap_or_else(|| options.optimizer.default_learning_rate()),
        schedule: options.schedule,
        weight_decay: options.weight_decay,
        batch: options.batch_size,
        length: match (options.steps, options.epochs) {
            (Some(steps), _) => Length::Steps(steps),
            (None, epochs) => Length::Epochs(epochs.unwrap_or(5)),
        },
        sampling: options.sampling.unwrap_or_else(|| preset.sampling()),
        preset,
        seed: options.seed,
    }
}

/// What the log's first line says of the run.
fn settings(config: &Config, digits: &Digits, samples: usize) -> Map<String, Value> {
    let data = json!({"data": digits.name, "train_samples": samples, "test_samples": digits.mnist.test.len()});
    let steps = json!({"steps": config.steps(samples)});
    object(data).into_iter().chain(config.settings().to_json()).chain(object(steps)).collect()
}

/// Makes the steps, with a checkpoint, a log and the screen as the command line asks for them.
fn steps(
    options: &Train,
    trainer: &mut Trainer,
    samples: &Dataset,
    test: &Dataset,
    log: Option<&mut JsonLog>,
) -> Result<Outcome, Failure> {
    let talk = !options.quiet && !options.json;
    let per_epoch = trainer.config().steps_per_epoch(samples.len());
    let checkpoints = options
        .checkpoint
        .clone()
        .map(|path| Checkpoints { path, every: options.checkpoint_every.unwrap_or(per_epoch) });
    let total = trainer.config().steps(samples.len());
    let bar = if talk { progress::bar(total, "training") } else { ProgressBar::hidden() };
    let mut screen = Screen { bar: bar.clone() };
    let mut quiet = Quiet;
    let outcome = on_threads(options.threads, || {
        let mut observers: Vec<&mut dyn Observer> = vec![if talk { &mut screen } else { &mut quiet }];
        if let Some(log) = log {
            observers.push(log);
        }
        run_with_checkpoints(trainer, samples, test, &mut observers, checkpoints.as_ref())
    })??;
    bar.finish_and_clear();
    Ok(outcome)
}

/// The members of a JSON object.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
