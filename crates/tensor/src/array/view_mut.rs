//! A mutable, strided view.

use super::shape::{self, ShapeError};
use super::{Element, View};
use std::ops::{Index, IndexMut, Range};

/// A mutable array of rank `N` over borrowed elements. No two indices reach the same element; the constructors
/// check that, and that every index lies inside the data.
#[derive(Debug)]
pub struct ViewMut<'a, T, const N: usize> {
    data: &'a mut [T],
    shape: [usize; N],
    strides: [usize; N],
}

impl<'a, T: Element, const N: usize> ViewMut<'a, T, N> {
    /// A row-major view of `data`, which may be longer than the shape needs.
    ///
    /// # Errors
    /// If `data` is shorter than the shape.
    pub fn new(data: &'a mut [T], shape: [usize; N]) -> Result<Self, ShapeError> {
        Self::with_strides(data, shape, shape::contiguous_strides(shape))
    }

    /// A view with the given strides, in elements.
    ///
    /// # Errors
    /// If some index lies outside `data`, or two indices share an element.
    pub fn with_strides(data: &'a mut [T], shape: [usize; N], strides: [usize; N]) -> Result<Self, ShapeError> {
        shape::check_reach(&shape, &strides, data.len())?;
        shape::check_disjoint(shape, strides)?;
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

    /// The borrowed elements, from the view's first to the end of what was borrowed.
    pub fn data_mut(&mut self) -> &mut [T] {
        self.data
    }

    /// A shared view of the same elements.
    pub fn view(&self) -> View<'_, T, N> {
        View::with_strides(self.data, self.shape, self.strides).expect("checked when this view was made")
    }

    /// A shorter-lived mutable view of the same elements, to hand on while keeping this one.
    pub fn reborrow(&mut self) -> ViewMut<'_, T, N> {
        ViewMut { data: self.data, shape: self.shape, strides: self.strides }
    }

    /// The element at `index`, or `None` outside the shape.
    #[inline]
    pub fn get_mut(&mut self, index: [usize; N]) -> Option<&mut T> {
        shape::offset(self.shape, self.strides, index).map(|at| &mut self.data[at])
    }

    /// The indices `range` of `axis`.
    ///
    /// # Errors
    /// If the axis is not there or the range leaves it.
    pub fn slice(self, axis: usize, range: Range<usize>) -> Result<Self, ShapeError> {
        let (offset, length) = shape::slice_axis(&self.shape, &self.strides, axis, &range)?;
        let mut shape = self.shape;
        shape[axis] = length;
        Ok(Self { data: &mut self.data[offset..], shape, strides: self.strides })
    }

    /// The axes in another order.
    ///
    /// # Errors
    /// If `axes` is not a permutation of `0..N`.
    pub fn permute(self, axes: [usize; N]) -> Result<Self, ShapeError> {
        let (shape, strides) = shape::permute(self.shape, self.strides, axes)?;
        Ok(Self { data: self.data, shape, strides })
    }

    /// The same elements, in row-major order, with another shape.
    ///
    /// # Errors
    /// If the element counts differ or the view is not contiguous.
    pub fn reshape<const M: usize>(self, shape: [usize; M]) -> Result<ViewMut<'a, T, M>, ShapeError> {
        let strides = shape::reshape(self.shape, self.strides, shape)?;
        Ok(ViewMut { data: self.data, shape, strides })
    }

    /// The elements as one slice, if they are contiguous.
    pub fn as_mut_slice(&mut self) -> Option<&mut [T]> {
        let len = self.len();
        shape::is_contiguous(self.shape, self.strides).then(|| &mut self.data[..len])
    }

    /// Sets every element.
    pub fn fill(&mut self, value: T) {
        self.for_each_offset(|data, at, _| data[at] = value);
    }

    /// Copies `from`, element by element of the same index.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn copy_from(&mut self, from: View<'_, T, N>) -> Result<(), ShapeError> {
        if self.shape != from.shape() {
            return Err(ShapeError::Mismatch {
                what: "copy",
                left_name: "the destination",
                left: self.shape.to_vec(),
                right_name: "the source",
                right: from.shape().to_vec(),
                rule: "they must be equal",
            });
        }
        let mut source = from.iter();
        self.for_each_offset(|data, at, _| {
            if let Some(&value) = source.next() {
                data[at] = value;
            }
        });
        Ok(())
    }

    /// Calls `visit(data, offset, index)` for every index in row-major order.
    fn for_each_offset(&mut self, mut visit: impl FnMut(&mut [T], usize, [usize; N])) {
        let mut index = [0; N];
        for _ in 0..self.len() {
            let at: usize = index.iter().zip(&self.strides).map(|(i, s)| i * s).sum();
            visit(self.data, at, index);
            for axis in (0..N).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    }
}

