//! A layer as the compiler sees it: the kinds that have kernels of their own, or fuse with a neighbour, by name; every
//! other layer, also one from outside of this crate, by its trait.

use crate::{Affine, BatchNorm, Dropout, Layer, Relu};

/// A layer of a network.
pub(crate) enum Node {
    Affine(Affine),
    BatchNorm(BatchNorm),
    Dropout(Dropout),
    Relu(Relu),
    Other(Box<dyn Layer>),
}

impl Node {
    pub fn as_layer(&self) -> &dyn Layer {
        match self {
            Self::Affine(layer) => layer,
            Self::BatchNorm(layer) => layer,
            Self::Dropout(layer) => layer,
            Self::Relu(layer) => layer,
            Self::Other(layer) => layer.as_ref(),
        }
    }

    pub fn as_layer_mut(&mut self) -> &mut dyn Layer {
        match self {
            Self::Affine(layer) => layer,
            Self::BatchNorm(layer) => layer,
            Self::Dropout(layer) => layer,
            Self::Relu(layer) => layer,
            Self::Other(layer) => layer.as_mut(),
        }
    }

    /// The affine layer that it is.
    ///
    /// # Panics
    /// If it is another: the compiler has mixed up its kernels.
    pub fn affine(&mut self) -> &mut Affine {
        match self {
            Self::Affine(layer) => layer,
            other => panic!("a kernel of an affine layer is compiled for {}", other.as_layer().kind()),
        }
    }

    /// The number of parameters, and of floats in all of them.
    pub fn parameters(&mut self) -> [usize; 2] {
        let (mut count, mut floats) = (0, 0);
        self.as_layer_mut().parameters(&mut |parameter| {
            count += 1;
            floats += parameter.value.len();
        });
        [count, floats]
    }
}

impl From<Affine> for Node {
    fn from(layer: Affine) -> Self {
        Self::Affine(layer)
    }
}

impl From<BatchNorm> for Node {
    fn from(layer: BatchNorm) -> Self {
        Self::BatchNorm(layer)
    }
}

impl From<Dropout> for Node {
    fn from(layer: Dropout) -> Self {
        Self::Dropout(layer)
    }
}

impl From<Relu> for Node {
    fn from(layer: Relu) -> Self {
        Self::Relu(layer)
    }
}
