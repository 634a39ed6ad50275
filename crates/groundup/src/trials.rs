//! The trials of a search: what they are done on, and how they are written.

use serde_json::json;
use train::search::{Found, LogRange, Trial};

/// Samples a search is done on, and the share of them set aside for validation: the chapter's.
pub const SAMPLES: usize = 500;
pub const VALIDATION_SHARE: f64 = 0.2;

/// "Best-1 (val acc 0.83) | lr 0.0092, weight decay 3.86e-07", as the chapter prints it.
pub fn best_line(rank: usize, trial: &Trial) -> String {
    let Trial { learning_rate, weight_decay, .. } = trial;
    format!("Best-{rank} (val acc {:.2}) | lr {learning_rate:.3e}, weight decay {weight_decay:.3e}", trial.score())
}

/// Trials as JSON objects.
pub fn trials_json(trials: &[Trial]) -> Vec<serde_json::Value> {
    trials
        .iter()
        .map(|trial| {
            json!({
                "number": trial.number, "round": trial.round, "learning_rate": trial.learning_rate,
                "weight_decay": trial.weight_decay, "seed": trial.seed, "score": trial.score(),
                "validation_accuracy": trial.validation_accuracy, "train_accuracy": trial.train_accuracy,
            })
        })
        .collect()
}

/// The ranges of the rounds as JSON objects.
pub fn ranges_json(found: &Found) -> Vec<serde_json::Value> {
    let pair = |[rate, decay]: &[LogRange; 2]| json!({"learning_rate": rate.bounds(), "weight_decay": decay.bounds()});
    found.ranges.iter().map(pair).collect()
}
