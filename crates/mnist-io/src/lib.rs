//! Reading digits: IDX files, MNIST, its download, and synthetic digits for machines without MNIST.
//!
//! | module | what it holds |
//! |---|---|
//! | [`idx`] | the IDX format: all six element types, any rank, plain or gzip |
//! | [`mnist`] | the four files of MNIST, read into two data sets |
//! | [`dataset`] | labelled images as bytes; splits; samplers |
//! | [`synthetic`] | a deterministic generator of digits drawn from strokes |
//! | [`download`] | MNIST from mirrors, checked by SHA-256 |
//! | [`mod@file`] | atomic writing; checksums |
//!
//! No file, however damaged, makes this crate panic or allocate more than the file itself can hold.

#![forbid(unsafe_code)]

pub mod dataset;
pub mod download;
mod error;
pub mod file;
pub mod idx;
pub mod mnist;
pub mod synthetic;

pub use dataset::{Dataset, Sampler, Sampling};
pub use error::{Error, Fault};
pub use mnist::Mnist;
