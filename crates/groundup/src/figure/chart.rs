//! Panels in a grid, each with two axes and some marks.

use super::axis::Axis;
use super::svg::{Svg, escape, number};

/// Something drawn in a panel. `series` chooses the colour, 0 to 7; the same number is the same thing in all panels.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A line through points.
    Line {
        /// The colour.
        series: usize,
        /// (x, y)
        points: Vec<[f64; 2]>,
        /// Whether it is dashed.
        dashed: bool,
    },
    /// The area between two lines of the same x: a spread over runs.
    Band {
        /// The colour.
        series: usize,
        /// (x, low, high)
        points: Vec<[f64; 3]>,
    },
    /// Dots.
    Points {
        /// The colour.
        series: usize,
        /// (x, y)
        points: Vec<[f64; 2]>,
        /// Radius in pixels.
        radius: f64,
    },
    /// Bars from 0, side by side, over equal shares of the x axis.
    Bars {
        /// The colour.
        series: usize,
        /// Heights.
        heights: Vec<f64>,
    },
    /// A thin line that is not data: a contour, a reference.
    Guide {
        /// (x, y)
        points: Vec<[f64; 2]>,
    },
}

/// A pair of axes and what is drawn between them.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Above the panel.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// In the order they are drawn.
    pub marks: Vec<Mark>,
}

/// A grid of panels with one legend.
#[derive(Clone, Debug)]
pub struct Figure {
    /// For a screen reader, and the head of the picture.
    pub title: String,
    /// What it shows, for a screen reader.
    pub description: String,
    /// Names of the series, in order of their colours.
    pub legend: Vec<String>,
    /// Panels in a row.
    pub columns: usize,
    /// Width and height of a panel's plot, in pixels.
    pub panel_size: [f64; 2],
    /// The panels, row by row.
    pub panels: Vec<Panel>,
}

/// Room around a panel's plot: left, top, right, bottom.
const MARGIN: [f64; 4] = [58.0, 26.0, 14.0, 44.0];
const HEAD: f64 = 34.0;
const LEGEND: f64 = 24.0;

