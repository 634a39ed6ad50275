//! Hyper-parameter search (chapter 6.5), as a description: ranges, rounds, shards, and which trials they make.
//! `trials.rs` runs it.
//!
//! ```text
//! trial i:  u, v uniform in [0, 1), a function of (seed, i)
//!           learning rate 10^(low + u·(high − low)), weight decay likewise, training seed a function of (seed, i)
//!           train; the trial's worth is its accuracy on the validation samples at the end
//! round:    a number of trials; the next round's ranges are what the best fifth of all trials so far span
//! ```
//!
//! Nothing of a trial depends on another one in its round. So a round gives the same results with any number of jobs,
//! a share of it can be done elsewhere ([`Shard`]), and what was done before need not be done again
//! ([`Study`](crate::Study)).

use crate::config::{Config, Length};
use crate::decimal::{exp10, log10};
use crate::error::Error;
use layers::{Stream, stream};
use mnist_io::Dataset;
use mnist_io::dataset::shuffle;
use rand::Rng;
use std::iter::StepBy;
use std::ops::Range;
use tensor::vec::LaneRng;

/// A range of a positive number, sampled uniformly in its logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogRange {
    /// log₁₀ of the least value.
    low: f64,
    /// log₁₀ of the greatest.
    high: f64,
}

impl LogRange {
    /// From the least value to the greatest.
    ///
    /// # Errors
    /// If they are not positive, finite and in order.
    pub fn new(low: f64, high: f64) -> Result<Self, Error> {
        if !(1e-300 <= low && low <= high && high <= 1e300) {
            return Err(Error::Config {
                what: format!("a range {low}..{high}"),
                cure: "give two positive numbers, the smaller first, as in 1e-6..1e-2".to_owned(),
            });
        }
        Ok(Self { low: log10(low), high: log10(high) })
    }

    /// From one power of ten to another: `decades(-6.0, -2.0)` is 1e-6..1e-2.
    pub fn decades(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// The least and the greatest value.
    pub fn bounds(self) -> [f64; 2] {
        [exp10(self.low), exp10(self.high)]
    }

    /// The value at share `u` of the range.
    pub fn at(self, u: f64) -> f64 {
        let [low, high] = self.bounds();
        // Rounding does not lead out of it.
        exp10(self.low + u * (self.high - self.low)).max(low).min(high)
    }

    /// The range that some values of it span, with a tenth of its own width to each side, inside itself.
    fn narrowed(self, values: impl Iterator<Item = f64> + Clone) -> Self {
        let logs = values.map(log10);
        let low = logs.clone().fold(f64::INFINITY, f64::min);
        let high = logs.fold(f64::NEG_INFINITY, f64::max);
        let margin = 0.1 * (high - low).max(0.1);
        Self { low: self.low.max(low - margin), high: self.high.min(high + margin) }
    }
}

/// A part of the trials: those whose number is `index` modulo `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Counted from 0.
    pub index: usize,
    /// Number of shards.
    pub of: usize,
}

/// A search to be done.
#[derive(Clone, Debug)]
pub struct Search {
    /// The run of a trial, but for its learning rate, weight decay and seed.
    pub base: Config,
    /// Of the learning rate.
    pub learning_rate: LogRange,
    /// Of the weight decay.
    pub weight_decay: LogRange,
    /// Trials of each round.
    pub rounds: Vec<usize>,
    /// Of everything.
    pub seed: u64,
    /// Which of the trials; `None` is all.
    pub shard: Option<Shard>,
}

/// A trial that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its number, from 0, over all rounds.
    pub number: usize,
    /// Its round, from 0.
    pub round: usize,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Its weight decay.
    pub weight_decay: f64,
    /// The seed of its run.
    pub seed: u64,
    /// Accuracy on the validation samples after each epoch.
    pub validation_accuracy: Vec<f64>,
    /// Accuracy on the training samples after each epoch.
    pub train_accuracy: Vec<f64>,
}

