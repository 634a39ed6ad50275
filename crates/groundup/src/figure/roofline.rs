//! A roofline: how fast kernels are, against how much they compute for each byte they move, below what a machine can
//! do.
//!
//! ```text
//! GFLOP/s │      FMA peak
//!         │      ╱╱───────────────────        1  first kernel
//!         │    ╱╱•2  ╱                        2  second kernel
//!         │  ╱╱    ╱
//!         │╱╱   •1       a slanted roof is a bandwidth: GFLOP/s = flops per byte · GB/s
//!         └──────────────
//!              flops per byte
//! ```
//!
//! The dots are numbered, the numbers explained beside the plot: names would not fit between the dots.

use super::axis::Axis;
use super::bars::rate;
use super::panel::{Labels, Panel};
use super::style::{document, finish};
use super::svg::Svg;

/// A kernel.
#[derive(Clone, Debug)]
pub struct Dot {
    /// The group it belongs to: its colour, and its place in the legend.
    pub group: usize,
    /// Flops per byte and GFLOP/s, both above 0.
    pub at: [f64; 2],
    /// Behind its number in the legend.
    pub name: String,
    /// At the right edge of the legend.
    pub note: String,
}

/// A plot of dots under roofs, with a legend beside it.
#[derive(Clone, Debug)]
pub struct Roofline {
    /// The head of the picture.
    pub title: String,
    /// What it shows, for a screen reader.
    pub description: String,
    /// The flat roof, in GFLOP/s.
    pub peak: f64,
    /// The slanted roofs, at least one: names, and GB/s.
    pub slopes: Vec<(String, f64)>,
    /// Heads of the legend's groups.
    pub groups: Vec<String>,
    /// The dots; they are numbered from 1 in this order, and groups come one after the other.
    pub dots: Vec<Dot>,
}

const LEFT: f64 = 58.0;
const TOP: f64 = 46.0;
const WIDTH: f64 = 640.0;
const LEAST_HEIGHT: f64 = 420.0;
const BOTTOM: f64 = 44.0;
/// Between the plot and the legend, and to the right of it.
const GAP: f64 = 22.0;
/// Of the legend's lines.
const PITCH: f64 = 16.0;
const RADIUS: f64 = 3.6;
/// Width and height of a letter of 11 pixels.
const LETTER: [f64; 2] = [6.6, 11.0];

/// Left, top, right, bottom.
type Rect = [f64; 4];

impl Roofline {
    /// The figure as an SVG document.
    pub fn to_svg(&self) -> String {
        let height = (PITCH * (self.groups.len() + self.dots.len()) as f64).max(LEAST_HEIGHT);
        let letters = |text: &String| text.chars().count() as f64;
        let heads = self.groups.iter().map(letters);
        let lines = self.dots.iter().map(|dot| letters(&dot.name) + letters(&dot.note) + 7.0);
        let legend = 6.9 * heads.chain(lines).fold(0.0, f64::max);

        let (at, size, panel) = ([LEFT, TOP], [WIDTH, height], self.panel());
        let place = |point: [f64; 2]| panel.place(at, size, point);
        let whole = [LEFT + WIDTH + GAP + legend + GAP, TOP + height + BOTTOM];
        let mut svg = document(&self.title, &self.description, whole);
        svg.text("head", [LEFT, 22.0], "start", &self.title);
        panel.draw(&mut svg, at, size, Labels { x: true, y: true });
        let taken = self.roofs(&mut svg, panel.x.range, &place);

        let dots: Vec<[f64; 2]> = self.dots.iter().map(|dot| place(dot.at)).collect();
        let numbers: Vec<String> = (1..=dots.len()).map(|number| number.to_string()).collect();
        let widths: Vec<f64> = numbers.iter().map(|number| LETTER[0] * number.len() as f64).collect();
        let rooms = free_rooms(&dots, &widths, taken, [LEFT, TOP, LEFT + WIDTH, TOP + height]);
        for (&dot, &room) in dots.iter().zip(&rooms) {
            lead(&mut svg, dot, room);
        }
        for (dot, &middle) in self.dots.iter().zip(&dots) {
            svg.circle(&format!("dot f{}", dot.group), middle, RADIUS);
        }
        for ((dot, number), [x, y]) in self.dots.iter().zip(&numbers).zip(rooms) {
            svg.text(&format!("tick f{}", dot.group), [x, y + 4.0], "middle", number);
        }
        self.legend(&mut svg, [LEFT + WIDTH + GAP, LEFT + WIDTH + GAP + legend]);
        finish(svg)
    }

