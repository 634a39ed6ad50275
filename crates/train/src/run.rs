//! The loop: steps, evaluations, and an observer that is told of both.

use crate::checkpoint::Checkpoints;
use crate::config::Length;
use crate::error::Error;
use crate::trainer::Trainer;
use mnist_io::Dataset;
use std::path::Path;
use std::time::{Duration, Instant};

/// A step that was made.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Counted from 1.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Counted from 0.
    pub epoch: u64,
    /// Of the step's batch, before the update.
    pub loss: f64,
    /// η of the step.
    pub learning_rate: f64,
}

/// An epoch that was ended, and evaluated.
#[derive(Clone, Copy, Debug)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Mean loss of the epoch's steps.
    pub mean_loss: f64,
    /// Over the training samples.
    pub train_accuracy: f64,
    /// Over the test samples.
    pub test_accuracy: f64,
    /// Time of the steps so far, without evaluation.
    pub training_time: Duration,
}

/// Someone to tell: a progress bar, a log.
pub trait Observer {
    /// After every step.
    ///
    /// # Errors
    /// Ends the run.
    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        let _ = report;
        Ok(())
    }

    /// After every epoch.
    ///
    /// # Errors
    /// Ends the run.
    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        let _ = report;
        Ok(())
    }

    /// Before a checkpoint is written: what was told so far must be kept as well.
    ///
    /// # Errors
    /// Ends the run.
    fn keep(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// An observer that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Observer for Quiet {}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Steps made, those before the run was resumed included.
    pub steps: u64,
    /// Time of the steps alone: no loading, no evaluation.
    pub training_time: Duration,
    /// Loss of the last step's batch, before its update.
    pub train_loss: f64,
    /// Over the training samples.
    pub train_accuracy: f64,
    /// Over the test samples.
    pub test_accuracy: f64,
}

/// Runs a trainer to its length. A run in epochs is evaluated after each; a run in steps once, at its end.
///
/// # Errors
/// If the loss is no longer finite, the data do not fit, or an observer fails.
pub fn run(
    trainer: &mut Trainer,
    train: &Dataset,
    test: &Dataset,
    observers: &mut [&mut dyn Observer],
) -> Result<Outcome, Error> {
    run_with_checkpoints(trainer, train, test, observers, None)
}

/// [`run`], which writes checkpoints as it goes, and one at the end.
///
/// # Errors
/// As [`run`], and what the system says of the file.
pub fn run_with_checkpoints(
    trainer: &mut Trainer,
    train: &Dataset,
    test: &Dataset,
    observers: &mut [&mut dyn Observer],
    checkpoints: Option<&Checkpoints>,
) -> Result<Outcome, Error> {
    let per_epoch = trainer.config().steps_per_epoch(train.len());
    let steps = trainer.config().steps(train.len());
    let by_epochs = matches!(trainer.config().length, Length::Epochs(_));
    let mut training_time = Duration::ZERO;
    let mut evaluated = None;
    while trainer.steps() < steps {
        let started = Instant::now();
        let loss = trainer.step()?;
        training_time += started.elapsed();
        let step = trainer.steps();
        if !loss.is_finite() {
            return Err(Error::NotFinite { step, loss, learning_rate: trainer.learning_rate() });
        }
        let epoch = (step - 1) / per_epoch;
        let report = StepReport { step, steps, epoch, loss, learning_rate: trainer.learning_rate() };
        for observer in &mut *observers {
            observer.step(&report)?;
        }
        if by_epochs && step.is_multiple_of(per_epoch) {
            let (train_accuracy, test_accuracy) = (trainer.accuracy(train)?, trainer.accuracy(test)?);
            let mean_loss = trainer.epoch_loss() / per_epoch as f64;
            let report =
                EpochReport { epoch: epoch + 1, step, mean_loss, train_accuracy, test_accuracy, training_time };
            for observer in &mut *observers {
                observer.epoch(&report)?;
            }
            evaluated = Some((step, train_accuracy, test_accuracy));
        }
        if let Some(Checkpoints { path, every }) = checkpoints
            && step.is_multiple_of((*every).max(1))
            && step < steps
        {
            keep(trainer, observers, path)?;
        }
    }
    // Also where no step was left to make.
    if let Some(Checkpoints { path, .. }) = checkpoints {
        keep(trainer, observers, path)?;
    }
    let (train_accuracy, test_accuracy) = match evaluated {
        Some((step, train_accuracy, test_accuracy)) if step == trainer.steps() => (train_accuracy, test_accuracy),
        _ => (trainer.accuracy(train)?, trainer.accuracy(test)?),
    };
    Ok(Outcome {
        steps: trainer.steps(),
        training_time,
        train_loss: trainer.last_loss(),
        train_accuracy,
        test_accuracy,
    })
}

/// Writes a checkpoint, and what the observers were told before it.
fn keep(trainer: &mut Trainer, observers: &mut [&mut dyn Observer], path: &Path) -> Result<(), Error> {
    observers.iter_mut().try_for_each(|observer| observer.keep())?;
    trainer.save_checkpoint(path)
}
