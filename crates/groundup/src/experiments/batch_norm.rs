//! Section 6.3.2: with and without batch normalisation, over sixteen scales of the initial weights.

use super::{Context, Description, Report};
use crate::figure::{Axis, Figure, Mark, Panel};
use crate::statistics::{mean, spread};
use layers::Init;
use optim::Rule;
use serde_json::json;
use train::{Config, Error, Length, Preset, Trainer, decimal};

const SAMPLES: usize = 1000;
const HIDDEN: [usize; 5] = [100; 5];
const SCALES: usize = 16;
/// The chapter evaluates after the first update of each of 20 epochs of ten steps.
const STEPS: u64 = 191;
const EVERY: u64 = 10;

/// Scale i of sixteen equal log steps from 1 to 1e-4.
fn scale(i: usize) -> f64 {
    decimal::exp10(-4.0 * i as f64 / (SCALES - 1) as f64)
}

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let (samples, _) = context.digits.mnist.train.split(SAMPLES);
    let jobs: Vec<(usize, bool, u64)> = (0..SCALES)
        .flat_map(|i| [true, false].into_iter().flat_map(move |norm| context.seeds().map(move |seed| (i, norm, seed))))
        .collect();
    let curves = context.jobs("batch-norm", STEPS, &jobs, |&(i, norm, seed), exec, bar| {
        let mut config = Config::book(&HIDDEN, Rule::SGD, Length::Steps(STEPS), seed);
        config.architecture.inputs = samples.width();
        config.architecture.init = Init::Normal(scale(i));
        config.architecture.batch_norm = norm.then(|| Preset::Book.batch_norm_form());
        let mut trainer = Trainer::new(config, exec, samples.clone())?;
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

    let runs = context.runs as usize;
    let mut results = json!({});
    let mut table =
        vec![["scale", "with batch norm: step 50", "last", "without: step 50", "last"].map(str::to_owned).to_vec()];
    let mut panels = Vec::new();
    let mut wins = 0;
    for i in 0..SCALES {
        let key = format!("{:.4}", scale(i)).trim_end_matches('0').trim_end_matches('.').to_owned();
        let key = if scale(i) < 0.01 { format!("{:.3e}", scale(i)) } else { key };
        let of = |norm: usize| &curves[(2 * i + norm) * runs..][..runs];
        let at = |norm: usize, point: usize| of(norm).iter().map(|curve| curve[point]).collect::<Vec<f64>>();
        let last = (STEPS / EVERY) as usize;
        results[&key] = json!({
            "scale": scale(i),
            "batch_norm": of(0), "plain": of(1),
            "batch_norm_step50": at(0, 5), "batch_norm_final": at(0, last),
            "plain_step50": at(1, 5), "plain_final": at(1, last),
        });
        wins += usize::from(mean(&at(0, last)) > mean(&at(1, last)));
        let cell = |norm: usize, point: usize| format!("{:.3}", mean(&at(norm, point)));
        table.push(vec![key.clone(), cell(0, 5), cell(0, last), cell(1, 5), cell(1, last)]);
        let mut marks = Vec::new();
        for norm in [0, 1] {
            let spread = spread(&of(norm).iter().map(Vec::as_slice).collect::<Vec<_>>());
            let x = |point: usize| (point as u64 * EVERY) as f64;
            marks.push(Mark::Band {
                series: norm,
                points: spread.iter().enumerate().map(|(p, &[_, low, high])| [x(p), low, high]).collect(),
            });
            marks.push(Mark::Line {
                series: norm,
                points: spread.iter().enumerate().map(|(p, &[mean, ..])| [x(p), mean]).collect(),
                dashed: norm == 1,
            });
        }
        panels.push(Panel {
            title: format!("W std {key}"),
            x: Axis::linear("step", 0.0, 190.0),
            y: Axis::linear("accuracy", 0.0, 1.0),
            marks,
        });
    }
    let figure = Figure {
        title: format!("Training accuracy by scale of the initial weights ({})", context.digits.name),
        description: "With batch normalisation the network learns at nearly every scale, without it at few.".to_owned(),
        legend: vec!["with batch norm".to_owned(), "without".to_owned()],
        columns: 4,
        panel_size: [180.0, 120.0],
        panels,
    };
    Ok(Description {
        name: "batch-norm",
        title: "Batch normalisation forgives the initial weights",
        section: "6.3.2",
        equation: "x̂ = (x − μ)/√(σ² + ε),  y = γ·x̂ + β",
        lesson: "Without it the network learns only near the right scale. With it, it learns at nearly all of them, and mostly \
                 faster.",
        source: "crates/groundup/src/experiments/batch_norm.rs",
    }
    .report(
        context,
        &json!({
            "samples": SAMPLES, "network": "784-100×5-10, ReLU", "optimizer": "SGD", "learning_rate": 0.01, "batch": 100,
            "steps": STEPS, "evaluated_every": EVERY,
        }),
        results,
        format!("batch norm ends higher at {wins} of {SCALES} scales"),
        table,
        &figure,
    ))
}
