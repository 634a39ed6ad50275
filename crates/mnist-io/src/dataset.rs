//! Labelled images as bytes, and how mini-batches are drawn from them.
//!
//! ```text
//! Dataset    bytes of all images (shared by clones and splits), a label each
//! Sampler    indices of the next batch:  each drawn from all   or   dealt from a shuffled order
//! gather     x[r, j] ← image(indices[r])[j] / 255
//! ```

use crate::error::Fault;
use crate::idx::{Elements, Idx};
use rand::Rng;
use std::sync::Arc;

/// Images of 8-bit grey with a label each. A clone or a split shares the bytes.
#[derive(Clone, Debug)]
pub struct Dataset {
    pixels: Arc<Vec<u8>>,
    labels: Arc<Vec<u8>>,
    rows: usize,
    columns: usize,
    first: usize,
    count: usize,
}

impl Dataset {
    /// `labels.len()` images of `rows` × `columns` pixels, one after the other.
    ///
    /// # Errors
    /// If there are no images or no pixels, their number is not that of the labels, or a label is above 9.
    pub fn new(pixels: Vec<u8>, labels: Vec<u8>, rows: usize, columns: usize) -> Result<Self, Fault> {
        let inconsistent = |what: String| Err(Fault::Inconsistent { what });
        if (pixels.is_empty() && labels.is_empty()) || rows == 0 || columns == 0 {
            return inconsistent(format!("{} images of {rows}x{columns} pixels; there must be some", labels.len()));
        }
        let width = rows.checked_mul(columns);
        if width.and_then(|width| width.checked_mul(labels.len())) != Some(pixels.len()) {
            let labels = labels.len();
            let found = match width {
                Some(width) if pixels.len().is_multiple_of(width) => format!("{} images", pixels.len() / width),
                _ => format!("{} bytes, which are no whole images of {rows}x{columns} pixels,", pixels.len()),
            };
            return inconsistent(format!("{found} but {labels} labels; there must be one each"));
        }
        if let Some(index) = labels.iter().position(|&label| label > 9) {
            return Err(Fault::Label { label: labels[index], index });
        }
        let count = labels.len();
        Ok(Self { pixels: Arc::new(pixels), labels: Arc::new(labels), rows, columns, first: 0, count })
    }

    /// From the arrays of an images file (u8, rank 3) and a labels file (u8, rank 1).
    ///
    /// # Errors
    /// Which file has the fault (`true` for the labels), and the fault.
    pub fn from_idx(images: Idx, labels: Idx) -> Result<Self, (bool, Fault)> {
        let kind = |idx: &Idx| format!("{} of shape {:?}", idx.elements.type_name(), idx.shape);
        let (pixels, rows, columns) = match (&images.shape[..], images.elements) {
            (&[_, rows, columns], Elements::U8(pixels)) => (pixels, rows as usize, columns as usize),
            (_, elements) => {
                let found = kind(&Idx { shape: images.shape, elements });
                return Err((false, Fault::Kind { found, wanted: "u8 images of rank 3" }));
            }
        };
        let labels = match (labels.shape.len(), labels.elements) {
            (1, Elements::U8(labels)) => labels,
            (_, elements) => {
                let found = kind(&Idx { shape: labels.shape, elements });
                return Err((true, Fault::Kind { found, wanted: "u8 labels of rank 1" }));
            }
        };
        let no_labels = labels.is_empty() && !pixels.is_empty();
        Self::new(pixels, labels, rows, columns)
            .map_err(|fault| (no_labels || matches!(fault, Fault::Label { .. }), fault))
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Pixels of an image: 784 for MNIST.
    pub fn width(&self) -> usize {
        self.rows * self.columns
    }

    /// Rows and columns of an image.
    pub fn image_shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// The pixels of an image, row-major.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn image(&self, index: usize) -> &[u8] {
        assert!(index < self.count, "image {index} of {}", self.count);
        &self.pixels[(self.first + index) * self.width()..][..self.width()]
    }

