//! Section 6.1: four optimizers descend f(x, y) = x²/20 + y² from (−7, 2).

use super::{Context, Description, Report};
use crate::figure::{Axis, Figure, Mark, Panel};
use crate::statistics::rounded;
use optim::{Form, Optimizer, Rule};
use serde_json::json;
use train::Error;

const START: [f32; 2] = [-7.0, 2.0];
const STEPS: usize = 30;

/// Rule and learning rate, as the chapter has them.
const RULES: [(&str, Rule, f64); 4] = [
    ("SGD", Rule::SGD, 0.95),
    ("Momentum", Rule::MOMENTUM, 0.1),
    ("AdaGrad", Rule::ADAGRAD, 1.5),
    ("Adam", Rule::ADAM, 0.3),
];

/// The points of a descent, the start included.
fn path(context: &Context<'_>, rule: Rule, learning_rate: f64) -> Vec<[f64; 2]> {
    let mut point = START;
    let mut optimizer = Optimizer::new(rule, Form::Book, learning_rate, &[2]);
    let mut points = vec![point.map(f64::from)];
    for _ in 0..STEPS {
        let gradient = [point[0] / 10.0, 2.0 * point[1]];
        optimizer.begin_step();
        optimizer.update(context.exec.one_thread(), 0, &mut point, &gradient, 0.0);
        points.push(point.map(f64::from));
    }
    points
}

/// The contour f = level, an ellipse.
fn contour(level: f64) -> Vec<[f64; 2]> {
    let turn = |i: u32| f64::from(i) * std::f64::consts::TAU / 96.0;
    (0..=96).map(|i| [(20.0 * level).sqrt() * turn(i).cos(), level.sqrt() * turn(i).sin()]).collect()
}

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let paths: Vec<Vec<[f64; 2]>> = RULES.iter().map(|&(_, rule, rate)| path(context, rule, rate)).collect();
    let mut results = json!({});
    let mut table = vec![["optimizer", "learning rate", "last x", "last y", "f"].map(str::to_owned).to_vec()];
    let mut panels = Vec::new();
    for (i, (&(name, rule, rate), path)) in RULES.iter().zip(&paths).enumerate() {
        let [x, y] = path[STEPS];
        let f = x * x / 20.0 + y * y;
        results[rule.name()] = json!({
            "learning_rate": rate,
            "path": path.iter().map(|point| point.map(|value| rounded(value, 7))).collect::<Vec<_>>(),
            "final": [x, y],
        });
        table.push(vec![name.to_owned(), rate.to_string(), format!("{x:.4}"), format!("{y:.4}"), format!("{f:.2e}")]);
        let mut marks: Vec<Mark> =
            [0.25, 1.0, 2.5, 5.0, 10.0, 20.0].map(|level| Mark::Guide { points: contour(level) }).into();
        marks.push(Mark::Line { series: i, points: path.clone(), dashed: false });
        marks.push(Mark::Points { series: i, points: path.clone(), radius: 2.6 });
        panels.push(Panel {
            title: format!("{name}, learning rate {rate}"),
            x: Axis::linear("x", -10.0, 10.0),
            y: Axis::linear("y", -5.0, 5.0),
            marks,
        });
    }
    let figure = Figure {
        title: "Paths of four optimizers on f(x, y) = x²/20 + y²".to_owned(),
        description: "SGD zigzags across the valley; Momentum swings; AdaGrad and Adam go straighter.".to_owned(),
        legend: Vec::new(),
        columns: 2,
        panel_size: [360.0, 220.0],
        panels,
    };
    Ok(Description {
        name: "optimizer-paths",
        title: "Optimizers on a long valley",
        section: "6.1.2 to 6.1.7",
        equation: "f(x, y) = x²/20 + y²",
        lesson: "The gradient points across the valley, not along it. SGD zigzags; Momentum swings through and keeps what all \
                 steps agree on; AdaGrad shrinks the steps of the steep axis; Adam does both.",
        source: "crates/groundup/src/experiments/optimizer_paths.rs",
    }
    .report(
        context,
        &json!({"start": START, "steps": STEPS}),
        results,
        format!("{STEPS} steps from ({}, {})", START[0], START[1]),
        table,
        &figure,
    ))
}
