//! Training: the step, the loop around it, what is recorded of a run, saved models, hyper-parameter search and its
//! studies.
//!
//! | file | what it holds |
//! |---|---|
//! | `config.rs` | everything that decides a run, and the presets Book and Torch |
//! | `settings.rs` | the settings of a run as files and messages have them |
//! | `trainer.rs` | the step (draw, forward, backward, update) |
//! | `samples.rs` | samples, what is found of them once, and evaluation |
//! | `workload.rs` | the training steps that are measured, by name |
//! | `run.rs` | the loop: steps, epochs, evaluations, an observer that is told of each |
//! | `log.rs` | the run as JSON lines |
//! | `model.rs` | models as safetensors files |
//! | `checkpoint.rs` | runs that can be resumed |
//! | `search.rs` | random search over log ranges, as a description |
//! | `trials.rs` | running the trials of a search |
//! | `study.rs` | the trials of a search in an Optuna journal, shared by processes |
//! | `text.rs` | texts of foreign files in messages |
//! | `decimal.rs` | powers of ten with the same bits everywhere |
//!
//! A run is a function of its [`Config`] and the data: not of threads, ISA or time.

#![forbid(unsafe_code)]

mod checkpoint;
mod config;
pub mod decimal;
mod error;
mod log;
mod model;
mod run;
mod samples;
pub mod search;
mod settings;
mod study;
mod text;
mod trainer;
mod trials;
mod workload;

pub use checkpoint::Checkpoints;
pub use config::{Config, Length, Preset};
pub use error::Error;
pub use log::JsonLog;
pub use model::{Model, weights_sha256};
pub use run::{EpochReport, Observer, Outcome, Quiet, StepReport, run, run_with_checkpoints};
pub use samples::{Samples, accuracy};
pub use settings::Settings;
pub use study::{STUDY_NAME, Study};
pub use trainer::Trainer;
pub use workload::Workload;
