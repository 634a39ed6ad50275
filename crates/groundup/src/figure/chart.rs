//! Panels in a grid, with a legend over all series and, where dots have shades, a bar of the colour scale.

use super::mark::Swatch;
use super::panel::{Labels, Panel};
use super::style::{SHADES, document, finish, shade, text_width};
use super::svg::{Svg, escape};

/// A grid of panels with one legend.
#[derive(Clone, Debug)]
pub struct Figure {
    /// For a screen reader, and the head of the picture.
    pub title: String,
    /// What it shows, for a screen reader.
    pub description: String,
    /// Names of the series, in order of their colours.
    pub legend: Vec<String>,
    /// What the colour scale of shaded dots means, if there are any.
    pub shades: Option<Shades>,
    /// Panels in a row.
    pub columns: usize,
    /// Width and height of a panel's plot, in pixels.
    pub panel_size: [f64; 2],
    /// The panels, row by row.
    pub panels: Vec<Panel>,
}

/// The meaning of the colour scale.
#[derive(Clone, Debug)]
pub struct Shades {
    /// The quantity.
    pub name: String,
    /// Its values at the low and the high end, as they are written.
    pub ends: [String; 2],
}

/// Room around a panel's plot: left, top, right, bottom.
const MARGIN: [f64; 4] = [58.0, 26.0, 20.0, 44.0];
/// Room left and below it if its label stands at the edge of the picture.
const SHARED: [f64; 2] = [38.0, 24.0];
const HEAD: f64 = 34.0;
const LEGEND: f64 = 24.0;
/// Width of the bar of the colour scale.
const BAR: f64 = 180.0;

impl Figure {
    /// The figure as an SVG document.
    pub fn to_svg(&self) -> String {
        let columns = self.columns.max(1);
        // A label that all panels share is written once a row or column.
        let shared = |label: fn(&Panel) -> &str| self.panels.iter().all(|panel| label(panel) == label(&self.panels[0]));
        let (x_shared, y_shared) = (shared(|panel| &panel.x.label), shared(|panel| &panel.y.label));
        let left = if y_shared { SHARED[0] } else { MARGIN[0] };
        let bottom = if x_shared { SHARED[1] } else { MARGIN[3] };
        let cell = [self.panel_size[0] + left + MARGIN[2], self.panel_size[1] + MARGIN[1] + bottom];
        let width = MARGIN[0] - left + cell[0] * columns as f64;
        let rows = self.panels.len().div_ceil(columns);

        let (places, legend_rows) = self.legend_places(width);
        let top = HEAD + LEGEND * legend_rows as f64;
        let height = top + cell[1] * rows as f64 + MARGIN[3] - bottom;
        let mut svg = document(&self.title, &self.description, [width, height]);
        svg.text("head", [MARGIN[0], 22.0], "start", &self.title);
        for (series, (name, at)) in self.legend.iter().zip(places).enumerate() {
            self.entry(&mut svg, series, name, at);
        }
        if let Some(shades) = &self.shades {
            shades.draw(&mut svg, [MARGIN[0], HEAD + 2.0]);
        }
        for (i, panel) in self.panels.iter().enumerate() {
            let (column, row) = (i % columns, i / columns);
            let at = [MARGIN[0] + column as f64 * cell[0], top + row as f64 * cell[1] + MARGIN[1]];
            let labels = Labels { x: !x_shared || i + columns >= self.panels.len(), y: !y_shared || column == 0 };
            panel.draw(&mut svg, at, self.panel_size, labels);
        }
        finish(svg)
    }

    /// Where the entries of the legend begin, and how many rows they and the colour scale take.
    fn legend_places(&self, width: f64) -> (Vec<[f64; 2]>, usize) {
        let (mut x, mut row) = (MARGIN[0], 0);
        let places = self.legend.iter().map(|name| {
            let room = 24.0 + text_width(name, 12.0) + 20.0;
            if x > MARGIN[0] && x + room > width {
                (x, row) = (MARGIN[0], row + 1);
            }
            let at = [x, HEAD + LEGEND * row as f64 + 8.0];
            x += room;
            at
        });
        let places: Vec<[f64; 2]> = places.collect();
        let rows = if places.is_empty() { usize::from(self.shades.is_some()) } else { row + 1 };
        (places, rows)
    }

