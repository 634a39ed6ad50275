//! Section 6.2: what the initial weights do to the activations of five layers, and to their gradients; and why not all
//! zero.

use super::distribution::{Distribution, Sizes, by_layer};
use super::terms::{INITIAL_WEIGHTS, NETWORK, SEED, SHARE};
use super::zero_weights::zero_weights;
use super::{Context, Curves, Description, Extra, Report};
use crate::figure::{Axis, Figure, Mark, Panel};
use crate::language::{Language, Line, Words, words};
use crate::statistics::significant;
use layers::{Activation, Architecture, Init, Network, Stream, standard_normal, stream};
use serde_json::{Value, json};
use tensor::{Exec, Tensor};
use train::Error;

const SAMPLES: usize = 1000;
const WIDTH: usize = 100;
const DEPTH: usize = 5;
const CLASSES: usize = 10;

const STD_1: Words = words("std 1", "표준편차 1");
const STD_001: Words = words("std 0.01", "표준편차 0.01");
const XAVIER: Words = words("Xavier", "Xavier 초깃값");
const HE: Words = words("He", "He 초깃값");

/// Key, activation, initialisation, and what to call that: three of each activation.
const CASES: [(&str, Activation, Init, Words); 9] = [
    ("sigmoid-std1", Activation::Sigmoid, Init::Normal(1.0), STD_1),
    ("sigmoid-std0.01", Activation::Sigmoid, Init::Normal(0.01), STD_001),
    ("sigmoid-xavier", Activation::Sigmoid, Init::Xavier, XAVIER),
    ("relu-std0.01", Activation::Relu, Init::Normal(0.01), STD_001),
    ("relu-xavier", Activation::Relu, Init::Xavier, XAVIER),
    ("relu-he", Activation::Relu, Init::He, HE),
    ("tanh-std1", Activation::Tanh, Init::Normal(1.0), STD_1),
    ("tanh-std0.01", Activation::Tanh, Init::Normal(0.01), STD_001),
    ("tanh-xavier", Activation::Tanh, Init::Xavier, XAVIER),
];

/// The range a histogram is drawn over. ReLU's has no upper end; what lies beyond is counted in the last bar.
fn range(activation: Activation) -> [f64; 2] {
    match activation {
        Activation::Sigmoid | Activation::Relu => [0.0, 1.0],
        Activation::Tanh => [-1.0, 1.0],
    }
}

/// The name of an activation as the chapter writes it.
fn name(activation: Activation) -> &'static str {
    match activation {
        Activation::Sigmoid => "sigmoid",
        Activation::Relu => "ReLU",
        Activation::Tanh => "tanh",
    }
}

/// What a layer holds: its activations, and the gradient of the loss with respect to them.
struct Layer {
    activation: Distribution,
    gradient: Sizes,
}

/// The layers of a case, with labels that go through the classes in turn: the loss is a mean cross-entropy as of any
/// classifier.
fn layers(exec: Exec, x: &Tensor<f32, 2>, seed: u64, activation: Activation, init: Init) -> Result<Vec<Layer>, Error> {
    let architecture = Architecture {
        inputs: WIDTH,
        hidden: vec![WIDTH; DEPTH],
        classes: CLASSES,
        activation,
        init,
        batch_norm: None,
        dropout: None,
    };
    let mut network = Network::new(exec, architecture, seed, SAMPLES);
    let labels: Vec<u8> = (0..SAMPLES).map(|sample| (sample % CLASSES) as u8).collect();
    // An activation is a layer of its own, but for ReLU, which is fused into the affine layer before it.
    let hidden = (network.depth() - 1) / DEPTH;
    let mut gradients: Vec<Sizes> = Vec::new();
    network.loss_and_layer_gradients(exec, 0, x.view(), &labels, &mut |layer, dy| {
        if (layer + 1).is_multiple_of(hidden) && layer < DEPTH * hidden {
            gradients.push(Sizes::of(dy.as_slice().expect("a gradient buffer is contiguous")));
        }
    })?;
    let layer = |(depth, gradient): (usize, Sizes)| {
        let values = network.activation((depth + 1) * hidden - 1, SAMPLES);
        let values = values.as_slice().expect("an activation buffer is contiguous");
        Layer { activation: Distribution::of(values, WIDTH, range(activation)), gradient }
    };
    Ok(gradients.into_iter().rev().enumerate().map(layer).collect())
}