impl Trial {
    /// What the trial is judged by: the accuracy on the validation samples at the end.
    pub fn score(&self) -> f64 {
        self.validation_accuracy.last().copied().unwrap_or(0.0)
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// All trials, by number.
    pub trials: Vec<Trial>,
    /// The ranges of each round: learning rate, weight decay.
    pub ranges: Vec<[LogRange; 2]>,
}

impl Found {
    /// The trials, best first; of equals the one with the lower number.
    pub fn ranking(&self) -> Vec<&Trial> {
        let mut ranking: Vec<&Trial> = self.trials.iter().collect();
        ranking.sort_by(|a, b| b.score().total_cmp(&a.score()).then(a.number.cmp(&b.number)));
        ranking
    }

    /// The ranges of the next round: what the best fifth of all trials so far span, inside the ranges of this one.
    pub(crate) fn narrowed(&self, [learning_rate, weight_decay]: [LogRange; 2]) -> [LogRange; 2] {
        let ranking = self.ranking();
        let best = ranking[..ranking.len().div_ceil(5)].iter();
        if ranking.is_empty() {
            return [learning_rate, weight_decay];
        }
        [
            learning_rate.narrowed(best.clone().map(|trial| trial.learning_rate)),
            weight_decay.narrowed(best.map(|trial| trial.weight_decay)),
        ]
    }
}

/// Shuffles `data` and sets a share of it aside for validation: (training, validation).
pub fn validation_split(data: &Dataset, share: f64, seed: u64) -> (Dataset, Dataset) {
    let mut order: Vec<usize> = (0..data.len()).collect();
    shuffle(&mut stream(seed, Stream::Experiment), &mut order);
    let (validation, train) = data.reordered(&order).split((data.len() as f64 * share) as usize);
    (train, validation)
}

impl Search {
    /// The chapter's: learning rate 1e-6..1e-2, weight decay 1e-8..1e-4, 100 trials of 50 epochs with six hidden
    /// layers.
    pub fn book(seed: u64) -> Self {
        Self {
            base: Config::book(&[100; 6], optim::Rule::SGD, Length::Epochs(50), seed),
            learning_rate: LogRange::decades(-6.0, -2.0),
            weight_decay: LogRange::decades(-8.0, -4.0),
            rounds: vec![100],
            seed,
            shard: None,
        }
    }

    /// The numbers of its trials.
    pub fn numbers(&self) -> StepBy<Range<usize>> {
        self.share(0..self.rounds.iter().sum())
    }

    /// Its share of the trials of a round. A shard has but one, whose numbers begin at 0.
    pub(crate) fn share(&self, round: Range<usize>) -> StepBy<Range<usize>> {
        let Shard { index, of } = self.shard.unwrap_or(Shard { index: 0, of: 1 });
        (round.start + index..round.end).step_by(of.max(1))
    }

    /// Whether the search can be done on these samples.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn check(&self, train: &Dataset, validation: &Dataset) -> Result<(), Error> {
        if self.shard.is_some() && self.rounds.len() > 1 {
            return Err(Error::Config {
                what: "a shard of a search in several rounds".to_owned(),
                cure: "a round's ranges come from all trials before it: use --rounds 1, or no --shard".to_owned(),
            });
        }
        if self.shard.is_some_and(|shard| shard.index >= shard.of) {
            return Err(Error::Config {
                what: format!("shard {:?}", self.shard),
                cure: "its index must be below their number".to_owned(),
            });
        }
        if validation.is_empty() {
            return Err(Error::Config {
                what: "a search without validation samples".to_owned(),
                cure: "give more samples, or a larger share of them".to_owned(),
            });
        }
        self.base.check(train)
    }

    /// A trial before it is run.
    pub(crate) fn drawn(&self, number: usize, round: usize, [learning_rate, weight_decay]: [LogRange; 2]) -> Trial {
        let mut rng = trial_stream(self.seed, number);
        let mut unit = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let (learning_rate, weight_decay) = (learning_rate.at(unit()), weight_decay.at(unit()));
        let (validation_accuracy, train_accuracy) = (Vec::new(), Vec::new());
        Trial { number, round, learning_rate, weight_decay, seed: rng.next_u64(), validation_accuracy, train_accuracy }
    }
}

/// The random stream of a trial: a function of (seed, number) alone.
fn trial_stream(seed: u64, number: usize) -> rand_xoshiro::Xoshiro256PlusPlus {
    let key = LaneRng::new(&[seed, number as u64]);
    stream(key.bits(), Stream::Experiment)
}
