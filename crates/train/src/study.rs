//! The trials of a search in a file: an Optuna journal, which processes and machines can share, and Optuna's programs
//! can open.
//!
//! ```text
//! {"op_code":0,"worker_id":"groundup-71-9c…","study_name":"groundup-search","directions":[2]}           a study, to be maximised
//! {"op_code":2,"worker_id":"groundup-71-9c…","study_id":0,"user_attr":{"groundup":{"schema":1,"settings":{…}}}}
//! {"op_code":4,"worker_id":"groundup-71-9c…","study_id":0,"datetime_start":…,"datetime_complete":…,"state":1,"value":0.83,"values":null,
//!  "distributions":{"lr":…,"weight_decay":…},"params":{"lr":0.0092,"weight_decay":3.8e-7},
//!  "user_attrs":{"groundup":{"number":0,"round":0,"seed":17,"train_accuracy":[…]}},"system_attrs":{},
//!  "intermediate_values":{"1":0.3,"2":0.83}}
//! ```
//!
//! A line is a record, and a study's id is how many were created before it: a file may hold others, which are left
//! alone, and Optuna may add trials to ours, in its own JSON, which has NaN. A trial is one line, written when it ends,
//! under the lock of `lock.rs`: a program that is killed leaves no trial half. What it may leave is a line without its
//! end. When the file is next opened, and before a line is written, such a line is cut off, or ended if nothing but its
//! end is missing. (Optuna does not look: what it writes first after such a line makes one of both, which neither of us
//! can read.) To read takes no lock. Bounds in `distributions` are those of the trial's round, `intermediate_values`
//! the accuracy on the validation samples after each epoch.
//!
//! Tried with Optuna 5.0 and 4.9 (`groundup/tests/cli/study.rs` tries the one that is there). The format is Optuna's
//! own affair, and its next major version may have another.

use crate::config::{Length, Settings, difference};
use crate::error::Error;
use crate::lock::{Lock, random};
use crate::model::one_line;
use crate::samples::samples_sha256;
use crate::search::{LogRange, Search, Trial};
use jiff::{Timestamp, tz::Offset};
use mnist_io::Dataset;
use mnist_io::file::folder_of;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, create_dir_all};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The study's name, for `optuna.load_study`.
pub const STUDY_NAME: &str = "groundup-search";

/// How a record begins, here and at Optuna's: a last line that begins otherwise is no record cut short, and not ours to
/// cut off.
const RECORD: &str = "{\"op_code\":";

/// Of what is in `groundup` attributes.
const SCHEMA: u64 = 1;

/// What a line is that is no record.
const NONE: &str = "none of an Optuna journal";

/// The trials of a search that are kept in a file.
pub struct Study {
    /// As it was given, for messages.
    path: PathBuf,
    /// Without links, so that whoever writes to it takes the same lock.
    file: PathBuf,
    about: About,
    journal: Mutex<Journal>,
    say: Box<dyn Fn(&str) + Send + Sync>,
}

/// What decides a search's trials besides their numbers. How many there are, in how many rounds and shards, does not.
#[derive(Debug, PartialEq, Serialize)]
struct About {
    schema: u64,
    /// Empty if the schema is not ours.
    settings: Settings,
}

/// A journal as far as it was read.
#[derive(Default)]
struct Journal {
    /// Bytes and lines that were read.
    bytes: u64,
    lines: usize,
    /// What follows them, without its end.
    torn: Vec<u8>,
    /// The ids of the studies that are there by their names, and how many there were.
    ids: BTreeMap<String, u64>,
    created: u64,
    /// Ours.
    about: Option<About>,
    trials: BTreeMap<usize, Trial>,
}

