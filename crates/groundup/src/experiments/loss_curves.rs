//! What the two comparisons by loss share: the same network trained several ways, the loss of each step's batch after
//! its update, and the test accuracy at the end.

use super::terms::{LOSS, STEP, TEST_ACCURACY};
use super::{Context, Curves};
use crate::figure::{Axis, Figure, Mark, Panel};
use crate::language::{Line, Words, words};
use crate::statistics::{mean, plus_minus, rounded, smooth, spread};
use serde_json::{Value, json};
use train::{Config, Error, Trainer};

/// Steps of a run.
pub const STEPS: u64 = 2000;
/// Samples of a batch.
pub const BATCH: usize = 128;
/// Hidden layers.
pub const HIDDEN: [usize; 4] = [100; 4];

/// One way of training, by name.
pub struct Variant {
    pub key: &'static str,
    pub name: Words,
    /// Whether its line is dashed.
    pub dashed: bool,
    /// The settings for a seed.
    pub config: fn(u64) -> Config,
}

/// What a comparison is called.
pub struct Subject {
    pub name: &'static str,
    pub title: Words,
    pub description: Words,
}

/// What a run leaves.
#[derive(Clone)]
pub struct Curve {
    /// Of each step's batch after its update.
    loss: Vec<f64>,
    /// At the end.
    test_accuracy: f64,
}

/// Trains every variant with every seed, and returns the numbers, the table and the figure.
pub fn compare(context: &Context<'_>, subject: &Subject, variants: &[Variant]) -> Result<Curves, Error> {
    let curves = train(context, subject, variants)?;
    let runs: Vec<Runs<'_>> =
        variants.iter().zip(curves.chunks(context.runs as usize)).map(|(of, curves)| Runs { of, curves }).collect();
    let ends: Vec<(Words, f64)> = runs.iter().map(|runs| (runs.of.name, mean(&runs.last()))).collect();
    let headline = Line::new(|language| {
        let ends: Vec<String> = ends.iter().map(|(name, loss)| format!("{} {loss:.3}", name.of(language))).collect();
        format!("{}: {}", words("last loss", "마지막 손실").of(language), ends.join(", "))
    });
    let figure = figure(context, subject, &runs);
    Ok(Curves { results: numbers(&runs), table: table(context, &runs), figure, headline })
}

/// The curves of every variant and seed, variant by variant.
fn train(context: &Context<'_>, subject: &Subject, variants: &[Variant]) -> Result<Vec<Curve>, Error> {
    let jobs: Vec<(usize, u64)> =
        (0..variants.len()).flat_map(|variant| context.seeds().map(move |seed| (variant, seed))).collect();
    context.jobs(subject.name, STEPS, &jobs, |&(variant, seed), exec, bar| {
        let mut config = (variants[variant].config)(seed);
        config.architecture.inputs = context.digits.mnist.train.width();
        let mut here = 0;
        let run = || {
            let mut trainer = Trainer::new(config.clone(), exec, &context.digits.train)?;
            let mut loss = Vec::with_capacity(STEPS as usize);
            for _ in 0..STEPS {
                trainer.step()?;
                loss.push(trainer.loss_after()?);
                bar.inc(1);
                here += 1;
            }
            Ok(Curve { loss, test_accuracy: trainer.accuracy(&context.digits.test)? })
        };
        let curve = context.shared.losses.get(&config, |_| true, run)?;
        // What another experiment has done counts too.
        bar.inc(STEPS - here);
        Ok(curve)
    })
}

/// The runs of a variant, a seed each.
struct Runs<'a> {
    of: &'a Variant,
    curves: &'a [Curve],
}

