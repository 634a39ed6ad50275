//! A run as JSON lines: one object a line. Lines are written whole, at each epoch and when there are many, so that a
//! reader (or a crash) never sees half of one.
//!
//! ```text
//! {"schema":1,"event":"run", …settings…}
//! {"event":"step","step":1,"epoch":0,"loss":2.31,"learning_rate":0.01}
//! {"event":"epoch","epoch":1,"step":600,"mean_loss":0.9,"train_accuracy":0.9,"test_accuracy":0.9,"seconds":0.2}
//! ```

use crate::error::Error;
use crate::run::{EpochReport, Observer, StepReport};
use crate::settings::{Record, difference};
use mnist_io::file::{folder_of, write_atomically};
use serde_json::{Map, Value, json};
use std::fs::{File, create_dir_all};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes a run to a file as it goes.
pub struct JsonLog {
    path: PathBuf,
    file: File,
    /// Lines not yet written.
    pending: Vec<u8>,
}

/// What the first line says of the form of the lines.
const SCHEMA: u64 = 1;

/// Bytes of lines that are kept back.
const PENDING: usize = 1 << 16;

/// An object whose first keys are `own`, whatever `more` says.
fn line(own: Value, more: &Map<String, Value>) -> Value {
    let Value::Object(own) = own else { return own };
    let mut line = own.clone();
    line.extend(more.clone());
    line.extend(own);
    Value::Object(line)
}

/// The settings in a first line, but the length, which may change.
fn lasting(line: &Value) -> Record {
    let members = line.as_object().into_iter().flatten().filter(|(name, _)| *name != "steps");
    members.map(|(name, value)| (name.clone(), value.to_string())).collect()
}

impl JsonLog {
    /// Creates the file (an older one is replaced), and its folder if need be, and writes its first line, with the
    /// run's settings.
    ///
    /// # Errors
    /// What the system says of the file.
    pub fn create(path: &Path, settings: &Map<String, Value>) -> Result<Self, Error> {
        let file = create_dir_all(folder_of(path))
            .and_then(|()| File::create(path))
            .map_err(|source| Error::Log { path: path.to_owned(), source })?;
        let mut log = Self { path: path.to_owned(), file, pending: Vec::new() };
        log.write(&line(json!({"schema": SCHEMA, "event": "run"}), settings), true)?;
        Ok(log)
    }

    /// Continues the file of a run that is resumed after `steps` steps. Later lines are removed, and so is a last line
    /// that is not whole because the run was ended while it wrote it. The run's length, `steps` among the settings, may
    /// be another, and the first line is rewritten with it. A file that is not there is created.
    ///
    /// # Errors
    /// What the system says of the file; if a line of it is none of such a log, or it is of a run with other settings:
    /// the file is then as it was.
    pub fn resume(path: &Path, settings: &Map<String, Value>, steps: u64) -> Result<Self, Error> {
        let error = |source| Error::Log { path: path.to_owned(), source };
        // A pipe or a device is not read: it has nothing to go on with.
        let bytes = if path.is_file() { std::fs::read(path).map_err(error)? } else { Vec::new() };
        if bytes.is_empty() {
            return Self::create(path, settings);
        }
        let first = line(json!({"schema": SCHEMA, "event": "run"}), settings);
        let mut kept = format!("{first}\n").into_bytes();
        for (number, bytes) in (1..).zip(bytes.split_inclusive(|&byte| byte == b'\n')) {
            // The first is whole before the first step, and nothing else tells a log from what happens to have one
            // line.
            if number > 1 && !bytes.ends_with(b"\n") {
                break;
            }
            let foreign = |what: String| Error::ForeignLog { path: path.to_owned(), line: number, what };
            let line: Value = serde_json::from_slice(bytes).map_err(|_| foreign("no JSON".to_owned()))?;
            let keeps = match (number, line["event"].as_str(), line["step"].as_u64()) {
                (1, Some("run"), _) if line["schema"] == SCHEMA => {
                    match difference(&lasting(&line), &lasting(&first)) {
                        Some(differs) => return Err(foreign(format!("of a run with {differs}"))),
                        None => false,
                    }
                }
                (2.., Some("step" | "epoch"), Some(step)) => step <= steps,
                // Of a run that ended; it is not the end any more.
                (2.., Some("end"), _) => false,
                (1, ..) => return Err(foreign(format!("no event \"run\" of schema {SCHEMA}"))),
                _ => return Err(foreign("no step, epoch or end of a run".to_owned())),
            };
            if keeps {
                kept.extend_from_slice(bytes);
            }
        }
        write_atomically(path, |file| file.write_all(&kept))?;
        let file = File::options().append(true).open(path).map_err(error)?;
        Ok(Self { path: path.to_owned(), file, pending: Vec::new() })
    }

    /// Writes the last line, with the run's results.
    ///
    /// # Errors
    /// What the system says of the file.
    pub fn finish(mut self, results: &Map<String, Value>) -> Result<(), Error> {
        self.write(&line(json!({"event": "end"}), results), true)
    }

    fn write(&mut self, line: &Value, now: bool) -> Result<(), Error> {
        self.pending.extend_from_slice(line.to_string().as_bytes());
        self.pending.push(b'\n');
        if now || self.pending.len() > PENDING { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let written = self.file.write_all(&self.pending);
        self.pending.clear();
        written.map_err(|source| Error::Log { path: self.path.clone(), source })
    }
}

impl Drop for JsonLog {
    /// A run that ends early leaves its last lines too, as far as the system lets it.
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

impl Observer for JsonLog {
    /// On the disk, as the checkpoint will be: after a power failure the log must not lack what the checkpoint has.
    fn keep(&mut self) -> Result<(), Error> {
        self.flush()?;
        match self.file.sync_data() {
            // A pipe or a device, which keeps nothing.
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
            synced => synced.map_err(|source| Error::Log { path: self.path.clone(), source }),
        }
    }

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
