//! `groundup chapter` on a small folder: the files it writes, and what the two quick experiments have to show. The
//! others need MNIST and minutes: `reference.rs`.

mod support {
    pub mod data;
    pub mod isa;
    pub mod korean;
    pub mod markup;
    pub mod run;
}

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use support::data::digits;
use support::isa::is_portable;
use support::korean::english_results;
use support::markup::markup_fault;
use support::run::{Ran, command};

/// The cases of the activation histograms.
const CASES: [&str; 9] = [
    "sigmoid-std1",
    "sigmoid-std0.01",
    "sigmoid-xavier",
    "relu-std0.01",
    "relu-xavier",
    "relu-he",
    "tanh-std1",
    "tanh-std0.01",
    "tanh-xavier",
];

/// What a run of the chapter left: files by name, and its standard output.
struct Left {
    files: BTreeMap<String, String>,
    out: String,
}

impl Left {
    fn json(&self, experiment: &str) -> Value {
        serde_json::from_str(&self.files[&format!("{experiment}.json")]).unwrap()
    }

    fn results(&self, experiment: &str) -> Value {
        self.json(experiment)["results"].clone()
    }
}

/// Runs the chapter on the small digits.
fn chapter(options: &str) -> Left {
    let dir = tempfile::tempdir().unwrap();
    let mut args = vec!["chapter", "--data", digits(), "--out", "out/here"];
    args.extend(options.split_whitespace());
    let mut command = command(dir.path(), &args);
    // The portable row takes minutes here; that it gives the same bits is tested where it is cheap (`cli/train.rs`).
    if is_portable() {
        println!("SKIPPED: the chapter on portable; it is run on the best ISA there is");
        command.env_remove("GROUNDUP_ISA");
    }
    let ran = Ran::of(&mut command);
    assert_eq!(ran.status, Some(0), "{options}: {}", ran.err);
    let out = dir.path().join("out/here");
    let entries = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files = entries.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect();
    Left { files, out: ran.out }
}

/// Both quick experiments, one run, one thread; done once.
fn both() -> &'static Left {
    static BOTH: OnceLock<Left> = OnceLock::new();
    BOTH.get_or_init(|| chapter("optimizer-paths activation-histograms --runs 1 --threads 1"))
}

/// A list of numbers.
fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap_or_else(|| panic!("not a list: {list}")).iter().map(|x| x.as_f64().unwrap()).collect()
}

/// A quantity of the fifth layer of a case of the histograms.
fn fifth(case: &str, quantity: &str) -> f64 {
    let values = numbers(&both().results("activation-histograms")[case][quantity]);
    assert_eq!(values.len(), 5, "{case} {quantity}");
    values[4]
}

#[test]
fn each_experiment_leaves_a_figure_its_numbers_and_a_section_of_the_page() {
    let names: Vec<&str> = both().files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "activation-histograms-relu.svg",
            "activation-histograms-tanh.svg",
            "activation-histograms.json",
            "activation-histograms.svg",
            "gradient-histograms.svg",
            "index.html",
            "optimizer-paths.json",
            "optimizer-paths.svg",
            "times.json"
        ]
    );
    let page = &both().files["index.html"];
    for experiment in ["optimizer-paths", "activation-histograms"] {
        let json = both().json(experiment);
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["experiment", "title", "section", "data", "seed", "runs", "settings", "results"]);
        assert_eq!((&json["experiment"], &json["seed"], &json["runs"]), (&experiment.into(), &1.into(), &1.into()));
        assert!(json["data"].as_str().is_some_and(|data| !data.is_empty()), "{experiment}: {}", json["data"]);
        for object in ["settings", "results"] {
            assert!(
                json[object].as_object().is_some_and(|object| !object.is_empty()),
                "{experiment}: {}",
                json[object]
            );
        }
        let svg = &both().files[&format!("{experiment}.svg")];
        assert_eq!(page.matches(&format!("<section id=\"{experiment}\">")).count(), 1, "{experiment}");
        assert!(page.contains(svg.trim_end()), "the page does not show {experiment}");
        assert!(page.contains(&format!("href=\"{experiment}.json\"")), "{experiment}");
        assert!(both().out.lines().any(|line| line.starts_with(experiment)), "{}", both().out);
    }
    // One file, no network: the only address is the name of SVG itself.
    let addresses = page.matches("http").count();
    assert_eq!(addresses, page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count(), "the page needs the network");
    assert!(page.matches("<script").count() == 1 && !page.contains("src=") && !page.contains("url("));
    assert!(both().out.lines().last().unwrap().starts_with("report: out/here"), "{}", both().out);
}