/// A case as JSON.
fn numbers(layers: &[Layer]) -> Value {
    let rounded = |shares: &[f64]| shares.iter().map(|&share| significant(share, 6)).collect::<Vec<f64>>();
    let decades = Sizes::DECADES;
    json!({
        "mean": by_layer(layers, |layer| layer.activation.mean),
        "std": by_layer(layers, |layer| layer.activation.std),
        "share_under_0.1": by_layer(layers, |layer| layer.activation.under),
        "share_over_0.9": by_layer(layers, |layer| layer.activation.over),
        "share_zero": by_layer(layers, |layer| layer.activation.zero),
        "share_dead_units": by_layer(layers, |layer| layer.activation.dead),
        "range": layers[0].activation.range,
        "histogram": layers.iter().map(|layer| rounded(&layer.activation.histogram)).collect::<Vec<_>>(),
        "gradient": {
            "std": by_layer(layers, |layer| layer.gradient.std),
            "share_zero": by_layer(layers, |layer| layer.gradient.zero),
            "log10_range": decades,
            "histogram": layers.iter().map(|layer| rounded(&layer.gradient.histogram)).collect::<Vec<_>>(),
        },
    })
}

/// The figure of an activation, an initialisation a row and a layer a column, and its table.
fn figure(
    context: &Context<'_>,
    activation: Activation,
    cases: &[(Words, &[Layer])],
    description: Words,
) -> (Figure, Vec<Vec<String>>) {
    let head = [
        INITIAL_WEIGHTS,
        words("std by layer", "층별 표준편차"),
        words("share under 0.1 (5th)", "0.1 미만의 비율(5층)"),
        words("over 0.9 (5th)", "0.9 초과의 비율(5층)"),
        words("dead units (5th)", "죽은 뉴런(5층)"),
    ];
    let mut table = vec![context.list(head)];
    let mut panels = Vec::new();
    for &(init, layers) in cases {
        let last = &layers[DEPTH - 1].activation;
        let stds = layers.iter().map(|layer| format!("{:.3}", layer.activation.std)).collect::<Vec<_>>();
        table.push(vec![
            context.say(init).to_owned(),
            stds.join(" "),
            format!("{:.1} %", 100.0 * last.under),
            format!("{:.1} %", 100.0 * last.over),
            format!("{:.0} %", 100.0 * last.dead),
        ]);
        let panel = |(depth, layer): (usize, &Layer)| layer.activation.panel(context, context.say(init), depth, 0);
        panels.extend(layers.iter().enumerate().map(panel));
    }
    let figure = Figure {
        title: format!(
            "{}: {}",
            name(activation),
            context.say(words("activations of five layers by initialisation", "초깃값에 따른 다섯 층의 활성화값 분포"))
        ),
        description: context.say(description).to_owned(),
        legend: Vec::new(),
        shades: None,
        columns: DEPTH,
        panel_size: [170.0, 110.0],
        panels,
    };
    (figure, table)
}