impl<'a, T: Element> ViewMut<'a, T, 2> {
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
        let ([rows, cols], [rs, cs]) = (self.shape, self.strides);
        Self { data: self.data, shape: [cols, rows], strides: [cs, rs] }
    }

    /// Row `i` as a slice.
    ///
    /// # Panics
    /// If `i` is out of range or the elements of a row are not adjacent.
    #[inline]
    pub fn row_mut(&mut self, i: usize) -> &mut [T] {
        let [rows, cols] = self.shape;
        assert!(i < rows, "row {i} of {rows}");
        assert!(self.strides[1] == 1 || cols <= 1, "the elements of a row are {} apart", self.strides[1]);
        if cols == 0 { &mut [] } else { &mut self.data[i * self.strides[0]..][..cols] }
    }

    /// All elements as one row, if they are contiguous; else as they are.
    pub(crate) fn joined(self) -> Self {
        let shape = if self.view().is_contiguous() { [1, self.len()] } else { return self };
        Self { data: self.data, shape, strides: shape::contiguous_strides(shape) }
    }

    /// The rows as slices, in order.
    ///
    /// # Panics
    /// If the elements of a row are not adjacent, or rows interleave (a transposed view).
    pub fn into_row_iter(self) -> RowsMut<'a, T> {
        let ([rows, cols], [rs, cs]) = (self.shape, self.strides);
        assert!(cs == 1 || cols <= 1, "the elements of a row are {cs} apart");
        assert!(rs >= cols || rows <= 1, "rows of {cols} elements start {rs} apart");
        RowsMut { data: self.data, rows, cols, stride: rs }
    }
}

impl<T: Element, const N: usize> Index<[usize; N]> for ViewMut<'_, T, N> {
    type Output = T;
    #[inline]
    fn index(&self, index: [usize; N]) -> &T {
        match shape::offset(self.shape, self.strides, index) {
            Some(at) => &self.data[at],
            None => panic!("index {index:?} outside shape {:?}", self.shape),
        }
    }
}

impl<T: Element, const N: usize> IndexMut<[usize; N]> for ViewMut<'_, T, N> {
    #[inline]
    fn index_mut(&mut self, index: [usize; N]) -> &mut T {
        let shape = self.shape;
        match self.get_mut(index) {
            Some(element) => element,
            None => panic!("index {index:?} outside shape {shape:?}"),
        }
    }
}

/// The rows of a mutable matrix; see [`ViewMut::into_row_iter`].
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    stride: usize,
}

impl<'a, T> Iterator for RowsMut<'a, T> {
    type Item = &'a mut [T];
    #[inline]
    fn next(&mut self) -> Option<&'a mut [T]> {
        if self.rows == 0 {
            return None;
        }
        self.rows -= 1;
        if self.cols == 0 {
            return Some(&mut []);
        }
        let data = std::mem::take(&mut self.data);
        if self.rows == 0 {
            return Some(&mut data[..self.cols]);
        }
        let (row, rest) = data.split_at_mut(self.stride);
        self.data = rest;
        Some(&mut row[..self.cols])
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rows, Some(self.rows))
    }
}

impl<T> ExactSizeIterator for RowsMut<'_, T> {}