    /// The axes: room for all dots, for where the roofs meet, and for the roofs' names at the left.
    fn panel(&self) -> Panel {
        let bandwidths: Vec<f64> = self.slopes.iter().map(|(_, bandwidth)| *bandwidth).collect();
        let ridges = bandwidths.iter().map(|bandwidth| self.peak / bandwidth);
        let [least, greatest] = ends(self.dots.iter().map(|dot| dot.at[0]).chain(ridges));
        let x = Axis::log("flops per byte", least / 6.0, 2.0 * greatest);
        let feet = bandwidths.iter().map(|bandwidth| bandwidth * x.range[0]);
        let [least, greatest] = ends(self.dots.iter().map(|dot| dot.at[1]).chain(feet).chain([self.peak]));
        let y = Axis::log("GFLOP/s", least / 1.6, 1.8 * greatest);
        Panel { title: String::new(), x, y, marks: Vec::new() }
    }

    /// Draws the roofs and their names. Returns where the names stand.
    fn roofs(&self, svg: &mut Svg, [low, high]: [f64; 2], place: &dyn Fn([f64; 2]) -> [f64; 2]) -> Vec<Rect> {
        let mut names = Vec::new();
        let mut flat = high;
        for (name, bandwidth) in &self.slopes {
            let (foot, ridge) = ([low, low * bandwidth], self.peak / bandwidth);
            flat = flat.min(ridge);
            svg.path("frame", [foot, [ridge, self.peak]].map(place), false);
            // Below the line, which rises away from it.
            let [x, y] = place(foot);
            let text = format!("{name} {} GB/s", rate(*bandwidth));
            svg.text("tick", [x + 8.0, y + 12.0], "start", &text);
            names.push(rect([x + 8.0 + width(&text) / 2.0, y + 8.0], width(&text)));
        }
        let [x, y] = place([flat, self.peak]);
        svg.path("frame", [[x, y], place([high, self.peak])], false);
        // Where it begins: what is faster than the peak lies to the right.
        let text = format!("FMA peak {} GFLOP/s", rate(self.peak));
        svg.text("tick", [x, y - 6.0], "start", &text);
        names.push(rect([x + width(&text) / 2.0, y - 10.0], width(&text)));
        names
    }

    /// The legend, between two places on the x axis of the picture.
    fn legend(&self, svg: &mut Svg, [left, right]: [f64; 2]) {
        let mut y = TOP + 10.0;
        for (group, head) in self.groups.iter().enumerate() {
            svg.text(&format!("title f{group}"), [left, y], "start", head);
            y += PITCH;
            for (i, dot) in self.dots.iter().enumerate().filter(|(_, dot)| dot.group == group) {
                svg.text(&format!("key f{group}"), [left + 20.0, y], "end", &(i + 1).to_string());
                svg.text("key", [left + 28.0, y], "start", &dot.name);
                svg.text("key", [right, y], "end", &dot.note);
                y += PITCH;
            }
        }
    }
}

/// The least and the greatest.
fn ends(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values.fold([f64::INFINITY, 0.0], |[least, greatest], value| [value.min(least), value.max(greatest)])
}

/// About the width of a text of 11 pixels.
fn width(text: &str) -> f64 {
    LETTER[0] * text.chars().count() as f64
}

/// The room of a line of text around its middle.
fn rect([x, y]: [f64; 2], width: f64) -> Rect {
    let [half, up] = [width / 2.0, LETTER[1] / 2.0];
    [x - half, y - up, x + half, y + up]
}

fn overlap(a: Rect, b: Rect) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

/// The right, above, the left, below, and between those.
const DIRECTIONS: [[f64; 2]; 8] =
    [[1.0, 0.0], [0.7, -0.7], [0.0, -1.0], [-0.7, -0.7], [-1.0, 0.0], [-0.7, 0.7], [0.0, 1.0], [0.7, 0.7]];

