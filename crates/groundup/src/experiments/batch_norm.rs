//! Section 6.3.2: with and without batch normalisation, over sixteen scales of the initial weights.

use super::distribution::{Distribution, by_layer};
use super::terms::{
    ACCURACY, BATCH, DATA, INITIAL_WEIGHTS, LEARNING_RATE, NETWORK, OPTIMIZER, SAMPLES as SAMPLES_WORD, SEEDS, STEP,
    STEPS as STEPS_WORD,
};
use super::{Context, Curves, Description, Extra, Report};
use crate::figure::{Axis, Figure, Mark, Panel};
use crate::language::{Language, Line, Words, words};
use crate::statistics::{mean, spread};
use layers::{Batch, Init, Network, Pass};
use mnist_io::Dataset;
use optim::Rule;
use serde_json::{Value, json};
use tensor::vec::ByteRows;
use train::{Config, Error, Length, Preset, Samples, Trainer, decimal};

const SAMPLES: usize = 1000;
const HIDDEN: [usize; 5] = [100; 5];
const SCALES: usize = 16;
/// The chapter evaluates after the first update of each of 20 epochs of ten steps.
const STEPS: u64 = 191;
const EVERY: u64 = 10;
/// The scale whose activations are shown: too small for the plain network.
const SHOWN: usize = 7;
/// Of the histograms of activations.
const RANGE: [f64; 2] = [0.0, 3.0];

/// Scale i of sixteen equal log steps from 1 to 1e-4.
fn scale(i: usize) -> f64 {
    decimal::exp10(-4.0 * i as f64 / (SCALES - 1) as f64)
}

const W_STD: Words = words("W std", "W의 표준편차");
const WITH: Words = words("with batch norm", "배치 정규화 사용");
const WITHOUT: Words = words("without", "미사용");

/// The settings of a run at scale i.
fn config(samples: &Dataset, i: usize, norm: bool, seed: u64) -> Config {
    let mut config = Config::book(&HIDDEN, Rule::SGD, Length::Steps(STEPS), seed);
    config.architecture.inputs = samples.width();
    config.architecture.init = Init::Normal(scale(i));
    config.architecture.batch_norm = norm.then(|| Preset::Book.batch_norm_form());
    config
}

/// The activations of all samples before the first step, layer by layer.
fn activations(context: &Context<'_>, samples: &Dataset, norm: bool) -> Result<Vec<Distribution>, Error> {
    let exec = context.exec.one_thread();
    let architecture = config(samples, SHOWN, norm, context.seed).architecture;
    let mut network = Network::new(exec, architecture, context.seed, samples.len());
    let all: Vec<usize> = (0..samples.len()).collect();
    let rows = ByteRows::new(samples.pixels(), samples.width(), &all);
    network.forward_batch(exec, Pass::Training { step: 0 }, Batch::Bytes(rows))?;
    // ReLU is fused into the last layer of a hidden layer's one or two.
    let of_hidden = (network.depth() - 1) / HIDDEN.len();
    let layer = |(depth, &width): (usize, &usize)| {
        let values = network.activation((depth + 1) * of_hidden - 1, samples.len());
        Distribution::of(values.as_slice().expect("an activation buffer is contiguous"), width, RANGE)
    };
    Ok(HIDDEN.iter().enumerate().map(layer).collect())
}

/// The figure of the activations, without batch normalisation above and with it below.
fn distribution_figure(context: &Context<'_>, [plain, norm]: [&[Distribution]; 2]) -> Extra {
    let names = [WITHOUT, WITH].map(|words| context.say(words));
    let head = [words("", ""), words("std of the activations, layers 1 to 5", "활성화값의 표준편차, 1~5층")];
    let mut table = vec![context.list(head)];
    let mut panels = Vec::new();
    for (series, (name, layers)) in [(1, (names[0], plain)), (0, (names[1], norm))] {
        let stds = layers.iter().map(|layer| format!("{:.1e}", layer.std)).collect::<Vec<_>>();
        table.push(vec![name.to_owned(), stds.join("  ")]);
        panels.extend(layers.iter().enumerate().map(|(depth, layer)| layer.panel(context, name, depth, series)));
    }
    let title = words("Activations before the first step", "첫 갱신 전의 활성화값 분포");
    let figure = Figure {
        title: format!("{}, {} {:.4}", context.say(title), context.say(W_STD), scale(SHOWN)),
        description: context
            .say(words(
                "Without batch normalisation the activations shrink to 0 from layer to layer; with it each layer has the same \
                 spread.",
                "배치 정규화가 없으면 활성화값이 층마다 0으로 줄어들고, 있으면 모든 층이 같은 분포를 유지한다.",
            ))
            .to_owned(),
        legend: Vec::new(),
        shades: None,
        columns: HIDDEN.len(),
        panel_size: [170.0, 110.0],
        panels,
    };
    Extra {
        name: "batch-norm-distribution",
        title: context.say(title),
        lesson: context.say(words(
            "The same weights, far too small, and the same 1000 images. Without batch normalisation the fifth layer says next to \
             nothing; with it every layer gets a mean of 0 and a variance of 1, of which ReLU keeps the upper half. Bars are cut \
             off at a share of 0.2.",
            "같은 (지나치게 작은) 가중치와 같은 이미지 1000장이다. 배치 정규화가 없으면 5층의 출력은 거의 0이다. 있으면 모든 층의 입력이 \
             평균 0, 분산 1로 정규화되고 ReLU가 그 위쪽 절반을 남긴다. 막대는 비율 0.2에서 잘랐다.",
        )),
        svg: figure.to_svg(),
        table,
    }
}

