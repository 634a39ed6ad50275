//! Running the trials of a search, in parallel, and with a study that other processes share.

use crate::config::Config;
use crate::error::Error;
use crate::samples::Samples;
use crate::search::{Found, LogRange, Search, Trial};
use crate::study::Study;
use crate::trainer::Trainer;
use mnist_io::Dataset;
use rayon::prelude::*;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::iter::from_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tensor::Exec;

impl Search {
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
        let epochs = self.base.epochs(train.len());
        let (train, validation) = (Samples::from(train), Samples::from(validation));
        let work = Work { search: self, exec, train, validation, study, epochs, done };
        let mut found = Found { trials: Vec::new(), ranges: Vec::new() };
        let mut ranges = [self.learning_rate, self.weight_decay];
        let mut next = 0;
        for (round, &trials) in self.rounds.iter().enumerate() {
            found.ranges.push(ranges);
            let numbers = self.share(next..next + trials);
            next += trials;
            let drawn = numbers.map(|number| self.drawn(number, round, ranges)).collect();
            found.trials.extend(work.round(drawn, ranges)?);
            found.trials.sort_by_key(|trial| trial.number);
            ranges = found.narrowed(ranges);
        }
        Ok(found)
    }
}

/// A search with all that its trials are run on.
struct Work<'a> {
    search: &'a Search,
    exec: Exec,
    train: Samples,
    validation: Samples,
    study: Option<&'a Study>,
    /// Epochs of a trial.
    epochs: u64,
    done: &'a (dyn Fn(&Trial) + Sync),
}

/// The trials of a round that no thread has begun.
struct Queue(Mutex<VecDeque<Trial>>);

impl Queue {
    fn trials(&self) -> MutexGuard<'_, VecDeque<Trial>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Trial> {
        self.trials().pop_front()
    }

    /// Continues at a random place: another process does the same trials in the same order.
    fn rotate(&self) {
        let mut trials = self.trials();
        let places = random() as usize % trials.len().max(1);
        trials.rotate_left(places);
    }
}

impl Work<'_> {
    /// The trials of a round with their results: those of the study, then those that are run.
    fn round(&self, drawn: Vec<Trial>, ranges: [LogRange; 2]) -> Result<Vec<Trial>, Error> {
        let (mut known, mut queue) = (Vec::new(), VecDeque::new());
        if let Some(study) = self.study {
            study.refresh()?;
        }
        for drawn in drawn {
            match self.known(&drawn)? {
                Some(trial) => known.push(trial),
                None => queue.push_back(drawn),
            }
        }
        let count = queue.len();
        let queue = Queue(Mutex::new(queue));
        let one = |drawn: Trial| self.one(drawn, ranges, &queue).inspect(self.done);
        let trials: Result<Vec<Trial>, Error> = if self.exec.threads() == 1 {
            from_fn(|| queue.next()).map(one).collect()
        } else {
            (0..count).into_par_iter().filter_map(|_| queue.next()).map(one).collect()
        };
        known.extend(trials?);
        Ok(known)
    }

    /// The trial as the study has it, as far as that was read.
    fn known(&self, drawn: &Trial) -> Result<Option<Trial>, Error> {
        self.study.map_or(Ok(None), |study| study.known(drawn, self.epochs))
    }

    /// The trial with its results: from the study, if another process has put it there, or else run and put there.
    fn one(&self, drawn: Trial, ranges: [LogRange; 2], queue: &Queue) -> Result<Trial, Error> {
        let Some(study) = self.study else { return self.trained(drawn) };
        study.refresh()?;
        if let Some(trial) = self.known(&drawn)? {
            return Ok(trial);
        }
        let begun = SystemTime::now();
        let trial = self.trained(drawn)?;
        if !study.add(&trial, ranges, begun)? {
            queue.rotate();
        }
        Ok(trial)
    }

    /// The trial with its results, run on one thread.
    fn trained(&self, mut trial: Trial) -> Result<Trial, Error> {
        let Trial { learning_rate, weight_decay, seed, .. } = trial;
        let config = Config { learning_rate, weight_decay, seed, ..self.search.base.clone() };
        let count = self.train.dataset().len();
        let (per_epoch, steps) = (config.steps_per_epoch(count), config.steps(count));
        let mut trainer = Trainer::new(config, self.exec.one_thread(), &self.train)?;
        while trainer.steps() < steps {
            trainer.step()?;
            if trainer.steps().is_multiple_of(per_epoch) || trainer.steps() == steps {
                trial.validation_accuracy.push(trainer.accuracy(&self.validation)?);
                trial.train_accuracy.push(trainer.accuracy(&self.train)?);
            }
        }
        Ok(trial)
    }
}

/// A number that differs between processes, and from call to call.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
