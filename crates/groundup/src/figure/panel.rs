//! A pair of axes and what is drawn between them.

use super::axis::Axis;
use super::mark::Mark;
use super::svg::{Svg, escape, number};

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

/// Which axes of a panel are labelled, as neighbours may share a label.
#[derive(Clone, Copy, Debug)]
pub(super) struct Labels {
    pub x: bool,
    pub y: bool,
}

impl Panel {
    /// Where a point is in a plot of so much width and height.
    pub(super) fn place(&self, [left, top]: [f64; 2], [width, height]: [f64; 2], [x, y]: [f64; 2]) -> [f64; 2] {
        [left + width * self.x.place(x), top + height * (1.0 - self.y.place(y))]
    }

    /// Draws it, with its plot at a place and of a size. A program that reads the picture finds in the group's
    /// attributes where the plot is and what the axes are.
    pub(super) fn draw(&self, svg: &mut Svg, [left, top]: [f64; 2], [width, height]: [f64; 2], labels: Labels) {
        let place = |point: [f64; 2]| self.place([left, top], [width, height], point);
        svg.raw(&format!(
            r#"<g class="panel" data-plot="{} {} {} {}" data-x="{}" data-y="{}" data-xlabel="{}" data-ylabel="{}">"#,
            number(left),
            number(top),
            number(width),
            number(height),
            self.x.scale(),
            self.y.scale(),
            escape(&self.x.label),
            escape(&self.y.label),
        ));
        svg.text("title", [left + width / 2.0, top - 8.0], "middle", &self.title);
        for (value, label) in self.y.ticks((height / 36.0) as usize) {
            let [_, y] = place([self.x.range[0], value]);
            svg.line("grid", [left, y], [left + width, y]);
            svg.text("tick", [left - 6.0, y + 4.0], "end", &label);
        }
        for (value, label) in self.x.ticks((width / 52.0) as usize) {
            let [x, _] = place([value, self.y.range[0]]);
            svg.line("grid", [x, top], [x, top + height]);
            svg.text("tick", [x, top + height + 16.0], "middle", &label);
        }
        for mark in &self.marks {
            mark.draw(svg, [left, top, width, height], &place);
        }
        svg.rect("frame", [left, top], [width, height]);
        if labels.x {
            svg.text("label", [left + width / 2.0, top + height + 33.0], "middle", &self.x.label);
        }
        if labels.y {
            svg.text_upwards("label", [left - 45.0, top + height / 2.0], &self.y.label);
        }
        svg.raw("</g>");
    }
}
