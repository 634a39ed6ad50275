//! Section 6.2: what the initial weights do to the activations of five layers; and why not all zero.

use super::{Context, Description, Report};
use crate::figure::{Axis, Figure, Mark, Panel};
use crate::statistics::rounded;
use layers::{Activation, Architecture, Init, Network, Pass, Role, Stream, standard_normal, stream};
use optim::Rule;
use serde_json::{Value, json};
use tensor::Tensor;
use train::{Config, Error, Length, Trainer};

const SAMPLES: usize = 1000;
const WIDTH: usize = 100;
const DEPTH: usize = 5;
const BINS: usize = 30;

/// Activation, initialisation, and what to call them.
const CASES: [(&str, Activation, Init, &str); 9] = [
    ("sigmoid-std1", Activation::Sigmoid, Init::Normal(1.0), "sigmoid, std 1"),
    ("sigmoid-std0.01", Activation::Sigmoid, Init::Normal(0.01), "sigmoid, std 0.01"),
    ("sigmoid-xavier", Activation::Sigmoid, Init::Xavier, "sigmoid, Xavier"),
    ("relu-std0.01", Activation::Relu, Init::Normal(0.01), "ReLU, std 0.01"),
    ("relu-xavier", Activation::Relu, Init::Xavier, "ReLU, Xavier"),
    ("relu-he", Activation::Relu, Init::He, "ReLU, He"),
    ("tanh-std1", Activation::Tanh, Init::Normal(1.0), "tanh, std 1"),
    ("tanh-std0.01", Activation::Tanh, Init::Normal(0.01), "tanh, std 0.01"),
    ("tanh-xavier", Activation::Tanh, Init::Xavier, "tanh, Xavier"),
];

/// The range a histogram is drawn over. ReLU's has no upper end; what lies beyond is counted in the last bar.
fn range(activation: Activation) -> [f64; 2] {
    match activation {
        Activation::Sigmoid | Activation::Relu => [0.0, 1.0],
        Activation::Tanh => [-1.0, 1.0],
    }
}

struct Layer {
    /// Share of the activations in each bar.
    histogram: Vec<f64>,
    mean: f64,
    std: f64,
    under: f64,
    over: f64,
    zero: f64,
    dead: f64,
}

fn describe(values: &[f32], activation: Activation) -> Layer {
    let [low, high] = range(activation);
    let count = values.len() as f64;
    let mut histogram = vec![0.0; BINS];
    for &value in values {
        let place = (f64::from(value) - low) / (high - low) * BINS as f64;
        histogram[(place.max(0.0) as usize).min(BINS - 1)] += 1.0 / count;
    }
    let share = |test: &dyn Fn(f32) -> bool| values.iter().filter(|&&value| test(value)).count() as f64 / count;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    let silent = (0..WIDTH).filter(|unit| values[*unit..].iter().step_by(WIDTH).all(|&value| value == 0.0)).count();
    Layer {
        histogram,
        mean,
        std: variance.sqrt(),
        under: share(&|value| value < 0.1),
        over: share(&|value| value > 0.9),
        zero: share(&|value| value == 0.0),
        dead: silent as f64 / WIDTH as f64,
    }
}