/// The middle of a number near each dot, of these widths: clear of all dots, of each other and of what is `taken`, and
/// inside of `area`. A number for which there is none within 240 pixels stands on its dot.
fn free_rooms(dots: &[[f64; 2]], widths: &[f64], mut taken: Vec<Rect>, area: Rect) -> Vec<[f64; 2]> {
    taken.extend(dots.iter().map(|&[x, y]| [x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS]));
    let inside = |r: Rect| area[0] <= r[0] && area[1] <= r[1] && r[2] <= area[2] && r[3] <= area[3];
    let mut rooms = Vec::with_capacity(dots.len());
    for (&[x, y], &width) in dots.iter().zip(widths) {
        let room = (4..=120)
            .map(|ring| 2.0 * f64::from(ring))
            .flat_map(|reach| DIRECTIONS.map(|[dx, dy]| [x + reach * dx, y + reach * dy]))
            .find(|&middle| {
                let room = rect(middle, width);
                inside(room) && taken.iter().all(|&other| !overlap(other, room))
            })
            .unwrap_or([x, y]);
        taken.push(rect(room, width));
        rooms.push(room);
    }
    rooms
}

/// A line from a dot to its number, where that is not beside it.
fn lead(svg: &mut Svg, [x, y]: [f64; 2], [to_x, to_y]: [f64; 2]) {
    let [dx, dy] = [to_x - x, to_y - y];
    let length = (dx * dx + dy * dy).sqrt();
    if length > 20.0 {
        let at = |share: f64| [x + share * dx, y + share * dy];
        svg.line("frame", at(RADIUS / length), at(1.0 - 8.0 / length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roofline(dots: Vec<Dot>) -> Roofline {
        let text = |text: &str| text.to_owned();
        Roofline {
            title: text("t"),
            description: text("d"),
            peak: 200.0,
            slopes: vec![(text("L1"), 400.0), (text("DRAM"), 10.0)],
            groups: vec![text("first"), text("second")],
            dots,
        }
    }

    #[test]
    fn numbers_of_crowded_dots_stand_clear_of_each_other_and_of_the_dots() {
        let dots: Vec<[f64; 2]> = (0..40).map(|i| [300.0 + f64::from(i % 5), 200.0 + f64::from(i / 20)]).collect();
        let (taken, area) = ([300.0, 150.0, 380.0, 180.0], [0.0, 0.0, 600.0, 400.0]);
        let rooms = free_rooms(&dots, &[14.0; 40], vec![taken], area);
        for (i, &room) in rooms.iter().enumerate() {
            let room = rect(room, 14.0);
            assert!(!overlap(room, taken), "number {i}");
            assert!(room[0] >= 0.0 && room[1] >= 0.0 && room[2] <= 600.0 && room[3] <= 400.0, "number {i}: {room:?}");
            assert!(rooms[..i].iter().all(|&other| !overlap(room, rect(other, 14.0))), "number {i}");
            assert!(dots.iter().all(|&[x, y]| !overlap(room, [x, y, x, y])), "number {i} on a dot");
        }
    }

    #[test]
    fn each_dot_is_drawn_numbered_and_named_and_each_roof_is_named() {
        let dot = |group, at, name: &str| Dot { group, at, name: name.to_owned(), note: "50 %".to_owned() };
        let dots = vec![dot(0, [0.2, 40.0], "sum"), dot(1, [30.0, 150.0], "product"), dot(1, [30.0, 150.0], "other")];
        let svg = roofline(dots).to_svg();
        assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
        for text in [">3<", ">sum<", ">product<", ">other<", ">second<", ">L1 400.0 GB/s<", ">DRAM 10.0 GB/s<"] {
            assert!(svg.contains(text), "no {text} in {svg}");
        }
        assert!(svg.contains(">FMA peak 200.0 GFLOP/s<") && svg.contains(">flops per byte<"), "{svg}");
    }

    #[test]
    fn all_dots_and_roofs_are_inside_the_axes() {
        let dot = |at| Dot { group: 0, at, name: String::new(), note: String::new() };
        for dots in [vec![], vec![dot([0.01, 0.001]), dot([1e4, 300.0])]] {
            let panel = roofline(dots.clone()).panel();
            let inside = |axis: &Axis, value: f64| axis.range[0] < value && value < axis.range[1];
            for [x, y] in dots.iter().map(|dot| dot.at).chain([[20.0, 200.0], [0.5, 200.0]]) {
                assert!(inside(&panel.x, x) && inside(&panel.y, y), "({x}, {y})");
            }
            assert!(inside(&panel.y, 10.0 * panel.x.range[0]), "the foot of the lowest roof");
        }
    }
}
