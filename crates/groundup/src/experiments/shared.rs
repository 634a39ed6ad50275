//! Runs that two experiments have in common: with the same settings and seed they are the same to the last bit, and are
//! done once.
//!
//! | run | its experiments |
//! |---|---|
//! | SGD from He's initial weights | optimizer-comparison, init-comparison |
//! | 300 images, nothing against overfitting | weight-decay, dropout (which goes on for longer) |

use super::loss_curves::Curve;
use super::overfitting::Accuracies;
use std::sync::{Arc, Mutex, PoisonError};
use train::{Config, Error};

/// The runs of the chapter that are shared.
#[derive(Default)]
pub struct Shared {
    /// Of the comparisons by loss.
    pub losses: Runs<Curve>,
    /// Of the experiments on overfitting.
    pub plain: Runs<Accuracies>,
}

/// What runs left, by their settings; empty while one is under way.
pub struct Runs<R>(Mutex<Vec<(Config, Slot<R>)>>);

type Slot<R> = Arc<Mutex<Option<R>>>;

impl<R> Default for Runs<R> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<R: Clone> Runs<R> {
    /// What the run with these settings leaves. If it was done and left `enough` it is not done again; if it is under
    /// way, this waits for it.
    pub fn get(
        &self,
        config: &Config,
        enough: impl Fn(&R) -> bool,
        run: impl FnOnce() -> Result<R, Error>,
    ) -> Result<R, Error> {
        let slot = self.slot(config);
        let mut left = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = left.as_ref().filter(|left| enough(left)) {
            return Ok(left.clone());
        }
        let done = run()?;
        *left = Some(done.clone());
        Ok(done)
    }

    fn slot(&self, config: &Config) -> Slot<R> {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = runs.iter().find(|(other, _)| other == config) {
            return Arc::clone(slot);
        }
        let slot = Slot::default();
        runs.push((config.clone(), Arc::clone(&slot)));
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use optim::Rule;
    use train::Length;

    #[test]
    fn a_run_is_done_again_only_for_other_settings_or_if_it_left_too_little() {
        let runs: Runs<usize> = Runs::default();
        let config = |seed| Config::book(&[2], Rule::SGD, Length::Steps(1), seed);
        let get = |seed, least: usize, left| runs.get(&config(seed), |&left| left >= least, || Ok(left)).unwrap();
        assert_eq!([get(1, 0, 10), get(1, 10, 20), get(2, 0, 30)], [10, 10, 30]);
        assert_eq!([get(1, 11, 40), get(1, 11, 50), get(2, 0, 60)], [40, 40, 30]);
    }

    #[test]
    fn a_run_that_failed_is_not_remembered() {
        let runs: Runs<usize> = Runs::default();
        let config = Config::book(&[2], Rule::SGD, Length::Steps(1), 1);
        let fault = || Error::Config { what: "a fault".to_owned(), cure: "none".to_owned() };
        assert!(runs.get(&config, |_| true, || Err(fault())).is_err());
        assert_eq!(runs.get(&config, |_| true, || Ok(3)).unwrap(), 3);
    }
}
