//! The report's page in a browser: what its script does, in both languages, and on a narrow screen. Needs Chromium.

mod chromium;
#[path = "../support"]
mod support {
    pub mod data;
    pub mod run;
}

use serde_json::Value;
use std::fs;
use std::path::Path;
use support::data::digits;
use support::run::{Ran, command};

/// Kept before anything else on the page runs.
const ERRORS: &str = "<script>const errors = [];
addEventListener('error', (event) => errors.push(String(event.message)));
console.error = (...words) => errors.push(words.join(' '));</script>";

/// The numbers of an attribute or a list of points.
fn numbers(text: &str) -> Vec<f64> {
    text.split([' ', ',']).filter_map(|word| word.parse().ok()).collect()
}

/// The value of an attribute where it first stands after a place in the markup.
fn attribute<'a>(markup: &'a str, after: &str, name: &str) -> &'a str {
    let (_, rest) = markup.split_once(after).unwrap_or_else(|| panic!("no {after}"));
    let (_, rest) = rest.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("no {name} after {after}"));
    rest.split_once('"').unwrap().0
}

/// What a reader is told, as a number.
fn value(row: &Value) -> f64 {
    let text = row["value"].as_str().unwrap().replace('−', "-");
    text.parse().unwrap_or_else(|_| panic!("not a number: {row}"))
}

/// Whether a number is another to three digits.
fn close(told: f64, exact: f64) -> bool {
    (told - exact).abs() <= 0.006 * exact.abs().max(0.01)
}

/// The page in a language, and the files beside it.
struct Page {
    findings: Value,
    paths: Value,
    lines: String,
}

/// The step of SGD's path that is pointed at, and the point of the lines.
const STEP: usize = 3;
const POINT: usize = 40;

impl Page {
    fn open(chromium: &Path, language: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let args =
            ["chapter", "optimizer-paths", "init-comparison", "--runs", "1", "--data", digits(), "--lang", language];
        let ran = Ran::of(command(dir.path(), &args).env_remove("GROUNDUP_ISA"));
        assert_eq!(ran.status, Some(0), "{}", ran.err);
        let read = |name: &str| fs::read_to_string(dir.path().join("report").join(name)).unwrap();
        let [paths, scatter, lines] = ["optimizer-paths.json", "optimizer-paths.svg", "init-comparison.svg"].map(read);
        let paths: Value = serde_json::from_str(&paths).unwrap();

        // From values to a place in the figure, by the axes that the first panel says it has.
        let [plot, x, y] =
            ["data-plot", "data-x", "data-y"].map(|name| numbers(attribute(&scatter, "class=\"panel\"", name)));
        let point = numbers_of(&paths["results"]["sgd"]["path"][STEP]);
        let place = [
            plot[0] + plot[2] * (point[0] - x[0]) / (x[1] - x[0]),
            plot[1] + plot[3] * (1.0 - (point[1] - y[0]) / (y[1] - y[0])),
        ];
        let on_line = &numbers(attribute(&lines, "<polyline", "points"))[2 * POINT..][..2];
        let probe = include_str!("probe.js")
            .replace("PLACE_OF_POINT", &format!("{place:?}"))
            .replace("PLACE_ON_LINE", &format!("{on_line:?}"));
        let page = read("index.html").replacen("<head>", &format!("<head>{ERRORS}"), 1).replacen(
            "</body>",
            &format!("<script>{probe}</script></body>"),
            1,
        );
        let file = dir.path().join("report/probed.html");
        fs::write(&file, page).unwrap();
        let document = chromium::dump(chromium, &file, dir.path());
        let found = document.split_once("<pre id=\"findings\">").and_then(|(_, rest)| rest.split_once("</pre>"));
        let (found, _) = found.unwrap_or_else(|| panic!("the probe found nothing"));
        let found = found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        Self { findings: serde_json::from_str(&found).unwrap(), paths, lines }
    }

    /// The values of the panel's series at a point of their lines, by the pixels and the axis: the axis is logarithmic.
    fn on_lines(&self, point: usize) -> Vec<f64> {
        let [plot, y] = ["data-plot", "data-y"].map(|name| attribute(&self.lines, "class=\"panel\"", name));
        assert!(y.ends_with("log"), "the axis of the loss: {y}");
        let (plot, y) = (numbers(plot), numbers(y));
        let lines = self.lines.split("<polyline").skip(1);
        let pixels = lines.map(|line| numbers(attribute(line, "", "points"))[2 * point + 1]);
        pixels.map(|pixel| y[1] * (y[0] / y[1]).powf((pixel - plot[1]) / plot[3])).collect()
    }

