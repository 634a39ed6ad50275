//! The floor everything stands on, and the only crate of the workspace with `unsafe` and intrinsics.
//!
//! ```text
//! 4  matmul/   the front door: any strides, α, β, an epilogue; do zeros pay?; the product fed to an update
//! 3  sparse/   products that skip the zeros of A
//! 2  gemm/     the dense product                  vec/  exp, ln, tanh, reductions, columns, random lanes
//! 1  array/    isa/    threads/    machine/
//! ```
//!
//! | room | what it holds |
//! |---|---|
//! | [`mod@array`] | strided arrays: [`Tensor`], [`View`], [`ViewMut`] |
//! | [`isa`] | one vector of sixteen floats, three ways to compute with it |
//! | [`threads`] | sessions, tasks and deferred tasks |
//! | [`machine`] | caches, scratch, the measured peaks, the profile |
//! | [`mod@vec`] | vector math: elementary functions, reductions, passes over columns, random numbers |
//! | [`gemm`] | the dense product and its [`ladder`](gemm::ladder) |
//! | `sparse` | the product without the steps at which A is 0 |
//! | [`matmul`] | what callers use: [`Gemm`] and [`matmul::update`] |
//!
//! Imports point down only. [`Exec`] says how a kernel runs: on which ISA, with how many threads, for which caches.
//!
//! Two promises hold for every kernel here. It agrees with a plain version that stands beside it or in `testkit`. Its
//! result is a function of its inputs alone, bit for bit: not of the ISA, the number of threads or a block size.

pub mod array;
pub mod exec;
pub mod gemm;
pub mod isa;
pub mod machine;
pub mod matmul;
mod sparse;
pub mod threads;
pub mod vec;

pub use array::{ShapeError, Tensor, View, ViewMut};
pub use exec::{Exec, ExecError};
pub use machine::{limits, probe, profile};
pub use matmul::{Epilogue, Gemm};
