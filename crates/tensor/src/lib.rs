//! The floor everything stands on: the strided [`mod@array`], the [`isa`] layer, vector math ([`mod@vec`]) and the
//! matrix product ([`gemm`]).
//!
//! This is the only crate of the workspace with `unsafe` and with intrinsics. Inside it, `array` and `isa` import
//! nothing, `vec` imports those two, `gemm` those three and `probe`. Both also import `exec`, and `threads`, which
//! imports `profile` and `exec`.
//!
//! Two promises hold for every kernel here: it agrees with a plain version that stands beside it or in `testkit`, and
//! its result is a function of its inputs alone, bit for bit: not of the ISA, the number of threads or a block size.

pub mod array;
pub mod exec;
pub mod gemm;
pub mod isa;
pub mod limits;
pub mod matmul;
pub mod probe;
pub mod profile;
pub mod threads;
pub mod vec;

pub use array::{ShapeError, Tensor, View, ViewMut};
pub use exec::Exec;
pub use gemm::{Epilogue, Gemm};
