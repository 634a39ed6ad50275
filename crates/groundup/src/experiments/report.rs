//! What an experiment leaves: words, numbers, figures.

use super::Context;
use crate::figure::Figure;
use crate::language::{Line, Words};
use serde_json::{Value, json};
use std::fmt::Display;

/// What an experiment leaves. Its words are in the language of the report.
pub struct Report {
    /// The name on the command line and of the files.
    pub name: &'static str,
    /// In words.
    pub title: &'static str,
    /// Where the chapter has it.
    pub section: &'static str,
    /// The equation in use.
    pub equation: &'static str,
    /// What to see in the figure.
    pub lesson: &'static str,
    /// What was run: names and values.
    pub settings: Vec<[String; 2]>,
    /// Where its code is.
    pub source: &'static str,
    /// The result.
    pub headline: Line,
    /// Rows of a small table under the figure; the first is its head.
    pub table: Vec<Vec<String>>,
    /// The numbers of all its figures.
    pub json: Value,
    /// The figure.
    pub svg: String,
    /// Further figures.
    pub more: Vec<Extra>,
}

/// A further figure of an experiment.
pub struct Extra {
    /// The stem of its file.
    pub name: &'static str,
    /// In words.
    pub title: &'static str,
    /// What to see in it.
    pub lesson: &'static str,
    /// The figure.
    pub svg: String,
    /// Rows of a small table under it; the first is its head.
    pub table: Vec<Vec<String>>,
}

/// What a comparison of several ways of training found: numbers, headline, table and figure of its report.
pub(super) struct Curves {
    pub results: Value,
    pub headline: Line,
    pub table: Vec<Vec<String>>,
    pub figure: Figure,
}

/// What an experiment says of itself; `report` adds numbers and figures.
pub(super) struct Description {
    pub name: &'static str,
    pub title: Words,
    pub section: &'static str,
    pub equation: &'static str,
    pub lesson: Words,
    pub source: &'static str,
}

impl Description {
    /// The report with its results. `settings` and `results` are objects for the JSON, to which the settings every
    /// experiment has are added; `said` are the settings in words.
    pub fn report(
        self,
        context: &Context<'_>,
        settings: &Value,
        said: &[(Words, &dyn Display)],
        curves: Curves,
        more: Vec<Extra>,
    ) -> Report {
        let Self { name, title, section, equation, lesson, source } = self;
        let Curves { results, headline, table, figure } = curves;
        let json = json!({
            "experiment": name,
            "title": title.en,
            "section": section,
            "data": context.digits.name,
            "seed": context.seed,
            "runs": context.runs,
            "settings": settings,
            "results": results,
        });
        let [title, lesson] = [title, lesson].map(|words| context.say(words));
        let settings = said.iter().map(|(name, value)| [context.say(*name).to_owned(), value.to_string()]).collect();
        let svg = figure.to_svg();
        Report { name, title, section, equation, lesson, settings, source, headline, table, json, svg, more }
    }
}
