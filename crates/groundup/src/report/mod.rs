//! The page that shows all figures: one file, no network.

mod folder;
mod words;

pub use folder::Folder;

use crate::cli::Chapter;
use crate::experiments::{Report, digits_said, seeds_said};
use crate::figure::escape;
use crate::language::{Language, Words};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// What was run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The digits' name.
    pub data: &'static str,
    /// Runs of each experiment.
    pub runs: u64,
    /// Seed of the first.
    pub seed: u64,
    /// Of the page.
    pub language: Language,
}

impl Run {
    fn say(&self, words: Words) -> &'static str {
        words.of(self.language)
    }

    /// The command that gives an experiment alone: only what differs from the defaults.
    fn command(&self, name: &str) -> String {
        let mut command = format!("cargo run --release -- chapter {name}");
        // Writing to a String cannot fail.
        let _ = match self.data {
            "MNIST" => Ok(()),
            "synthetic digits" => write!(command, " --data synthetic"),
            _ => write!(command, " --data DIR"),
        };
        let default = Chapter::default();
        if self.runs != default.runs {
            let _ = write!(command, " --runs {}", self.runs);
        }
        if self.seed != default.seed {
            let _ = write!(command, " --seed {}", self.seed);
        }
        if self.language != default.lang {
            let _ = write!(command, " --lang {}", self.language.tag());
        }
        command
    }
}

/// The page over the reports there are.
pub fn page(reports: &[&Report], run: &Run) -> String {
    let mut html = String::new();
    let title = run.say(words::TITLE);
    let _ = write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#experiments\">{skip}</a>\n",
        lang = run.language.tag(),
        skip = run.say(words::SKIP),
    );
    head(&mut html, run);
    contents(&mut html, reports, run);
    html.push_str("<main id=\"experiments\" tabindex=\"-1\">\n");
    for report in reports {
        experiment(&mut html, report, run);
    }
    let _ = write!(html, "</main>\n<footer>\n<p>{}</p>\n</footer>\n<script", run.say(words::FOOT));
    for (key, said) in words::SCRIPT {
        let _ = write!(html, " data-{key}=\"{}\"", escape(run.say(said)));
    }
    let _ = write!(html, ">\n{SCRIPT}</script>\n</body>\n</html>\n");
    html
}

fn head(html: &mut String, run: &Run) {
    let _ =
        writeln!(html, "<header>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>", run.say(words::TITLE), run.say(words::BOOK));
    html.push_str("<dl class=\"facts\">\n");
    let facts = [
        (words::DATA, digits_said(run.data, run.language).to_owned()),
        (words::RUNS, run.runs.to_string()),
        (words::SEEDS, seeds_said(run.seed, run.runs)),
    ];
    for (name, value) in facts {
        let _ = writeln!(html, "<div><dt>{}</dt><dd>{}</dd></div>", run.say(name), escape(&value));
    }
    html.push_str("</dl>\n<button type=\"button\" id=\"theme\" hidden></button>\n</header>\n");
}

fn contents(html: &mut String, reports: &[&Report], run: &Run) {
    let _ = writeln!(
        html,
        "<nav aria-labelledby=\"contents\">\n<h2 id=\"contents\" tabindex=\"-1\">{}</h2>\n<ol>",
        run.say(words::CONTENTS)
    );
    for report in reports {
        let _ = writeln!(
            html,
            "<li><a href=\"#{name}\"><b>{title}</b> <span class=\"soft\">{section}</span></a><p>{headline}</p></li>",
            name = report.name,
            title = escape(report.title),
            section = escape(&words::section(report.section, run.language)),
            headline = escape(report.headline.of(run.language)),
        );
    }
    html.push_str("</ol>\n</nav>\n");
}

fn experiment(html: &mut String, report: &Report, run: &Run) {
    let Report { name, headline, .. } = report;
    let _ = writeln!(
        html,
        "<section id=\"{name}\">\n<p class=\"where\">{section}</p>\n\
         <h2>{title}</h2>\n<p class=\"equation\"><span class=\"hidden\">{equation}: </span><code>{formula}</code></p>\n\
         <p class=\"lesson\"><b>{see}.</b> {lesson}</p>\n<p class=\"result\"><b>{result}.</b> {headline}</p>",
        section = escape(&words::section(report.section, run.language)),
        title = escape(report.title),
        equation = run.say(words::EQUATION),
        formula = escape(report.equation),
        see = run.say(words::SEE),
        lesson = escape(report.lesson),
        result = run.say(words::RESULT),
        headline = escape(headline.of(run.language)),
    );
    figure(html, name, report.title, &report.svg, run);
    html.push_str("<div class=\"pair\">\n");
    table(html, report.title, &report.table, run);
    if !report.settings.is_empty() {
        let _ = writeln!(html, "<div class=\"settings\">\n<h3>{}</h3>\n<dl>", run.say(words::SETTINGS));
        for [setting, value] in &report.settings {
            let _ = writeln!(html, "<div><dt>{}</dt><dd>{}</dd></div>", escape(setting), escape(value));
        }
        html.push_str("</dl>\n</div>\n");
    }
    html.push_str("</div>\n");
    for more in &report.more {
        let _ = writeln!(
            html,
            "<div class=\"more\" id=\"{}\">\n<h3>{}</h3>\n<p class=\"lesson\">{}</p>",
            more.name,
            escape(more.title),
            escape(more.lesson)
        );
        figure(html, more.name, more.title, &more.svg, run);
        table(html, more.title, &more.table, run);
        html.push_str("</div>\n");
    }
    repeat(html, report, run);
    html.push_str("</section>\n");
}

