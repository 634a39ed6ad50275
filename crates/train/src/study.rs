//! The trials of a search in a file: an Optuna journal, which processes and machines can share, and Optuna's programs can open.
//!
//! ```text
//! {"op_code":0,"worker_id":"groundup-71","study_name":"groundup-search","directions":[2]}           a study, to be maximised
//! {"op_code":2,"worker_id":"groundup-71","study_id":0,"user_attr":{"groundup":{"schema":1,"settings":{…}}}}
//! {"op_code":4,"worker_id":"groundup-71","study_id":0,"datetime_start":…,"datetime_complete":…,"state":1,"value":0.83,"values":null,
//!  "distributions":{"lr":…,"weight_decay":…},"params":{"lr":0.0092,"weight_decay":3.8e-7},
//!  "user_attrs":{"number":0,"round":0,"seed":17,"train_accuracy":[…]},"system_attrs":{},"intermediate_values":{"1":0.3,"2":0.83}}
//! ```
//!
//! A line is a record, and a study's id is how many were created before it: a file may hold others, which are left alone, and
//! Optuna may add trials to ours. A trial is one line, written when it ends, under the lock of `lock.rs`: a program that is
//! killed leaves no trial half. What it may leave is a line without its end. That is not read, and cut off before the next line is
//! written, for Optuna reads no file with such a line in the middle. Bounds in `distributions` are those of the trial's round,
//! `intermediate_values` the accuracy on the validation samples after each epoch.
//!
//! Tried with Optuna 5.0 and 4.9 (`groundup/tests/cli/study.rs` tries the one that is there). The format is Optuna's own affair, and its
//! next major version may have another.

use crate::config::{Length, Settings, difference};
use crate::error::Error;
use crate::lock::Lock;
use crate::search::{LogRange, Search, Trial};
use crate::trainer::samples_sha256;
use jiff::{Timestamp, tz::Offset};
use mnist_io::Dataset;
use mnist_io::file::folder_of;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, create_dir_all};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The study's name, for `optuna.load_study`.
pub const STUDY_NAME: &str = "groundup-search";

/// How a record begins, here and at Optuna's: a last line that begins otherwise is no record cut short, and not ours to cut off.
const RECORD: &str = "{\"op_code\":";

/// The trials of a search that are kept in a file.
pub struct Study {
    path: PathBuf,
    about: About,
    journal: Mutex<Journal>,
}

/// What decides a search's trials besides their numbers. How many there are, in how many rounds and shards, does not.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct About {
    schema: u32,
    settings: Settings,
}

/// A journal as far as it was read.
#[derive(Default)]
struct Journal {
    /// Bytes and lines that were read.
    bytes: u64,
    lines: usize,
    /// The studies that are there by their ids, and how many there were.
    studies: BTreeMap<u64, String>,
    created: u64,
    /// Ours.
    about: Option<About>,
    trials: BTreeMap<usize, Trial>,
}

/// A trial's user attributes.
#[derive(Serialize, Deserialize)]
struct Attributes {
    number: usize,
    round: usize,
    seed: u64,
    train_accuracy: Vec<f64>,
}

impl About {
    fn new(search: &Search, train: &Dataset, validation: &Dataset) -> Self {
        let mut settings = search.base.settings();
        let range = |range: LogRange| range.bounds().map(|bound| format!("{bound:e}")).join("..");
        let (unit, length) = match search.base.length {
            Length::Epochs(epochs) => ("epochs", epochs),
            Length::Steps(steps) => ("steps", steps),
        };
        let own = [
            ("lr", range(search.learning_rate)),
            ("weight-decay", range(search.weight_decay)),
            ("seed", search.seed.to_string()),
            (unit, length.to_string()),
            ("training samples", format!("SHA-256 {}", samples_sha256(train))),
            ("validation samples", format!("SHA-256 {}", samples_sha256(validation))),
        ];
        settings.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Self { schema: 1, settings }
    }
}

