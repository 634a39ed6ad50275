//! Figures as SVG, written by hand: the same numbers give the same bytes.
//!
//! | file | what it holds |
//! |---|---|
//! | `svg.rs` | elements, attributes, numbers, escaping |
//! | `axis.rs` | scales and their ticks |
//! | `style.rs` | colours and letters, on light and on dark paper |
//! | `mark.rs` | what is drawn in a panel: lines with bands, points, bars, contours, arrows |
//! | `panel.rs` | a pair of axes with their marks |
//! | `chart.rs` | panels in a grid, a legend |
//! | `bars.rs` | horizontal bars, as a drawing and as text |
//! | `roofline.rs` | numbered dots under the roofs of a machine, and what the numbers are |

mod axis;
mod bars;
mod chart;
mod mark;
mod panel;
mod roofline;
mod style;
mod svg;

pub use axis::Axis;
pub use bars::{Bar, Bars, rate};
pub use chart::{Figure, Shades};
pub use mark::Mark;
pub use panel::Panel;
pub use roofline::{Dot, Roofline};
pub use svg::escape;
