//! Section 6.5: a learning rate and a weight decay found by random search, and the ranges narrowed.

use super::terms::{
    ACCURACY, BATCH, DATA, EPOCH, EPOCHS as EPOCHS_WORD, LEARNING_RATE, NETWORK, OPTIMIZER, SAMPLES as SAMPLES_WORD,
    SEED, WEIGHT_DECAY,
};
use super::{Context, Curves, Description, Extra, Report};
use crate::figure::{Axis, Figure, Mark, Panel, Shades};
use crate::language::{Line, Words, words};
use crate::statistics::mean;
use crate::trials::{DECAY, RATE, SAMPLES, VALIDATION_SHARE, best_cells, best_line, ranges_json, trials_json};
use serde_json::json;
use train::search::{Found, Search, Trial, validation_split};
use train::{Error, Length};

/// The chapter's hundred trials, then two rounds, each in the ranges that all trials before narrow to.
const ROUNDS: [usize; 3] = [100, 20, 20];
const EPOCHS: u64 = 50;
const BEST: usize = 20;

const VALIDATION_ACCURACY: Words = words("validation accuracy", "검증 정확도");

/// The trials of a round.
fn round(found: &Found, round: usize) -> Vec<&Trial> {
    found.trials.iter().filter(|trial| trial.round == round).collect()
}

/// The figure of the rounds: where in the ranges the trials lie, how good they are, and what the ranges are narrowed
/// to.
fn narrowing(context: &Context<'_>, found: &Found) -> Extra {
    let head = [
        words("round", "회차"),
        words("trials", "시도"),
        words("mean accuracy", "평균 정확도"),
        words("best", "최고"),
        LEARNING_RATE,
        WEIGHT_DECAY,
    ];
    let mut table = vec![context.list(head)];
    let greatest = found.trials.iter().map(Trial::score).fold(f64::MIN_POSITIVE, f64::max);
    let [x, y] = found.ranges[0].map(|range| range.bounds());
    let mut panels = Vec::new();
    for (number, ranges) in found.ranges.iter().enumerate() {
        let trials = round(found, number);
        let scores: Vec<f64> = trials.iter().map(|trial| trial.score()).collect();
        let [rates, decays] = ranges.map(|range| range.bounds());
        let said = |[low, high]: [f64; 2]| format!("{low:.1e} – {high:.1e}");
        table.push(vec![
            (number + 1).to_string(),
            trials.len().to_string(),
            format!("{:.3}", mean(&scores)),
            format!("{:.2}", scores.iter().copied().fold(0.0, f64::max)),
            said(rates),
            said(decays),
        ]);
        let dot = |trial: &&Trial| {
            let Trial { learning_rate, weight_decay, .. } = **trial;
            let [rate, decay] = [RATE, DECAY].map(|words| context.say(words));
            let said = format!("{rate} {learning_rate:.2e}, {decay} {weight_decay:.2e}: {:.2}", trial.score());
            ([learning_rate, weight_decay, trial.score() / greatest], said)
        };
        let mut marks = Vec::new();
        if number > 0 {
            marks.push(Mark::Outline { x: rates, y: decays });
        }
        // The best on top.
        let mut points: Vec<_> = trials.iter().map(dot).collect();
        points.sort_by(|([.., a], _), ([.., b], _)| a.total_cmp(b));
        marks.push(Mark::Shaded { points, radius: 4.5 });
        panels.push(Panel {
            title: format!("{} {}", context.say(words("round", "회차")), number + 1),
            x: Axis::log(context.say(LEARNING_RATE), x[0], x[1]),
            y: Axis::log(context.say(WEIGHT_DECAY), y[0], y[1]),
            marks,
        });
    }
    let title = words("Rounds of random search, and the narrowed ranges", "무작위 탐색의 회차와 좁혀진 범위");
    let lesson = words(
        "Each dot is a trial. The colour changes from left to right, with the learning rate, and hardly from bottom to top. A \
         dashed rectangle is the range of a round: what the best fifth of all trials before it span. The learning rate's range \
         gets narrow, the weight decay's stays wide, and the trials of a narrower range are better on the whole.",
        "점 하나가 한 번의 시도이다. 색은 학습률을 따라 좌우로 변하고, 가중치 감소를 따라서는 거의 변하지 않는다. 파선 사각형은 그 \
         회차의 범위로, 앞선 모든 시도 가운데 상위 5분의 1이 차지하는 범위이다. 학습률의 범위는 좁아지고 가중치 감소의 범위는 넓은 \
         채로 남으며, 범위를 좁히면 시도의 정확도가 전반적으로 높아진다.",
    );
    let figure = Figure {
        title: format!("{} ({})", context.say(title), context.data()),
        description: context.say(lesson).to_owned(),
        legend: Vec::new(),
        shades: Some(Shades {
            name: context.say(VALIDATION_ACCURACY).to_owned(),
            ends: ["0".to_owned(), format!("{greatest:.2}")],
        }),
        columns: ROUNDS.len(),
        panel_size: [270.0, 240.0],
        panels,
    };
    Extra {
        name: "hyperparameter-search-narrowing",
        title: context.say(title),
        lesson: context.say(lesson),
        svg: figure.to_svg(),
        table,
    }
}

