//! The settings of a run, written in one place: [`Config::settings`]. Derived from it:
//!
//! | what | as |
//! |---|---|
//! | the record in a checkpoint and in a study, and its comparison with this run | names and texts |
//! | the first line of a log | JSON |
//!
//! [`Config::summary`] is the line of a run for a reader.

use crate::config::{Config, Preset};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Display;

/// The settings of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings(Vec<Setting>);

/// A setting of a run.
#[derive(Clone, Debug, PartialEq)]
struct Setting {
    /// Its name on the command line.
    name: &'static str,
    /// Its value for a program.
    value: Value,
    /// Its value for a reader. Two runs with the same texts are the same run.
    text: String,
}

impl Setting {
    fn new(name: &'static str, value: impl Display + Serialize) -> Self {
        Self { name, value: json!(value), text: value.to_string() }
    }

    /// A setting whose text says more than its value.
    fn with_text(name: &'static str, value: impl Serialize, text: impl Into<String>) -> Self {
        Self { name, value: json!(value), text: text.into() }
    }
}

/// Settings as files keep them: texts by name.
pub(crate) type Record = BTreeMap<String, String>;

impl Config {
    /// All that decides the run but its length and its samples.
    pub fn settings(&self) -> Settings {
        // A field that is added must be named here.
        let Self {
            architecture,
            rule,
            learning_rate,
            schedule,
            weight_decay,
            batch,
            length: _,
            sampling,
            preset,
            seed,
        } = self;
        let hidden: Vec<String> = architecture.hidden.iter().map(usize::to_string).collect();
        let hidden = if hidden.is_empty() { "none".to_owned() } else { hidden.join(",") };
        let batch_norm = architecture.batch_norm.map_or("none", |form| Preset::of_batch_norm(form).name());
        let dropout =
            architecture.dropout.map(|(ratio, form)| format!("{ratio} ({})", Preset::of_dropout(form).name()));
        let dropout = dropout.unwrap_or_else(|| "none".to_owned());
        let ratio = architecture.dropout.map(|(ratio, _)| ratio);
        Settings(vec![
            Setting::with_text("hidden", &architecture.hidden, hidden),
            Setting::new("classes", architecture.classes),
            Setting::new("activation", architecture.activation.name()),
            Setting::new("init", architecture.init.to_string()),
            Setting::with_text("batch-norm", architecture.batch_norm.is_some(), batch_norm),
            Setting::with_text("dropout", ratio, dropout),
            Setting::with_text("optimizer", rule.name(), format!("{rule:?}")),
            Setting::new("lr", *learning_rate),
            Setting::new("schedule", schedule.to_string()),
            Setting::new("weight-decay", *weight_decay),
            Setting::new("batch-size", *batch),
            Setting::new("sampling", sampling.name()),
            Setting::new("preset", preset.name()),
            Setting::new("seed", *seed),
        ])
    }

    /// The network and the rule in a few words: "784-100-100-10, sgd at 0.01".
    pub fn summary(&self) -> String {
        let widths = [&[self.architecture.inputs], &self.architecture.hidden[..], &[self.architecture.classes]];
        let widths: Vec<String> = widths.concat().iter().map(usize::to_string).collect();
        format!("{}, {} at {}", widths.join("-"), self.rule.name(), self.learning_rate)
    }
}

impl Settings {
    /// These settings with another value of the one of that name, or with one more.
    pub(crate) fn with(mut self, name: &'static str, value: impl Display + Serialize) -> Self {
        let setting = Setting::new(name, value);
        match self.0.iter_mut().find(|other| other.name == name) {
            Some(other) => *other = setting,
            None => self.0.push(setting),
        }
        self
    }

    /// As a checkpoint and a study keep them.
    pub(crate) fn record(&self) -> Record {
        self.0.iter().map(|setting| (setting.name.to_owned(), setting.text.clone())).collect()
    }

    /// As the first line of a log has them: `batch-size` is `batch_size` there, and `lr` is `learning_rate` as in the
    /// lines of the steps.
    pub fn to_json(&self) -> Map<String, Value> {
        let key = |name: &str| if name == "lr" { "learning_rate".to_owned() } else { name.replace('-', "_") };
        self.0.iter().map(|setting| (key(setting.name), setting.value.clone())).collect()
    }
}

/// The first setting that was another one then, as "lr 0.1, not 0.2".
pub(crate) fn difference(then: &Record, now: &Record) -> Option<String> {
    let name = now.keys().chain(then.keys()).find(|&name| then.get(name) != now.get(name))?;
    let [then, now] = [then, now].map(|settings| settings.get(name).map_or("unknown", String::as_str));
    Some(format!("{name} {then}, not {now}"))
}
