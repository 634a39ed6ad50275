//! What the two experiments on overfitting share: 300 training images, a network far too large for them, and accuracy
//! on training and test images after each epoch.

use super::terms::{ACCURACY, EPOCH};
use super::{Context, Curves};
use crate::figure::{Axis, Figure, Mark, Panel};
use crate::language::{Language, Line, Words, words};
use crate::statistics::{mean, plus_minus, spread};
use optim::Rule;
use serde_json::{Value, json};
use train::{Config, Error, Length, Samples, Trainer};

/// Training images.
pub const SAMPLES: usize = 300;
/// Hidden layers.
pub const HIDDEN: [usize; 6] = [100; 6];
/// Steps of an epoch: 300 images in batches of 100.
const PER_EPOCH: u64 = 3;

/// One way of training, by name.
pub struct Variant {
    pub key: &'static str,
    pub name: Words,
    /// Changes the common settings.
    pub change: fn(&mut Config),
}

/// What a comparison is called, and how long it takes.
pub struct Subject {
    pub name: &'static str,
    pub title: Words,
    pub epochs: u64,
}

/// Accuracy on training and test images after each epoch.
pub type Accuracies = [Vec<f64>; 2];

/// Trains each variant for so many epochs with every seed. The first is the plain network, which both experiments have.
/// `after` looks at each other network when it is trained; what it returns comes back in order, a value a run.
pub fn compare<T: Send>(
    context: &Context<'_>,
    subject: &Subject,
    variants: &[Variant],
    after: &(dyn Fn(&mut Trainer) -> Result<T, Error> + Sync),
) -> Result<(Curves, Vec<T>), Error> {
    let (curves, looked_at): (Vec<_>, Vec<Option<T>>) = train(context, subject, variants, after)?.into_iter().unzip();
    let runs: Vec<Runs<'_>> =
        variants.iter().zip(curves.chunks(context.runs as usize)).map(|(of, curves)| Runs { of, curves }).collect();
    let curves = Curves {
        results: numbers(&runs),
        table: table(context, &runs),
        figure: figure(context, subject, &runs),
        headline: headline(&runs),
    };
    Ok((curves, looked_at.into_iter().flatten().collect()))
}

/// The curves of every variant and seed, variant by variant, and what `after` returned.
fn train<T: Send>(
    context: &Context<'_>,
    subject: &Subject,
    variants: &[Variant],
    after: &(dyn Fn(&mut Trainer) -> Result<T, Error> + Sync),
) -> Result<Vec<(Accuracies, Option<T>)>, Error> {
    let epochs = subject.epochs;
    let (samples, _) = context.digits.mnist.train.split(SAMPLES);
    let (width, samples) = (samples.width(), Samples::from(samples));
    let jobs: Vec<(usize, u64)> =
        (0..variants.len()).flat_map(|variant| context.seeds().map(move |seed| (variant, seed))).collect();
    context.jobs(subject.name, epochs, &jobs, |&(variant, seed), exec, bar| {
        let mut config = Config::book(&HIDDEN, Rule::SGD, Length::Epochs(u64::MAX), seed);
        config.architecture.inputs = width;
        (variants[variant].change)(&mut config);
        let mut here = 0;
        let mut run = || -> Result<(Accuracies, Trainer), Error> {
            let mut trainer = Trainer::new(config.clone(), exec, &samples)?;
            let (mut train, mut test) = (Vec::new(), Vec::new());
            // As the chapter does it, an epoch is evaluated after its first step.
            for step in 0..(epochs - 1) * PER_EPOCH + 1 {
                trainer.step()?;
                if step % PER_EPOCH == 0 {
                    train.push(trainer.accuracy(&samples)?);
                    test.push(trainer.accuracy(&context.digits.test)?);
                    bar.inc(1);
                    here += 1;
                }
            }
            Ok(([train, test], trainer))
        };
        if variant > 0 {
            let (curves, mut trainer) = run()?;
            return Ok((curves, Some(after(&mut trainer)?)));
        }
        let enough = |curves: &Accuracies| curves[0].len() as u64 >= epochs;
        let mut curves = context.shared.plain.get(&config, enough, || Ok(run()?.0))?;
        // The other experiment may have gone on for longer.
        curves.iter_mut().for_each(|curve| curve.truncate(epochs as usize));
        bar.inc(epochs - here);
        Ok((curves, None))
    })
}

