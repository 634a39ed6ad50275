//! Section 6.2.4: three initialisations on the digits.

use super::loss_curves::{BATCH, HIDDEN, STEPS, Subject, Variant, compare};
use super::terms::{
    BATCH as BATCH_WORD, DATA, INITIAL_WEIGHTS, LEARNING_RATE, NETWORK, OPTIMIZER, SEEDS, STEPS as STEPS_WORD,
};
use super::{Context, Description, Report};
use crate::language::words;
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
    Variant {
        key: "std0.01",
        name: words("std 0.01", "표준편차 0.01"),
        dashed: false,
        config: |seed| config(Init::Normal(0.01), seed),
    },
    Variant {
        key: "xavier",
        name: words("Xavier", "Xavier 초깃값"),
        dashed: false,
        config: |seed| config(Init::Xavier, seed),
    },
    Variant { key: "he", name: words("He", "He 초깃값"), dashed: false, config: |seed| config(Init::He, seed) },
];

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let subject = Subject {
        name: "init-comparison",
        title: words("Training loss by initialisation", "가중치의 초깃값에 따른 학습 손실"),
        description: words(
            "With std 0.01 nothing is learnt; He learns faster than Xavier.",
            "표준편차 0.01에서는 전혀 학습하지 못하고, He 초깃값이 Xavier 초깃값보다 빠르게 학습한다.",
        ),
    };
    let curves = compare(context, &subject, &VARIANTS)?;
    Ok(Description {
        name: "init-comparison",
        title: words(
            "Initial weights decide whether a deep network learns",
            "깊은 신경망의 학습은 가중치의 초깃값에 달려 있다",
        ),
        section: "6.2.4",
        equation: "std of W: 0.01, √(1/n), √(2/n)",
        lesson: words(
            "With std 0.01 the signal is gone before the last layer, and so is the gradient: the loss stays at ln 10 = 2.303. \
             Xavier and He learn; with ReLU, He is faster.",
            "표준편차가 0.01이면 신호가 마지막 층에 닿기 전에 사라지고 기울기도 함께 사라져, 손실이 ln 10 = 2.303에 머문다. \
             Xavier와 He 초깃값에서는 학습이 이루어지며, ReLU에서는 He 초깃값이 더 빠르다.",
        ),
        source: "crates/groundup/src/experiments/init_comparison.rs",
    }
    .report(
        context,
        &json!({
            "network": context.network("100-100-100-100-10, ReLU"), "optimizer": "SGD", "learning_rate": 0.01, "batch": BATCH,
            "steps": STEPS,
        }),
        &[
            (DATA, &context.data()),
            (NETWORK, &context.network("100×4-10, ReLU")),
            (INITIAL_WEIGHTS, &"std 0.01, √(1/n), √(2/n)"),
            (OPTIMIZER, &"SGD"),
            (LEARNING_RATE, &0.01),
            (BATCH_WORD, &BATCH),
            (STEPS_WORD, &STEPS),
            (SEEDS, &context.seeds_said()),
        ],
        curves,
        Vec::new(),
    ))
}
