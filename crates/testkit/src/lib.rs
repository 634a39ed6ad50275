//! The judges of this workspace: comparators, plain f64 references, gradient checks, shape lists and poisoned buffers.
//!
//! A kernel is trusted because something simpler agrees with it. So this crate depends on nothing but `std`, and no
//! reference can borrow the code it judges. Trust is a chain, each link tested against the one before:
//!
//! 1. values worked by hand → the f64 reference (this crate's own tests);
//! 2. central differences of the forward reference → the backward reference ([`gradcheck`]);
//! 3. reference → kernel, on every instruction set (the tests of the other crates);
//! 4. reference network ([`network`]) → the real network.
//!
//! | question | module |
//! |---|---|
//! | are these numbers close enough, or the same bits? | [`compare`], [`ulp`] |
//! | is this gradient right? | [`gradcheck`] |
//! | what should this kernel have computed? | [`vector`], [`gemm`], [`freivalds`] |
//! | what should this layer have computed? | [`activation`], [`affine`], [`batch_norm`], [`dropout`], [`layer_norm`], [`softmax_loss`] |
//! | where should this step have led? | [`optim`], [`network`], in either [`preset`] |
//! | what does a call that must panic say? | [`panics`] |
//! | which data and shapes should it be tested on? | [`rng`], [`shapes`], [`poison`] |
//!
//! References of kernels take `f32`, as the kernels do, and answer in `f64`. References of layers take and give `f64`,
//! so that they can be differentiated numerically. [`vector::widen`] converts from one to the other. Matrices are
//! row-major unless a function takes strides. A length that contradicts a shape panics with both numbers: the caller is
//! a test.

#![forbid(unsafe_code)]

pub mod activation;
pub mod affine;
pub mod batch_norm;
pub mod compare;
pub mod dropout;
pub mod freivalds;
pub mod gemm;
pub mod gradcheck;
pub mod layer_norm;
pub mod network;
pub mod optim;
pub mod panics;
pub mod poison;
pub mod preset;
pub mod rng;
pub mod shapes;
pub mod softmax_loss;
pub mod ulp;
pub mod vector;