impl Study {
    /// The study of a search in a new file, or in one that holds none of its trials yet. The study is created, and the folder, if they are not there.
    ///
    /// # Errors
    /// If the search cannot be done; if the file cannot be written, is damaged, is of a search with other settings or samples,
    /// or holds a trial that the search would do.
    pub fn begin(path: &Path, search: &Search, train: &Dataset, validation: &Dataset) -> Result<Self, Error> {
        let study = Self::new(path, search, train, validation)?;
        create_dir_all(folder_of(path)).map_err(|e| study.unwritable(&e))?;
        study.with_file(true, |journal, file| {
            if journal.about.is_none() {
                journal.create(&study.about, file).map_err(|e| study.unwritable(&e))?;
            }
            study.check(journal)?;
            match journal.trials.keys().find(|&&number| search.does(number)) {
                Some(number) => Err(study.error(
                    format!("trial {number} is in it already"),
                    "give --resume to go on with it, or another file",
                )),
                None => Ok(()),
            }
        })?;
        Ok(study)
    }

    /// The study of a search that was begun before.
    ///
    /// # Errors
    /// If the search cannot be done; if the file cannot be written, is damaged, holds no study of ours, or one of a search with
    /// other settings or samples.
    pub fn resume(path: &Path, search: &Search, train: &Dataset, validation: &Dataset) -> Result<Self, Error> {
        let study = Self::new(path, search, train, validation)?;
        if !path.exists() {
            return Err(study.error("there is no such file".to_owned(), "leave --resume out to begin a study"));
        }
        study.with_file(false, |journal, _| study.check(journal))?;
        Ok(study)
    }

    fn new(path: &Path, search: &Search, train: &Dataset, validation: &Dataset) -> Result<Self, Error> {
        search.check(train, validation)?;
        let (about, journal) = (About::new(search, train, validation), Mutex::default());
        Ok(Self { path: path.to_owned(), about, journal })
    }

    /// The trials that are in it, by number.
    pub fn trials(&self) -> Vec<Trial> {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.trials.values().cloned().collect()
    }

    /// Takes the trials that are in it out of `left`, trials to be run, and returns them.
    ///
    /// # Errors
    /// If one is not what it would be if it were run.
    pub(crate) fn take(&self, left: &mut Vec<Trial>, epochs: u64) -> Result<Vec<Trial>, Error> {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        for drawn in &*left {
            let Some(known) = journal.trials.get(&drawn.number) else { continue };
            let said = |trial: &Trial, epochs: u64| {
                [
                    ("round", (trial.round + 1).to_string()),
                    ("learning rate", format!("{:e}", trial.learning_rate)),
                    ("weight decay", format!("{:e}", trial.weight_decay)),
                    ("seed", trial.seed.to_string()),
                    ("epochs", epochs.to_string()),
                ]
            };
            let mut pairs = said(known, known.validation_accuracy.len() as u64).into_iter().zip(said(drawn, epochs));
            if let Some(((name, then), (_, now))) = pairs.find(|(then, now)| then != now) {
                let what = format!("trial {} has {name} {then} in it, not {now}", drawn.number);
                return Err(
                    self.error(what, "search with the rounds and --trials it was begun with, or give another file")
                );
            }
            taken.push(known.clone());
        }
        left.retain(|drawn| !journal.trials.contains_key(&drawn.number));
        Ok(taken)
    }

    /// Puts a trial that was begun at that time, and drawn from these ranges, into it, if no other process has.
    ///
    /// # Errors
    /// If the file cannot be written, or is no longer what it was.
    pub(crate) fn add(&self, trial: &Trial, ranges: [LogRange; 2], begun: SystemTime) -> Result<(), Error> {
        self.with_file(false, |journal, file| {
            let id = self.check(journal)?;
            match journal.trials.get(&trial.number) {
                Some(known) if known == trial => return Ok(()),
                Some(_) => {
                    let what = format!("trial {} is in it with other results", trial.number);
                    return Err(self.error(what, "give another file"));
                }
                None => {}
            }
            let record = record(id, trial, ranges, begun);
            if trial_of(&record).as_ref() != Some(trial) {
                return Err(self.error(format!("{trial:?} is not finite"), "narrow the ranges"));
            }
            journal.append(&[record], file).map_err(|e| self.unwritable(&e))
        })
    }