/// The figure of the gradients, a case a panel and a layer a line.
fn gradient_figure(context: &Context<'_>, cases: &[Vec<Layer>]) -> Extra {
    let head = [
        words("network", "신경망"),
        words("std of the gradient, layers 1 to 5", "기울기의 표준편차, 1~5층"),
        words("layer 1 / layer 5", "1층 / 5층"),
    ];
    let mut table = vec![context.list(head)];
    let mut panels = Vec::new();
    for ((_, activation, _, init), layers) in CASES.into_iter().zip(cases) {
        let title = format!("{}, {}", name(activation), context.say(init));
        let std = |depth: usize| layers[depth].gradient.std;
        let stds = (0..DEPTH).map(|depth| format!("{:.1e}", std(depth))).collect::<Vec<_>>();
        table.push(vec![title.clone(), stds.join("  "), format!("{:.1e}", std(0) / std(DEPTH - 1))]);
        let line = |(depth, layer): (usize, &Layer)| Mark::Line {
            series: depth,
            points: layer.gradient.histogram.iter().enumerate().map(|(bar, &s)| [Sizes::middle(bar), s]).collect(),
            dashed: false,
        };
        let [low, high] = Sizes::DECADES.map(|decade| 10_f64.powi(decade));
        panels.push(Panel {
            title,
            x: Axis::log(context.say(words("size of the gradient, |∂L/∂a|", "기울기의 크기 |∂L/∂a|")), low, high),
            y: Axis::linear(context.say(SHARE), 0.0, 0.5),
            marks: layers.iter().enumerate().map(line).collect(),
        });
    }
    let title = words("Initial weights and the gradient", "가중치의 초깃값과 기울기의 분포");
    let figure = Figure {
        title: context
            .say(words(
                "How large the gradient of each layer's activations is",
                "각 층의 활성화값에 대한 기울기의 크기",
            ))
            .to_owned(),
        description: context
            .say(words(
                "Share of the gradient's elements by size, a line a layer, for the same nine networks.",
                "같은 아홉 신경망에서 기울기 원소의 크기 분포. 선 하나가 한 층이다.",
            ))
            .to_owned(),
        legend: (1..=DEPTH).map(|depth| context.layer(depth)).collect(),
        shades: None,
        columns: 3,
        panel_size: [290.0, 150.0],
        panels,
    };
    Extra {
        name: "gradient-histograms",
        title: context.say(title),
        lesson: context.say(words(
            "L is the mean cross-entropy over the 1000 samples, with ten classes given to them in turn; a is a layer's \
             activation, and the lines show how large the elements of ∂L/∂a are. Where the lines of the first layers stand \
             further left, the gradient vanishes on its way down: with std 0.01 it loses one to two powers of ten a layer. \
             Xavier holds tanh's lines together, He holds ReLU's. Sigmoid loses some even with Xavier, for its slope is a \
             quarter at most. Weights of std 1 make up for the flat ends of sigmoid, and more than that for tanh's, whose \
             gradient grows. Of a ReLU only units that are on are counted: the gradient of the others goes no further.",
            "L은 열 개의 클래스를 차례로 붙인 1000개 데이터의 교차 엔트로피 평균이고, a는 층의 활성화값이다. 선은 ∂L/∂a 원소의 \
             크기 분포를 나타낸다. 앞쪽 층의 선이 왼쪽에 있을수록 역전파되는 기울기가 소실된 것이다. 표준편차 0.01에서는 한 층마다 \
             10분의 1에서 100분의 1로 줄어든다. tanh는 Xavier 초깃값에서, ReLU는 He 초깃값에서 선들이 모여 있다. 시그모이드는 \
             기울기가 최대 4분의 1이므로 Xavier 초깃값에서도 조금씩 줄어든다. 표준편차 1에서는 큰 가중치가 시그모이드의 \
             평평한 양 끝을 상쇄하며, tanh에서는 그 이상이어서 기울기가 오히려 커진다. ReLU는 켜진 뉴런만 세었다. 꺼진 뉴런의 기울기는 더 \
             전해지지 않는다.",
        )),
        svg: figure.to_svg(),
        table,
    }
}

/// What can be done at once.
enum Job {
    Case(Activation, Init),
    Zero(Activation),
}

enum Done {
    Layers(Vec<Layer>),
    Zero(Activation, Value),
}

/// Everything that is computed: the layers of every case, in their order, and what weights of 0 lead to.
fn compute(context: &Context<'_>) -> Result<(Vec<Vec<Layer>>, Value), Error> {
    let mut rng = stream(context.seed, Stream::Experiment);
    let x = standard_normal(context.exec.one_thread(), &mut rng, SAMPLES * WIDTH);
    let x = Tensor::from_slice(&x, [SAMPLES, WIDTH])?;
    let zeros = [Activation::Sigmoid, Activation::Relu, Activation::Tanh].map(Job::Zero);
    let jobs: Vec<Job> =
        zeros.into_iter().chain(CASES.iter().map(|&(_, activation, init, _)| Job::Case(activation, init))).collect();
    let done = context.jobs("activation-histograms", 1, &jobs, |job, exec, bar| {
        let done = match *job {
            Job::Case(activation, init) => Done::Layers(layers(exec, &x, context.seed, activation, init)?),
            Job::Zero(activation) => Done::Zero(activation, zero_weights(context, exec, activation)?),
        };
        bar.inc(1);
        Ok(done)
    })?;
    let (mut cases, mut zero) = (Vec::new(), json!({}));
    for done in done {
        match done {
            Done::Layers(layers) => cases.push(layers),
            Done::Zero(activation, value) => zero[activation.name()] = value,
        }
    }
    Ok((cases, zero))
}

/// The figure and the table of an activation's cases.
fn cases_of(
    context: &Context<'_>,
    cases: &[Vec<Layer>],
    activation: Activation,
    description: Words,
) -> (Figure, Vec<Vec<String>>) {
    let rows: Vec<(Words, &[Layer])> = CASES
        .iter()
        .zip(cases)
        .filter(|((_, of, ..), _)| *of == activation)
        .map(|((.., init), layers)| (*init, layers.as_slice()))
        .collect();
    figure(context, activation, &rows, description)
}

