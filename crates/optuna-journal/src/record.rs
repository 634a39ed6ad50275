//! The records that are written, and a trial's record as it is read.

use jiff::{Timestamp, tz::Offset};
use serde_json::{Map, Value, json};
use std::time::SystemTime;

/// What to do with a study's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The least is the best.
    Minimize,
    /// The greatest is the best.
    Maximize,
}

impl Direction {
    /// The list of directions of a study with one value.
    pub(crate) fn code(self) -> Value {
        match self {
            Self::Minimize => json!([1]),
            Self::Maximize => json!([2]),
        }
    }
}

/// A parameter of a trial: its value, and the range that was drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its value in the trial.
    pub value: f64,
    /// The least value it could have had.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// Whether it is drawn uniformly in its logarithm.
    pub log: bool,
}

impl Parameter {
    /// The range as Optuna writes it: JSON in a string.
    fn distribution(&self) -> Value {
        let attributes = json!({"step": null, "low": self.low, "high": self.high, "log": self.log});
        json!({"name": "FloatDistribution", "attributes": attributes}).to_string().into()
    }
}

/// A trial that has ended, with everything that is written of it.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedTrial {
    /// When it began.
    pub started: SystemTime,
    /// When it ended.
    pub completed: SystemTime,
    /// What it is judged by.
    pub value: f64,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// What was reported after steps 1, 2, …
    pub intermediate_values: Vec<f64>,
    /// Its user attributes.
    pub attributes: Map<String, Value>,
}

impl FinishedTrial {
    /// Whether all its numbers can be written: JSON has no word for the others.
    pub(crate) fn is_finite(&self) -> bool {
        let parameters = self.parameters.iter().flat_map(|parameter| [parameter.value, parameter.low, parameter.high]);
        parameters.chain([self.value]).chain(self.intermediate_values.iter().copied()).all(f64::is_finite)
    }

    /// Optuna's "create a trial", which can hold a finished one.
    pub(crate) fn record(&self, study: u64, worker: &str) -> Value {
        let time = |time: SystemTime| {
            let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
            format!("{:.6}", time.display_with_offset(Offset::UTC))
        };
        let named = |field: fn(&Parameter) -> Value| -> Map<String, Value> {
            self.parameters.iter().map(|parameter| (parameter.name.to_owned(), field(parameter))).collect()
        };
        let steps = (1..).map(|step: usize| step.to_string());
        let values = self.intermediate_values.iter().map(|&value| Value::from(value));
        json!({
            "op_code": 4,
            "worker_id": worker,
            "study_id": study,
            "datetime_start": time(self.started),
            "datetime_complete": time(self.completed),
            "state": COMPLETE,
            "value": self.value,
            "values": null,
            "distributions": named(Parameter::distribution),
            "params": named(|parameter| parameter.value.into()),
            "user_attrs": self.attributes,
            "system_attrs": {},
            "intermediate_values": steps.zip(values).collect::<Map<_, _>>(),
        })
    }
}

/// The state of a trial that ended with a value.
const COMPLETE: u64 = 1;

/// The record of a trial's creation, of this program's or Optuna's. A field that is absent or of another type is `None`.
#[derive(Clone, Copy, Debug)]
pub struct TrialRecord<'a>(pub(crate) &'a Value);

impl<'a> TrialRecord<'a> {
    /// Whether it was created as one that had ended with a value.
    pub fn is_complete(self) -> bool {
        self.0["state"] == COMPLETE
    }

    /// What it is judged by.
    pub fn value(self) -> Option<f64> {
        self.0["value"].as_f64()
    }

    /// The value of a parameter.
    pub fn parameter(self, name: &str) -> Option<f64> {
        self.0["params"][name].as_f64()
    }

    /// A user attribute.
    pub fn attribute(self, name: &str) -> Option<&'a Value> {
        self.0["user_attrs"].get(name)
    }

    /// What was reported after steps 1, 2, …; `None` if there is a gap, or a value that is not a number.
    pub fn intermediate_values(self) -> Option<Vec<f64>> {
        let values = self.0["intermediate_values"].as_object()?;
        (1..=values.len()).map(|step| values.get(&step.to_string())?.as_f64()).collect()
    }
}

/// The record that creates a study.
pub(crate) fn study(name: &str, direction: Direction, worker: &str) -> Value {
    json!({"op_code": 0, "worker_id": worker, "study_name": name, "directions": direction.code()})
}

/// The record that sets user attributes of a study.
pub(crate) fn attributes(study: u64, attributes: &Map<String, Value>, worker: &str) -> Value {
    json!({"op_code": 2, "worker_id": worker, "study_id": study, "user_attr": attributes})
}