/// Colours that stay apart for colour-blind readers and on dark paper (after Okabe and Ito).
const STYLE: &str = "<style>
.figure{--ink:#1b1f24;--soft:#5b6570;--grid:#e3e7ec;--paper:#ffffff;
--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#a64d8f;--s4:#b8860b;--s5:#3b9bd9;--s6:#7a5c3e;--s7:#5b6570;
font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','Noto Sans KR',sans-serif}
@media (prefers-color-scheme:dark){.figure{--ink:#e6e9ee;--soft:#9aa6b2;--grid:#2b323b;--paper:#14181d;
--s0:#56b4e9;--s1:#ff9352;--s2:#3fcf9f;--s3:#e08cc8;--s4:#f0c849;--s5:#8fc7f0;--s6:#c9a27c;--s7:#9aa6b2}}
.paper{fill:var(--paper)}.head{fill:var(--ink);font-size:15px;font-weight:600}
.title{fill:var(--ink);font-size:12.5px;font-weight:600}.label{fill:var(--soft);font-size:12px}
.tick{fill:var(--soft);font-size:11px}.key{fill:var(--ink);font-size:12px}
.grid{stroke:var(--grid);stroke-width:1}.frame{stroke:var(--soft);stroke-width:1;fill:none}
.guide{stroke:var(--grid);stroke-width:1.4;fill:none}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}.dashed{stroke-dasharray:6 4}
.band{opacity:.18;stroke:none}.dot{stroke:var(--paper);stroke-width:.6}
.l0{stroke:var(--s0)}.l1{stroke:var(--s1)}.l2{stroke:var(--s2)}.l3{stroke:var(--s3)}
.l4{stroke:var(--s4)}.l5{stroke:var(--s5)}.l6{stroke:var(--s6)}.l7{stroke:var(--s7)}
.f0{fill:var(--s0)}.f1{fill:var(--s1)}.f2{fill:var(--s2)}.f3{fill:var(--s3)}
.f4{fill:var(--s4)}.f5{fill:var(--s5)}.f6{fill:var(--s6)}.f7{fill:var(--s7)}
</style>";

/// The head of a document: its size, what a screen reader says, the style, the paper.
pub fn document(title: &str, description: &str, [width, height]: [f64; 2]) -> Svg {
    let mut svg = Svg::default();
    let (w, h) = (number(width), number(height));
    svg.raw(&format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="figure" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img">"#
    ));
    svg.raw(&format!("<title>{}</title>", escape(title)));
    svg.raw(&format!("<desc>{}</desc>", escape(description)));
    svg.raw(STYLE);
    svg.rect("paper", [0.0, 0.0], [width, height]);
    svg
}

/// The document's text.
pub fn finish(mut svg: Svg) -> String {
    svg.raw("</svg>");
    svg.finish()
}

impl Figure {
    /// The figure as an SVG document.
    pub fn to_svg(&self) -> String {
        let columns = self.columns.max(1);
        let cell = [self.panel_size[0] + MARGIN[0] + MARGIN[2], self.panel_size[1] + MARGIN[1] + MARGIN[3]];
        let top = HEAD + if self.legend.is_empty() { 0.0 } else { LEGEND };
        let width = cell[0] * columns as f64;
        let height = top + cell[1] * self.panels.len().div_ceil(columns) as f64;

        let mut svg = document(&self.title, &self.description, [width, height]);
        svg.text("head", [MARGIN[0], 22.0], "start", &self.title);
        let mut x = MARGIN[0];
        for (series, name) in self.legend.iter().enumerate() {
            svg.line(&format!("line l{series}"), [x, HEAD + 8.0], [x + 18.0, HEAD + 8.0]);
            svg.text("key", [x + 24.0, HEAD + 12.0], "start", name);
            // About 7 pixels a letter at 12 pixels, twice that for a Hangul syllable.
            let letters: f64 = name.chars().map(|c| if c.is_ascii() { 7.0 } else { 12.0 }).sum();
            x += 24.0 + letters + 18.0;
        }
        for (i, panel) in self.panels.iter().enumerate() {
            let at = [(i % columns) as f64 * cell[0] + MARGIN[0], top + (i / columns) as f64 * cell[1] + MARGIN[1]];
            panel.draw(&mut svg, at, self.panel_size);
        }
        finish(svg)
    }
}

impl Panel {
    /// Where a point is in a plot of so much width and height.
    pub(super) fn place(&self, [left, top]: [f64; 2], [width, height]: [f64; 2], [x, y]: [f64; 2]) -> [f64; 2] {
        [left + width * self.x.place(x), top + height * (1.0 - self.y.place(y))]
    }

    /// Draws it, with its plot at a place and of a size.
    pub(super) fn draw(&self, svg: &mut Svg, [left, top]: [f64; 2], [width, height]: [f64; 2]) {
        let place = |x: f64, y: f64| self.place([left, top], [width, height], [x, y]);
        svg.text("title", [left + width / 2.0, top - 8.0], "middle", &self.title);
        for (value, label) in self.y.ticks((height / 36.0) as usize) {
            let [_, y] = place(self.x.range[0], value);
            svg.line("grid", [left, y], [left + width, y]);
            svg.text("tick", [left - 6.0, y + 4.0], "end", &label);
        }
        for (value, label) in self.x.ticks((width / 52.0) as usize) {
            let [x, _] = place(value, self.y.range[0]);
            svg.line("grid", [x, top], [x, top + height]);
            svg.text("tick", [x, top + height + 15.0], "middle", &label);
        }
        for mark in &self.marks {
            match mark {
                Mark::Line { series, points, dashed } => {
                    let class = format!("line l{series}{}", if *dashed { " dashed" } else { "" });
                    for run in points.split(|[x, y]| !(x.is_finite() && y.is_finite())) {
                        svg.path(&class, run.iter().map(|&[x, y]| place(x, y)), false);
                    }
                }
                Mark::Band { series, points } => {
                    let upper = points.iter().map(|&[x, _, high]| place(x, high));
                    let lower = points.iter().rev().map(|&[x, low, _]| place(x, low));
                    svg.path(&format!("band f{series}"), upper.chain(lower), true);
                }
                Mark::Points { series, points, radius } => {
                    for &[x, y] in points {
                        svg.circle(&format!("dot f{series}"), place(x, y), *radius);
                    }
                }
                Mark::Bars { series, heights } => {
                    let share = width / heights.len().max(1) as f64;
                    let base = top + height;
                    for (i, &value) in heights.iter().enumerate().filter(|(_, value)| **value > 0.0) {
                        let [_, y] = place(self.x.range[0], value);
                        let gap = (0.1 * share).min(1.0);
                        let at = [left + i as f64 * share + gap / 2.0, y];
                        svg.rect(&format!("f{series}"), at, [share - gap, base - y]);
                    }
                }
                Mark::Guide { points } => svg.path("guide", points.iter().map(|&[x, y]| place(x, y)), false),
            }
        }
        svg.rect("frame", [left, top], [width, height]);
        svg.text("label", [left + width / 2.0, top + height + 33.0], "middle", &self.x.label);
        svg.text_upwards("label", [left - 42.0, top + height / 2.0], &self.y.label);
    }
}
