//! A run as JSON lines: one object a line, flushed at each epoch, so that a reader (or a crash) sees whole lines.
//!
//! ```text
//! {"schema":1,"event":"run", …settings…}
//! {"event":"step","step":1,"epoch":0,"loss":2.31,"learning_rate":0.01}
//! {"event":"epoch","epoch":1,"step":600,"mean_loss":0.9,"train_accuracy":0.9,"test_accuracy":0.9,"seconds":0.2}
//! ```

use crate::error::Error;
use crate::run::{EpochReport, Observer, StepReport};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a run to a file as it goes.
pub struct JsonLog {
    path: PathBuf,
    file: BufWriter<File>,
}

impl JsonLog {
    /// Creates the file (an older one is replaced) and writes its first line: `settings`, an object.
    ///
    /// # Errors
    /// What the system says of the file.
    pub fn create(path: &Path, settings: &Value) -> Result<Self, Error> {
        let file = File::create(path).map_err(|source| Error::Log { path: path.to_owned(), source })?;
        let mut log = Self { path: path.to_owned(), file: BufWriter::new(file) };
        let mut line = json!({"schema": 1, "event": "run"});
        if let (Some(line), Some(settings)) = (line.as_object_mut(), settings.as_object()) {
            line.extend(settings.clone());
        }
        log.write(&line, true)?;
        Ok(log)
    }

    /// Writes the last line: `results`, an object.
    ///
    /// # Errors
    /// What the system says of the file.
    pub fn finish(mut self, results: &Value) -> Result<(), Error> {
        let mut line = json!({"event": "end"});
        if let (Some(line), Some(results)) = (line.as_object_mut(), results.as_object()) {
            line.extend(results.clone());
        }
        self.write(&line, true)
    }

    fn write(&mut self, line: &Value, flush: bool) -> Result<(), Error> {
        let mut write = || -> io::Result<()> {
            serde_json::to_writer(&mut self.file, line)?;
            self.file.write_all(b"\n")?;
            if flush { self.file.flush() } else { Ok(()) }
        };
        write().map_err(|source| Error::Log { path: self.path.clone(), source })
    }
}

impl Observer for JsonLog {
    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        let StepReport { step, epoch, loss, learning_rate, .. } = *report;
        let line = json!({"event": "step", "step": step, "epoch": epoch, "loss": loss, "learning_rate": learning_rate});
        self.write(&line, false)
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        self.write(
            &json!({
                "event": "epoch",
                "epoch": report.epoch,
                "step": report.step,
                "mean_loss": report.mean_loss,
                "train_accuracy": report.train_accuracy,
                "test_accuracy": report.test_accuracy,
                "seconds": report.training_time.as_secs_f64(),
            }),
            true,
        )
    }
}