    /// The id of our study, if the journal has it, with these settings.
    fn check(&self, journal: &Journal) -> Result<u64, Error> {
        let (Some(id), Some(about)) = (journal.id(), &journal.about) else {
            return Err(self.error(format!("no study {STUDY_NAME} is in it"), "leave --resume out to begin one"));
        };
        let what = match difference(&about.settings, &self.about.settings) {
            _ if about.schema != self.about.schema => format!("schema {}, not {}", about.schema, self.about.schema),
            Some(differs) => differs,
            None => return Ok(id),
        };
        Err(self.error(format!("it is of a search with {what}"), "search as that one did, or give another file"))
    }

    /// Does something with the file under its lock, once all that was written to it is read.
    fn with_file<R>(
        &self,
        create: bool,
        work: impl FnOnce(&mut Journal, &mut File) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = Lock::of(&self.path).map_err(|e| self.unwritable(&e))?;
        let mut file =
            File::options().read(true).append(true).create(create).open(&self.path).map_err(|e| self.unwritable(&e))?;
        let unread = journal.unread(&mut file).map_err(|e| self.unwritable(&e))?;
        journal.read(&unread).map_err(|what| self.error(what, "take that line out, or give another file"))?;
        work(&mut journal, &mut file)
    }

    fn error(&self, what: String, cure: &'static str) -> Error {
        Error::Study { path: self.path.clone(), what, cure }
    }

    fn unwritable(&self, source: &std::io::Error) -> Error {
        self.error(source.to_string(), "give a file that can be read and written")
    }
}

impl Journal {
    /// The id of our study.
    fn id(&self) -> Option<u64> {
        self.studies.iter().find(|(_, name)| *name == STUDY_NAME).map(|(&id, _)| id)
    }

    /// What was written since it was last read.
    fn unread(&self, file: &mut File) -> std::io::Result<Vec<u8>> {
        if file.metadata()?.len() < self.bytes {
            return Err(std::io::Error::other("it has become shorter"));
        }
        file.seek(SeekFrom::Start(self.bytes))?;
        let mut unread = Vec::new();
        file.read_to_end(&mut unread)?;
        Ok(unread)
    }

    /// Reads on, up to the end of the last whole line.
    fn read(&mut self, unread: &[u8]) -> Result<(), String> {
        for line in unread.split_inclusive(|&byte| byte == b'\n') {
            let number = self.lines + 1;
            let fault = |what: &str| format!("its line {number} is {what}");
            if !line.ends_with(b"\n") {
                let known = line.len().min(RECORD.len());
                if line[..known] != RECORD.as_bytes()[..known] {
                    return Err(fault("none of an Optuna journal"));
                }
                return Ok(());
            }
            let record = serde_json::from_slice(line).unwrap_or(Value::Null);
            self.replay(&record).map_err(fault)?;
            (self.bytes, self.lines) = (self.bytes + line.len() as u64, number);
        }
        Ok(())
    }

