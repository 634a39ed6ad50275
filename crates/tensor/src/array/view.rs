//! A shared, strided view.

use super::shape::{self, ShapeError};
use super::{Element, Tensor};
use std::ops::{Index, Range};

/// A read-only array of rank `N` over borrowed elements. `Copy`: pass it by value.
///
/// The element `[0, …, 0]` is `data[0]`, and every index inside the shape lies inside `data`; the constructors
/// check that once. A stride may be 0 (a broadcast axis), and two indices may share an element.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T, const N: usize> {
    data: &'a [T],
    shape: [usize; N],
    strides: [usize; N],
}

impl<'a, T: Element, const N: usize> View<'a, T, N> {
    /// A row-major view of `data`, which may be longer than the shape needs.
    ///
    /// # Errors
    /// If `data` is shorter than the shape.
    pub fn new(data: &'a [T], shape: [usize; N]) -> Result<Self, ShapeError> {
        Self::with_strides(data, shape, shape::contiguous_strides(shape))
    }

    /// A view with the given strides, in elements.
    ///
    /// # Errors
    /// If some index of the shape lies outside `data`.
    pub fn with_strides(data: &'a [T], shape: [usize; N], strides: [usize; N]) -> Result<Self, ShapeError> {
        shape::check_reach(&shape, &strides, data.len())?;
        Ok(Self { data, shape, strides })
    }

    /// The length of each axis.
    pub fn shape(&self) -> [usize; N] {
        self.shape
    }

    /// The distance between neighbours along each axis, in elements.
    pub fn strides(&self) -> [usize; N] {
        self.strides
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        shape::count(&self.shape)
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// The borrowed elements, from the view's first to the end of what was borrowed: more than the view covers.
    /// A kernel may read (never use) what lies between and after the view's own elements.
    pub fn data(&self) -> &'a [T] {
        self.data
    }

    /// The element at `index`, or `None` outside the shape.
    #[inline]
    pub fn get(&self, index: [usize; N]) -> Option<&'a T> {
        shape::offset(self.shape, self.strides, index).map(|at| &self.data[at])
    }

    /// The indices `range` of `axis`.
    ///
    /// # Errors
    /// If the axis is not there or the range leaves it.
    pub fn slice(self, axis: usize, range: Range<usize>) -> Result<Self, ShapeError> {
        let (offset, length) = shape::slice_axis(&self.shape, &self.strides, axis, &range)?;
        let mut shape = self.shape;
        shape[axis] = length;
        Ok(Self { data: &self.data[offset..], shape, ..self })
    }

    /// The axes in another order.
    ///
    /// # Errors
    /// If `axes` is not a permutation of `0..N`.
    pub fn permute(self, axes: [usize; N]) -> Result<Self, ShapeError> {
        let (shape, strides) = shape::permute(self.shape, self.strides, axes)?;
        Ok(Self { shape, strides, ..self })
    }

    /// The same elements, in row-major order, with another shape.
    ///
    /// # Errors
    /// If the element counts differ or the view is not contiguous.
    pub fn reshape<const M: usize>(self, shape: [usize; M]) -> Result<View<'a, T, M>, ShapeError> {
        let strides = shape::reshape(self.shape, self.strides, shape)?;
        Ok(View { data: self.data, shape, strides })
    }

    /// Repeats an axis of length 1 `count` times, with stride 0.
    ///
    /// # Errors
    /// If the axis is not there, its length is not 1, or so many elements cannot be counted.
    pub fn broadcast(self, axis: usize, count: usize) -> Result<Self, ShapeError> {
        shape::check_axis(axis, N)?;
        if self.shape[axis] != 1 {
            return Err(ShapeError::Broadcast { axis, len: self.shape[axis] });
        }
        let (mut shape, mut strides) = (self.shape, self.strides);
        (shape[axis], strides[axis]) = (count, 0);
        shape::element_count(&shape)?;
        Ok(Self { shape, strides, ..self })
    }

    /// Whether the elements lie row-major without gaps.
    pub fn is_contiguous(&self) -> bool {
        shape::is_contiguous(self.shape, self.strides)
    }

    /// The elements as one slice, if they are contiguous.
    pub fn as_slice(&self) -> Option<&'a [T]> {
        self.is_contiguous().then(|| &self.data[..self.len()])
    }

    /// The elements in row-major order of their indices. Cost: an index computation each; not for hot loops.
    pub fn iter(self) -> impl Iterator<Item = &'a T> {
        let mut index = [0; N];
        (0..self.len()).map(move |_| {
            let at: usize = index.iter().zip(&self.strides).map(|(i, s)| i * s).sum();
            for axis in (0..N).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
            &self.data[at]
        })
    }

    /// An owned, contiguous copy.
    pub fn to_tensor(self) -> Tensor<T, N> {
        let mut copy = Tensor::zeros(self.shape);
        for (to, &from) in copy.as_mut_slice().iter_mut().zip(self.iter()) {
            *to = from;
        }
        copy
    }
}

impl<'a, T: Element> View<'a, T, 2> {
    /// Length of axis 0.
    pub fn rows(&self) -> usize {
        self.shape[0]
    }

    /// Length of axis 1.
    pub fn cols(&self) -> usize {
        self.shape[1]
    }

    /// The matrix with its axes swapped; no element moves.
    pub fn t(self) -> Self {
        Self { data: self.data, shape: [self.shape[1], self.shape[0]], strides: [self.strides[1], self.strides[0]] }
    }

    /// Row `i` as a slice.
    ///
    /// # Panics
    /// If `i` is out of range or the elements of a row are not adjacent.
    #[inline]
    pub fn row(&self, i: usize) -> &'a [T] {
        let [rows, cols] = self.shape;
        assert!(i < rows, "row {i} of {rows}");
        assert!(self.strides[1] == 1 || cols <= 1, "the elements of a row are {} apart", self.strides[1]);
        if cols == 0 { &[] } else { &self.data[i * self.strides[0]..][..cols] }
    }

    /// All elements as one row, if they are contiguous; else as they are.
    pub(crate) fn joined(self) -> Self {
        let shape = if self.is_contiguous() { [1, self.len()] } else { return self };
        Self { data: self.data, shape, strides: shape::contiguous_strides(shape) }
    }

    /// The rows as slices, in order.
    ///
    /// # Panics
    /// If the elements of a row are not adjacent.
    pub fn row_iter(self) -> Rows<'a, T> {
        assert!(self.strides[1] == 1 || self.shape[1] <= 1, "the elements of a row are {} apart", self.strides[1]);
        Rows { view: self, next: 0 }
    }
}

impl<T: Element, const N: usize> Index<[usize; N]> for View<'_, T, N> {
    type Output = T;
    #[inline]
    fn index(&self, index: [usize; N]) -> &T {
        match self.get(index) {
            Some(element) => element,
            None => panic!("index {index:?} outside shape {:?}", self.shape),
        }
    }
}

/// The rows of a matrix; see [`View::row_iter`].
#[derive(Clone, Debug)]
pub struct Rows<'a, T> {
    view: View<'a, T, 2>,
    next: usize,
}

impl<'a, T: Element> Iterator for Rows<'a, T> {
    type Item = &'a [T];
    #[inline]
    fn next(&mut self) -> Option<&'a [T]> {
        (self.next < self.view.rows()).then(|| {
            self.next += 1;
            self.view.row(self.next - 1)
        })
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.view.rows() - self.next;
        (left, Some(left))
    }
}

impl<T: Element> ExactSizeIterator for Rows<'_, T> {}
