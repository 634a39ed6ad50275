//! Vector math: elementary functions, reductions, passes down columns, and random lanes, one a file.
//!
//! Each file has a *lane* function, generic over the ISA, for use inside other kernels (`exp_lanes(isa, x)`). Most have
//! a *slice* function too, which runs the lane function over memory (`exp(exec, x, y)`).

mod bytes;
mod columns;
mod cos_sin;
mod exp;
mod ln;
mod map;
mod nonzero;
mod normal;
mod pass;
mod random;
mod reduce;
mod share;
mod sigmoid;
mod sqrt;
mod tanh;

pub use bytes::ByteRows;
pub(crate) use bytes::prefetch_bytes;
pub use columns::{Columns, ColumnsMut};
pub use cos_sin::cos_sin_turns_lanes;
pub use exp::{exp, exp_lanes};
pub use ln::{ln, ln_lanes};
pub use map::{LaneFunction, map_lanes, map_rows, map2_rows, scale, scale_rows};
pub use nonzero::{BlockForm, NonzeroBlocks, NonzeroBytes};
pub(crate) use nonzero::{CHUNK, EACH, MARK, MOST_BLOCK, Record, less, pick_nonzero};
pub use normal::normal_pairs;
pub use pass::{ASCENDING, BlockKernel, DESCENDING, each, once, pass};
pub use random::{LaneRng, uniform_lanes};
pub use reduce::{COLUMN_BLOCK, column_sums, dot_lanes, sum, sum_squares};
pub(crate) use share::Slices;
pub use share::{ColumnKernel, for_all_columns, for_each_piece};
pub use sigmoid::{sigmoid, sigmoid_lanes};
pub use sqrt::{sqrt, sqrt_lanes};
pub use tanh::{tanh, tanh_lanes};
