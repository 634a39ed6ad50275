//! Section 6.1.8: SGD, Momentum, AdaGrad and Adam on the digits.

use super::loss_curves::{BATCH, HIDDEN, STEPS, Variant, compare};
use super::{Context, Description, Report};
use optim::Rule;
use serde_json::json;
use train::{Config, Error, Length};

fn config(rule: Rule, seed: u64) -> Config {
    Config { batch: BATCH, ..Config::book(&HIDDEN, rule, Length::Steps(STEPS), seed) }
}

const VARIANTS: [Variant; 4] = [
    Variant { key: "sgd", name: "SGD", config: |seed| config(Rule::SGD, seed) },
    Variant { key: "momentum", name: "Momentum", config: |seed| config(Rule::MOMENTUM, seed) },
    Variant { key: "adagrad", name: "AdaGrad", config: |seed| config(Rule::ADAGRAD, seed) },
    Variant { key: "adam", name: "Adam", config: |seed| config(Rule::ADAM, seed) },
];

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let curves = compare(
        context,
        "optimizer-comparison",
        "Training loss by optimizer",
        "SGD is the slowest; Momentum, Adam and AdaGrad learn faster.",
        &VARIANTS,
    )?;
    Ok(Description {
        name: "optimizer-comparison",
        title: "Four optimizers on the digits",
        section: "6.1.8",
        equation: "W ← W − η·∂L/∂W, and its three refinements",
        lesson: "SGD is left behind by the other three. Which of them is first depends on the network and the learning rate; \
                 here AdaGrad is a little ahead.",
        source: "crates/groundup/src/experiments/optimizer_comparison.rs",
    }
    .report(
        context,
        &json!({
            "network": "784-100-100-100-100-10, ReLU, He", "batch": BATCH, "steps": STEPS,
            "learning_rate": {"sgd": 0.01, "momentum": 0.01, "adagrad": 0.01, "adam": 0.001}, "momentum": 0.9,
        }),
        curves.results,
        curves.headline,
        curves.table,
        &curves.figure,
    ))
}