/// Curves of training accuracy: of each scale with batch normalisation, then without, a run each.
struct Runs {
    curves: Vec<Vec<f64>>,
    runs: usize,
}

impl Runs {
    /// The runs at a scale; `norm` is 0 with batch normalisation and 1 without.
    fn of(&self, scale: usize, norm: usize) -> &[Vec<f64>] {
        &self.curves[(2 * scale + norm) * self.runs..][..self.runs]
    }

    /// Their accuracies at a point of the curves.
    fn at(&self, scale: usize, norm: usize, point: usize) -> Vec<f64> {
        self.of(scale, norm).iter().map(|curve| curve[point]).collect()
    }
}

/// The last point of a curve, and the one at step 50.
const LAST: usize = (STEPS / EVERY) as usize;
const STEP_50: usize = 5;

/// Trains at every scale, with and without.
fn train(context: &Context<'_>, dataset: &Dataset) -> Result<Runs, Error> {
    let samples = Samples::from(dataset);
    let jobs: Vec<(usize, bool, u64)> = (0..SCALES)
        .flat_map(|i| [true, false].into_iter().flat_map(move |norm| context.seeds().map(move |seed| (i, norm, seed))))
        .collect();
    let curves = context.jobs("batch-norm", STEPS, &jobs, |&(i, norm, seed), exec, bar| {
        let mut trainer = Trainer::new(config(dataset, i, norm, seed), exec, &samples)?;
        let mut accuracy = Vec::new();
        for step in 0..STEPS {
            // A loss that is no longer finite is a result here: the network then predicts class 0.
            trainer.step()?;
            if step % EVERY == 0 {
                accuracy.push(trainer.accuracy(&samples)?);
            }
            bar.inc(1);
        }
        Ok(accuracy)
    })?;
    Ok(Runs { curves, runs: context.runs as usize })
}

/// A scale as the JSON and the table have it.
fn key(i: usize) -> String {
    let key = format!("{:.4}", scale(i)).trim_end_matches('0').trim_end_matches('.').to_owned();
    if scale(i) < 0.01 { format!("{:.3e}", scale(i)) } else { key }
}

/// The runs as JSON.
fn numbers(runs: &Runs, [plain, norm]: [&[Distribution]; 2]) -> Value {
    let mut results = json!({});
    for i in 0..SCALES {
        results[key(i)] = json!({
            "scale": scale(i),
            "batch_norm": runs.of(i, 0), "plain": runs.of(i, 1),
            "batch_norm_step50": runs.at(i, 0, STEP_50), "batch_norm_final": runs.at(i, 0, LAST),
            "plain_step50": runs.at(i, 1, STEP_50), "plain_final": runs.at(i, 1, LAST),
        });
    }
    let layers = |layers: &[Distribution]| {
        json!({
            "mean": by_layer(layers, |layer| layer.mean), "std": by_layer(layers, |layer| layer.std),
            "share_zero": by_layer(layers, |layer| layer.zero),
            "share_dead_units": by_layer(layers, |layer| layer.dead),
        })
    };
    results[key(SHOWN)]["activations"] = json!({"batch_norm": layers(norm), "plain": layers(plain)});
    results
}

