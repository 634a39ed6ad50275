//! Section 6.4.3: dropout as an ensemble. Each mask is a sub-network; do many of them, averaged, say what the scaled
//! network says?

use super::Context;
use super::terms::TEST_ACCURACY;
use crate::experiments::Extra;
use crate::figure::{Axis, Figure, Mark, Panel};
use crate::language::words;
use crate::statistics::{mean, plus_minus, spread};
use layers::{Batch, Pass, count_right};
use serde_json::{Value, json};
use tensor::vec::{ByteRows, exp};
use tensor::{Exec, View};
use train::{Error, Samples, Trainer};

/// Sub-networks that are averaged.
const SIZES: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// Images of a forward pass. Which units are dropped depends on an image's place in it, so this is part of the result;
/// a trainer's network takes as many.
const TOGETHER: usize = 100;

/// The test accuracy of a trained network.
pub struct Ensemble {
    /// Of the network as the chapter uses it: all units, scaled.
    scaled: f64,
    /// Of the average over so many sub-networks, as in [`SIZES`].
    averaged: Vec<f64>,
}

/// Adds the softmax of each row of logits to a row of `sums`.
fn add_softmax<'a>(exec: Exec, logits: impl Iterator<Item = &'a [f32]>, sums: &mut [f32], classes: usize) {
    let mut powers = vec![0.0; classes];
    for (logits, sums) in logits.zip(sums.chunks_exact_mut(classes)) {
        let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let below: Vec<f32> = logits.iter().map(|logit| logit - greatest).collect();
        exp(exec, &below, &mut powers);
        let total: f32 = powers.iter().sum();
        sums.iter_mut().zip(&powers).for_each(|(sum, power)| *sum += power / total);
    }
}

impl Ensemble {
    /// Samples sub-networks of a trained network, whose masks are of steps after its last, and averages their softmax
    /// outputs over the test images. A mask is an image's own: each image is judged by so many sub-networks.
    pub fn of(exec: Exec, trainer: &mut Trainer, test: &Samples) -> Result<Self, Error> {
        let scaled = trainer.accuracy(test)?;
        let test = test.dataset();
        let (steps, network) = (trainer.steps(), trainer.network());
        let classes = network.architecture().classes;
        let indices: Vec<usize> = (0..test.len()).collect();
        let mut right = vec![0_usize; SIZES.len()];
        let batches = indices.chunks(TOGETHER).zip(test.labels().chunks(TOGETHER));
        for (number, (images, labels)) in batches.enumerate() {
            let mut sums = vec![0.0; images.len() * classes];
            let mut sampled = 0;
            let batch = Batch::Bytes(ByteRows::new(test.pixels(), test.width(), images));
            for (size, right) in SIZES.into_iter().zip(&mut right) {
                while sampled < size {
                    // A step of its own for each batch and sub-network: no two share their masks.
                    let step = steps + (number * SIZES[SIZES.len() - 1] + sampled) as u64;
                    let logits = network.forward_batch(exec, Pass::Training { step }, batch)?;
                    add_softmax(exec, logits.row_iter(), &mut sums, classes);
                    sampled += 1;
                }
                *right += count_right(exec, View::new(&sums, [labels.len(), classes])?, labels);
            }
        }
        let averaged = right.into_iter().map(|right| right as f64 / test.len() as f64).collect();
        Ok(Self { scaled, averaged })
    }
}

/// The runs as JSON.
pub fn numbers(runs: &[Ensemble]) -> Value {
    json!({
        "sizes": SIZES,
        "scaled_test_accuracy": runs.iter().map(|run| run.scaled).collect::<Vec<_>>(),
        "averaged_test_accuracy": runs.iter().map(|run| &run.averaged).collect::<Vec<_>>(),
    })
}

/// The figure over the runs.
pub fn figure(context: &Context<'_>, runs: &[Ensemble]) -> Extra {
    let scaled: Vec<f64> = runs.iter().map(|run| run.scaled).collect();
    let names = [
        words("average of N sub-networks", "부분 신경망 N개의 평균"),
        words("all units, scaled by 1 − ratio", "모든 뉴런, 출력에 (1 − 비율)을 곱함"),
    ]
    .map(|words| context.say(words));
    let mut table = vec![context.list([words("N", "N"), TEST_ACCURACY])];
    for (i, size) in SIZES.iter().enumerate() {
        let at: Vec<f64> = runs.iter().map(|run| run.averaged[i]).collect();
        table.push(vec![size.to_string(), plus_minus(&at, 4)]);
    }
    table.push(vec![names[1].to_owned(), plus_minus(&scaled, 4)]);

    let averaged = spread(&runs.iter().map(|run| run.averaged.as_slice()).collect::<Vec<_>>());
    let at = |i: usize| SIZES[i] as f64;
    let middle: Vec<[f64; 2]> = averaged.iter().enumerate().map(|(i, &[mean, ..])| [at(i), mean]).collect();
    let band = averaged.iter().enumerate().map(|(i, &[_, low, high])| [at(i), low, high]).collect();
    let mean = mean(&scaled);
    // Twentieths around all there is.
    let all = || averaged.iter().flatten().chain(&scaled);
    let low = (all().copied().fold(1.0, f64::min) * 20.0).floor() / 20.0;
    let high = (all().copied().fold(0.0, f64::max) * 20.0).ceil() / 20.0;
    let title = words("Dropout is an ensemble", "드롭아웃과 앙상블 학습");
    let figure = Figure {
        title: format!("{} ({})", context.say(title), context.data()),
        description: context
            .say(words(
                "Test accuracy by number of averaged sub-networks, against the scaled network.",
                "평균한 부분 신경망의 수에 따른 시험 정확도와, 출력을 조정한 신경망의 시험 정확도.",
            ))
            .to_owned(),
        legend: names.map(str::to_owned).into(),
        shades: None,
        columns: 1,
        panel_size: [560.0, 260.0],
        panels: vec![Panel {
            title: String::new(),
            x: Axis::linear(context.say(words("N, sub-networks", "부분 신경망의 수 N")), 0.0, 32.0),
            y: Axis::linear(context.say(TEST_ACCURACY), low, high.max(low + 0.05)),
            marks: vec![
                Mark::Band { series: 0, points: band },
                Mark::Line { series: 1, points: vec![[0.0, mean], [32.0, mean]], dashed: true },
                Mark::Line { series: 0, points: middle.clone(), dashed: false },
                Mark::Points { series: 0, points: middle, radius: 3.4 },
            ],
        }],
    };
    Extra {
        name: "dropout-ensemble",
        title: context.say(title),
        lesson: context.say(words(
            "Every mask leaves a sub-network. One alone is worse than the whole; the average of their softmax outputs comes close \
             to what the chapter's network says in one pass, all units on and scaled by 1 − ratio: dropout trains an ensemble and \
             scaling stands for its average. Mean over the runs; band: least and greatest.",
            "뉴런을 무작위로 삭제할 때마다 하나의 부분 신경망이 남는다. 하나만으로는 전체보다 못하지만, 여럿의 소프트맥스 출력을 평균하면 \
             모든 뉴런에 (1 − 비율)을 곱해 한 번에 추론한 결과에 가까워진다. 드롭아웃은 앙상블을 학습시키고, 비율을 곱하는 것이 그 \
             평균을 대신한다. 선은 여러 번 실행한 평균, 띠는 최소와 최대이다.",
        )),
        svg: figure.to_svg(),
        table,
    }
}
