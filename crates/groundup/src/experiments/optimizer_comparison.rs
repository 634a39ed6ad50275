//! Section 6.1.8: the optimizers on the digits. The chapter has SGD, Momentum, AdaGrad and Adam.

use super::loss_curves::{BATCH, HIDDEN, STEPS, Subject, Variant, compare};
use super::terms::{BATCH as BATCH_WORD, DATA, LEARNING_RATE, MOMENTUM, NETWORK, SEEDS, STEPS as STEPS_WORD};
use super::{Context, Description, Report};
use crate::language::words;
use optim::Rule;
use serde_json::json;
use train::{Config, Error, Length};

/// RMSProp moves each weight by up to ten times its rate in the first step, and as Adam by about its rate later; the
/// 0.01 of the others is too much for it.
const RMSPROP_RATE: f64 = 0.001;

fn config(rule: Rule, seed: u64) -> Config {
    Config { batch: BATCH, ..Config::book(&HIDDEN, rule, Length::Steps(STEPS), seed) }
}

const VARIANTS: [Variant; 6] = [
    Variant { key: "sgd", name: words("SGD", "SGD"), dashed: false, config: |seed| config(Rule::SGD, seed) },
    Variant {
        key: "momentum",
        name: words("Momentum", "모멘텀"),
        dashed: false,
        config: |seed| config(Rule::MOMENTUM, seed),
    },
    Variant {
        key: "adagrad",
        name: words("AdaGrad", "AdaGrad"),
        dashed: false,
        config: |seed| config(Rule::ADAGRAD, seed),
    },
    Variant { key: "adam", name: words("Adam", "Adam"), dashed: false, config: |seed| config(Rule::ADAM, seed) },
    Variant {
        key: "nesterov",
        name: words("Nesterov", "네스테로프"),
        dashed: true,
        config: |seed| config(Rule::NESTEROV, seed),
    },
    Variant {
        key: "rmsprop",
        name: words("RMSProp", "RMSProp"),
        dashed: true,
        config: |seed| Config { learning_rate: RMSPROP_RATE, ..config(Rule::RMSPROP, seed) },
    },
];

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let subject = Subject {
        name: "optimizer-comparison",
        title: words("Training loss by optimizer", "최적화 기법에 따른 학습 손실"),
        description: words(
            "SGD is the slowest; the others learn faster.",
            "SGD가 가장 느리고, 나머지 기법은 더 빠르게 학습한다.",
        ),
    };
    let curves = compare(context, &subject, &VARIANTS)?;
    Ok(Description {
        name: "optimizer-comparison",
        title: words("Six optimizers on the digits", "손글씨 숫자에서의 여섯 가지 최적화 기법"),
        section: "6.1.8",
        equation: "W ← W − η·∂L/∂W, and its refinements",
        lesson: words(
            "SGD is left behind by the other five. Which of them is first depends on the network and the learning rate; of the \
             chapter's four, AdaGrad is a little ahead here, and RMSProp at a rate of 0.001 ends lowest. Nesterov and RMSProp \
             (dashed) are added to the chapter's four.",
            "SGD는 나머지 다섯 기법에 뒤처진다. 그중 어느 것이 가장 앞서는지는 신경망과 학습률에 따라 다르며, 책의 네 기법 가운데서는 \
             AdaGrad가 조금 앞서고, 학습률 0.001의 RMSProp이 가장 낮은 손실로 끝난다. 네스테로프와 RMSProp(파선)은 책의 네 \
             기법에 더한 것이다.",
        ),
        source: "crates/groundup/src/experiments/optimizer_comparison.rs",
    }
    .report(
        context,
        &json!({
            "network": context.network("100-100-100-100-10, ReLU, He"), "batch": BATCH, "steps": STEPS,
            "learning_rate": {
                "sgd": 0.01, "momentum": 0.01, "adagrad": 0.01, "adam": 0.001, "nesterov": 0.01, "rmsprop": RMSPROP_RATE,
            },
            "momentum": 0.9, "rho": 0.99,
        }),
        &[
            (DATA, &context.data()),
            (NETWORK, &context.network("100×4-10, ReLU, He")),
            (BATCH_WORD, &BATCH),
            (STEPS_WORD, &STEPS),
            (LEARNING_RATE, &"SGD, Momentum, Nesterov, AdaGrad 0.01; Adam, RMSProp 0.001"),
            (MOMENTUM, &"α 0.9"),
            (SEEDS, &context.seeds_said()),
        ],
        curves,
        Vec::new(),
    ))
}
