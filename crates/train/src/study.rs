//! The trials of a search in an Optuna journal, which processes and machines share and Optuna's programs open.
//!
//! The file is `optuna-journal`'s. What a search puts into it:
//!
//! | in the journal | |
//! |---|---|
//! | study [`STUDY_NAME`] | to be maximised; its user attribute `groundup` has the schema and the search's settings |
//! | trial | value: the accuracy on the validation samples at the end |
//! | its intermediate values | the accuracy on the validation samples after each epoch |
//! | its distributions | the ranges of the trial's round |
//! | its user attribute `groundup` | number, round, seed, the accuracy on the training samples after each epoch |
//!
//! A trial without that attribute was added by another program, and is skipped.

use crate::config::Length;
use crate::error::Error;
use crate::samples::samples_sha256;
use crate::search::{LogRange, Search, Trial};
use crate::settings::{Record, difference};
use crate::text::one_line;
use mnist_io::Dataset;
use optuna_journal::{Direction, Fault, FinishedTrial, Journal, Parameter, StudyOptions, StudyState, TrialRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The study's name, for `optuna.load_study`.
pub const STUDY_NAME: &str = "groundup-search";

/// The user attribute of our study and of our trials.
const ATTRIBUTE: &str = "groundup";

/// The version of what is in these attributes.
const SCHEMA: u64 = 2;

const OPTIONS: StudyOptions<'_> =
    StudyOptions { name: STUDY_NAME, direction: Direction::Maximize, program: "groundup" };

/// The trials of a search that are kept in a file.
pub struct Study {
    about: About,
    journal: Mutex<Journal<Trials>>,
}

/// What decides a search's trials, together with their numbers. It does not depend on the number of trials, rounds and
/// shards.
#[derive(Debug, PartialEq, Serialize)]
struct About {
    schema: u64,
    /// Empty if the schema is not ours.
    settings: Record,
}

/// What is kept of the study's records.
#[derive(Default)]
struct Trials {
    about: Option<About>,
    by_number: BTreeMap<usize, Trial>,
}

impl StudyState for Trials {
    fn attribute(&mut self, name: &str, value: &Value) -> Result<(), &'static str> {
        if name == ATTRIBUTE {
            self.about = Some(About::read(value).ok_or("not a study as this program writes one")?);
        }
        Ok(())
    }

    fn trial(&mut self, record: TrialRecord<'_>) -> Result<(), &'static str> {
        // Nothing is known about the trials of another schema.
        let readable = self.about.as_ref().is_none_or(|about| about.schema == SCHEMA);
        let Some(attributes) = record.attribute(ATTRIBUTE).filter(|_| readable) else { return Ok(()) };
        let trial = trial_of(record, attributes).ok_or("not a trial as this program writes one")?;
        let first = self.by_number.entry(trial.number).or_insert_with(|| trial.clone());
        if *first == trial { Ok(()) } else { Err("a trial that is in it twice, with other results") }
    }
}

/// A trial's user attribute.
#[derive(Serialize, Deserialize)]
struct Attributes {
    number: usize,
    round: usize,
    seed: u64,
    train_accuracy: Vec<f64>,
}

impl About {
    /// Of a search that can be done.
    fn of(search: &Search, train: &Dataset, validation: &Dataset) -> Result<Self, Error> {
        search.check(train, validation)?;
        let range = |range: LogRange| range.bounds().map(|bound| format!("{bound:e}")).join("..");
        let (unit, length) = match search.base.length {
            Length::Epochs(epochs) => ("epochs", epochs),
            Length::Steps(steps) => ("steps", steps),
        };
        // What differs between trials is replaced by what it is drawn from.
        let settings = search
            .base
            .settings()
            .with("lr", range(search.learning_rate))
            .with("weight-decay", range(search.weight_decay))
            .with("seed", search.seed)
            .with(unit, length)
            .with("training samples", format!("SHA-256 {}", samples_sha256(train)))
            .with("validation samples", format!("SHA-256 {}", samples_sha256(validation)))
            .record();
        Ok(Self { schema: SCHEMA, settings })
    }

    fn read(value: &Value) -> Option<Self> {
        let schema = value["schema"].as_u64()?;
        let settings = if schema == SCHEMA { Record::deserialize(&value["settings"]).ok()? } else { Record::new() };
        Some(Self { schema, settings })
    }
}

impl Study {
    /// The study of a search in a new file, or in one that holds none of its trials yet. The study is created, and the
    /// folder, if they are not there. `say` is told if the file's lock is waited for.
    ///
    /// # Errors
    /// If the search cannot be done; if the file cannot be written, is damaged, is of a search with other settings or
    /// samples, or holds a trial that the search would do.
    pub fn begin(
        path: &Path,
        search: &Search,
        train: &Dataset,
        validation: &Dataset,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let about = About::of(search, train, validation)?;
        let mut journal = Journal::<Trials>::create(path, OPTIONS, say).map_err(study_error)?;
        let mut locked = journal.lock().map_err(study_error)?;
        if locked.state().about.is_none() {
            let attributes = Map::from_iter([(ATTRIBUTE.to_owned(), json!(about))]);
            locked.create_study(&attributes).map_err(study_error)?;
        }
        check(&locked, &about)?;
        if let Some(number) = search.numbers().find(|number| locked.state().by_number.contains_key(number)) {
            let what = format!("trial {number} is in it already");
            return Err(error(path, what, "give --resume to go on with it, or another file"));
        }
        drop(locked);
        Ok(Self { about, journal: Mutex::new(journal) })
    }

    /// The study of a search that was begun before. `say` is told if the file's lock is waited for.
    ///
    /// # Errors
    /// If the search cannot be done; if the file cannot be read, is damaged, holds no study of ours, or one of a search
    /// with other settings or samples.
    pub fn resume(
        path: &Path,
        search: &Search,
        train: &Dataset,
        validation: &Dataset,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let about = About::of(search, train, validation)?;
        let mut journal = Journal::open(path, OPTIONS, say).map_err(study_error)?;
        check(&journal, &about)?;
        journal.mend_last_line().map_err(study_error)?;
        Ok(Self { about, journal: Mutex::new(journal) })
    }

    /// The trials that are in it, by number.
    pub fn trials(&self) -> Vec<Trial> {
        self.journal().state().by_number.values().cloned().collect()
    }

    /// How many of a search's trials are in it.
    pub fn count(&self, search: &Search) -> usize {
        let journal = self.journal();
        search.numbers().filter(|number| journal.state().by_number.contains_key(number)).count()
    }

    /// A trial that is to be run, if it is in it.
    ///
    /// # Errors
    /// If it is not what it would be if it were run.
    pub(crate) fn known(&self, drawn: &Trial, epochs: u64) -> Result<Option<Trial>, Error> {
        let journal = self.journal();
        let Some(known) = journal.state().by_number.get(&drawn.number) else { return Ok(None) };
        let said = |trial: &Trial, epochs: u64| {
            let rounds = "search with the rounds and --trials it was begun with, or give another file";
            [
                ("round", (trial.round + 1).to_string(), rounds),
                ("learning rate", format!("{:e}", trial.learning_rate), rounds),
                ("weight decay", format!("{:e}", trial.weight_decay), rounds),
                ("seed", trial.seed.to_string(), "give another file"),
                ("epochs", epochs.to_string(), "give another file"),
            ]
        };
        let mut pairs = said(known, known.validation_accuracy.len() as u64).into_iter().zip(said(drawn, epochs));
        match pairs.find(|(then, now)| then != now) {
            Some(((name, then, cure), (_, now, _))) => {
                let what = format!("trial {} has {name} {then} in it, not {now}", drawn.number);
                Err(error(journal.path(), what, cure))
            }
            None => Ok(Some(known.clone())),
        }
    }

    /// Puts a trial that was begun at that time, and drawn from these ranges, into it; false if another process has.
    ///
    /// # Errors
    /// If the file cannot be written, or is no longer what it was.
    pub(crate) fn add(&self, trial: &Trial, ranges: [LogRange; 2], begun: SystemTime) -> Result<bool, Error> {
        let mut journal = self.journal();
        let mut locked = journal.lock().map_err(study_error)?;
        check(&locked, &self.about)?;
        match locked.state().by_number.get(&trial.number) {
            Some(known) if known == trial => return Ok(false),
            Some(_) => {
                let what = format!("trial {} is in it with other results", trial.number);
                return Err(error(locked.path(), what, "give another file"));
            }
            None => {}
        }
        locked.add_trial(&finished(trial, ranges, begun)).map_err(|e| match e.fault {
            Fault::NotFinite => {
                let what = format!("trial {} has a number that is not finite", trial.number);
                error(&e.path, what, "narrow the ranges")
            }
            _ => study_error(e),
        })?;
        Ok(true)
    }

    /// Reads what was written to it since it was last read.
    ///
    /// # Errors
    /// If the file cannot be read, or is no longer what it was.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        let mut journal = self.journal();
        journal.refresh().map_err(study_error)?;
        check(&journal, &self.about)
    }

    fn journal(&self) -> MutexGuard<'_, Journal<Trials>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That our study is in the journal, with these settings.
fn check(journal: &Journal<Trials>, about: &About) -> Result<(), Error> {
    let (Some(_), Some(found)) = (journal.study(), &journal.state().about) else {
        let what = match journal.study() {
            Some(_) => format!("its study {STUDY_NAME} has no settings"),
            None => format!("no study {STUDY_NAME} is in it"),
        };
        return Err(error(journal.path(), what, "leave --resume out to begin one"));
    };
    let what = match difference(&found.settings, &about.settings) {
        _ if found.schema != about.schema => format!("schema {}, not {}", found.schema, about.schema),
        Some(differs) => differs,
        None => return Ok(()),
    };
    let what = format!("it is of a search with {what}");
    Err(error(journal.path(), what, "search as that one did, or give another file"))
}

/// The strings of a file may hold anything; a message is one line.
fn error(path: &Path, what: String, cure: &'static str) -> Error {
    Error::Study { path: path.to_owned(), what: one_line(&what), cure }
}

/// A fault of the journal, with the cures of the command line.
fn study_error(e: optuna_journal::Error) -> Error {
    let cure = match e.fault {
        Fault::Absent => "leave --resume out to begin a study",
        Fault::TakenOver => "give --resume to go on with what is in it",
        ref fault => fault.cure(),
    };
    error(&e.path, e.fault.to_string(), cure)
}

/// A trial as the journal keeps it.
fn finished(trial: &Trial, ranges: [LogRange; 2], begun: SystemTime) -> FinishedTrial {
    let parameter = |name, value, range: LogRange| {
        let [low, high] = range.bounds();
        Parameter { name, value, low, high, log: true }
    };
    let Trial { number, round, learning_rate, weight_decay, seed, ref validation_accuracy, ref train_accuracy } =
        *trial;
    let attributes = Attributes { number, round, seed, train_accuracy: train_accuracy.clone() };
    FinishedTrial {
        started: begun,
        completed: SystemTime::now(),
        value: trial.score(),
        parameters: vec![parameter("lr", learning_rate, ranges[0]), parameter("weight_decay", weight_decay, ranges[1])],
        intermediate_values: validation_accuracy.clone(),
        attributes: Map::from_iter([(ATTRIBUTE.to_owned(), json!(attributes))]),
    }
}

/// The trial that [`finished`] made a record of.
fn trial_of(record: TrialRecord<'_>, attributes: &Value) -> Option<Trial> {
    let Attributes { number, round, seed, train_accuracy } = Attributes::deserialize(attributes).ok()?;
    let trial = Trial {
        number,
        round,
        learning_rate: record.parameter("lr")?,
        weight_decay: record.parameter("weight_decay")?,
        seed,
        validation_accuracy: record.intermediate_values()?,
        train_accuracy,
    };
    let fits = record.is_complete()
        && round < usize::MAX
        && record.value() == Some(trial.score())
        && trial.validation_accuracy.len() == trial.train_accuracy.len();
    fits.then_some(trial)
}
