//! A study in Optuna's journal file, which several processes and machines share and Optuna's own programs open.
//!
//! A journal is a file of JSON lines. A line is a record of one change, and the lines are replayed in their order:
//!
//! ```text
//! {"op_code":0,"worker_id":"…","study_name":"tuning","directions":[2]}                   create a study
//! {"op_code":2,"worker_id":"…","study_id":0,"user_attr":{"batch":100}}                   set an attribute of it
//! {"op_code":4,"worker_id":"…","study_id":0,"datetime_start":…,"datetime_complete":…,    create a trial of it
//!  "state":1,"value":0.83,"values":null,"distributions":{"lr":…},"params":{"lr":0.0092},
//!  "user_attrs":{"seed":17},"system_attrs":{},"intermediate_values":{"1":0.3,"2":0.83}}
//! ```
//!
//! A study has no number of its own in the file: its id is the number of studies created before it. A program opens the
//! journal for one study, by name. Other studies in the file are skipped. Optuna may add trials to the program's own
//! study; they are handed to the program, which knows its own by their attributes.
//!
//! | file | what it holds |
//! |---|---|
//! | `journal.rs` | the file: read on, mend a line that was cut short, append under the lock |
//! | `replay.rs` | what the records of a file add up to |
//! | `record.rs` | the records that are written, and a trial's record as it is read |
//! | `json.rs` | a line as JSON, also the JSON that only Python writes |
//! | `lock.rs` | the lock that Optuna's programs take as well |
//! | `error.rs` | why a journal cannot be used |
//!
//! A trial is written as one line when it ends, so a killed program leaves no half of a trial in the study. It may leave
//! a line without its end. When the lock is next taken, that line is removed, or ended if only the end is missing.
//! (Optuna does not check: the first record it writes after such a line joins it, and neither program can read the
//! result.) Reading takes no lock.
//!
//! Tested with Optuna 5.0 and 4.9. The format is private to Optuna, and its next major version may change it.
//!
//! # Example
//!
//! ```
//! use optuna_journal::{Direction, FinishedTrial, Journal, Parameter, StudyOptions, StudyState, TrialRecord};
//! use serde_json::{Map, Value};
//! use std::time::SystemTime;
//!
//! /// What this program keeps of its study: the values of its trials.
//! #[derive(Default)]
//! struct Values(Vec<f64>);
//!
//! impl StudyState for Values {
//!     fn attribute(&mut self, _name: &str, _value: &Value) -> Result<(), &'static str> {
//!         Ok(())
//!     }
//!
//!     fn trial(&mut self, trial: TrialRecord<'_>) -> Result<(), &'static str> {
//!         self.0.extend(trial.value());
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("tuning.log");
//! let options = StudyOptions { name: "tuning", direction: Direction::Maximize, program: "example" };
//! let mut journal: Journal<Values> = Journal::create(&path, options, |line| eprintln!("{line}"))?;
//! let started = SystemTime::now();
//! let mut locked = journal.lock()?;
//! if locked.study().is_none() {
//!     locked.create_study(&Map::new())?;
//! }
//! locked.add_trial(&FinishedTrial {
//!     started,
//!     completed: SystemTime::now(),
//!     value: 0.83,
//!     parameters: vec![Parameter { name: "lr", value: 0.01, low: 1e-6, high: 1e-2, log: true }],
//!     intermediate_values: vec![0.3, 0.83],
//!     attributes: Map::new(),
//! })?;
//! drop(locked);
//! assert_eq!(journal.state().0, [0.83]);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod error;
mod journal;
mod json;
mod lock;
mod record;
mod replay;

pub use error::{Error, Fault};
pub use journal::{Journal, Locked, StudyOptions};
pub use record::{Direction, FinishedTrial, Parameter, TrialRecord};
pub use replay::StudyState;
