//! Horizontal bars with a name before and a label behind each: for a few numbers that are to be compared.

use super::style::{document, finish};
use super::svg::number;

/// A bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Before the bar.
    pub name: String,
    /// Its length, 0 or more.
    pub value: f64,
    /// In a column behind the bars.
    pub label: String,
}

/// Bars one below the other, from 0 to a common end.
#[derive(Clone, Debug)]
pub struct Bars {
    /// The head of the picture.
    pub title: String,
    /// What it shows, for a screen reader.
    pub description: String,
    /// What the lengths are.
    pub axis: String,
    /// The value at the right end, which is marked as a limit.
    pub end: f64,
    /// The name of that limit.
    pub limit: String,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

const NAMES: f64 = 130.0;
const LENGTH: f64 = 420.0;
const LABELS: f64 = 220.0;
const PITCH: f64 = 30.0;
const TOP: f64 = 62.0;

impl Bars {
    /// The chart as an SVG document.
    pub fn to_svg(&self) -> String {
        let bottom = TOP + PITCH * self.bars.len() as f64;
        let mut svg = document(&self.title, &self.description, [NAMES + LENGTH + LABELS, bottom + 40.0]);
        svg.text("head", [14.0, 22.0], "start", &self.title);
        for (i, bar) in self.bars.iter().enumerate() {
            let y = TOP + PITCH * i as f64;
            let length = LENGTH * (bar.value / self.end).clamp(0.0, 1.0);
            svg.text("key", [NAMES - 8.0, y + 18.0], "end", &bar.name);
            svg.rect("f0", [NAMES, y + 4.0], [length, PITCH - 10.0]);
            svg.text("key", [NAMES + LENGTH + 10.0, y + 18.0], "start", &bar.label);
        }
        svg.line("frame", [NAMES, TOP - 4.0], [NAMES, bottom]);
        svg.line("frame dashed", [NAMES + LENGTH, TOP - 4.0], [NAMES + LENGTH, bottom]);
        svg.text("label", [NAMES + LENGTH, TOP - 10.0], "middle", &self.limit);
        svg.text("label", [NAMES + LENGTH / 2.0, bottom + 24.0], "middle", &self.axis);
        finish(svg)
    }

    /// The chart as lines of text, `width` characters to the longest bar there can be.
    pub fn to_text(&self, width: usize) -> String {
        let names = self.bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or(0);
        let line = |bar: &Bar| {
            let length = (bar.value / self.end).clamp(0.0, 1.0) * width as f64;
            let (whole, eighths) = (length as usize, (length.fract() * 8.0) as usize);
            let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths];
            format!("{:names$} {}{part} {}\n", bar.name, "█".repeat(whole), bar.label)
        };
        self.bars.iter().map(line).collect()
    }
}

/// `212.4`, or `0.85` for what is small.
pub fn rate(value: f64) -> String {
    if value < 10.0 { number(value) } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(values: &[f64]) -> Bars {
        let bar = |&value: &f64| Bar { name: format!("bar {value}"), value, label: rate(value) };
        let text = |text: &str| text.to_owned();
        Bars {
            title: text("t"),
            description: text("d"),
            axis: text("a"),
            end: 16.0,
            limit: text("l"),
            bars: values.iter().map(bar).collect(),
        }
    }

    #[test]
    fn a_bar_is_as_long_as_its_value_in_eighths_of_a_character() {
        let text = bars(&[0.0, 4.0, 16.0, 20.0]).to_text(4);
        let lengths: Vec<usize> = text.lines().map(|line| line.matches('█').count()).collect();
        assert_eq!(lengths, [0, 1, 4, 4], "{text}");
        assert!(bars(&[1.0]).to_text(4).contains("bar 1 ▎ 1"));
    }

    #[test]
    fn the_drawing_has_a_rectangle_of_the_right_length_a_bar() {
        let svg = bars(&[8.0, 16.0]).to_svg();
        assert!(svg.contains(r#"width="210""#) && svg.contains(r#"width="420""#), "{svg}");
    }
}