/// Zero weights: training moves the weights, but all units of a layer stay the same. Returns, for each activation, the
/// greatest difference between two units of a hidden layer and how far the weights have moved.
fn zero_weights(context: &Context<'_>) -> Result<Value, Error> {
    let mut results = json!({});
    for activation in [Activation::Sigmoid, Activation::Relu, Activation::Tanh] {
        let steps = 300;
        let mut config = Config::book(&[WIDTH; 2], Rule::SGD, Length::Steps(steps), context.seed);
        config.learning_rate = 0.5;
        config.architecture.inputs = context.digits.mnist.train.width();
        config.architecture.init = Init::Zeros;
        config.architecture.activation = activation;
        let mut trainer = Trainer::new(config, context.exec.one_thread(), context.digits.mnist.train.clone())?;
        let mut loss = f64::NAN;
        for _ in 0..steps {
            loss = trainer.step()?;
        }
        let (mut difference, mut moved) = (0.0_f32, Vec::new());
        trainer.network().parameters(&mut |_, parameter| {
            let [rows, columns] = parameter.shape;
            moved.push(f64::from(parameter.value.iter().fold(0.0_f32, |most, value| most.max(value.abs()))));
            // Units of a hidden layer are the columns of its W (the last layer's columns are classes, not units).
            if parameter.role == Role::Weight && columns == WIDTH {
                for row in parameter.value.chunks_exact(columns).take(rows) {
                    difference = row.iter().fold(difference, |most, value| most.max((value - row[0]).abs()));
                }
            }
        });
        let accuracy = trainer.accuracy(&context.digits.mnist.test)?;
        results[activation.name()] = json!({
            "steps": steps,
            "greatest_difference_between_units": difference,
            "greatest_weight_or_bias_by_parameter": moved,
            "last_loss": rounded(loss, 5),
            "test_accuracy": accuracy,
        });
    }
    Ok(results)
}

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let exec = context.exec.one_thread();
    let mut rng = stream(context.seed, Stream::Experiment);
    let x = Tensor::from_slice(&standard_normal(exec, &mut rng, SAMPLES * WIDTH), [SAMPLES, WIDTH])?;
    let mut results = json!({});
    let head = ["", "std by layer", "share under 0.1 (5th)", "over 0.9 (5th)", "dead units (5th)"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let mut panels = Vec::new();
    for (i, (key, activation, init, name)) in CASES.into_iter().enumerate() {
        let architecture = Architecture {
            inputs: WIDTH,
            hidden: vec![WIDTH; DEPTH],
            classes: 10,
            activation,
            init,
            batch_norm: None,
            dropout: None,
        };
        let mut network = Network::new(exec, architecture, context.seed, SAMPLES);
        network.forward(exec, Pass::Inference, x.view())?;
        // An activation is a layer of its own, but for ReLU, which is fused into the affine layer before it.
        let hidden = (network.depth() - 1) / DEPTH;
        let layers: Vec<Layer> = (1..=DEPTH)
            .map(|layer| {
                let values = network.activation(layer * hidden - 1, SAMPLES);
                describe(values.as_slice().expect("an activation buffer is contiguous"), activation)
            })
            .collect();
        let each = |f: fn(&Layer) -> f64| layers.iter().map(|layer| rounded(f(layer), 6)).collect::<Vec<f64>>();
        results[key] = json!({
            "mean": each(|layer| layer.mean),
            "std": each(|layer| layer.std),
            "share_under_0.1": each(|layer| layer.under),
            "share_over_0.9": each(|layer| layer.over),
            "share_zero": each(|layer| layer.zero),
            "share_dead_units": each(|layer| layer.dead),
            "range": range(activation),
            "histogram": layers.iter().map(|layer| layer.histogram.iter().map(|&s| rounded(s, 6)).collect::<Vec<_>>())
                .collect::<Vec<_>>(),
        });
        let last = &layers[DEPTH - 1];
        table.push(vec![
            name.to_owned(),
            each(|layer| layer.std).iter().map(|std| format!("{std:.3}")).collect::<Vec<_>>().join(" "),
            format!("{:.1} %", 100.0 * last.under),
            format!("{:.1} %", 100.0 * last.over),
            format!("{:.0} %", 100.0 * last.dead),
        ]);
        for (depth, layer) in layers.into_iter().enumerate() {
            let [low, high] = range(activation);
            panels.push(Panel {
                title: format!("{name}: layer {}", depth + 1),
                x: Axis::linear("activation", low, high),
                y: Axis::linear("share", 0.0, 0.2),
                marks: vec![Mark::Bars { series: i / 3, heights: layer.histogram }],
            });
        }
    }
    let zero = zero_weights(context)?;
    let difference = zero["sigmoid"]["greatest_difference_between_units"].clone();
    results["zero_weights"] = zero;
    let figure = Figure {
        title: "Activations of five layers by initialisation".to_owned(),
        description:
            "Sigmoid with std 1 piles up at 0 and 1, with std 0.01 at 0.5; Xavier spreads. ReLU keeps its spread \
                      with He."
                .to_owned(),
        legend: Vec::new(),
        columns: DEPTH,
        panel_size: [170.0, 110.0],
        panels,
    };
    Ok(Description {
        name: "activation-histograms",
        title: "What initial weights do to the activations",
        section: "6.2.1 to 6.2.3",
        equation: "W = std·N(0, 1); Xavier std = √(1/n), He std = √(2/n)",
        lesson: "Bars are cut off at a share of 0.2; the last bar of a ReLU also holds what is above 1. Sigmoid with std 1 sits at 0 and 1, where its gradient vanishes; with std \
                 0.01 all units say 0.5 and a hundred units do the work of one; Xavier keeps a spread. ReLU halves the \
                 variance a layer, which He makes up for. And why not start at 0? Then all units of a layer are one: after \
                 300 steps the greatest difference between two of them is exactly 0.",
        source: "crates/groundup/src/experiments/activation_histograms.rs",
    }
    .report(
        context,
        &json!({"samples": SAMPLES, "width": WIDTH, "layers": DEPTH, "bias": "none", "input": "standard normal"}),
        results,
        format!("nine cases; zero weights: units differ by {difference}"),
        table,
        &figure,
    ))
}