/// The figures of ReLU, of tanh, and of the gradients.
fn more_figures(context: &Context<'_>, cases: &[Vec<Layer>]) -> Vec<Extra> {
    let extra = |name, activation, title: Words, lesson: Words| {
        let (figure, table) = cases_of(context, cases, activation, lesson);
        Extra { name, title: context.say(title), lesson: context.say(lesson), svg: figure.to_svg(), table }
    };
    vec![
        extra(
            "activation-histograms-relu",
            Activation::Relu,
            words("ReLU: He's initial weights", "ReLU를 쓸 때의 가중치 초깃값"),
            words(
                "The last bar also holds what is above 1. ReLU halves what a layer's sum spreads over: with Xavier the \
                 activations shrink towards 0 from layer to layer, He makes up for it with twice the variance, and with std \
                 0.01 nothing is left of the signal.",
                "마지막 막대에는 1보다 큰 값도 들어 있다. ReLU는 음의 영역을 0으로 만들므로, Xavier 초깃값에서는 층이 깊어질수록 \
                 활성화값이 0에 치우친다. He 초깃값은 분산을 두 배로 하여 이를 메운다. 표준편차 0.01에서는 신호가 거의 사라진다.",
            ),
        ),
        extra(
            "activation-histograms-tanh",
            Activation::Tanh,
            words("tanh: symmetric about 0", "원점에서 대칭인 tanh"),
            words(
                "As with the sigmoid: std 1 saturates at −1 and 1, std 0.01 collapses, here to 0; Xavier keeps a bell that hardly \
                 changes from layer to layer.",
                "시그모이드와 마찬가지로 표준편차 1에서는 −1과 1에 치우치고, 0.01에서는 0에 모인다. Xavier 초깃값에서는 층이 깊어져도 \
                 거의 변하지 않는 종 모양을 유지한다.",
            ),
        ),
        gradient_figure(context, cases),
    ]
}

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let (cases, zero) = compute(context)?;
    let mut results = json!({});
    for ((key, ..), layers) in CASES.iter().zip(&cases) {
        results[key] = numbers(layers);
    }
    let difference = zero["sigmoid"]["greatest_difference_between_units"].clone();
    results["zero_weights"] = zero;
    let (main, table) = cases_of(
        context,
        &cases,
        Activation::Sigmoid,
        words(
            "With std 1 the activations pile up at 0 and 1, with std 0.01 at 0.5; Xavier spreads them.",
            "표준편차 1에서는 활성화값이 0과 1에, 0.01에서는 0.5에 치우치고, Xavier 초깃값에서는 고루 퍼진다.",
        ),
    );
    Ok(Description {
        name: "activation-histograms",
        title: words("What initial weights do to the activations", "가중치의 초깃값과 은닉층의 활성화값 분포"),
        section: "6.2.1 to 6.2.3",
        equation: "W = std·N(0, 1); Xavier std = √(1/n), He std = √(2/n)",
        lesson: words(
            "Bars are cut off at a share of 0.2. Sigmoid with std 1 sits at 0 and 1, where its slope is next to 0; with std 0.01 \
             all units say 0.5 and a hundred units do the work of one; Xavier keeps a spread. And why not start at 0? Then all \
             units of a layer are one: after 300 steps the greatest difference between two of them is exactly 0.",
            "막대는 비율 0.2에서 잘랐다. 표준편차 1에서는 활성화값이 시그모이드의 미분이 0에 가까운 0과 1에 치우친다. 0.01에서는 모든 뉴런이 0.5를 \
             출력하여 뉴런 100개가 하나와 다를 바 없다. Xavier 초깃값에서는 고루 퍼진다. 초깃값을 0으로 하면 왜 안 될까? 한 층의 \
             뉴런이 모두 같아진다. 300번 갱신한 뒤에도 두 뉴런의 차이는 정확히 0이다.",
        ),
        source: "crates/groundup/src/experiments/activation_histograms.rs",
    }
    .report(
        context,
        &json!({
            "samples": SAMPLES, "width": WIDTH, "layers": DEPTH, "bias": "none", "input": "standard normal",
            "loss": "mean cross-entropy of 10 classes, label i mod 10",
        }),
        &[
            (NETWORK, &"100-100×5-10"),
            (words("input", "입력"), &context.say(words("standard normal", "표준정규분포"))),
            (words("samples", "표본 수"), &SAMPLES),
            (words("L", "L"), &context.say(words("mean cross-entropy of 10 classes", "클래스 10개의 교차 엔트로피 평균"))),
            (SEED, &context.seed),
        ],
        Curves {
            results,
            headline: Line::new(|language| match language {
                Language::En => format!("nine cases; zero weights: units differ by {difference}"),
                Language::Ko => format!("아홉 가지 경우; 초깃값이 0이면 한 층의 두 뉴런의 차이는 최대 {difference}"),
            }),
            table,
            figure: main,
        },
        more_figures(context, &cases),
    ))
}