/// The best trials, in the chapter's words.
fn table(context: &Context<'_>, best: &[&Trial]) -> Vec<Vec<String>> {
    let head = [words("trial", "시도"), words("learning rate, weight decay", "학습률, 가중치 감소")];
    let mut table = vec![context.list(head)];
    // The chapter's line, in two cells.
    table.extend(best.iter().enumerate().map(|(rank, trial)| best_cells(rank + 1, trial, context.language).into()));
    table
}

/// A panel for each of the best trials.
fn figure(context: &Context<'_>, best: &[&Trial]) -> Figure {
    let panel = |(rank, trial): (usize, &&Trial)| {
        let line = |series: usize, curve: &[f64]| Mark::Line {
            series,
            points: curve.iter().enumerate().map(|(epoch, &accuracy)| [epoch as f64 + 1.0, accuracy]).collect(),
            dashed: series == 1,
        };
        Panel {
            title: format!("Best-{} ({:.2})", rank + 1, trial.score()),
            x: Axis::linear(context.say(EPOCH), 1.0, EPOCHS as f64),
            y: Axis::linear(context.say(ACCURACY), 0.0, 1.0),
            marks: vec![line(0, &trial.validation_accuracy), line(1, &trial.train_accuracy)],
        }
    };
    let title = words("The best 20 of 100 random trials", "무작위로 시도한 100번 가운데 상위 20번");
    Figure {
        title: format!("{} ({})", context.say(title), context.data()),
        description: context
            .say(words(
                "Validation and training accuracy by epoch; the best learning rates lie close together.",
                "에폭에 따른 검증 정확도와 훈련 정확도. 상위 시도의 학습률은 서로 가깝다.",
            ))
            .to_owned(),
        legend: context.list([words("validation images", "검증 데이터"), words("training images", "훈련 데이터")]),
        shades: None,
        columns: 5,
        panel_size: [150.0, 100.0],
        panels: best.iter().enumerate().map(panel).collect(),
    }
}

pub fn run(context: &Context<'_>) -> Result<Report, Error> {
    let (samples, _) = context.digits.mnist.train.split(SAMPLES);
    let (train, validation) = validation_split(&samples, VALIDATION_SHARE, context.seed);
    let mut search = Search::book(context.seed);
    search.base.architecture.inputs = train.width();
    search.base.length = Length::Epochs(EPOCHS);
    search.rounds = ROUNDS.to_vec();
    let trials: usize = ROUNDS.iter().sum();
    let found = context.job("hyperparameter-search", trials as u64, |bar| {
        search.run(context.exec, &train, &validation, None, &|_| bar.inc(1))
    })?;

    // The figure and the table are of the chapter's own round; the other rounds show where it leads.
    let ranking: Vec<_> = found.ranking().into_iter().filter(|trial| trial.round == 0).collect();
    let best: Vec<_> = ranking.iter().take(BEST).copied().collect();
    let (table, figure) = (table(context, &best), figure(context, &best));
    let results = json!({
        "best": best.iter().enumerate().map(|(rank, trial)| best_line(rank + 1, trial)).collect::<Vec<_>>(),
        "ranges": ranges_json(&found),
        "trials": trials_json(&found.trials),
    });
    let [low, high] = found.ranges.last().map_or([0.0; 2], |ranges| ranges[0].bounds());
    let headline = Line::new(|language| {
        let narrowed = words("narrowed to", "좁혀진 학습률 범위").of(language);
        format!("{}; {narrowed} {low:.1e}..{high:.1e}", best_cells(1, ranking[0], language).join(" | "))
    });
    Ok(Description {
        name: "hyperparameter-search",
        title: words("Random search in log ranges", "로그 스케일 범위에서의 무작위 하이퍼파라미터 탐색"),
        section: "6.5.2 and 6.5.3",
        equation: "learning rate = 10^u, u uniform in (−6, −2);  weight decay = 10^v, v uniform in (−8, −4)",
        lesson: words(
            "The good trials agree on the learning rate and hardly on the weight decay: the first matters, and its range can be \
             narrowed. Judged on validation images, never on test images. One search, whatever the number of runs.",
            "좋은 시도는 학습률이 서로 비슷하지만 가중치 감소 계수는 그렇지 않다. 중요한 것은 학습률이고, 그 범위를 좁힐 수 있다. \
             성능은 시험 데이터가 아니라 검증 데이터로 평가한다. 반복 횟수와 관계없이 탐색은 한 번 한다.",
        ),
        source: "crates/groundup/src/experiments/hyperparameter_search.rs",
    }
    .report(
        context,
        &json!({
            "train": train.len(), "validation": validation.len(), "network": context.network("100×6-10, ReLU, He"),
            "optimizer": "SGD", "batch": 100, "epochs": EPOCHS, "trials_by_round": ROUNDS,
        }),
        &[
            (DATA, &context.data()),
            (SAMPLES_WORD, &train.len()),
            (words("validation images", "검증 데이터 수"), &validation.len()),
            (NETWORK, &context.network("100×6-10, ReLU, He")),
            (OPTIMIZER, &"SGD"),
            (LEARNING_RATE, &"10⁻⁶ … 10⁻²"),
            (WEIGHT_DECAY, &"λ 10⁻⁸ … 10⁻⁴"),
            (BATCH, &100),
            (EPOCHS_WORD, &EPOCHS),
            (words("trials by round", "회차별 시도"), &ROUNDS.map(|trials| trials.to_string()).join(", ")),
            (SEED, &context.seed),
        ],
        Curves { results, headline, table, figure },
        vec![narrowing(context, &found)],
    ))
}
