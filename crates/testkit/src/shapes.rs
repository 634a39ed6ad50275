//! Sizes worth testing and shapes worth timing.

/// A matrix product, C (m×n) = A (m×k) · B (k×n).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What it is in the network, or its sizes.
    pub name: &'static str,
    /// Rows of A and C.
    pub m: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Whether A is stored as k×m and read with its strides swapped.
    pub a_transposed: bool,
    /// Whether B is stored as n×k and read with its strides swapped.
    pub b_transposed: bool,
}

impl Shape {
    /// Y = X·W: batch × inputs times inputs × outputs.
    const fn forward(name: &'static str, batch: usize, inputs: usize, outputs: usize) -> Self {
        Self { name, m: batch, k: inputs, n: outputs, a_transposed: false, b_transposed: false }
    }

    /// dW = Xᵀ·dY: inputs × batch times batch × outputs.
    const fn weight_gradient(name: &'static str, batch: usize, inputs: usize, outputs: usize) -> Self {
        Self { name, m: inputs, k: batch, n: outputs, a_transposed: true, b_transposed: false }
    }

    /// dX = dY·Wᵀ: batch × outputs times outputs × inputs.
    const fn input_gradient(name: &'static str, batch: usize, inputs: usize, outputs: usize) -> Self {
        Self { name, m: batch, k: outputs, n: inputs, a_transposed: false, b_transposed: true }
    }

    /// Two row-major matrices.
    const fn plain(name: &'static str, m: usize, k: usize, n: usize) -> Self {
        Self { name, m, k, n, a_transposed: false, b_transposed: false }
    }

    /// Floating-point operations of the product: 2·m·n·k.
    pub const fn flops(&self) -> u64 {
        2 * self.m as u64 * self.n as u64 * self.k as u64
    }
}

/// Every product of a training step of the chapter's network: 784 inputs, hidden layers of 100, 10 classes, batch 100.
/// The images need no gradient, so the first layer has no dX.
pub const CHAPTER: [Shape; 8] = [
    Shape::forward("first layer, Y", 100, 784, 100),
    Shape::weight_gradient("first layer, dW", 100, 784, 100),
    Shape::forward("hidden layer, Y", 100, 100, 100),
    Shape::weight_gradient("hidden layer, dW", 100, 100, 100),
    Shape::input_gradient("hidden layer, dX", 100, 100, 100),
    Shape::forward("last layer, Y", 100, 100, 10),
    Shape::weight_gradient("last layer, dW", 100, 100, 10),
    Shape::input_gradient("last layer, dX", 100, 100, 10),
];

/// Squares from what fits L1 to what fits no cache. Names are m×k×n.
pub const SQUARES: [Shape; 14] = [
    Shape::plain("16x16x16", 16, 16, 16),
    Shape::plain("32x32x32", 32, 32, 32),
    Shape::plain("48x48x48", 48, 48, 48),
    Shape::plain("64x64x64", 64, 64, 64),
    Shape::plain("96x96x96", 96, 96, 96),
    Shape::plain("128x128x128", 128, 128, 128),
    Shape::plain("192x192x192", 192, 192, 192),
    Shape::plain("256x256x256", 256, 256, 256),
    Shape::plain("384x384x384", 384, 384, 384),
    Shape::plain("512x512x512", 512, 512, 512),
    Shape::plain("768x768x768", 768, 768, 768),
    Shape::plain("1024x1024x1024", 1024, 1024, 1024),
    Shape::plain("1536x1536x1536", 1536, 1536, 1536),
    Shape::plain("2048x2048x2048", 2048, 2048, 2048),
];

/// A larger layer's product, products no tile divides, and products thin in one direction. Names are m×k×n.
pub const OTHERS: [Shape; 5] = [
    Shape::plain("1024x784x512", 1024, 784, 512),
    Shape::plain("37x211x53", 37, 211, 53),
    Shape::plain("1x784x100", 1, 784, 100),
    Shape::plain("1000x333x777", 1000, 333, 777),
    Shape::plain("4096x64x4096", 4096, 64, 4096),
];

/// [`CHAPTER`], [`SQUARES`] and [`OTHERS`], one after the other.
pub fn all() -> impl Iterator<Item = Shape> {
    CHAPTER.into_iter().chain(SQUARES).chain(OTHERS)
}

/// The sizes at which a loop of step `tile` changes behaviour: 0, 1, t − 1, t, t + 1 and 2t + 1, sorted, each once.
///
/// # Panics
/// If `tile` is 0.
pub fn around(tile: usize) -> Vec<usize> {
    assert!(tile > 0, "around: a tile has at least one element");
    let mut sizes = vec![0, 1, tile - 1, tile, tile + 1, 2 * tile + 1];
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn around_is_sorted_and_has_no_doubles() {
        assert_eq!(around(1), [0, 1, 2, 3]);
        assert_eq!(around(2), [0, 1, 2, 3, 5]);
        assert_eq!(around(6), [0, 1, 5, 6, 7, 13]);
        assert_eq!(around(16), [0, 1, 15, 16, 17, 33]);
    }

    #[test]
    #[should_panic(expected = "at least one element")]
    fn around_refuses_zero() {
        around(0);
    }

    #[test]
    fn gradients_have_the_sizes_of_the_operands() {
        for layer in [&CHAPTER[2..5], &CHAPTER[5..8]] {
            let [y, dw, dx] = layer else { panic!("three products a layer") };
            assert_eq!((dw.m, dw.n), (y.k, y.n), "dW is as large as W");
            assert_eq!((dx.m, dx.n), (y.m, y.k), "dX is as large as X");
            assert_eq!((dw.k, dx.k), (y.m, y.n));
            assert!(dw.a_transposed && dx.b_transposed && !dw.b_transposed && !dx.a_transposed);
        }
        assert_eq!((CHAPTER[1].m, CHAPTER[1].k, CHAPTER[1].n), (784, 100, 100));
        assert_eq!(CHAPTER[0].flops(), 15_680_000);
    }

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = all().map(|shape| shape.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