/// Why a journal cannot be used.
#[derive(Debug)]
enum Fault {
    System(io::Error),
    /// What one of its lines is.
    Line(String),
    /// It is not as it was read, or the lock is not ours any more.
    TakenOver,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// A trial's user attribute `groundup`.
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
        Ok(Self { schema: SCHEMA, settings })
    }

    fn read(value: &Value) -> Option<Self> {
        let schema = value["schema"].as_u64()?;
        let settings = if schema == SCHEMA { Settings::deserialize(&value["settings"]).ok()? } else { Settings::new() };
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
        create_dir_all(folder_of(path)).map_err(|e| unusable(path, &e))?;
        let study = Self::new(path, about, Box::new(say))?;
        study.with_file(true, |journal, file, lock| {
            if journal.about.is_none() {
                journal.create(&study.about, file, lock).map_err(|fault| study.fault(fault))?;
            }
            study.check(journal)?;
            match search.numbers().find(|number| journal.trials.contains_key(number)) {
                Some(number) => Err(study.error(
                    format!("trial {number} is in it already"),
                    "give --resume to go on with it, or another file",
                )),
                None => Ok(()),
            }
        })?;
        Ok(study)
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
        let study = Self::new(path, About::of(search, train, validation)?, Box::new(say))?;
        if matches!(study.file.try_exists(), Ok(false)) {
            return Err(absent(path));
        }
        study.refresh()?;
        // One without an end may be one that is being written: that is known under the lock.
        if !study.journal().torn.is_empty() {
            study.with_file(false, |_, _, _| Ok(()))?;
        }
        Ok(study)
    }

    fn new(path: &Path, about: About, say: Box<dyn Fn(&str) + Send + Sync>) -> Result<Self, Error> {
        let file = match path.canonicalize() {
            Err(e) if e.kind() == ErrorKind::NotFound && path.is_symlink() => {
                return Err(error(path, "it is a link to a file that is not there".to_owned(), "give another file"));
            }
            // A file that is not there is in a folder that is.
            Err(e) if e.kind() == ErrorKind::NotFound => match folder_of(path).canonicalize() {
                Err(e) if e.kind() == ErrorKind::NotFound => return Err(absent(path)),
                folder => folder.map(|folder| folder.join(path.file_name().unwrap_or_default())),
            },
            file => file,
        };
        let file = file.map_err(|e| unusable(path, &e))?;
        Ok(Self { path: path.to_owned(), file, about, journal: Mutex::default(), say })
    }

    /// The trials that are in it, by number.
    pub fn trials(&self) -> Vec<Trial> {
        self.journal().trials.values().cloned().collect()
    }

    /// How many of a search's trials are in it.
    pub fn count(&self, search: &Search) -> usize {
        let journal = self.journal();
        search.numbers().filter(|number| journal.trials.contains_key(number)).count()
    }

    /// A trial that is to be run, if it is in it.
    ///
    /// # Errors
    /// If it is not what it would be if it were run.
    pub(crate) fn known(&self, drawn: &Trial, epochs: u64) -> Result<Option<Trial>, Error> {
        let journal = self.journal();
        let Some(known) = journal.trials.get(&drawn.number) else { return Ok(None) };
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
                Err(self.error(format!("trial {} has {name} {then} in it, not {now}", drawn.number), cure))
            }
            None => Ok(Some(known.clone())),
        }
    }

    /// Puts a trial that was begun at that time, and drawn from these ranges, into it; false if another process has.
    ///
    /// # Errors
    /// If the file cannot be written, or is no longer what it was.
    pub(crate) fn add(&self, trial: &Trial, ranges: [LogRange; 2], begun: SystemTime) -> Result<bool, Error> {
        self.with_file(false, |journal, file, lock| {
            let id = self.check(journal)?;
            match journal.trials.get(&trial.number) {
                Some(known) if known == trial => return Ok(false),
                Some(_) => {
                    let what = format!("trial {} is in it with other results", trial.number);
                    return Err(self.error(what, "give another file"));
                }
                None => {}
            }
            let record = record(id, trial, ranges, begun);
            if trial_of(&record).as_ref() != Some(trial) {
                let what = format!("trial {} has a number that is not finite", trial.number);
                return Err(self.error(what, "narrow the ranges"));
            }
            journal.append(&[record], file, lock).map_err(|fault| self.fault(fault))?;
            Ok(true)
        })
    }

    /// Reads what was written to it since it was last read.
    ///
    /// # Errors
    /// If the file cannot be read, or is no longer what it was.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        let mut journal = self.journal();
        let mut file = File::open(&self.file).map_err(|e| unusable(&self.path, &e))?;
        journal.read_on(&mut file).map_err(|fault| self.fault(fault))?;
        self.check(&journal).map(drop)
    }

    /// The id of our study, if the journal has it, with these settings.
    fn check(&self, journal: &Journal) -> Result<u64, Error> {
        let (Some(id), Some(about)) = (journal.id(), &journal.about) else {
            let what = match journal.id() {
                Some(_) => format!("its study {STUDY_NAME} has no settings"),
                None => format!("no study {STUDY_NAME} is in it"),
            };
            return Err(self.error(what, "leave --resume out to begin one"));
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
        work: impl FnOnce(&mut Journal, &mut File, &Lock) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let mut journal = self.journal();
        let lock = Lock::of(&self.file, &*self.say)?;
        let mut file = File::options()
            .read(true)
            .append(true)
            .create(create)
            .open(&self.file)
            .map_err(|e| unusable(&self.path, &e))?;
        journal.read_on(&mut file).and_then(|()| journal.mend(&mut file, &lock)).map_err(|fault| self.fault(fault))?;
        work(&mut journal, &mut file, &lock)
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, what: String, cure: &'static str) -> Error {
        error(&self.path, what, cure)
    }

    fn fault(&self, fault: Fault) -> Error {
        match fault {
            Fault::System(e) => unusable(&self.path, &e),
            Fault::Line(what) => self.error(what, "take that line out, or give another file"),
            Fault::TakenOver => self.error(
                "another process wrote to it, or took its lock over, while this one held that".to_owned(),
                "give --resume to go on with what is in it",
            ),
        }
    }
}

