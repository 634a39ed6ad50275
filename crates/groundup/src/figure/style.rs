//! Colours and letters of all figures, for light and for dark paper.

use super::svg::{Svg, escape, number};

/// Colours of the series stay apart for colour-blind readers (after Okabe and Ito). `c0` to `c8` are a scale from low
/// to high (viridis), which begins near the colour of the paper.
const LIGHT: &str = "--ink:#1b1f24;--soft:#5b6570;--grid:#e3e7ec;--guide:#cdd4db;--field:#b3bcc6;--paper:#ffffff;
--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#a64d8f;--s4:#b8860b;--s5:#2f3640;--s6:#7a5c3e;--s7:#5b6570;
--c0:#fde725;--c1:#addc30;--c2:#5ec962;--c3:#28ae80;--c4:#21918c;--c5:#2c728e;--c6:#3b528b;--c7:#472d7b;--c8:#440154";
const DARK: &str = "--ink:#e6e9ee;--soft:#9aa6b2;--grid:#2b323b;--guide:#3d4650;--field:#525d69;--paper:#14181d;
--s0:#56b4e9;--s1:#ff9352;--s2:#3fcf9f;--s3:#e08cc8;--s4:#f0c849;--s5:#eef1f4;--s6:#c9a27c;--s7:#9aa6b2;
--c0:#440154;--c1:#472d7b;--c2:#3b528b;--c3:#2c728e;--c4:#21918c;--c5:#28ae80;--c6:#5ec962;--c7:#addc30;--c8:#fde725";

const RULES: &str =
    ".figure{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','Noto Sans KR',sans-serif}
.paper{fill:var(--paper)}.head{fill:var(--ink);font-size:15px;font-weight:600}
.title{fill:var(--ink);font-size:12.5px;font-weight:600}.label{fill:var(--soft);font-size:12px}
.tick{fill:var(--soft);font-size:11px}.key{fill:var(--ink);font-size:12px}
.grid{stroke:var(--grid);stroke-width:1}.frame{stroke:var(--soft);stroke-width:1;fill:none}
.guide{stroke:var(--guide);stroke-width:1.4;fill:none}.arrow{stroke:var(--field);stroke-width:1;fill:none}
.box{stroke:var(--ink);stroke-width:1.6;stroke-dasharray:6 4;fill:none}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}.dashed{stroke-dasharray:6 4}
.band{opacity:.18;stroke:none}.dot{stroke:var(--paper);stroke-width:.6}.shade{stroke:var(--soft);stroke-width:.8}
.l0{stroke:var(--s0)}.l1{stroke:var(--s1)}.l2{stroke:var(--s2)}.l3{stroke:var(--s3)}
.l4{stroke:var(--s4)}.l5{stroke:var(--s5)}.l6{stroke:var(--s6)}.l7{stroke:var(--s7)}
.f0{fill:var(--s0)}.f1{fill:var(--s1)}.f2{fill:var(--s2)}.f3{fill:var(--s3)}
.f4{fill:var(--s4)}.f5{fill:var(--s5)}.f6{fill:var(--s6)}.f7{fill:var(--s7)}
.c0{fill:var(--c0)}.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}.c4{fill:var(--c4)}
.c5{fill:var(--c5)}.c6{fill:var(--c6)}.c7{fill:var(--c7)}.c8{fill:var(--c8)}";

/// Steps of the colour scale.
pub const SHADES: usize = 9;

/// The class of a place on the colour scale: 0 is its low end, 1 its high end.
pub fn shade(place: f64) -> String {
    format!("c{}", ((place.clamp(0.0, 1.0) * SHADES as f64) as usize).min(SHADES - 1))
}

/// About the width of a text of so many pixels' height: a Hangul syllable is twice as wide as a letter.
pub fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| if ('\u{1100}'..='\u{FFDC}').contains(&c) { 0.95 } else { 0.62 } * size).sum()
}

/// The head of a document: its size, what a screen reader says, the style, the paper.
///
/// The reader's system chooses light or dark; an element around the figure with `data-theme` overrides it.
pub fn document(title: &str, description: &str, [width, height]: [f64; 2]) -> Svg {
    let mut svg = Svg::default();
    let (w, h) = (number(width), number(height));
    svg.raw(&format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="figure" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img">"#
    ));
    svg.raw(&format!("<title>{}</title>", escape(title)));
    svg.raw(&format!("<desc>{}</desc>", escape(description)));
    svg.raw(&format!(
        "<style>\n.figure{{{LIGHT}}}\n@media (prefers-color-scheme:dark){{.figure{{{DARK}}}}}\n\
         [data-theme=dark] .figure{{{DARK}}}\n[data-theme=light] .figure{{{LIGHT}}}\n{RULES}\n</style>"
    ));
    svg.rect("paper", [0.0, 0.0], [width, height]);
    svg
}

/// The document's text.
pub fn finish(mut svg: Svg) -> String {
    svg.raw("</svg>");
    svg.finish()
}
