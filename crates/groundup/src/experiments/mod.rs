//! The chapter's experiments, one a file.
//!
//! Each has the same shape: constants that say what the chapter did, the runs (independent, so they go in parallel, one
//! thread each), the numbers as JSON, and the figure. To add one: a file here, a line in [`run`], a name in `cli.rs`.

mod activation_histograms;
mod batch_norm;
mod dropout;
mod hyperparameter_search;
mod init_comparison;
mod loss_curves;
mod optimizer_comparison;
mod optimizer_paths;
mod overfitting;
mod weight_decay;

use crate::cli::Name;
use crate::data::Digits;
use crate::figure::Figure;
use crate::progress;
use indicatif::ProgressBar;
use rayon::prelude::*;
use serde_json::{Value, json};
use tensor::Exec;
use train::Error;

/// What an experiment may use.
pub struct Context<'a> {
    /// The digits.
    pub digits: &'a Digits,
    /// The ISA, and how many runs go at once.
    pub exec: Exec,
    /// Seed of the first run.
    pub seed: u64,
    /// Runs, each with a seed of its own.
    pub runs: u64,
}

impl Context<'_> {
    /// The seeds of the runs.
    pub fn seeds(&self) -> impl Iterator<Item = u64> {
        self.seed..self.seed + self.runs
    }

    /// Does independent jobs, in parallel if there are threads for it, each on one thread; the results keep their order.
    /// `work` counts units on the bar, `units` of them a job.
    pub fn jobs<J: Sync, R: Send>(
        &self,
        name: &str,
        units: u64,
        jobs: &[J],
        work: impl Fn(&J, Exec, &ProgressBar) -> Result<R, Error> + Sync,
    ) -> Result<Vec<R>, Error> {
        let bar = progress::bar(units * jobs.len() as u64, name);
        let exec = self.exec.one_thread();
        let done = if self.exec.threads() == 1 {
            jobs.iter().map(|job| work(job, exec, &bar)).collect()
        } else {
            // One job at a time a thread: rayon must not deal them out in runs, for they are few and long.
            jobs.par_iter().with_max_len(1).map(|job| work(job, exec, &bar)).collect()
        };
        bar.finish_and_clear();
        done
    }
}

/// What an experiment leaves.
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
    /// Where its code is.
    pub source: &'static str,
    /// The result in a line.
    pub headline: String,
    /// Rows of a small table under the figure; the first is its head.
    pub table: Vec<Vec<String>>,
    /// The numbers of the figure.
    pub json: Value,
    /// The figure.
    pub svg: String,
}

/// What a comparison of several ways of training found: numbers, headline, table and figure of its report.
struct Curves {
    results: Value,
    headline: String,
    table: Vec<Vec<String>>,
    figure: Figure,
}

/// What an experiment says of itself; `report` adds numbers and figure.
struct Description {
    name: &'static str,
    title: &'static str,
    section: &'static str,
    equation: &'static str,
    lesson: &'static str,
    source: &'static str,
}

impl Description {
    /// The report with its results. `settings` and `results` are objects; the settings every experiment has are added.
    fn report(
        self,
        context: &Context<'_>,
        settings: &Value,
        results: Value,
        headline: String,
        table: Vec<Vec<String>>,
        figure: &Figure,
    ) -> Report {
        let Self { name, title, section, equation, lesson, source } = self;
        let json = json!({
            "experiment": name,
            "title": title,
            "section": section,
            "data": context.digits.name,
            "seed": context.seed,
            "runs": context.runs,
            "settings": settings,
            "results": results,
        });
        Report { name, title, section, equation, lesson, source, headline, table, json, svg: figure.to_svg() }
    }
}

/// Runs an experiment.
pub fn run(name: Name, context: &Context<'_>) -> Result<Report, Error> {
    match name {
        Name::OptimizerPaths => optimizer_paths::run(context),
        Name::OptimizerComparison => optimizer_comparison::run(context),
        Name::ActivationHistograms => activation_histograms::run(context),
        Name::InitComparison => init_comparison::run(context),
        Name::BatchNorm => batch_norm::run(context),
        Name::WeightDecay => weight_decay::run(context),
        Name::Dropout => dropout::run(context),
        Name::HyperparameterSearch => hyperparameter_search::run(context),
    }
}