/// The strings of a file may hold anything; a message is one line.
fn error(path: &Path, what: String, cure: &'static str) -> Error {
    Error::Study { path: path.to_owned(), what: one_line(&what), cure }
}

fn unusable(path: &Path, source: &io::Error) -> Error {
    error(path, source.to_string(), "give a file that can be read and written")
}

fn absent(path: &Path) -> Error {
    error(path, "there is no such file".to_owned(), "leave --resume out to begin a study")
}

impl Journal {
    /// The id of our study.
    fn id(&self) -> Option<u64> {
        self.ids.get(STUDY_NAME).copied()
    }

    /// What follows the lines that were read.
    fn unread(&self, file: &mut File) -> io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(self.bytes))?;
        let mut unread = Vec::new();
        file.read_to_end(&mut unread)?;
        if file.metadata()?.len() < self.bytes {
            return Err(io::Error::other("it has become shorter"));
        }
        Ok(unread)
    }

    /// Reads what was written since, up to the end of the last whole line.
    fn read_on(&mut self, file: &mut File) -> Result<(), Fault> {
        let unread = self.unread(file)?;
        self.torn.clear();
        for line in unread.split_inclusive(|&byte| byte == b'\n') {
            if line.ends_with(b"\n") {
                self.read(line)?;
                continue;
            }
            let known = line.len().min(RECORD.len());
            if line[..known] != RECORD.as_bytes()[..known] {
                return Err(Fault::Line(format!("its line {} is {NONE}", self.lines + 1)));
            }
            self.torn = line.to_vec();
        }
        Ok(())
    }

    /// Reads a line.
    fn read(&mut self, line: &[u8]) -> Result<(), Fault> {
        let number = self.lines + 1;
        self.replay(&parsed(line).unwrap_or(Value::Null))
            .map_err(|what| Fault::Line(format!("its line {number} is {what}")))?;
        (self.bytes, self.lines) = (self.bytes + line.len() as u64, number);
        Ok(())
    }

    /// Cuts off a line that has no end, or ends it if it is whole.
    fn mend(&mut self, file: &mut File, lock: &Lock) -> Result<(), Fault> {
        if self.torn.is_empty() {
            return Ok(());
        }
        self.check_untouched(file, lock)?;
        let line = [&self.torn[..], b"\n"].concat();
        if parsed(&line).is_some() {
            self.read(&line)?;
            file.write_all(b"\n")?;
        } else {
            file.set_len(self.bytes)?;
        }
        file.sync_data()?;
        self.torn.clear();
        Ok(())
    }

    /// That nobody has written since all was read, nor may write now: records of others would be cut off, or run into
    /// ours.
    fn check_untouched(&self, file: &mut File, lock: &Lock) -> Result<(), Fault> {
        let untouched = self.unread(file)? == self.torn && lock.is_held();
        untouched.then_some(()).ok_or(Fault::TakenOver)
    }

    /// Does what a record says; an error says what it is instead of one.
    fn replay(&mut self, record: &Value) -> Result<(), &'static str> {
        let study = record["study_id"].as_u64();
        let ours = study.is_some() && study == self.id();
        match record["op_code"].as_u64().ok_or(NONE)? {
            0 => {
                let name = record["study_name"].as_str().ok_or(NONE)?;
                // A name that is taken is not given again.
                if !self.ids.contains_key(name) {
                    if name == STUDY_NAME && record["directions"] != json!([2]) {
                        return Err("a study of that name that is not this program's");
                    }
                    self.ids.insert(name.to_owned(), self.created);
                    self.created += 1;
                }
            }
            1 => {
                let deleted = study.ok_or(NONE)?;
                self.ids.retain(|_, id| *id != deleted);
                if ours {
                    (self.about, self.trials) = (None, BTreeMap::new());
                }
            }
            2 if ours => {
                if let Some(about) = record["user_attr"].get("groundup") {
                    self.about = Some(About::read(about).ok_or("not a study as this program writes one")?);
                }
            }
            // One without that attribute was added by somebody else, and of another schema we know nothing.
            4 if ours
                && record["user_attrs"].get("groundup").is_some()
                && self.about.as_ref().is_none_or(|about| about.schema == SCHEMA) =>
            {
                let trial = trial_of(record).ok_or("not a trial as this program writes one")?;
                let first = self.trials.entry(trial.number).or_insert_with(|| trial.clone());
                if *first != trial {
                    return Err("a trial that is in it twice, with other results");
                }
            }
            // Other studies; changes of a trial before it is finished, which ours never are; other attributes.
            2..=10 => {}
            // What Optuna may do one day to another study.
            _ if study.is_some() && !ours => {}
            _ => return Err(NONE),
        }
        Ok(())
    }

    /// Creates our study, or gives it its settings if a program that was killed has not.
    fn create(&mut self, about: &About, file: &mut File, lock: &Lock) -> Result<(), Fault> {
        let study = json!({"op_code": 0, "worker_id": *WORKER, "study_name": STUDY_NAME, "directions": [2]});
        let id = self.id();
        let user_attr = json!({"groundup": about});
        let settings = json!({
            "op_code": 2, "worker_id": *WORKER, "study_id": id.unwrap_or(self.created), "user_attr": user_attr,
        });
        let records = [study, settings];
        self.append(&records[usize::from(id.is_some())..], file, lock)
    }

    /// Writes records to the disk, after the last line, and reads them.
    fn append(&mut self, records: &[Value], file: &mut File, lock: &Lock) -> Result<(), Fault> {
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        self.check_untouched(file, lock)?;
        file.write_all(lines.as_bytes())?;
        file.sync_data()?;
        self.read_on(file)
    }
}