#[test]
fn a_figure_is_well_formed_has_words_for_a_screen_reader_and_only_finite_places() {
    for (experiment, svg) in both().files.iter().filter(|(name, _)| name.ends_with(".svg")) {
        assert_eq!(markup_fault(svg), None, "{experiment}");
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{experiment}");
        for element in ["title", "desc"] {
            let words = svg.split_once(&format!("<{element}>")).and_then(|(_, after)| after.split_once('<'));
            let (words, _) = words.unwrap_or_else(|| panic!("{experiment} has no {element}"));
            assert!(words.split_whitespace().count() >= 4, "{experiment}: {element} {words:?}");
        }
        for attribute in ["x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "width", "height"] {
            for value in svg.split(&format!(" {attribute}=\"")).skip(1) {
                let (value, _) = value.split_once('"').unwrap();
                let number: Result<f64, _> = value.parse();
                assert!(number.is_ok_and(f64::is_finite), "{experiment}: {attribute}=\"{value}\"");
            }
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{experiment}");
    }
    // Six paths of 31 points; three cases of five layers an activation; nine cases with a line a layer.
    let count = |experiment: &str, what: &str| both().files[experiment].matches(what).count();
    assert_eq!(count("optimizer-paths.svg", "<circle"), 6 * 31);
    for figure in ["activation-histograms.svg", "activation-histograms-relu.svg", "activation-histograms-tanh.svg"] {
        assert_eq!(count(figure, "class=\"panel\""), 3 * 5, "{figure}");
    }
    assert_eq!(count("gradient-histograms.svg", "class=\"panel\""), 9);
    assert_eq!(count("gradient-histograms.svg", "<polyline"), 9 * 5);
}

#[test]
fn a_second_run_on_two_threads_gives_the_same_bytes_and_another_seed_others() {
    let again = chapter("optimizer-paths activation-histograms --runs 1 --threads 2");
    // How long it took is the one thing that is not the same.
    for (name, text) in both().files.iter().filter(|(name, _)| *name != "times.json") {
        assert!(again.files[name] == *text, "{name} of a second run, on two threads, is another");
    }
    let times: Value = serde_json::from_str(&again.files["times.json"]).unwrap();
    assert_eq!(times["threads"], 2);
    for experiment in ["optimizer-paths", "activation-histograms"] {
        assert!(times["seconds"][experiment].is_f64() && times["total"].is_f64(), "{times}");
    }
    assert_eq!(again.files.len(), both().files.len());
    let other = chapter("activation-histograms --runs 1 --threads 2 --seed 2");
    assert_eq!(other.json("activation-histograms")["seed"], 2);
    let (these, those) = (both().results("activation-histograms"), other.results("activation-histograms"));
    for case in CASES {
        assert_ne!(these[case]["std"], those[case]["std"], "{case} of seeds 1 and 2");
    }
}

#[test]
fn the_six_paths_are_those_of_the_books_formulas() {
    let gradient = |[x, y]: [f64; 2]| [x / 10.0, 2.0 * y];
    type Path = Vec<[f64; 2]>;
    let descend = |step: &mut dyn FnMut(i32, usize, f64) -> f64| -> Path {
        let mut point = [-7.0, 2.0];
        let mut path = vec![point];
        for t in 1..=30 {
            let g = gradient(point);
            point = [0, 1].map(|i| point[i] + step(t, i, g[i]));
            path.push(point);
        }
        path
    };
    let sgd = descend(&mut |_, _, g| -0.95 * g);
    let mut v = [0.0; 2];
    let momentum = descend(&mut |_, i, g| {
        v[i] = 0.9 * v[i] - 0.1 * g;
        v[i]
    });
    let mut h = [0.0; 2];
    let adagrad = descend(&mut |_, i, g| {
        h[i] += g * g;
        -1.5 * g / (h[i].sqrt() + 1e-7)
    });
    let (mut m, mut v) = ([0.0; 2], [0.0; 2]);
    let adam = descend(&mut |t, i, g| {
        m[i] += (1.0 - 0.9) * (g - m[i]);
        v[i] += (1.0 - 0.999) * (g * g - v[i]);
        let rate = 0.3 * (1.0 - 0.999_f64.powi(t)).sqrt() / (1.0 - 0.9_f64.powi(t));
        -rate * m[i] / (v[i].sqrt() + 1e-7)
    });
    let mut v = [0.0; 2];
    let nesterov = descend(&mut |_, i, g| {
        let step = 0.9 * 0.9 * v[i] - 1.9 * 0.1 * g;
        v[i] = 0.9 * v[i] - 0.1 * g;
        step
    });
    let mut h = [0.0; 2];
    let rmsprop = descend(&mut |_, i, g| {
        h[i] = 0.99 * h[i] + (1.0 - 0.99) * g * g;
        -0.15 * g / (h[i].sqrt() + 1e-7)
    });

    let results = both().results("optimizer-paths");
    let expected = [
        ("sgd", sgd),
        ("momentum", momentum),
        ("nesterov", nesterov),
        ("adagrad", adagrad),
        ("rmsprop", rmsprop),
        ("adam", adam),
    ];
    for (rule, expected) in expected {
        let path: Vec<Vec<f64>> = results[rule]["path"].as_array().unwrap().iter().map(numbers).collect();
        assert_eq!(path.len(), 31, "{rule}");
        let last = numbers(&results[rule]["final"]);
        for (step, (point, expected)) in
            path.iter().chain([&last]).zip(expected.iter().chain(&expected[30..])).enumerate()
        {
            let near = |i: usize| (point[i] - expected[i]).abs() <= 1e-4;
            assert!(point.len() == 2 && near(0) && near(1), "{rule}, step {step}: {point:?}, expected {expected:?}");
        }
    }
}

#[test]
fn the_shares_of_a_histogram_sum_to_one_and_go_with_the_mean() {
    let results = both().results("activation-histograms");
    for case in CASES {
        let [low, high] = numbers(&results[case]["range"])[..] else { panic!("{case} has no range") };
        let means = numbers(&results[case]["mean"]);
        let layers = results[case]["histogram"].as_array().unwrap();
        assert_eq!(layers.len(), 5, "{case}");
        for (layer, (shares, mean)) in layers.iter().map(numbers).zip(means).enumerate() {
            let sum: f64 = shares.iter().sum();
            // Each share is rounded to six digits.
            assert!((sum - 1.0).abs() < 30.0 * 0.5e-6 + 1e-9, "{case}, layer {layer}: {sum}");
            assert!(shares.len() == 30 && shares.iter().all(|share| (0.0..=1.0).contains(share)), "{case}: {shares:?}");
            let width = (high - low) / 30.0;
            let centre = |bar: usize| low + (bar as f64 + 0.5) * width;
            let by_bars: f64 = shares.iter().enumerate().map(|(bar, share)| share * centre(bar)).sum();
            // ReLU's last bar counts all that lies beyond, so that the bars may only be too low.
            let away = by_bars - mean;
            let below = if case.starts_with("relu") { f64::INFINITY } else { width / 2.0 };
            assert!(away <= width / 2.0 + 1e-4 && away >= -below - 1e-4, "{case}, layer {layer}: {by_bars}, {mean}");
        }
    }
}

#[test]
fn sigmoid_saturates_with_std_1_says_one_half_with_std_0_01_and_keeps_a_spread_with_xavier() {
    let ends = |case: &str| fifth(case, "share_under_0.1") + fifth(case, "share_over_0.9");
    assert!(ends("sigmoid-std1") > 0.5, "share at the ends with std 1: {}", ends("sigmoid-std1"));
    assert!(fifth("sigmoid-std1", "share_under_0.1") > 0.25 && fifth("sigmoid-std1", "share_over_0.9") > 0.25);

    let (mean, std) = (fifth("sigmoid-std0.01", "mean"), fifth("sigmoid-std0.01", "std"));
    assert!((mean - 0.5).abs() < 0.01 && std > 0.0 && std < 0.05, "std 0.01: {mean} ± {std}");

    let xavier = fifth("sigmoid-xavier", "std");
    assert!(xavier > 0.1 && xavier > 5.0 * std, "std with Xavier {xavier}, with std 0.01 {std}");
    assert!(ends("sigmoid-xavier") < 0.05, "share at the ends with Xavier: {}", ends("sigmoid-xavier"));
}

#[test]
fn relu_dies_with_std_0_01_shrinks_with_xavier_and_keeps_its_spread_with_he() {
    let std = |case: &str| numbers(&both().results("activation-histograms")[case]["std"]);
    let (small, xavier, he) = (std("relu-std0.01"), std("relu-xavier"), std("relu-he"));
    assert!(small[4] < 0.01 && small.windows(2).all(|pair| pair[1] < 0.2 * pair[0]), "std 0.01: {small:?}");
    assert!(xavier.windows(2).all(|pair| pair[1] < 0.9 * pair[0]), "Xavier: {xavier:?}");
    assert!(he.iter().all(|std| (0.6 * he[0]..1.6 * he[0]).contains(std)), "He: {he:?}");
    assert!(he[4] > 3.0 * xavier[4] && xavier[4] > small[4], "fifth layer: He {}, Xavier {}", he[4], xavier[4]);
    // The scale changes no sign: what is zero is zero with all three, about half, and it takes no unit out.
    let zero = |case: &str| fifth(case, "share_zero");
    assert!((0.3..0.7).contains(&zero("relu-he")), "share of zeros: {}", zero("relu-he"));
    assert_eq!((zero("relu-he"), zero("relu-he")), (zero("relu-xavier"), zero("relu-std0.01")));
    assert!(fifth("relu-he", "share_dead_units") < 0.1);
}

#[test]
fn tanh_saturates_with_std_1_dies_with_std_0_01_and_keeps_a_spread_with_xavier() {
    let outer = |case: &str| {
        let shares = both().results("activation-histograms")[case]["histogram"][4].clone();
        let shares = numbers(&shares);
        // The three outermost bars of each side: beyond ±0.8.
        shares[..3].iter().chain(&shares[27..]).sum::<f64>()
    };
    assert!(outer("tanh-std1") > 0.8, "share beyond 0.8 with std 1: {}", outer("tanh-std1"));
    let (small, xavier) = (fifth("tanh-std0.01", "std"), fifth("tanh-xavier", "std"));
    assert!(small < 0.01, "std with std 0.01: {small}");
    assert!(xavier > 0.2 && outer("tanh-xavier") < 0.1, "Xavier: {xavier}, beyond 0.8 {}", outer("tanh-xavier"));
    for case in ["tanh-std1", "tanh-std0.01", "tanh-xavier"] {
        assert!(fifth(case, "mean").abs() < 0.05, "{case}: {}", fifth(case, "mean"));
    }
}

#[test]
fn the_gradient_vanishes_with_std_0_01_and_reaches_the_first_layer_with_xavier_for_tanh_and_he_for_relu() {
    let results = both().results("activation-histograms");
    for activation in ["sigmoid", "relu", "tanh"] {
        let std = numbers(&results[format!("{activation}-std0.01")]["gradient"]["std"]);
        assert!(std.windows(2).all(|pair| 0.0 < pair[0] && pair[0] < 0.2 * pair[1]), "{activation}: {std:?}");
    }
    for case in ["relu-he", "tanh-xavier"] {
        let std = numbers(&results[case]["gradient"]["std"]);
        assert!(std.len() == 5 && std[0] > 0.3 * std[4] && std[0] < 3.0 * std[4], "{case}: {std:?}");
    }
    for case in CASES {
        let gradient = &results[case]["gradient"];
        for (shares, zero) in gradient["histogram"].as_array().unwrap().iter().zip(numbers(&gradient["share_zero"])) {
            let sum = numbers(shares).iter().sum::<f64>() + zero;
            assert!((sum - 1.0).abs() < 1e-4, "{case}: {sum}");
        }
        // A gradient is counted where a ReLU is on, and there only.
        let off = if case.starts_with("relu") { fifth(case, "share_zero") } else { 0.0 };
        let zero = numbers(&gradient["share_zero"])[4];
        assert!((zero - off).abs() < 1e-5, "{case}: {zero} of the gradient and {off} of the activations are 0");
    }
}

#[test]
fn with_zero_weights_training_moves_the_weights_but_all_units_of_a_layer_stay_one() {
    let results = both().results("activation-histograms");
    for activation in ["sigmoid", "relu", "tanh"] {
        let zero = &results["zero_weights"][activation];
        assert_eq!(zero["greatest_difference_between_units"].as_f64(), Some(0.0), "{activation}");
        // A NaN would be null, and would also make the difference 0.
        assert!(zero["last_loss"].is_f64() && zero["steps"] == 300, "{activation}: {zero}");
        // W and b of two hidden layers and of the last one.
        let moved = numbers(&zero["greatest_weight_or_bias_by_parameter"]);
        assert_eq!(moved.len(), 6, "{activation}");
        if activation == "sigmoid" {
            assert!(moved.iter().all(|&moved| moved > 1e-4), "{moved:?}");
        } else {
            // 0 in gives 0 out, so that only the last bias has a gradient.
            assert!(moved[..5].iter().all(|&moved| moved == 0.0) && moved[5] > 1e-3, "{activation}: {moved:?}");
        }
    }
}

#[test]
fn in_korean_the_figures_speak_korean_and_the_numbers_are_the_same() {
    let korean = chapter("optimizer-paths activation-histograms --runs 1 --threads 2 --lang ko");
    assert!(korean.files.keys().eq(both().files.keys()));
    let hangul = |text: &str| text.chars().any(|c| ('가'..='힣').contains(&c));
    for (name, text) in korean.files.iter().filter(|(name, _)| !name.ends_with(".html") && *name != "times.json") {
        if name.ends_with(".json") {
            assert!(*text == both().files[name], "{name} depends on the language");
        } else {
            assert!(hangul(text) && !hangul(&both().files[name]), "{name}");
        }
    }
    // The terminal has the results in English.
    let line = "30 steps from (-7, 2)";
    assert!(korean.out.contains(line) && both().files["index.html"].contains(line), "{}", korean.out);
    assert!(!english_results(&both().files["index.html"]).is_empty());
}

/// The other kinds of results are in `reference.rs`: they take longer.
#[test]
fn a_korean_page_has_no_english_results() {
    let korean = chapter("optimizer-paths activation-histograms weight-decay --runs 1 --threads 2 --lang ko");
    let english = english_results(&korean.files["index.html"]);
    assert!(english.is_empty(), "{english:?}");
}

#[test]
fn a_name_given_twice_is_one_section_of_the_page() {
    let left = chapter("optimizer-paths optimizer-paths --runs 1 --threads 1");
    assert_eq!(left.files["optimizer-paths.svg"], both().files["optimizer-paths.svg"]);
    let page = &left.files["index.html"];
    assert_eq!(page.matches("<section id=\"optimizer-paths\">").count(), 1, "an id stands twice in the page");
}

#[test]
fn an_unknown_name_is_a_wrong_command_line_and_nothing_is_done_for_the_known_ones_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["chapter", "optimizer-paths", "optimiser-paths", "--data", digits()];
    let ran = Ran::of(&mut command(dir.path(), &args));
    assert_eq!((ran.status, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("optimiser-paths") && ran.err.contains("hyperparameter-search"), "{}", ran.err);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was written");
}

#[test]
fn every_experiment_that_fails_has_a_line_of_cause_and_one_of_cure() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["optimizer-paths", "activation-histograms"];
    // No file can take the place of a folder.
    names.iter().for_each(|name| fs::create_dir_all(dir.path().join(format!("report/{name}.svg"))).unwrap());
    let args = ["chapter", names[0], names[1], "--data", digits(), "--runs", "1", "--threads", "1"];
    let ran = Ran::of(&mut command(dir.path(), &args));
    assert_eq!(ran.status, Some(1), "{}", ran.err);
    let lines: Vec<&str> = ran.err.lines().filter(|line| !line.starts_with("note: ")).collect();
    assert_eq!(lines.len(), 4, "{}", ran.err);
    for (name, lines) in names.iter().zip(lines.chunks(2)) {
        assert!(lines[0].starts_with(&format!("error: {name}: ")) && lines[0].contains(".svg"), "{}", ran.err);
        assert!(lines[1].starts_with("cure:  ") && !lines[0].contains("; "), "{}", ran.err);
    }
}

#[test]
fn without_out_the_report_is_in_report_and_a_place_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["chapter", "optimizer-paths", "--data", digits(), "--runs", "1"];
    let ran = Ran::of(&mut command(dir.path(), &paths));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    for file in ["index.html", "optimizer-paths.svg", "optimizer-paths.json"] {
        assert!(dir.path().join("report").join(file).is_file(), "no report/{file}");
    }
    fs::write(dir.path().join("file"), "x").unwrap();
    let ran = Ran::of(&mut command(dir.path(), &[&paths[..], &["--out", "file"]].concat()));
    assert_eq!(ran.status, Some(1));
    assert!(ran.err.lines().any(|line| line.starts_with("error: file")), "{}", ran.err);
    assert_eq!(fs::read_to_string(dir.path().join("file")).unwrap(), "x");
}