/// The runs of a variant, a seed each.
struct Runs<'a> {
    of: &'a Variant,
    curves: &'a [Accuracies],
}

impl Runs<'_> {
    /// The last accuracies on the training images (set 0) or the test images (set 1).
    fn finals(&self, set: usize) -> Vec<f64> {
        self.curves.iter().map(|curve| curve[set][curve[set].len() - 1]).collect()
    }
}

/// The runs as JSON.
fn numbers(runs: &[Runs<'_>]) -> Value {
    let mut results = json!({});
    for runs in runs {
        results[runs.of.key] = json!({
            "train_accuracy": runs.finals(0), "test_accuracy": runs.finals(1),
            "train_curves": runs.curves.iter().map(|curve| &curve[0]).collect::<Vec<_>>(),
            "test_curves": runs.curves.iter().map(|curve| &curve[1]).collect::<Vec<_>>(),
        });
    }
    results
}

/// The last accuracies and their gap, a variant a row.
fn table(context: &Context<'_>, runs: &[Runs<'_>]) -> Vec<Vec<String>> {
    let head = [
        words("", ""),
        words("accuracy on the 300", "훈련 정확도(300개)"),
        words("on the test images", "시험 정확도"),
        words("gap", "차이"),
    ];
    let mut table = vec![context.list(head)];
    for runs in runs {
        let (train, test) = (runs.finals(0), runs.finals(1));
        let gap: Vec<f64> = train.iter().zip(&test).map(|(train, test)| train - test).collect();
        let name = context.say(runs.of.name).to_owned();
        table.push(vec![name, plus_minus(&train, 3), plus_minus(&test, 3), plus_minus(&gap, 3)]);
    }
    table
}

/// A panel a variant.
fn figure(context: &Context<'_>, subject: &Subject, runs: &[Runs<'_>]) -> Figure {
    let panel = |runs: &Runs<'_>| {
        let mut marks = Vec::new();
        for set in [0, 1] {
            let spread = spread(&runs.curves.iter().map(|curve| curve[set].as_slice()).collect::<Vec<_>>());
            marks.extend(Mark::spread(set, &spread, |epoch| epoch as f64, set == 1));
        }
        Panel {
            title: context.say(runs.of.name).to_owned(),
            x: Axis::linear(context.say(EPOCH), 0.0, (subject.epochs - 1) as f64),
            y: Axis::linear(context.say(ACCURACY), 0.0, 1.0),
            marks,
        }
    };
    Figure {
        title: format!("{} ({})", context.say(subject.title), context.data()),
        description: context
            .say(words(
                "Accuracy on training and test images by epoch, side by side; band: least and greatest of the runs.",
                "에폭에 따른 훈련 정확도와 시험 정확도를 나란히 그렸다. 띠는 여러 번 실행한 값의 최소와 최대이다.",
            ))
            .to_owned(),
        legend: context.list([words("training images", "훈련 데이터"), words("test images", "시험 데이터")]),
        shades: None,
        columns: 2,
        panel_size: [370.0, 260.0],
        panels: runs.iter().map(panel).collect(),
    }
}

/// What the runs say, in a line.
fn headline(runs: &[Runs<'_>]) -> Line {
    let ends: Vec<(Words, f64, f64)> =
        runs.iter().map(|runs| (runs.of.name, mean(&runs.finals(0)), mean(&runs.finals(1)))).collect();
    Line::new(|language| {
        let ends = ends.iter().map(|(name, train, test)| (name.of(language), train, test));
        match language {
            Language::En => {
                let ends: Vec<_> = ends.map(|(name, train, test)| format!("{name}: {train:.3} / {test:.3}")).collect();
                format!("train / test {}", ends.join(", "))
            }
            Language::Ko => {
                let said = |(name, train, test)| format!("{name}: 훈련 정확도 {train:.3}, 시험 정확도 {test:.3}");
                ends.map(said).collect::<Vec<_>>().join("; ")
            }
        }
    })
}