/// The means at step 50 and at the last, a scale a row.
fn table(context: &Context<'_>, runs: &Runs) -> Vec<Vec<String>> {
    let head = [
        W_STD,
        words("with batch norm: step 50", "배치 정규화 사용: 50번"),
        words("last", "마지막"),
        words("without: step 50", "미사용: 50번"),
        words("last", "마지막"),
    ];
    let mut table = vec![context.list(head)];
    for i in 0..SCALES {
        let cell = |norm: usize, point: usize| format!("{:.3}", mean(&runs.at(i, norm, point)));
        table.push(vec![key(i), cell(0, STEP_50), cell(0, LAST), cell(1, STEP_50), cell(1, LAST)]);
    }
    table
}

/// A panel a scale.
fn figure(context: &Context<'_>, runs: &Runs) -> Figure {
    let panel = |i: usize| {
        let mut marks = Vec::new();
        for norm in [0, 1] {
            let spread = spread(&runs.of(i, norm).iter().map(Vec::as_slice).collect::<Vec<_>>());
            let x = |point: usize| (point as u64 * EVERY) as f64;
            marks.extend(Mark::spread(norm, &spread, x, norm == 1));
        }
        Panel {
            title: format!("{} {}", context.say(W_STD), key(i)),
            x: Axis::linear(context.say(STEP), 0.0, 190.0),
            y: Axis::linear(context.say(ACCURACY), 0.0, 1.0),
            marks,
        }
    };
    let title =
        words("Training accuracy by scale of the initial weights", "가중치 초깃값의 표준편차에 따른 훈련 정확도");
    Figure {
        title: format!("{} ({})", context.say(title), context.data()),
        description: context
            .say(words(
                "With batch normalisation the network learns at nearly every scale, without it at few.",
                "배치 정규화를 쓰면 거의 모든 초깃값에서 학습하고, 쓰지 않으면 몇몇에서만 학습한다.",
            ))
            .to_owned(),
        legend: context.list([WITH, WITHOUT]),
        shades: None,
        columns: 4,
        panel_size: [180.0, 120.0],
        panels: (0..SCALES).map(panel).collect(),
    }
}

/// What the runs say, in a line.
fn headline(runs: &Runs) -> Line {
    let wins = (0..SCALES).filter(|&i| mean(&runs.at(i, 0, LAST)) > mean(&runs.at(i, 1, LAST))).count();
    Line::new(|language| match language {
        Language::En => format!("batch norm ends higher at {wins} of {SCALES} scales"),
        Language::Ko => {
            format!("초깃값의 표준편차 {SCALES}가지 가운데 {wins}가지에서 배치 정규화를 쓸 때 마지막 정확도가 더 높다")
        }
    })
}

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let (dataset, _) = context.digits.mnist.train.split(SAMPLES);
    let runs = train(context, &dataset)?;
    let [plain, norm] = [activations(context, &dataset, false)?, activations(context, &dataset, true)?];
    let (results, table) = (numbers(&runs, [&plain, &norm]), table(context, &runs));
    let curves = Curves { results, headline: headline(&runs), table, figure: figure(context, &runs) };
    let samples = SAMPLES.min(context.digits.mnist.train.len());
    Ok(Description {
        name: "batch-norm",
        title: words("Batch normalisation forgives the initial weights", "배치 정규화는 초깃값에 크게 의존하지 않는다"),
        section: "6.3.2",
        equation: "x̂ = (x − μ)/√(σ² + ε),  y = γ·x̂ + β",
        lesson: words(
            "Without it the network learns only near the right scale. With it, it learns at nearly all of them, and mostly \
             faster.",
            "배치 정규화가 없으면 알맞은 표준편차 근처에서만 학습한다. 있으면 거의 모든 표준편차에서 학습하며, 대체로 더 빠르다.",
        ),
        source: "crates/groundup/src/experiments/batch_norm.rs",
    }
    .report(
        context,
        &json!({
            "samples": samples, "network": context.network("100×5-10, ReLU"),
            "optimizer": "SGD", "learning_rate": 0.01, "batch": 100,
            "steps": STEPS, "evaluated_every": EVERY,
        }),
        &[
            (DATA, &context.data()),
            (SAMPLES_WORD, &samples),
            (NETWORK, &context.network("100×5-10, ReLU")),
            (INITIAL_WEIGHTS, &"std 1 … 0.0001"),
            (OPTIMIZER, &"SGD"),
            (LEARNING_RATE, &0.01),
            (BATCH, &100),
            (STEPS_WORD, &STEPS),
            (SEEDS, &context.seeds_said()),
        ],
        curves,
        vec![distribution_figure(context, [&plain, &norm])],
    ))
}