/// A line as JSON. Of one in Python's JSON alone (which has NaN, infinities, lone surrogates, and no limits) only what
/// tells studies apart: we write no such line. None if it is neither.
fn parsed(line: &[u8]) -> Option<Value> {
    #[derive(Deserialize)]
    struct Head {
        op_code: u64,
        study_id: Option<u64>,
    }
    if let Ok(record) = serde_json::from_slice(line) {
        return Some(record);
    }
    let line = std::str::from_utf8(line).ok()?;
    let Head { op_code, study_id } = serde_json::from_str(&without_nan(line)).ok()?;
    // Of a name that is no text, what it looks like in the file.
    let name = line.split_once("\"study_name\":").and_then(|(_, after)| after.split_once(",\"directions\":"));
    Some(json!({"op_code": op_code, "study_id": study_id, "study_name": name.map(|(name, _)| name)}))
}

/// Python's JSON with null for the numbers that are not finite.
fn without_nan(line: &str) -> String {
    let mut text = false;
    let mut plain = String::with_capacity(line.len());
    for piece in line.split_inclusive('"') {
        if text {
            plain += piece;
            let before = piece.trim_end_matches('"');
            // A quote after a backslash that is not itself after one is of the text.
            text = (before.len() - before.trim_end_matches('\\').len()) % 2 == 1;
        } else {
            plain +=
                &["-Infinity", "Infinity", "NaN"].iter().fold(piece.to_owned(), |piece, of| piece.replace(of, "null"));
            text = true;
        }
    }
    plain
}

