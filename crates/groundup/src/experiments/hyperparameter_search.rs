//! Section 6.5: a learning rate and a weight decay found by random search, and the ranges narrowed.

use super::{Context, Description, Report};
use crate::commands::search::{SAMPLES, VALIDATION_SHARE, best_line, ranges_json, trials_json};
use crate::figure::{Axis, Figure, Mark, Panel};
use crate::progress;
use serde_json::json;
use train::Error;
use train::search::{Search, validation_split};

/// The chapter's hundred trials, then a round in what they narrow the ranges to.
const ROUNDS: [usize; 2] = [100, 20];
const EPOCHS: usize = 50;
const BEST: usize = 20;

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let (samples, _) = context.digits.mnist.train.split(SAMPLES);
    let (train, validation) = validation_split(&samples, VALIDATION_SHARE, context.seed);
    let mut search = Search::book(context.seed);
    search.base.architecture.inputs = train.width();
    search.rounds = ROUNDS.to_vec();
    let bar = progress::bar(ROUNDS.iter().sum::<usize>() as u64, "hyperparameter-search");
    let found = search.run(context.exec, &train, &validation, &|_| bar.inc(1))?;
    bar.finish_and_clear();

    // The figure and the table are of the chapter's own round; the second round shows where it leads.
    let ranking: Vec<_> = found.ranking().into_iter().filter(|trial| trial.round == 0).collect();
    let best: Vec<_> = ranking.iter().take(BEST).collect();
    let mut table = vec![["rank", "validation accuracy", "learning rate", "weight decay"].map(str::to_owned).to_vec()];
    let mut panels = Vec::new();
    for (rank, trial) in best.iter().enumerate() {
        let (rate, decay) = (format!("{:.3e}", trial.learning_rate), format!("{:.3e}", trial.weight_decay));
        table.push(vec![format!("Best-{}", rank + 1), format!("{:.2}", trial.score()), rate, decay]);
        let line = |series: usize, curve: &[f64]| Mark::Line {
            series,
            points: curve.iter().enumerate().map(|(epoch, &accuracy)| [epoch as f64 + 1.0, accuracy]).collect(),
            dashed: series == 1,
        };
        panels.push(Panel {
            title: format!("Best-{}", rank + 1),
            x: Axis::linear("epoch", 1.0, EPOCHS as f64),
            y: Axis::linear("accuracy", 0.0, 1.0),
            marks: vec![line(0, &trial.validation_accuracy), line(1, &trial.train_accuracy)],
        });
    }
    let figure = Figure {
        title: format!("The best 20 of 100 random trials ({})", context.digits.name),
        description: "Validation and training accuracy by epoch; the best learning rates lie close together."
            .to_owned(),
        legend: vec!["validation images".to_owned(), "training images".to_owned()],
        columns: 5,
        panel_size: [150.0, 100.0],
        panels,
    };
    let results = json!({
        "best": best.iter().enumerate().map(|(rank, trial)| best_line(rank + 1, trial)).collect::<Vec<_>>(),
        "ranges": ranges_json(&found),
        "trials": trials_json(&found.trials),
    });
    let [low, high] = found.ranges.last().map_or([0.0; 2], |ranges| ranges[0].bounds());
    Ok(Description {
        name: "hyperparameter-search",
        title: "Random search in log ranges",
        section: "6.5.2 and 6.5.3",
        equation: "learning rate = 10^u, u uniform in (−6, −2);  weight decay = 10^v, v uniform in (−8, −4)",
        lesson: "The good trials agree on the learning rate and hardly on the weight decay: the first matters, and its range can \
                 be narrowed. Judged on validation images, never on test images. One search, whatever the number of runs.",
        source: "crates/groundup/src/experiments/hyperparameter_search.rs",
    }
    .report(
        context,
        &json!({
            "train": train.len(), "validation": validation.len(), "network": "784-100×6-10, ReLU, He",
            "optimizer": "SGD", "batch": 100, "epochs": EPOCHS, "trials_by_round": ROUNDS,
        }),
        results,
        format!("{}; narrowed to {low:.1e}..{high:.1e}", best_line(1, ranking[0])),
        table,
        &figure,
    ))
}