    fn check_words(&self, language: &str, title: &str) {
        let found = &self.findings;
        assert_eq!(found["lang"], language);
        assert!(found["title"].as_str().unwrap().contains(title) && found["heading"] == found["title"], "{found}");
    }

    fn check_hover(&self) {
        let found = &self.findings;
        let point = numbers_of(&self.paths["results"]["sgd"]["path"][STEP]);
        for rows in [&found["scatter"], &found["touch"]] {
            assert_eq!(rows.as_array().map(Vec::len), Some(2), "{rows}");
            assert!(close(value(&rows[0]), point[0]) && close(value(&rows[1]), point[1]), "{rows}, expected {point:?}");
        }
        let told: Vec<f64> = found["lines"].as_array().unwrap()[1..].iter().map(value).collect();
        let expected = self.on_lines(POINT);
        assert_eq!(told.len(), 3, "{}", found["lines"]);
        assert!(
            told.iter().zip(&expected).all(|(&told, &exact)| close(told, exact)),
            "{told:?}, expected {expected:?}"
        );
        let labels: Vec<&str> =
            found["lines"].as_array().unwrap().iter().map(|row| row["label"].as_str().unwrap()).collect();
        assert!(labels[2].contains("Xavier") && labels[3].contains("He"), "{labels:?}");
        assert!(found["lines"][1]["swatch"].as_str().unwrap().starts_with("rgb"), "{}", found["lines"]);
        assert_eq!((&found["crosses"], &found["left"]), (&1.into(), &0.into()));
    }

    fn check_toggle(&self) {
        let found = &self.findings;
        for (i, state) in found["toggle"].as_array().unwrap().iter().enumerate() {
            let seen = i % 2 == 0;
            assert_eq!(state["pressed"], seen.to_string(), "{}", found["toggle"]);
            assert_eq!(state["shown"].as_u64().map(|count| count > 0), Some(seen), "{}", found["toggle"]);
            assert!(state["others"].as_u64() > Some(0), "{}", found["toggle"]);
        }
        assert_eq!(found["toggle"].as_array().map(Vec::len), Some(4));
        assert_eq!(found["withoutFirst"].as_array().map(Vec::len), Some(3), "{}", found["withoutFirst"]);
    }

    fn check_keyboard(&self) {
        let found = &self.findings;
        for (rows, point) in [("home", 0), ("right", 1)] {
            let expected = self.on_lines(point);
            for (row, exact) in found[rows].as_array().unwrap()[1..].iter().zip(&expected) {
                assert!(close(value(row), *exact), "{rows}: {}, expected {expected:?}", found[rows]);
            }
        }
        let x = |rows: &str| value(&found[rows][0]);
        assert!(x("home") < x("right") && x("right") < x("end"), "{found}");
        assert_eq!((&found["escaped"], &found["live"]), (&0.into(), &"polite".into()));
        assert_eq!(found["focusable"], serde_json::json!([0, 0]));
    }

    fn check_themes(&self) {
        let looks = self.findings["themes"].as_array().unwrap();
        let names: Vec<&str> = looks.iter().map(|look| look["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["auto", "light", "dark", "auto"]);
        for surface in ["paper", "figure"] {
            assert_ne!(looks[1][surface], looks[2][surface], "{surface} is the same in light and dark");
            assert_eq!(looks[0][surface], looks[3][surface]);
        }
        assert_ne!(looks[1]["says"], looks[2]["says"]);
    }

    fn check_widths_and_errors(&self) {
        let found = &self.findings;
        assert_eq!((&found["overflow"], &found["narrow"]["overflow"]), (&0.into(), &0.into()), "the page is too wide");
        assert_eq!(found["narrow"]["width"], 360);
        let none = Value::Array(Vec::new());
        assert_eq!((&found["errors"], &found["narrow"]["errors"]), (&none, &none));
    }
}

fn numbers_of(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn the_page_is_read_by_mouse_touch_and_keyboard_in_both_languages() {
    let Some(chromium) = chromium::find() else {
        println!("SKIPPED: no Chromium");
        return;
    };
    for (language, title) in [("en", "Training techniques"), ("ko", "학습 관련 기술")] {
        let page = Page::open(&chromium, language);
        page.check_words(language, title);
        page.check_hover();
        page.check_toggle();
        page.check_keyboard();
        page.check_themes();
        page.check_widths_and_errors();
    }
}
