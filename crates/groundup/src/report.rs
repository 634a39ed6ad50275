//! The page that shows all figures: one file, no network.

use crate::experiments::{Context, Report};
use crate::figure::escape;
use std::fmt::Write;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6570;--line:#e3e7ec;--paper:#fff;--card:#f6f8fa}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa6b2;--line:#2b323b;--paper:#14181d;--card:#1b2027}}
body{margin:0 auto;max-width:70rem;padding:1.5rem;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','Noto Sans KR',sans-serif}
h1{font-size:1.7rem;margin:0 0 .3rem}h2{font-size:1.3rem;margin:0 0 .2rem}
section{border-top:1px solid var(--line);padding:1.6rem 0}
.soft{color:var(--soft)}.figure{overflow-x:auto;margin:1rem 0}.figure svg{max-width:100%;height:auto}
@media(max-width:50rem){.figure svg{max-width:none}}
table{border-collapse:collapse;font-size:.9rem;display:block;overflow-x:auto}
td,th{padding:.25rem .8rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}
code{background:var(--card);padding:.1rem .35rem;border-radius:.25rem;font-size:.9em;overflow-wrap:anywhere}
nav a{display:inline-block;white-space:nowrap;margin-right:1rem}a{color:inherit}";

/// The page over the reports there are.
pub fn page(reports: &[Report], context: &Context<'_>) -> String {
    let mut html = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Training techniques, from the ground up</title><style>{STYLE}</style></head><body>\n\
         <h1>Training techniques, from the ground up</h1>\n\
         <p class=\"soft\">Chapter 6 of <cite>Deep Learning from Scratch</cite> on {data}; {runs} run{s} of each, seeds from \
         {seed}.</p>\n<nav>",
        data = context.digits.name,
        runs = context.runs,
        s = if context.runs == 1 { "" } else { "s" },
        seed = context.seed,
    );
    for report in reports {
        let _ = write!(html, "<a href=\"#{0}\">{0}</a>", report.name);
    }
    html.push_str("</nav>\n");
    for report in reports {
        let _ = write!(
            html,
            "<section id=\"{name}\">\n<h2>{title}</h2>\n<p class=\"soft\">Section {section} · <code>{equation}</code></p>\n\
             <p>{lesson}</p>\n<div class=\"figure\">\n{svg}</div>\n",
            name = report.name,
            title = escape(report.title),
            section = escape(report.section),
            equation = escape(report.equation),
            lesson = escape(report.lesson),
            svg = report.svg,
        );
        html.push_str("<table>");
        for (i, row) in report.table.iter().enumerate() {
            let tag = if i == 0 { "th" } else { "td" };
            let cells: String = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
            let _ = write!(html, "<tr>{cells}</tr>");
        }
        let _ = write!(
            html,
            "</table>\n<p class=\"soft\"><code>cargo run --release -- chapter {name}</code> gives this figure alone \
             (<a href=\"{name}.svg\">SVG</a>, <a href=\"{name}.json\">JSON</a>); its code is <code>{source}</code>.</p>\n\
             </section>\n",
            name = report.name,
            source = report.source,
        );
    }
    html.push_str("</body></html>\n");
    html
}
