//! The owned array.

use super::shape::{self, ShapeError};
use super::{AlignedBuf, Element, View, ViewMut};
use std::ops::{Index, IndexMut};

/// An owned, contiguous, row-major array of rank `N`, aligned to a cache line.
#[derive(Clone)]
pub struct Tensor<T: Element, const N: usize> {
    data: AlignedBuf<T>,
    shape: [usize; N],
}

impl<T: Element, const N: usize> Tensor<T, N> {
    /// All zeros. Cost: one allocation.
    ///
    /// # Panics
    /// If the shape's element count overflows.
    pub fn zeros(shape: [usize; N]) -> Self {
        let count = shape::element_count(&shape).unwrap_or_else(|error| panic!("{error}"));
        Self { data: AlignedBuf::zeroed(count), shape }
    }

    /// A copy of `data`, row-major.
    ///
    /// # Errors
    /// If the length of `data` is not the shape's element count.
    pub fn from_slice(data: &[T], shape: [usize; N]) -> Result<Self, ShapeError> {
        let needed = shape::element_count(&shape)?;
        if needed != data.len() {
            return Err(ShapeError::Length { shape: shape.to_vec(), needed, len: data.len() });
        }
        let mut tensor = Self::zeros(shape);
        tensor.data.copy_from_slice(data);
        Ok(tensor)
    }

    /// Element by element from its index.
    pub fn from_fn(shape: [usize; N], mut f: impl FnMut([usize; N]) -> T) -> Self {
        let mut tensor = Self::zeros(shape);
        let strides = shape::contiguous_strides(shape);
        for (at, element) in tensor.data.iter_mut().enumerate() {
            *element = f(std::array::from_fn(|axis| at / strides[axis] % shape[axis]));
        }
        tensor
    }

    /// The length of each axis.
    pub fn shape(&self) -> [usize; N] {
        self.shape
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// A shared view of the whole.
    pub fn view(&self) -> View<'_, T, N> {
        View::new(&self.data, self.shape).expect("a tensor owns its elements")
    }

    /// A mutable view of the whole.
    pub fn view_mut(&mut self) -> ViewMut<'_, T, N> {
        ViewMut::new(&mut self.data, self.shape).expect("a tensor owns its elements")
    }

    /// The elements, row-major.
    pub fn as_slice(&self) -> &[T] {
        &self.data
    }

    /// The elements, row-major.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The same elements with another shape. Cost: none.
    ///
    /// # Errors
    /// If the element counts differ.
    pub fn reshape<const M: usize>(self, shape: [usize; M]) -> Result<Tensor<T, M>, ShapeError> {
        shape::reshape(self.shape, shape::contiguous_strides(self.shape), shape)?;
        Ok(Tensor { data: self.data, shape })
    }
}

impl<T: Element> Tensor<T, 2> {
    /// The first `rows` rows: what a short last batch needs of a buffer sized for a full one.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub fn head(&self, rows: usize) -> View<'_, T, 2> {
        self.view().slice(0, 0..rows).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The first `rows` rows, mutable.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub fn head_mut(&mut self, rows: usize) -> ViewMut<'_, T, 2> {
        self.view_mut().slice(0, 0..rows).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl<T: Element, const N: usize> Index<[usize; N]> for Tensor<T, N> {
    type Output = T;
    fn index(&self, index: [usize; N]) -> &T {
        match shape::offset(self.shape, shape::contiguous_strides(self.shape), index) {
            Some(at) => &self.data[at],
            None => panic!("index {index:?} outside shape {:?}", self.shape),
        }
    }
}

impl<T: Element, const N: usize> IndexMut<[usize; N]> for Tensor<T, N> {
    fn index_mut(&mut self, index: [usize; N]) -> &mut T {
        match shape::offset(self.shape, shape::contiguous_strides(self.shape), index) {
            Some(at) => &mut self.data[at],
            None => panic!("index {index:?} outside shape {:?}", self.shape),
        }
    }
}

impl<T: Element, const N: usize> PartialEq for Tensor<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.data[..] == other.data[..]
    }
}

impl<T: Element, const N: usize> std::fmt::Debug for Tensor<T, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tensor").field("shape", &self.shape).field("data", &&self.data[..]).finish()
    }
}