    /// Does what a record says; an error says what it is instead of one.
    fn replay(&mut self, record: &Value) -> Result<(), &'static str> {
        let none = "none of an Optuna journal";
        let study = record["study_id"].as_u64();
        let ours = study.is_some() && study == self.id();
        match record["op_code"].as_u64().ok_or(none)? {
            // A name that is taken is not given again.
            0 => {
                let name = record["study_name"].as_str().ok_or(none)?;
                if name == STUDY_NAME && record["directions"] != json!([2]) {
                    return Err("a study of that name that is not this program's");
                }
                if self.studies.values().all(|other| other != name) {
                    self.studies.insert(self.created, name.to_owned());
                    self.created += 1;
                }
            }
            1 => {
                self.studies.remove(&study.ok_or(none)?);
                if ours {
                    (self.about, self.trials) = (None, BTreeMap::new());
                }
            }
            2 if ours => {
                if let Some(about) = record["user_attr"].get("groundup") {
                    self.about = Some(About::deserialize(about).map_err(|_| "not a study as this program writes one")?);
                }
            }
            // One without a number was added by somebody else.
            4 if ours && record["user_attrs"].get("number").is_some() => {
                let trial = trial_of(record).ok_or("not a trial as this program writes one")?;
                let first = self.trials.entry(trial.number).or_insert_with(|| trial.clone());
                if *first != trial {
                    return Err("a trial that is in it twice, with other results");
                }
            }
            // Other studies; changes of a trial before it is finished, which ours never are; other attributes.
            2..=10 => {}
            _ => return Err(none),
        }
        Ok(())
    }

    /// Creates our study, or gives it its settings if a program that was killed has not.
    fn create(&mut self, about: &About, file: &mut File) -> std::io::Result<()> {
        let study = json!({"op_code": 0, "worker_id": worker(), "study_name": STUDY_NAME, "directions": [2]});
        let id = self.id();
        let user_attr = json!({"groundup": about});
        let settings = json!({
            "op_code": 2, "worker_id": worker(), "study_id": id.unwrap_or(self.created), "user_attr": user_attr,
        });
        let records = [study, settings];
        self.append(&records[usize::from(id.is_some())..], file)
    }

    /// Writes records to the disk, after the last whole line, and reads them.
    fn append(&mut self, records: &[Value], file: &mut File) -> std::io::Result<()> {
        if file.metadata()?.len() > self.bytes {
            file.set_len(self.bytes)?;
        }
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        file.write_all(lines.as_bytes())?;
        file.sync_data()?;
        self.read(lines.as_bytes()).map_err(std::io::Error::other)
    }
}

/// Who writes; never the same as one of Optuna's, which are UUIDs.
fn worker() -> String {
    format!("groundup-{}", std::process::id())
}

/// A trial as a record of a study: Optuna's "create a trial", with all there is to a finished one.
fn record(study: u64, trial: &Trial, ranges: [LogRange; 2], begun: SystemTime) -> Value {
    let time = |time: SystemTime| {
        let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
        format!("{:.6}", time.display_with_offset(Offset::UTC))
    };
    let distributions = ranges.map(|range| {
        let [low, high] = range.bounds();
        let attributes = json!({"step": null, "low": low, "high": high, "log": true});
        json!({"name": "FloatDistribution", "attributes": attributes}).to_string()
    });
    let Trial { number, round, learning_rate, weight_decay, seed, ref validation_accuracy, ref train_accuracy } =
        *trial;
    let epochs = (1..).map(|epoch: usize| epoch.to_string());
    json!({
        "op_code": 4,
        "worker_id": worker(),
        "study_id": study,
        "datetime_start": time(begun),
        "datetime_complete": time(SystemTime::now()),
        "state": 1,
        "value": trial.score(),
        "values": null,
        "distributions": {"lr": distributions[0], "weight_decay": distributions[1]},
        "params": {"lr": learning_rate, "weight_decay": weight_decay},
        "user_attrs": Attributes { number, round, seed, train_accuracy: train_accuracy.clone() },
        "system_attrs": {},
        "intermediate_values": epochs.zip(validation_accuracy.clone()).collect::<BTreeMap<_, _>>(),
    })
}

/// The trial that [`record`] made a record of.
fn trial_of(record: &Value) -> Option<Trial> {
    let Attributes { number, round, seed, train_accuracy } = Attributes::deserialize(&record["user_attrs"]).ok()?;
    let [learning_rate, weight_decay] = ["lr", "weight_decay"].map(|name| record["params"][name].as_f64());
    let values = record["intermediate_values"].as_object()?;
    let validation_accuracy: Option<Vec<f64>> =
        (1..=values.len()).map(|epoch| values.get(&epoch.to_string())?.as_f64()).collect();
    let trial = Trial {
        number,
        round,
        learning_rate: learning_rate?,
        weight_decay: weight_decay?,
        seed,
        validation_accuracy: validation_accuracy?,
        train_accuracy,
    };
    let fits = record["state"] == 1
        && record["value"].as_f64() == Some(trial.score())
        && trial.validation_accuracy.len() == trial.train_accuracy.len();
    fits.then_some(trial)
}