    /// An entry of the legend.
    fn entry(&self, svg: &mut Svg, series: usize, name: &str, [x, y]: [f64; 2]) {
        let of_series = self.panels.iter().flat_map(|panel| &panel.marks).filter_map(|mark| mark.series());
        let swatches: Vec<Swatch> = of_series.filter(|swatch| swatch.series == series).collect();
        svg.raw(&format!(r#"<g class="legend" data-series="{series}" data-name="{}">"#, escape(name)));
        if !swatches.is_empty() && swatches.iter().all(|swatch| swatch.area) {
            svg.rect(&format!("f{series}"), [x, y - 5.0], [18.0, 10.0]);
        } else {
            let dashed = if swatches.iter().any(|swatch| swatch.dashed) { " dashed" } else { "" };
            svg.line(&format!("line l{series}{dashed}"), [x, y], [x + 18.0, y]);
        }
        svg.text("key", [x + 24.0, y + 4.0], "start", name);
        svg.raw("</g>");
    }
}

impl Shades {
    /// The bar of the colour scale, with its name and its ends.
    fn draw(&self, svg: &mut Svg, [left, top]: [f64; 2]) {
        let [low, high] = &self.ends;
        svg.text("key", [left, top + 10.0], "start", &self.name);
        let low_at = left + text_width(&self.name, 12.0) + 16.0;
        svg.text("tick", [low_at, top + 10.0], "start", low);
        let bar = low_at + text_width(low, 11.0) + 8.0;
        let step = BAR / SHADES as f64;
        for i in 0..SHADES {
            svg.rect(&shade((i as f64 + 0.5) / SHADES as f64), [bar + i as f64 * step, top], [step, 12.0]);
        }
        svg.rect("frame", [bar, top], [BAR, 12.0]);
        svg.text("tick", [bar + BAR + 8.0, top + 10.0], "start", high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Axis, Mark};

    fn figure() -> Figure {
        let line = |series, dashed| Mark::Line { series, points: vec![[0.0, 0.0], [10.0, 1.0]], dashed };
        let panel = |marks| Panel {
            title: "p".to_owned(),
            x: Axis::linear("step <n>", 0.0, 10.0),
            y: Axis::log("loss", 0.01, 1.0),
            marks,
        };
        Figure {
            title: "t".to_owned(),
            description: "d".to_owned(),
            legend: vec!["with".to_owned(), "with\"out".to_owned()],
            shades: None,
            columns: 2,
            panel_size: [100.0, 50.0],
            panels: vec![panel(vec![line(0, false), line(1, true)]), panel(vec![line(1, true)])],
        }
    }

    #[test]
    fn a_program_finds_the_axes_the_series_and_their_names() {
        let svg = figure().to_svg();
        let axes = r#"data-x="0 10 lin" data-y="0.01 1 log" data-xlabel="step &lt;n&gt;" data-ylabel="loss""#;
        assert!(svg.contains(&format!(r#"<g class="panel" data-plot="58 84 100 50" {axes}"#)), "{svg}");
        assert!(svg.contains(r#"<polyline class="line l1 dashed" data-series="1" points="58,134 158,84"/>"#), "{svg}");
        assert!(svg.contains(r#"<g class="legend" data-series="1" data-name="with&quot;out">"#), "{svg}");
        assert_eq!(svg.matches("data-series=\"1\"").count(), 3, "{svg}");
    }

    #[test]
    fn a_label_that_all_panels_share_is_written_once_a_row_or_column() {
        let mut figure = figure();
        let count = |figure: &Figure| figure.to_svg().matches(">loss</text>").count();
        assert_eq!(count(&figure), 1);
        figure.panels[0].y.label = "accuracy".to_owned();
        figure.panels.push(figure.panels[1].clone());
        assert_eq!(count(&figure), 2, "{}", figure.to_svg());
    }

    #[test]
    fn shaded_dots_have_a_scale_whose_ends_are_their_colours() {
        let dot = |place: f64| ([5.0, 0.1, place], format!("dot {place}"));
        let mut figure = figure();
        figure.panels[0].marks = vec![Mark::Shaded { points: vec![dot(0.0), dot(1.0)], radius: 3.0 }];
        figure.shades = Some(Shades { name: "s".to_owned(), ends: ["low", "high"].map(str::to_owned) });
        let svg = figure.to_svg();
        for class in ["class=\"shade c0\"", "class=\"shade c8\"", "class=\"c0\"", "class=\"c8\"", ">low<", ">high<"] {
            assert!(svg.contains(class), "no {class} in {svg}");
        }
    }
}
