//! The few SVG elements a figure needs.

use std::fmt::Write;

/// SVG text that grows element by element.
#[derive(Debug, Default)]
pub struct Svg {
    text: String,
}

/// A number with at most two digits after the point: enough for a pixel, and short.
pub fn number(x: f64) -> String {
    let rounded = (x * 100.0).round() / 100.0;
    if rounded == 0.0 { "0".to_owned() } else { format!("{rounded}") }
}

/// Text with the characters that XML reserves replaced.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Svg {
    /// Appends raw SVG.
    pub fn raw(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        let (x1, y1, x2, y2) = (number(x1), number(y1), number(x2), number(y2));
        self.raw(&format!(r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#));
    }

    /// A rectangle.
    pub fn rect(&mut self, class: &str, [x, y]: [f64; 2], [width, height]: [f64; 2]) {
        let (x, y, width, height) = (number(x), number(y), number(width), number(height));
        self.raw(&format!(r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"/>"#));
    }

    /// A dot.
    pub fn circle(&mut self, class: &str, [x, y]: [f64; 2], radius: f64) {
        let (x, y, radius) = (number(x), number(y), number(radius));
        self.raw(&format!(r#"<circle class="{class}" cx="{x}" cy="{y}" r="{radius}"/>"#));
    }

    /// Text; `anchor` is start, middle or end.
    pub fn text(&mut self, class: &str, [x, y]: [f64; 2], anchor: &str, text: &str) {
        let (x, y, text) = (number(x), number(y), escape(text));
        self.raw(&format!(r#"<text class="{class}" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>"#));
    }

    /// Text turned by a quarter, reading upwards.
    pub fn text_upwards(&mut self, class: &str, [x, y]: [f64; 2], text: &str) {
        let (x, y, text) = (number(x), number(y), escape(text));
        self.raw(&format!(
            r#"<text class="{class}" transform="translate({x} {y}) rotate(-90)" text-anchor="middle">{text}</text>"#
        ));
    }

    /// Elements of a series.
    pub fn series(&mut self, series: usize, draw: impl FnOnce(&mut Self)) {
        self.raw(&format!(r#"<g data-series="{series}">"#));
        draw(self);
        self.raw("</g>");
    }

    /// A line of a series through points.
    pub fn polyline(&mut self, class: &str, series: usize, points: impl IntoIterator<Item = [f64; 2]>) {
        let places: Vec<String> = points.into_iter().map(|[x, y]| format!("{},{}", number(x), number(y))).collect();
        if !places.is_empty() {
            let points = places.join(" ");
            self.raw(&format!(r#"<polyline class="{class}" data-series="{series}" points="{points}"/>"#));
        }
    }

    /// Arrows from tail to head, all in one path; the barbs have a third of the length.
    pub fn arrows(&mut self, class: &str, arrows: impl IntoIterator<Item = [[f64; 2]; 2]>) {
        let mut d = String::new();
        for [[x, y], [to_x, to_y]] in arrows {
            let [dx, dy] = [(to_x - x) / 3.0, (to_y - y) / 3.0];
            // A barb is the shaft turned by half a right angle and a bit, backwards.
            let barb = |side: f64| [to_x - 0.9 * dx + side * 0.5 * dy, to_y - 0.9 * dy - side * 0.5 * dx];
            let points = [[x, y], [to_x, to_y], barb(1.0), [to_x, to_y], barb(-1.0)];
            for ([x, y], command) in points.into_iter().zip(['M', 'L', 'M', 'L', 'L']) {
                let _ = write!(d, "{command}{} {}", number(x), number(y)); // writing to a String cannot fail
            }
        }
        self.raw(&format!(r#"<path class="{class}" d="{d}"/>"#));
    }

    /// A line through points, or a closed area.
    pub fn path(&mut self, class: &str, points: impl IntoIterator<Item = [f64; 2]>, closed: bool) {
        let mut d = String::new();
        for (i, [x, y]) in points.into_iter().enumerate() {
            let command = if i == 0 { 'M' } else { 'L' };
            let _ = write!(d, "{command}{} {}", number(x), number(y)); // writing to a String cannot fail
        }
        if d.is_empty() {
            return;
        }
        let close = if closed { "Z" } else { "" };
        self.raw(&format!(r#"<path class="{class}" d="{d}{close}"/>"#));
    }

    /// The text so far.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_minus_zero() {
        assert_eq!([number(1.0), number(-0.001), number(2.0 / 3.0)], ["1", "0", "0.67"]);
    }

    #[test]
    fn reserved_characters_cannot_break_the_markup() {
        assert_eq!(escape(r#"a<b & "c">"#), "a&lt;b &amp; &quot;c&quot;&gt;");
    }
}
