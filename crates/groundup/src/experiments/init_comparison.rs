//! Section 6.2.4: three initialisations on the digits.

use super::loss_curves::{BATCH, HIDDEN, STEPS, Variant, compare};
use super::{Context, Description, Report};
use layers::Init;
use optim::Rule;
use serde_json::json;
use train::{Config, Error, Length};

fn config(init: Init, seed: u64) -> Config {
    let mut config = Config { batch: BATCH, ..Config::book(&HIDDEN, Rule::SGD, Length::Steps(STEPS), seed) };
    config.architecture.init = init;
    config
}

const VARIANTS: [Variant; 3] = [
    Variant { key: "std0.01", name: "std 0.01", config: |seed| config(Init::Normal(0.01), seed) },
    Variant { key: "xavier", name: "Xavier", config: |seed| config(Init::Xavier, seed) },
    Variant { key: "he", name: "He", config: |seed| config(Init::He, seed) },
];

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let curves = compare(
        context,
        "init-comparison",
        "Training loss by initialisation",
        "With std 0.01 nothing is learnt; He learns faster than Xavier.",
        &VARIANTS,
    )?;
    Ok(Description {
        name: "init-comparison",
        title: "Initial weights decide whether a deep network learns",
        section: "6.2.4",
        equation: "std of W: 0.01, √(1/n), √(2/n)",
        lesson: "With std 0.01 the signal is gone before the last layer, and so is the gradient: the loss stays at ln 10 = 2.303. \
                 Xavier and He learn; with ReLU, He is faster.",
        source: "crates/groundup/src/experiments/init_comparison.rs",
    }
    .report(
        context,
        &json!({
            "network": "784-100-100-100-100-10, ReLU", "optimizer": "SGD", "learning_rate": 0.01, "batch": BATCH,
            "steps": STEPS,
        }),
        curves.results,
        curves.headline,
        curves.table,
        &curves.figure,
    ))
}
