//! Section 6.4.3: dropout against overfitting, and as an ensemble.

use super::ensemble::{Ensemble, figure, numbers};
use super::overfitting::{SAMPLES, Subject, Variant, compare};
use super::terms::{
    BATCH, DATA, EPOCHS as EPOCHS_WORD, LEARNING_RATE, NETWORK, OPTIMIZER, SAMPLES as SAMPLES_WORD, SEEDS,
};
use super::{Context, Description, Report};
use crate::language::words;
use serde_json::json;
use train::{Error, Preset};

const EPOCHS: u64 = 301;
const RATIO: f32 = 0.15;

const VARIANTS: [Variant; 2] = [
    Variant { key: "none", name: words("no dropout", "드롭아웃 없음"), change: |_| {} },
    Variant {
        key: "ratio 0.15",
        name: words("dropout, ratio 0.15", "드롭아웃, 비율 0.15"),
        change: |config| config.architecture.dropout = Some((RATIO, Preset::Book.dropout_form())),
    },
];

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let subject = Subject {
        name: "dropout",
        title: words("Dropout against overfitting", "드롭아웃으로 오버피팅 억제하기"),
        epochs: EPOCHS,
    };
    // The ensemble is of the networks that were trained with dropout.
    let exec = context.exec.one_thread();
    let (mut curves, ensembles) =
        compare(context, &subject, &VARIANTS, &|trainer| Ensemble::of(exec, trainer, &context.digits.test))?;
    curves.results[VARIANTS[1].key]["ensemble"] = numbers(&ensembles);
    let samples = SAMPLES.min(context.digits.mnist.train.len());
    Ok(Description {
        name: "dropout",
        title: words("Dropout narrows the gap", "드롭아웃은 훈련과 시험의 차이를 줄인다"),
        section: "6.4.3",
        equation: "training: y = x where u ≥ ratio, else 0;  inference: y = x·(1 − ratio)",
        lesson: words(
            "Training is slower and does not reach 100 %; the gap between training and test images is narrower.",
            "드롭아웃을 쓰면 학습이 느려지고 훈련 정확도가 100 %에 이르지 않으며, 훈련 정확도와 시험 정확도의 차이가 줄어든다.",
        ),
        source: "crates/groundup/src/experiments/dropout.rs",
    }
    .report(
        context,
        &json!({
            "samples": samples, "network": context.network("100×6-10, ReLU, He"),
            "optimizer": "SGD",
            "learning_rate": 0.01, "batch": 100, "epochs": EPOCHS, "ratio": [0.0, RATIO],
        }),
        &[
            (DATA, &context.data()),
            (SAMPLES_WORD, &samples),
            (NETWORK, &context.network("100×6-10, ReLU, He")),
            (OPTIMIZER, &"SGD"),
            (LEARNING_RATE, &0.01),
            (words("dropout ratio", "드롭아웃 비율"), &format!("0, {RATIO}")),
            (BATCH, &100),
            (EPOCHS_WORD, &EPOCHS),
            (SEEDS, &context.seeds_said()),
        ],
        curves,
        vec![figure(context, &ensembles)],
    ))
}
