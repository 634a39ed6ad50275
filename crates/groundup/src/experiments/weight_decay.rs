//! Section 6.4.2: overfitting, and weight decay against it.

use super::overfitting::{Variant, compare};
use super::{Context, Description, Report};
use serde_json::json;
use train::Error;

const EPOCHS: u64 = 201;
const LAMBDA: f64 = 0.1;

const VARIANTS: [Variant; 2] = [
    Variant { key: "none", name: "no weight decay", change: |_| {} },
    Variant { key: "lambda 0.1", name: "weight decay, λ 0.1", change: |config| config.weight_decay = LAMBDA },
];

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let curves = compare(context, "weight-decay", "Weight decay against overfitting", EPOCHS, &VARIANTS)?;
    Ok(Description {
        name: "weight-decay",
        title: "Weight decay narrows the gap",
        section: "6.4.1 and 6.4.2",
        equation: "L + ½λ‖W‖²,  so that ∂L/∂W gains λW",
        lesson: "300 images and six hidden layers: the network learns the images by heart and stays far below on new ones. The \
                 penalty keeps training accuracy off 100 % and narrows the gap.",
        source: "crates/groundup/src/experiments/weight_decay.rs",
    }
    .report(
        context,
        &json!({
            "samples": super::overfitting::SAMPLES, "network": "784-100×6-10, ReLU, He", "optimizer": "SGD",
            "learning_rate": 0.01, "batch": 100, "epochs": EPOCHS, "lambda": [0.0, LAMBDA],
        }),
        curves.results,
        curves.headline,
        curves.table,
        &curves.figure,
    ))
}
