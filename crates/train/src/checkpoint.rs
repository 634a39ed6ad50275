//! A run that can be resumed: its state after a step, in a file that is also a model.
//!
//! | in the file | |
//! |---|---|
//! | the network | as in a model (`model.rs`), so that `evaluate` reads it |
//! | `optimizer.3.0` | the first state of the fourth parameter, in network order; as many as the rule has |
//! | JSON | the settings, the SHA-256 of the training samples, the step, its loss, and the sum of its epoch's |
//!
//! ```text
//! run:   step 1 ‥ 500 ─▶ file          resumed:  the batches of 500 steps drawn again ─▶ step 501 ‥
//! ```
//!
//! The random streams are not in the file. Batches, and Adam's corrections, are functions of the seed and the number of
//! the step, and are made again; a dropout mask is a hash of the step. So a resumed run has the bits of an uninterrupted
//! one.

use crate::config::Config;
use crate::error::Error;
use crate::model::{RunState, bytes_of, fill, fill_network, parse, serialize};
use crate::settings::{Record, difference};
use crate::text::one_line;
use crate::trainer::Trainer;
use mnist_io::Dataset;
use mnist_io::file::write_atomically;
use std::io::Write;
use std::path::{Path, PathBuf};
use tensor::Exec;

/// Where checkpoints of a run go, and after how many steps each.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    /// The file; the one before is replaced, and never half.
    pub path: PathBuf,
    /// Steps from one to the next; there is also one after the last step.
    pub every: u64,
}

/// Most steps of a run that is resumed: as many batches are drawn again, which takes minutes.
const MOST_STEPS: u64 = 1_000_000_000;

/// The settings of a trainer's run, with its samples.
fn settings(trainer: &Trainer) -> Record {
    let samples = format!("SHA-256 {}", trainer.samples_sha256());
    trainer.config().settings().with("training samples", samples).record()
}

impl Trainer {
    /// Writes the run as it is now to a file, never half: for [`Trainer::resume`]. It is also a model.
    ///
    /// # Errors
    /// What the system says of the file.
    pub fn save_checkpoint(&mut self, path: &Path) -> Result<(), Error> {
        let run = RunState {
            settings: settings(self),
            steps: self.steps(),
            last_loss: self.last_loss().to_bits(),
            epoch_loss: self.epoch_loss().to_bits(),
        };
        let mut state = Vec::new();
        for (index, slots) in self.optimizer.state().iter().enumerate() {
            for (slot, values) in slots.iter().enumerate().filter(|(_, values)| !values.is_empty()) {
                state.push((format!("optimizer.{index}.{slot}"), vec![values.len()], bytes_of(values)));
            }
        }
        let error = |what: String| Error::Checkpoint { path: path.to_owned(), what };
        let bytes = serialize(self.network(), state, Some(run)).map_err(error)?;
        Ok(write_atomically(path, |file| file.write_all(&bytes))?)
    }

    /// A run as it was when a checkpoint of it was written, over the same samples with the same settings; only the
    /// length may be another, of no fewer steps than were made.
    ///
    /// # Errors
    /// If the settings cannot be; if the file cannot be read, is damaged, or is of a run with other settings or
    /// samples: the message names the first that differs; if more steps were made than the run is to have.
    pub fn resume(config: Config, exec: Exec, data: Dataset, path: &Path) -> Result<Self, Error> {
        let error = |what: String| Error::Checkpoint { path: path.to_owned(), what: one_line(&what) };
        let bytes = std::fs::read(path).map_err(|e| error(e.to_string()))?;
        let (description, file) = parse(&bytes).map_err(error)?;
        let run = description.run.ok_or_else(|| error("a model, and no checkpoint".to_owned()))?;
        let samples = data.len();
        let mut trainer = Self::new(config, exec, data)?;
        if let Some(differs) = difference(&run.settings, &settings(&trainer)) {
            return Err(error(format!("it is of a run with {differs}")));
        }
        if run.steps > MOST_STEPS {
            return Err(error(format!("it says that {} steps were made", run.steps)));
        }
        let (length, made) = (trainer.config().steps(samples), run.steps);
        if made > length {
            let what = format!("{}: {made} steps were made, but the run is to have {length}", path.display());
            return Err(Error::Config { what, cure: format!("give --steps {made} or more, or as many --epochs") });
        }
        fill_network(&file, trainer.network()).map_err(error)?;
        for (index, slots) in trainer.optimizer.state().iter_mut().enumerate() {
            for (slot, values) in slots.iter_mut().enumerate().filter(|(_, values)| !values.is_empty()) {
                fill(&file, &format!("optimizer.{index}.{slot}"), &[values.len()], values).map_err(error)?;
            }
        }
        trainer.take_up(run.steps, f64::from_bits(run.last_loss), f64::from_bits(run.epoch_loss));
        Ok(trainer)
    }
}
