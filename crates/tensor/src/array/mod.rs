//! The strided array: [`Tensor`] owns, [`View`] and [`ViewMut`] borrow.
//!
//! An array of rank `N` is a slice of elements, a shape and a stride per axis: element `[i, j]` is at
//! `i * strides[0] + j * strides[1]`. A transpose swaps two strides, a slice narrows a shape, a broadcast sets a
//! stride to zero; none of them copies. Everything a view can reach is checked once, when it is made, so the
//! whole module but the 64-byte aligned buffer is safe Rust.

mod buffer;
mod element;
mod shape;
mod tensor;
mod view;
mod view_mut;

pub use buffer::{ALIGNMENT, AlignedBuf};
pub use element::Element;
pub use shape::{ShapeError, contiguous_strides};
pub use tensor::Tensor;
pub use view::{Rows, View};
pub use view_mut::{RowsMut, ViewMut};
