//! The chapter's experiments, one a file.
//!
//! Each has the same shape: constants that say what the chapter did, the runs (independent, so they go in parallel, one
//! thread each), the numbers as JSON, and the figure. To add one: a file here, a line in [`run`], a name in `cli/`.

mod activation_histograms;
mod batch_norm;
mod cost;
mod distribution;
mod dropout;
mod ensemble;
mod hyperparameter_search;
mod init_comparison;
mod loss_curves;
mod optimizer_comparison;
mod optimizer_paths;
mod overfitting;
mod report;
mod shared;
mod terms;
mod weight_decay;
mod zero_weights;

use crate::cli::Name;
use crate::data::Digits;
use crate::language::{Language, Words, words};
use crate::progress::{Share, Whole};
use rayon::ThreadPool;
use tensor::Exec;
use train::Error;

pub use cost::cost;
use report::{Curves, Description};
pub use report::{Extra, Report};
pub use shared::Shared;

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
    /// The threads all experiments share; without it, everything is done in turn.
    pub pool: Option<&'a ThreadPool>,
    /// Runs that experiments have in common.
    pub shared: &'a Shared,
    /// Of all experiments.
    pub progress: &'a Whole,
    /// Of titles and words in figures and on the page.
    pub language: Language,
}

impl Context<'_> {
    /// Words in the language of the report.
    pub fn say(&self, words: Words) -> &'static str {
        words.of(self.language)
    }

    /// A list of words in the language of the report.
    pub fn list<const N: usize>(&self, list: [Words; N]) -> Vec<String> {
        list.map(|words| self.say(words).to_owned()).into()
    }

    /// What a layer is called, counted from 1.
    pub fn layer(&self, number: usize) -> String {
        match self.language {
            Language::En => format!("layer {number}"),
            Language::Ko => format!("{number}층"),
        }
    }

    /// A network of the digits' pixels and of what comes after them.
    pub fn network(&self, layers: &str) -> String {
        format!("{}-{layers}", self.digits.mnist.train.width())
    }

    /// What the digits are called.
    pub fn data(&self) -> &'static str {
        digits_said(self.digits.name, self.language)
    }

    /// The seeds of the runs, as they are written.
    pub fn seeds_said(&self) -> String {
        seeds_said(self.seed, self.runs)
    }

    /// The seeds of the runs.
    pub fn seeds(&self) -> impl Iterator<Item = u64> {
        (0..self.runs).map(|run| self.seed + run)
    }

    /// Does independent jobs, on the pool if there is one, each on one thread; the results keep their order. `work`
    /// counts units on the bar, `units` of them a job.
    pub fn jobs<J: Sync, R: Send>(
        &self,
        name: &str,
        units: u64,
        jobs: &[J],
        work: impl Fn(&J, Exec, &Share<'_>) -> Result<R, Error> + Sync,
    ) -> Result<Vec<R>, Error> {
        let share = self.progress.share(name, units, jobs.len());
        let exec = self.exec.one_thread();
        let one = |job: &J| share.job(|| work(job, exec, &share));
        let Some(pool) = self.pool else { return jobs.iter().map(one).collect() };
        // One task a job, in order, and no task waits for another: a thread that waits would take up another
        // experiment's jobs, and this one would end no sooner than they.
        let mut done: Vec<Option<Result<R, Error>>> = jobs.iter().map(|_| None).collect();
        pool.in_place_scope_fifo(|scope| {
            for (job, done) in jobs.iter().zip(&mut done) {
                let one = &one;
                scope.spawn_fifo(move |_| *done = Some(one(job)));
            }
        });
        done.into_iter().map(|done| done.expect("the scope ends when every job is done")).collect()
    }

    /// Does work that shares the threads out itself.
    pub fn job<R: Send>(&self, name: &str, units: u64, work: impl FnOnce(&Share<'_>) -> R + Send) -> R {
        let share = self.progress.share(name, units, 1);
        let work = || share.job(|| work(&share));
        match self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

/// What digits of this name are called.
pub fn digits_said(name: &'static str, language: Language) -> &'static str {
    match name {
        "synthetic digits" => words("synthetic digits", "합성 숫자").of(language),
        "other digits" => words("other digits", "다른 숫자").of(language),
        name => name,
    }
}

/// The seeds of so many runs, as they are written: "1", "1–3".
pub fn seeds_said(first: u64, runs: u64) -> String {
    let last = first + (runs - 1);
    if first == last { first.to_string() } else { format!("{first}–{last}") }
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