/// Who writes; never the same as one of Optuna's, which are UUIDs, nor as one of another machine.
static WORKER: LazyLock<String> = LazyLock::new(|| format!("groundup-{}-{:016x}", std::process::id(), random()));

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
        "worker_id": *WORKER,
        "study_id": study,
        "datetime_start": time(begun),
        "datetime_complete": time(SystemTime::now()),
        "state": 1,
        "value": trial.score(),
        "values": null,
        "distributions": {"lr": distributions[0], "weight_decay": distributions[1]},
        "params": {"lr": learning_rate, "weight_decay": weight_decay},
        "user_attrs": {"groundup": Attributes { number, round, seed, train_accuracy: train_accuracy.clone() }},
        "system_attrs": {},
        "intermediate_values": epochs.zip(validation_accuracy.clone()).collect::<BTreeMap<_, _>>(),
    })
}

/// The trial that [`record`] made a record of.
fn trial_of(record: &Value) -> Option<Trial> {
    let Attributes { number, round, seed, train_accuracy } =
        Attributes::deserialize(&record["user_attrs"]["groundup"]).ok()?;
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
        && round < usize::MAX
        && record["value"].as_f64() == Some(trial.score())
        && trial.validation_accuracy.len() == trial.train_accuracy.len();
    fits.then_some(trial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A journal that was read from `text`, its file and its lock.
    fn read(text: &str) -> (tempfile::TempDir, PathBuf, Journal, File, Lock) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("study.log");
        fs::write(&path, text).unwrap();
        let lock = Lock::of(&path, &|_| ()).unwrap();
        let mut file = File::options().read(true).append(true).open(&path).unwrap();
        let mut journal = Journal::default();
        journal.read_on(&mut file).unwrap();
        (dir, path, journal, file, lock)
    }

    /// What others write after the lock was broken is neither cut off nor written into.
    #[test]
    fn who_has_lost_the_lock_does_not_write() {
        let study = "{\"op_code\":0,\"study_name\":\"first\",\"directions\":[1]}\n";
        let torn = "{\"op_code\":4,\"st";
        let another = json!({"op_code": 0, "study_name": "second", "directions": [1]});
        type Write<'a> = &'a dyn Fn(&mut Journal, &mut File, &Lock) -> Result<(), Fault>;
        let writes: [(&str, Write<'_>); 3] = [
            (torn, &|journal, file, lock| journal.mend(file, lock)),
            (study.trim_end(), &|journal, file, lock| journal.mend(file, lock)),
            ("", &|journal, file, lock| journal.append(std::slice::from_ref(&another), file, lock)),
        ];
        for (tail, write) in writes {
            // The lock is gone; others have cut the tail off and written, or ended it; or written after it.
            let text = format!("{study}{tail}");
            for after in [text.clone(), format!("{study}{study}"), format!("{text}\n"), format!("{text}{study}")] {
                let (_dir, path, mut journal, mut file, lock) = read(&text);
                fs::write(&path, &after).unwrap();
                if after == text {
                    fs::remove_file(path.with_file_name("study.log.lock")).unwrap();
                }
                let result = write(&mut journal, &mut file, &lock);
                assert!(matches!(result, Err(Fault::TakenOver)), "{result:?} with {tail:?} then {after:?}");
                assert_eq!(fs::read_to_string(&path).unwrap(), after);
            }
            let (_dir, path, mut journal, mut file, lock) = read(&text);
            write(&mut journal, &mut file, &lock).unwrap();
            assert!(fs::read_to_string(&path).unwrap().ends_with("}\n"));
        }
    }
}
