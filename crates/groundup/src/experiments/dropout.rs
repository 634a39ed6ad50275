//! Section 6.4.3: dropout against overfitting.

use super::overfitting::{Variant, compare};
use super::{Context, Description, Report};
use serde_json::json;
use train::{Error, Preset};

const EPOCHS: u64 = 301;
const RATIO: f32 = 0.15;

const VARIANTS: [Variant; 2] = [
    Variant { key: "none", name: "no dropout", change: |_| {} },
    Variant {
        key: "ratio 0.15",
        name: "dropout, ratio 0.15",
        change: |config| config.architecture.dropout = Some((RATIO, Preset::Book.dropout_form())),
    },
];

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let curves = compare(context, "dropout", "Dropout against overfitting", EPOCHS, &VARIANTS)?;
    Ok(Description {
        name: "dropout",
        title: "Dropout narrows the gap",
        section: "6.4.3",
        equation: "training: y = x where u ≥ ratio, else 0;  inference: y = x·(1 − ratio)",
        lesson: "Training is slower and does not reach 100 %; the gap between training and test images is narrower.",
        source: "crates/groundup/src/experiments/dropout.rs",
    }
    .report(
        context,
        &json!({
            "samples": super::overfitting::SAMPLES, "network": "784-100×6-10, ReLU, He", "optimizer": "SGD",
            "learning_rate": 0.01, "batch": 100, "epochs": EPOCHS, "ratio": [0.0, RATIO],
        }),
        curves.results,
        curves.headline,
        curves.table,
        &curves.figure,
    ))
}
