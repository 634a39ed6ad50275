//! What can be drawn in a panel.

use super::style::shade;
use super::svg::{Svg, escape};

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
    /// Dots of the figure's colour scale.
    Shaded {
        /// x, y, place on the scale from 0 to 1, and what is said of the dot.
        points: Vec<([f64; 3], String)>,
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
    /// Thin arrows that are not data: a field.
    Arrows {
        /// Tail and head of each.
        arrows: Vec<[[f64; 2]; 2]>,
    },
    /// The outline of a part of the panel.
    Outline {
        /// Least and greatest x.
        x: [f64; 2],
        /// Least and greatest y.
        y: [f64; 2],
    },
}

impl Mark {
    /// The band and the line of a spread over runs: (mean, least, greatest) at each `x(i)`.
    pub fn spread(series: usize, spread: &[[f64; 3]], x: impl Fn(usize) -> f64, dashed: bool) -> [Self; 2] {
        let band = spread.iter().enumerate().map(|(i, &[_, low, high])| [x(i), low, high]).collect();
        let line = spread.iter().enumerate().map(|(i, &[mean, ..])| [x(i), mean]).collect();
        [Self::Band { series, points: band }, Self::Line { series, points: line, dashed }]
    }

    /// The series of the mark, and whether a legend shows it dashed and as an area. A guide has none.
    pub(super) fn series(&self) -> Option<Swatch> {
        let (series, dashed, area) = match self {
            Self::Line { series, dashed, .. } => (*series, *dashed, false),
            Self::Points { series, .. } => (*series, false, false),
            Self::Band { series, .. } | Self::Bars { series, .. } => (*series, false, true),
            Self::Shaded { .. } | Self::Guide { .. } | Self::Arrows { .. } | Self::Outline { .. } => return None,
        };
        Some(Swatch { series, dashed, area })
    }

    /// Draws it. `place` says where a point of the axes is in the picture; bars go over the width of `plot`: its left,
    /// top, width and height.
    pub(super) fn draw(&self, svg: &mut Svg, plot: [f64; 4], place: &dyn Fn([f64; 2]) -> [f64; 2]) {
        match self {
            Self::Line { series, points, dashed } => {
                let class = format!("line l{series}{}", if *dashed { " dashed" } else { "" });
                for run in points.split(|[x, y]| !(x.is_finite() && y.is_finite())) {
                    svg.polyline(&class, *series, run.iter().map(|&point| place(point)));
                }
            }
            Self::Band { series, points } => {
                let upper = points.iter().map(|&[x, _, high]| place([x, high]));
                let lower = points.iter().rev().map(|&[x, low, _]| place([x, low]));
                svg.series(*series, |svg| svg.path(&format!("band f{series}"), upper.chain(lower), true));
            }
            Self::Points { series, points, radius } => svg.series(*series, |svg| {
                for &point in points {
                    svg.circle(&format!("dot f{series}"), place(point), *radius);
                }
            }),
            Self::Shaded { points, radius } => svg.series(0, |svg| {
                for ([x, y, at], said) in points {
                    svg.raw(&format!("<g><title>{}</title>", escape(said)));
                    svg.circle(&format!("shade {}", shade(*at)), place([*x, *y]), *radius);
                    svg.raw("</g>");
                }
            }),
            Self::Bars { series, heights } => svg.series(*series, |svg| {
                let [left, top, width, height] = plot;
                let share = width / heights.len().max(1) as f64;
                for (i, &value) in heights.iter().enumerate().filter(|(_, value)| **value > 0.0) {
                    let [_, y] = place([0.0, value]);
                    let gap = (0.1 * share).min(1.0);
                    let at = [left + i as f64 * share + gap / 2.0, y];
                    svg.rect(&format!("f{series}"), at, [share - gap, top + height - y]);
                }
            }),
            Self::Guide { points } => svg.path("guide", points.iter().map(|&point| place(point)), false),
            Self::Arrows { arrows } => svg.arrows("arrow", arrows.iter().map(|arrow| arrow.map(place))),
            Self::Outline { x, y } => {
                let ([left, bottom], [right, top]) = (place([x[0], y[0]]), place([x[1], y[1]]));
                svg.rect("box", [left, top], [right - left, bottom - top]);
            }
        }
    }
}

/// How a legend shows a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Swatch {
    pub series: usize,
    pub dashed: bool,
    pub area: bool,
}
