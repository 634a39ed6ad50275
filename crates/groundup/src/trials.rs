//! The trials of a search: what they are done on, and how they are written.

use crate::language::{Language, Words, words};
use serde_json::json;
use train::search::{Found, LogRange, Trial};

/// Samples a search is done on, and the share of them set aside for validation: the chapter's.
pub const SAMPLES: usize = 500;
pub const VALIDATION_SHARE: f64 = 0.2;

/// What the settings of a trial are called.
pub const RATE: Words = words("lr", "학습률");
pub const DECAY: Words = words("weight decay", "가중치 감소");

/// "Best-1 (val acc 0.83)" and "lr 9.235e-3, weight decay 3.860e-7": the two halves of a line of the chapter's.
pub fn best_cells(rank: usize, trial: &Trial, language: Language) -> [String; 2] {
    let Trial { learning_rate, weight_decay, .. } = trial;
    let [accuracy, rate, decay] = [words("val acc", "검증 정확도"), RATE, DECAY].map(|words| words.of(language));
    let settings = format!("{rate} {learning_rate:.3e}, {decay} {weight_decay:.3e}");
    [format!("Best-{rank} ({accuracy} {:.2})", trial.score()), settings]
}

/// "Best-1 (val acc 0.83) | lr 9.235e-3, weight decay 3.860e-7", as the chapter prints it.
pub fn best_line(rank: usize, trial: &Trial) -> String {
    best_cells(rank, trial, Language::En).join(" | ")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_told_of_in_the_chapters_words_and_in_korean() {
        let (learning_rate, weight_decay) = (0.009_234_6, 3.86e-7);
        let (validation_accuracy, train_accuracy) = (vec![0.5, 0.834], Vec::new());
        let trial =
            Trial { number: 0, round: 0, learning_rate, weight_decay, seed: 1, validation_accuracy, train_accuracy };
        let english = "Best-1 (val acc 0.83) | lr 9.235e-3, weight decay 3.860e-7";
        assert_eq!(best_line(1, &trial), english);
        let korean = ["Best-1 (검증 정확도 0.83)", "학습률 9.235e-3, 가중치 감소 3.860e-7"];
        assert_eq!(best_cells(1, &trial, Language::Ko), korean);
    }
}