fn figure(html: &mut String, name: &str, title: &str, svg: &str, run: &Run) {
    let _ = write!(
        html,
        "<figure class=\"plot\" id=\"{name}-figure\">\n<div class=\"paper-scroll\" role=\"region\" tabindex=\"0\" \
         aria-label=\"{label}\">\n{svg}</div>\n<figcaption>{title} · <a href=\"{name}.svg\">SVG</a></figcaption>\n</figure>\n",
        label = escape(&format!("{}: {title}", run.say(words::FIGURE))),
        title = escape(title),
    );
}

/// A table whose first row is its head and whose first column names the rows.
fn table(html: &mut String, title: &str, rows: &[Vec<String>], run: &Run) {
    let Some((head, body)) = rows.split_first() else { return };
    let caption = escape(&words::caption(title, run.language));
    let _ = write!(
        html,
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\">\n<table>\n\
         <caption>{caption}</caption>\n<thead><tr>"
    );
    // A column of numbers is set to the right.
    let numeric: Vec<bool> =
        (0..head.len()).map(|i| body.iter().all(|row| row.get(i).is_some_and(is_numeric))).collect();
    let class = |i: usize| if numeric.get(i) == Some(&true) { " class=\"number\"" } else { "" };
    for (i, cell) in head.iter().enumerate() {
        // An empty head says nothing to a screen reader, and is no head.
        let _ = match cell.as_str() {
            "" => write!(html, "<td></td>"),
            cell => write!(html, "<th scope=\"col\"{}>{}</th>", class(i), escape(cell)),
        };
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in body {
        html.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let (open, close) = if i == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
            let _ = write!(html, "<{open}{}>{}</{close}>", class(i), escape(cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
}

/// Whether a cell holds a number, perhaps with a unit or a spread after it.
fn is_numeric(cell: &String) -> bool {
    let digits = cell.trim_start_matches(['-', '−', '+', '<', '>', '≈', ' ']);
    cell == "–" || cell == "—" || digits.starts_with(|c: char| c.is_ascii_digit())
}

fn repeat(html: &mut String, report: &Report, run: &Run) {
    let Report { name, source, .. } = report;
    let _ = writeln!(
        html,
        "<h3>{repeat}</h3>\n<ul class=\"repeat\">\n<li>{said} <code>{command}</code></li>\n<li>{code} <code>{source}</code></li>\n\
         <li>{files} <a href=\"{name}.svg\">{name}.svg</a>{more}, <a href=\"{name}.json\">{json}</a></li>\n</ul>\n\
         <p class=\"top\"><a href=\"#contents\">{top}</a></p>",
        repeat = run.say(words::REPEAT),
        said = run.say(words::COMMAND),
        command = escape(&run.command(name)),
        code = run.say(words::CODE),
        files = run.say(words::FILES),
        more =
            report.more.iter().map(|more| format!(", <a href=\"{0}.svg\">{0}.svg</a>", more.name)).collect::<String>(),
        json = run.say(words::NUMBERS_AS_JSON),
        top = run.say(words::TOP),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_what_differs_from_the_defaults_and_nothing_else() {
        let run = Run { data: "MNIST", runs: 3, seed: 1, language: Language::En };
        assert_eq!(run.command("dropout"), "cargo run --release -- chapter dropout");
        let run = Run { data: "synthetic digits", runs: 1, seed: 7, language: Language::Ko };
        let expected = "cargo run --release -- chapter dropout --data synthetic --runs 1 --seed 7 --lang ko";
        assert_eq!(run.command("dropout"), expected);
    }

    #[test]
    fn a_column_is_one_of_numbers_if_all_its_cells_are() {
        for cell in ["0.5", "−1.2e-3", "12 %", "98.0 ± 0.1"] {
            assert!(is_numeric(&cell.to_owned()), "{cell}");
        }
        assert!(!is_numeric(&"Best-1".to_owned()) && !is_numeric(&String::new()));
    }
}
