//! Hyper-parameter search (chapter 6.5): random samples of log ranges, judged on validation data, and the ranges
//! narrowed.
//!
//! ```text
//! trial i:  u, v uniform in [0, 1), a function of (seed, i)
//!           learning rate 10^(low + u·(high − low)), weight decay likewise, training seed a function of (seed, i)
//!           train; the trial's worth is its accuracy on the validation samples at the end
//! round:    some trials; the next round's ranges are what the best fifth of all trials so far span
//! ```
//!
//! Nothing of a trial depends on another one in its round, so a round gives the same results with any number of jobs,
//! and a share of it can be done elsewhere ([`Shard`]), and what was done before need not be done again ([`Study`]).

use crate::config::{Config, Length};
use crate::decimal::{exp10, log10};
use crate::error::Error;
use crate::samples::Samples;
use crate::study::Study;
use crate::trainer::Trainer;
use layers::{Stream, stream};
use mnist_io::Dataset;
use mnist_io::dataset::shuffle;
use rand::Rng;
use rayon::prelude::*;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::iter::{StepBy, from_fn};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use tensor::Exec;
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
    fn share(&self, round: Range<usize>) -> StepBy<Range<usize>> {
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

    /// Runs the trials, each on one thread, on the rayon pool this is called in; on this thread if `exec` has one
    /// thread. A trial that is in the study is not run, and one that was run is put into it. `done` is told of each
    /// that ends, here or in another process that shares the study (from any thread, in any order), but not of those
    /// that were there before their round.
    ///
    /// # Errors
    /// If the settings cannot be, or there is nothing to validate on; if a trial of the study is not what these
    /// settings make it, before any of its round is run; if the study cannot be written. A trial that diverges is a
    /// result: its accuracy says so.
    pub fn run(
        &self,
        exec: Exec,
        train: &Dataset,
        validation: &Dataset,
        study: Option<&Study>,
        done: &(dyn Fn(&Trial) + Sync),
    ) -> Result<Found, Error> {
        self.check(train, validation)?;
        let (train, validation) = (&Samples::from(train), &Samples::from(validation));
        let mut found = Found { trials: Vec::new(), ranges: Vec::new() };
        let mut ranges = [self.learning_rate, self.weight_decay];
        let mut next = 0;
        for (round, &trials) in self.rounds.iter().enumerate() {
            found.ranges.push(ranges);
            let numbers = self.share(next..next + trials);
            let mut left: VecDeque<Trial> = numbers.map(|number| self.drawn(number, round, ranges)).collect();
            next += trials;
            let epochs = self.base.epochs(train.dataset().len());
            if let Some(study) = study {
                study.refresh()?;
                for drawn in std::mem::take(&mut left) {
                    match study.known(&drawn, epochs)? {
                        Some(trial) => found.trials.push(trial),
                        None => left.push_back(drawn),
                    }
                }
            }
            let count = left.len();
            let left = Mutex::new(left);
            let next_left = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let one = |drawn: Trial| -> Result<Trial, Error> {
                let Some(study) = study else { return self.trained(drawn, exec.one_thread(), train, validation) };
                study.refresh()?;
                if let Some(trial) = study.known(&drawn, epochs)? {
                    return Ok(trial);
                }
                let begun = SystemTime::now();
                let trial = self.trained(drawn, exec.one_thread(), train, validation)?;
                if !study.add(&trial, ranges, begun)? {
                    // Another process does the same in the same order: go on elsewhere.
                    let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
                    let places = random() as usize % left.len().max(1);
                    left.rotate_left(places);
                }
                Ok(trial)
            };
            let one = |drawn: Trial| one(drawn).inspect(done);
            let trials: Result<Vec<Trial>, Error> = if exec.threads() == 1 {
                from_fn(next_left).map(one).collect()
            } else {
                (0..count).into_par_iter().filter_map(|_| next_left()).map(one).collect()
            };
            found.trials.extend(trials?);
            found.trials.sort_by_key(|trial| trial.number);
            let ranking = found.ranking();
            let best = ranking[..ranking.len().div_ceil(5)].iter();
            if !ranking.is_empty() {
                ranges = [
                    ranges[0].narrowed(best.clone().map(|trial| trial.learning_rate)),
                    ranges[1].narrowed(best.map(|trial| trial.weight_decay)),
                ];
            }
        }
        Ok(found)
    }

    /// A trial before it is run.
    fn drawn(&self, number: usize, round: usize, [learning_rate, weight_decay]: [LogRange; 2]) -> Trial {
        let mut rng = trial_stream(self.seed, number);
        let mut unit = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let (learning_rate, weight_decay) = (learning_rate.at(unit()), weight_decay.at(unit()));
        let (validation_accuracy, train_accuracy) = (Vec::new(), Vec::new());
        Trial { number, round, learning_rate, weight_decay, seed: rng.next_u64(), validation_accuracy, train_accuracy }
    }

    /// The trial with its results.
    fn trained(&self, mut trial: Trial, exec: Exec, train: &Samples, validation: &Samples) -> Result<Trial, Error> {
        let Trial { learning_rate, weight_decay, seed, .. } = trial;
        let config = Config { learning_rate, weight_decay, seed, ..self.base.clone() };
        let count = train.dataset().len();
        let (per_epoch, steps) = (config.steps_per_epoch(count), config.steps(count));
        let mut trainer = Trainer::new(config, exec, train)?;
        while trainer.steps() < steps {
            trainer.step()?;
            if trainer.steps().is_multiple_of(per_epoch) || trainer.steps() == steps {
                trial.validation_accuracy.push(trainer.accuracy(validation)?);
                trial.train_accuracy.push(trainer.accuracy(train)?);
            }
        }
        Ok(trial)
    }
}

/// A number that differs between processes, and from call to call.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// The random stream of a trial: a function of (seed, number) alone.
fn trial_stream(seed: u64, number: usize) -> rand_xoshiro::Xoshiro256PlusPlus {
    let key = LaneRng::new(&[seed, number as u64]);
    stream(key.bits(), Stream::Experiment)
}