impl Runs<'_> {
    /// The mean loss of some steps, of each run.
    fn window(&self, from: usize, to: usize) -> Vec<f64> {
        self.curves.iter().map(|curve| mean(&curve.loss[from..to])).collect()
    }

    fn around_100(&self) -> Vec<f64> {
        self.window(90, 110)
    }

    fn around_500(&self) -> Vec<f64> {
        self.window(480, 520)
    }

    fn last(&self) -> Vec<f64> {
        self.window(STEPS as usize - 100, STEPS as usize)
    }

    fn accuracy(&self) -> Vec<f64> {
        self.curves.iter().map(|curve| curve.test_accuracy).collect()
    }

    /// The band and the line of the figure.
    fn marks(&self, series: usize) -> [Mark; 2] {
        let smoothed: Vec<Vec<[f64; 2]>> = self.curves.iter().map(|curve| smooth(&curve.loss, 10)).collect();
        let heights: Vec<Vec<f64>> =
            smoothed.iter().map(|curve| curve.iter().map(|point| point[1]).collect()).collect();
        let spread = spread(&heights.iter().map(Vec::as_slice).collect::<Vec<_>>());
        Mark::spread(series, &spread, |point: usize| smoothed[0][point][0], self.of.dashed)
    }
}

/// The runs as JSON.
fn numbers(runs: &[Runs<'_>]) -> Value {
    let mut results = json!({});
    for runs in runs {
        let rounded = |curve: &Curve| curve.loss.iter().map(|&loss| rounded(loss, 5)).collect::<Vec<_>>();
        results[runs.of.key] = json!({
            "loss100": runs.around_100(),
            "loss500": runs.around_500(),
            "last100": runs.last(),
            "test_accuracy": runs.accuracy(),
            "loss": runs.curves.iter().map(rounded).collect::<Vec<_>>(),
        });
    }
    results
}

/// The mean losses and the accuracy, a variant a row.
fn table(context: &Context<'_>, runs: &[Runs<'_>]) -> Vec<Vec<String>> {
    let head = [
        words("", ""),
        words("loss around step 100", "손실: 100번째 부근"),
        words("around 500", "500번째 부근"),
        words("last 100", "마지막 100번"),
        TEST_ACCURACY,
    ];
    let mut table = vec![context.list(head)];
    for runs in runs {
        table.push(vec![
            context.say(runs.of.name).to_owned(),
            plus_minus(&runs.around_100(), 3),
            plus_minus(&runs.around_500(), 3),
            plus_minus(&runs.last(), 3),
            plus_minus(&runs.accuracy(), 4),
        ]);
    }
    table
}

/// The losses, the bands below the lines.
fn figure(context: &Context<'_>, subject: &Subject, runs: &[Runs<'_>]) -> Figure {
    let (mut marks, mut lines) = (Vec::new(), Vec::new());
    for (i, runs) in runs.iter().enumerate() {
        let [band, line] = runs.marks(i);
        marks.push(band);
        lines.push(line);
    }
    let lowest = lines.iter().map(lowest_point).fold(1.0, f64::min);
    marks.extend(lines);
    Figure {
        title: format!("{} ({})", context.say(subject.title), context.data()),
        description: context.say(subject.description).to_owned(),
        legend: runs.iter().map(|runs| context.say(runs.of.name).to_owned()).collect(),
        shades: None,
        columns: 1,
        panel_size: [720.0, 360.0],
        panels: vec![Panel {
            title: context
                .say(words(
                    "training loss, mean of 10 steps; band: least and greatest of the runs",
                    "학습 손실, 10번 갱신의 평균; 띠: 여러 번 실행한 값의 최소와 최대",
                ))
                .to_owned(),
            x: Axis::linear(context.say(STEP), 0.0, STEPS as f64),
            y: Axis::log(context.say(LOSS), 10_f64.powi(lowest.max(1e-6).log10().floor() as i32), 4.0),
            marks,
        }],
    }
}

/// The lowest value of a line.
fn lowest_point(mark: &Mark) -> f64 {
    match mark {
        Mark::Line { points, .. } => points.iter().map(|point| point[1]).fold(f64::INFINITY, f64::min),
        _ => f64::INFINITY,
    }
}
