//! Section 6.1: six optimizers descend f(x, y) = x²/20 + y² from (−7, 2).

use super::terms::{LEARNING_RATE, OPTIMIZER, STEPS as STEPS_WORD};
use super::{Context, Curves, Description, Report};
use crate::figure::{Axis, Figure, Mark, Panel};
use crate::language::{Language, Line, words};
use crate::statistics::rounded;
use optim::{Form, Optimizer, Rule};
use serde_json::json;
use train::Error;

const START: [f32; 2] = [-7.0, 2.0];
const STEPS: usize = 30;

/// Rule, learning rate, and the colour it also has in the comparison on the digits. The chapter has SGD, Momentum,
/// AdaGrad and Adam; Nesterov's rate is Momentum's, and RMSProp's one whose first step, ten times the rate along each
/// axis, is AdaGrad's.
const RULES: [(&str, Rule, f64, usize); 6] = [
    ("SGD", Rule::SGD, 0.95, 0),
    ("Momentum", Rule::MOMENTUM, 0.1, 1),
    ("Nesterov", Rule::NESTEROV, 0.1, 4),
    ("AdaGrad", Rule::ADAGRAD, 1.5, 2),
    ("RMSProp", Rule::RMSPROP, 0.15, 5),
    ("Adam", Rule::ADAM, 0.3, 3),
];

/// ∂f/∂x and ∂f/∂y.
fn gradient([x, y]: [f32; 2]) -> [f32; 2] {
    [x / 10.0, 2.0 * y]
}

/// The points of a descent, the start included.
fn path(context: &Context<'_>, rule: Rule, learning_rate: f64) -> Vec<[f64; 2]> {
    let mut point = START;
    let mut optimizer = Optimizer::new(rule, Form::Book, learning_rate, &[2]);
    let mut points = vec![point.map(f64::from)];
    for _ in 0..STEPS {
        let gradient = gradient(point);
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

/// Arrows along −∇f on a grid; a tenth of the gradient long, as the chapter's look.
fn field() -> Vec<[[f64; 2]; 2]> {
    let grid = (-4..=4).flat_map(|i| (-4..=4).map(move |j| [2.25 * i as f32, 1.1 * j as f32]));
    grid.filter(|&point| point != [0.0, 0.0])
        .map(|point| {
            let [dx, dy] = gradient(point).map(|slope| -0.1 * f64::from(slope));
            let [x, y] = point.map(f64::from);
            [[x, y], [x + dx, y + dy]]
        })
        .collect()
}

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let paths: Vec<Vec<[f64; 2]>> = RULES.iter().map(|&(_, rule, rate, _)| path(context, rule, rate)).collect();
    let mut results = json!({});
    let head = [OPTIMIZER, LEARNING_RATE, words("last x", "마지막 x"), words("last y", "마지막 y"), words("f", "f")];
    let mut table = vec![context.list(head)];
    let mut panels = Vec::new();
    for (&(name, rule, rate, series), path) in RULES.iter().zip(&paths) {
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
        marks.push(Mark::Arrows { arrows: field() });
        marks.push(Mark::Line { series, points: path.clone(), dashed: false });
        marks.push(Mark::Points { series, points: path.clone(), radius: 2.6 });
        panels.push(Panel {
            title: format!("{name}, {} {rate}", context.say(LEARNING_RATE)),
            x: Axis::linear("x", -10.0, 10.0),
            y: Axis::linear("y", -5.0, 5.0),
            marks,
        });
    }
    let figure = Figure {
        title: context
            .say(words("Paths of six optimizers on f(x, y) = x²/20 + y²", "f(x, y) = x²/20 + y²에서 여섯 가지 기법의 갱신 경로"))
            .to_owned(),
        description: context
            .say(words(
                "Contours of f and arrows against its gradient. SGD zigzags across the valley; Momentum swings; AdaGrad and \
                 Adam go straighter.",
                "f의 등고선과 기울기의 반대 방향을 가리키는 화살표. SGD는 지그재그로, 모멘텀은 크게 흔들리며, AdaGrad와 Adam은 \
                 더 곧게 나아간다.",
            ))
            .to_owned(),
        legend: Vec::new(),
        shades: None,
        columns: 3,
        panel_size: [300.0, 200.0],
        panels,
    };
    let [x, y] = START;
    let headline = Line::new(|language| match language {
        Language::En => format!("{STEPS} steps from ({x}, {y})"),
        Language::Ko => format!("({x}, {y})에서 시작하여 {STEPS}번 갱신"),
    });
    Ok(Description {
        name: "optimizer-paths",
        title: words("Optimizers on a long valley", "길쭉한 골짜기에서의 매개변수 갱신"),
        section: "6.1.2 to 6.1.7",
        equation: "f(x, y) = x²/20 + y²",
        lesson: words(
            "The gradient points across the valley, not along it. SGD zigzags; Momentum swings through and keeps what all \
             steps agree on, and Nesterov, which looks ahead, swings less; AdaGrad shrinks the steps of the steep axis, and \
             RMSProp does so over the recent gradients only; Adam joins both ideas. Nesterov and RMSProp are not in the \
             chapter's figure.",
            "기울기는 골짜기를 따라가지 않고 가로지르는 방향을 가리킨다. SGD는 지그재그로 움직인다. 모멘텀은 매번 같은 방향인 \
             성분을 쌓아 가며 흔들리고, 한 걸음 앞을 내다보는 네스테로프는 덜 흔들린다. AdaGrad는 가파른 축의 보폭을 줄이며, \
             RMSProp은 최근의 기울기만으로 그렇게 한다. Adam은 두 발상을 합친 것이다. 네스테로프와 RMSProp은 책의 그림에는 \
             없다.",
        ),
        source: "crates/groundup/src/experiments/optimizer_paths.rs",
    }
    .report(
        context,
        &json!({"start": START, "steps": STEPS}),
        &[
            (words("start", "시작점"), &format!("({}, {})", START[0], START[1])),
            (STEPS_WORD, &STEPS),
            (LEARNING_RATE, &RULES.map(|(name, _, rate, _)| format!("{name} {rate}")).join(", ")),
        ],
        Curves { results, headline, table, figure },
        Vec::new(),
    ))
}
