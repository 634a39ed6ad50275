//! What the records of a journal add up to: the studies that are there, and the state of the one that is followed.

use crate::record::{Direction, TrialRecord};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a program keeps of its study. It is told of the study's records in the order of the file, and starts again from
/// the default if the study is deleted.
///
/// An error says what the record is instead of one that the program can use ("not a trial as this program writes one");
/// the file is then refused, with the number of the line.
pub trait StudyState: Default {
    /// A user attribute of the study was set.
    ///
    /// # Errors
    /// What it is instead of an attribute that the program can use.
    fn attribute(&mut self, name: &str, value: &Value) -> Result<(), &'static str>;

    /// A trial was created. Changes made to it later are skipped: a program that writes finished trials makes none.
    ///
    /// # Errors
    /// What it is instead of a trial that the program can use.
    fn trial(&mut self, trial: TrialRecord<'_>) -> Result<(), &'static str>;
}

/// What a line is that is no record.
pub(crate) const NO_RECORD: &str = "none of an Optuna journal";

/// The records so far.
pub(crate) struct Replay<S> {
    /// The study that is followed.
    pub name: String,
    pub direction: Direction,
    /// The ids of the studies that are there, by name.
    ids: BTreeMap<String, u64>,
    /// Studies that were created, deleted ones included: the id of the next one.
    created: u64,
    pub state: S,
}

impl<S: StudyState> Replay<S> {
    pub fn new(name: &str, direction: Direction) -> Self {
        Self { name: name.to_owned(), direction, ids: BTreeMap::new(), created: 0, state: S::default() }
    }

    /// The id of the study that is followed, if it is there.
    pub fn study(&self) -> Option<u64> {
        self.ids.get(&self.name).copied()
    }

    /// The id of the study that is created next.
    pub fn next_study(&self) -> u64 {
        self.created
    }

    /// Applies a record. An error says what it is instead of one.
    pub fn apply(&mut self, record: &Value) -> Result<(), &'static str> {
        let study = record["study_id"].as_u64();
        let ours = study.is_some() && study == self.study();
        match record["op_code"].as_u64().ok_or(NO_RECORD)? {
            // Create a study.
            0 => self.create(record),
            // Delete a study.
            1 => {
                let deleted = study.ok_or(NO_RECORD)?;
                self.ids.retain(|_, id| *id != deleted);
                if ours {
                    self.state = S::default();
                }
                Ok(())
            }
            // Set user attributes of a study.
            2 if ours => {
                let attributes = record["user_attr"].as_object();
                attributes.into_iter().flatten().try_for_each(|(name, value)| self.state.attribute(name, value))
            }
            // Create a trial.
            4 if ours => self.state.trial(TrialRecord(record)),
            // Other studies, changes of trials, system attributes.
            2..=10 => Ok(()),
            // Operations of a later version are skipped as long as they cannot concern our study.
            _ if study.is_some() && !ours => Ok(()),
            _ => Err(NO_RECORD),
        }
    }

    fn create(&mut self, record: &Value) -> Result<(), &'static str> {
        let name = record["study_name"].as_str().ok_or(NO_RECORD)?;
        // Optuna writes the record before it knows whether the name is taken; one that is taken creates nothing.
        if !self.ids.contains_key(name) {
            if name == self.name && record["directions"] != self.direction.code() {
                return Err("a study of that name that is not this program's");
            }
            self.ids.insert(name.to_owned(), self.created);
            self.created += 1;
        }
        Ok(())
    }
}