    /// The pixels of all images, one image after the other.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels[self.first * self.width()..][..self.count * self.width()]
    }

    /// The labels, one an image.
    pub fn labels(&self) -> &[u8] {
        &self.labels[self.first..self.first + self.count]
    }

    /// Whether `other` is the same images in the same memory: a clone.
    pub fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pixels, &other.pixels)
            && Arc::ptr_eq(&self.labels, &other.labels)
            && [self.first, self.count] == [other.first, other.count]
    }

    /// Images `range` as a data set of their own, which shares the bytes.
    ///
    /// # Panics
    /// If the range is not inside the set.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.count, "images {range:?} of {}", self.count);
        Self { first: self.first + range.start, count: range.len(), ..self.clone() }
    }

    /// The first `count` images (all, if there are fewer), and the rest.
    pub fn split(&self, count: usize) -> (Self, Self) {
        let count = count.min(self.count);
        (self.slice(0..count), self.slice(count..self.count))
    }

    /// The images in another order, copied: `order[i]` is the image that comes to stand at i.
    ///
    /// # Panics
    /// If the order names an image that is not there, or none.
    pub fn reordered(&self, order: &[usize]) -> Self {
        let pixels = order.iter().flat_map(|&i| self.image(i)).copied().collect();
        let labels = order.iter().map(|&i| self.labels()[i]).collect();
        Self::new(pixels, labels, self.rows, self.columns).expect("images of a data set make a data set")
    }

    /// Gathers images as rows of floats, `x[r] ← image(indices[r]) / 255`, and their labels. Cost: one pass over the
    /// batch. It is the plain version of `tensor::vec::ByteRows`, which a network uses instead.
    ///
    /// # Panics
    /// If a buffer's length does not fit, or an index is not there.
    pub fn gather(&self, indices: &[usize], x: &mut [f32], labels: &mut [u8]) {
        let width = self.width();
        assert_eq!(x.len(), indices.len() * width, "room for the images");
        assert_eq!(labels.len(), indices.len(), "room for the labels");
        for ((&index, row), label) in indices.iter().zip(x.chunks_exact_mut(width)).zip(labels) {
            for (x, &byte) in row.iter_mut().zip(self.image(index)) {
                *x = f32::from(byte) / 255.0;
            }
            *label = self.labels()[index];
        }
    }
}

/// How mini-batches are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Each sample of each batch is drawn from all samples (the book's `np.random.choice`).
    Replacement,
    /// The samples are shuffled and dealt in batches. When fewer than a batch are left, they are shuffled again.
    Shuffle,
}

impl Sampling {
    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replacement => "replacement",
            Self::Shuffle => "shuffle",
        }
    }
}

/// Draws the indices of mini-batches from a random stream. Each batch costs one 64-bit draw a sample.
#[derive(Clone, Debug)]
pub struct Sampler<R> {
    sampling: Sampling,
    rng: R,
    order: Vec<usize>,
    /// Next place in `order` to deal from.
    next: usize,
    batch: Vec<usize>,
}

impl<R: Rng> Sampler<R> {
    /// Batches of `batch` out of `count` samples.
    ///
    /// # Panics
    /// If there are no samples, or fewer than a batch and they are not drawn with replacement.
    pub fn new(sampling: Sampling, rng: R, count: usize, batch: usize) -> Self {
        assert!(count > 0 && batch > 0, "batches of {batch} from {count} samples");
        assert!(sampling == Sampling::Replacement || batch <= count, "batches of {batch} from {count} samples");
        Self { sampling, rng, order: (0..count).collect(), next: count, batch: vec![0; batch] }
    }

    /// The indices of the next batch. Allocates nothing.
    pub fn next_batch(&mut self) -> &[usize] {
        match self.sampling {
            Sampling::Replacement => {
                for index in &mut self.batch {
                    *index = below(&mut self.rng, self.order.len());
                }
            }
            Sampling::Shuffle => {
                if self.next + self.batch.len() > self.order.len() {
                    shuffle(&mut self.rng, &mut self.order);
                    self.next = 0;
                }
                let dealt = self.next..self.next + self.batch.len();
                self.next = dealt.end;
                self.batch.copy_from_slice(&self.order[dealt]);
            }
        }
        &self.batch
    }
}

/// A number in `0..bound`, unbiased (Lemire 2019: a multiplication, and rarely a second draw).
pub fn below(rng: &mut impl Rng, bound: usize) -> usize {
    assert!(bound > 0, "a number below 0");
    let bound = bound as u64;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        if (product as u64) >= bound.wrapping_neg() % bound {
            return (product >> 64) as usize;
        }
    }
}

/// A random permutation, in place (Fisher and Yates, from the end).
pub fn shuffle<T>(rng: &mut impl Rng, items: &mut [T]) {
    for end in (2..=items.len()).rev() {
        items.swap(end - 1, below(rng, end));
    }
}
