//! Section 6.4.2: overfitting, and weight decay against it.

use super::overfitting::{SAMPLES, Subject, Variant, compare};
use super::terms::{
    BATCH, DATA, EPOCHS as EPOCHS_WORD, LEARNING_RATE, NETWORK, OPTIMIZER, SAMPLES as SAMPLES_WORD, SEEDS, WEIGHT_DECAY,
};
use super::{Context, Description, Report};
use crate::language::words;
use serde_json::json;
use train::Error;

const EPOCHS: u64 = 201;
const LAMBDA: f64 = 0.1;

const VARIANTS: [Variant; 2] = [
    Variant { key: "none", name: words("no weight decay", "가중치 감소 없음"), change: |_| {} },
    Variant {
        key: "lambda 0.1",
        name: words("weight decay, λ 0.1", "가중치 감소, λ 0.1"),
        change: |config| config.weight_decay = LAMBDA,
    },
];

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let subject = Subject {
        name: "weight-decay",
        title: words("Weight decay against overfitting", "가중치 감소로 오버피팅 억제하기"),
        epochs: EPOCHS,
    };
    let (curves, _) = compare(context, &subject, &VARIANTS, &|_| Ok(()))?;
    let samples = SAMPLES.min(context.digits.mnist.train.len());
    Ok(Description {
        name: "weight-decay",
        title: words("Weight decay narrows the gap", "가중치 감소는 훈련과 시험의 차이를 줄인다"),
        section: "6.4.1 and 6.4.2",
        equation: "L + ½λ‖W‖²,  so that ∂L/∂W gains λW",
        lesson: words(
            "300 images and six hidden layers: the network learns the images by heart and stays far below on new ones. The \
             penalty keeps training accuracy off 100 % and narrows the gap.",
            "훈련 데이터 300개에 은닉층이 여섯이다. 신경망은 훈련 데이터를 외워 버리고 시험 데이터에는 대응하지 못한다. 가중치 감소를 \
             쓰면 훈련 정확도가 100 %에 이르지 않고 시험 정확도와의 차이가 줄어든다.",
        ),
        source: "crates/groundup/src/experiments/weight_decay.rs",
    }
    .report(
        context,
        &json!({
            "samples": samples, "network": context.network("100×6-10, ReLU, He"),
            "optimizer": "SGD",
            "learning_rate": 0.01, "batch": 100, "epochs": EPOCHS, "lambda": [0.0, LAMBDA],
        }),
        &[
            (DATA, &context.data()),
            (SAMPLES_WORD, &samples),
            (NETWORK, &context.network("100×6-10, ReLU, He")),
            (OPTIMIZER, &"SGD"),
            (LEARNING_RATE, &0.01),
            (WEIGHT_DECAY, &format!("λ 0, {LAMBDA}")),
            (BATCH, &100),
            (EPOCHS_WORD, &EPOCHS),
            (SEEDS, &context.seeds_said()),
        ],
        curves,
        Vec::new(),
    ))
}
