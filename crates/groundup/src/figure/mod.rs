//! Figures as SVG, written by hand: the same numbers give the same bytes.
//!
//! | file | what it holds |
//! |---|---|
//! | `svg.rs` | elements, attributes, numbers, escaping |
//! | `axis.rs` | scales and their ticks |
//! | `chart.rs` | panels in a grid: lines with bands, points, bars, a legend |
//! | `bars.rs` | horizontal bars, as a drawing and as text |
//! | `roofline.rs` | numbered dots under the roofs of a machine, and what the numbers are |

mod axis;
mod bars;
mod chart;
mod roofline;
mod svg;

pub use axis::Axis;
pub use bars::{Bar, Bars, rate};
pub use chart::{Figure, Mark, Panel};
pub use roofline::{Dot, Roofline};
pub use svg::escape;
