//! Shapes, strides, and what can be wrong with them.

use thiserror::Error;

/// A shape, stride or index that does not fit. Every variant names the values, so the message is the diagnosis.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ShapeError {
    /// The data are too few or too many for the shape.
    #[error("shape {shape:?} with strides {strides:?} reaches element {needed} of {len}; give it {needed} or more")]
    OutOfData {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The strides asked for.
        strides: Vec<usize>,
        /// Elements the shape needs.
        needed: usize,
        /// Elements there are.
        len: usize,
    },
    /// An owned tensor must own exactly its elements.
    #[error("shape {shape:?} has {needed} elements, the data have {len}; they must be equal")]
    Length {
        /// The shape asked for.
        shape: Vec<usize>,
        /// Elements of that shape.
        needed: usize,
        /// Elements given.
        len: usize,
    },
    /// The shape's element count or reach does not fit in `usize`.
    #[error("shape {shape:?} with strides {strides:?} overflows the address space")]
    Overflow {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The strides asked for.
        strides: Vec<usize>,
    },
    /// Two indices of a mutable view would be the same element.
    #[error(
        "shape {shape:?} with strides {strides:?} may make two indices share an element; each stride of a mutable view \
         must exceed the reach of all smaller ones"
    )]
    Overlap {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The strides asked for.
        strides: Vec<usize>,
    },
    /// A reshape that would need a copy or another number of elements.
    #[error("{from:?} with strides {strides:?} cannot be reshaped to {to:?} without a copy; make it contiguous first")]
    Reshape {
        /// The shape there is.
        from: Vec<usize>,
        /// Its strides.
        strides: Vec<usize>,
        /// The shape asked for.
        to: Vec<usize>,
    },
    /// An axis that is not there.
    #[error("axis {axis} of an array of rank {rank}; axes count from 0")]
    Axis {
        /// The axis asked for.
        axis: usize,
        /// The rank there is.
        rank: usize,
    },
    /// A range that leaves its axis.
    #[error("range {start}..{end} on axis {axis} of length {len}; it must lie inside 0..{len}")]
    Range {
        /// The axis sliced.
        axis: usize,
        /// First index.
        start: usize,
        /// One past the last index.
        end: usize,
        /// Length of the axis.
        len: usize,
    },
    /// Only an axis of length 1 can be broadcast.
    #[error("axis {axis} has length {len}; only an axis of length 1 can be broadcast")]
    Broadcast {
        /// The axis asked for.
        axis: usize,
        /// Its length.
        len: usize,
    },
    /// A list of axes that is not a permutation.
    #[error("{axes:?} is not a permutation of the axes 0..{rank}", rank = axes.len())]
    Permutation {
        /// The axes given.
        axes: Vec<usize>,
    },
    /// A matrix that was packed for the tiles of another ISA.
    #[error("B is packed for {packed} and multiplied on {run}; pack it with the `Exec` of the product")]
    Packed {
        /// The ISA it was packed for.
        packed: &'static str,
        /// The ISA of the product.
        run: &'static str,
    },
    /// Operands whose shapes do not go together.
    #[error("{what}: {left_name} is {left:?} but {right_name} is {right:?}; {rule}")]
    Mismatch {
        /// The operation.
        what: &'static str,
        /// Name of the first operand.
        left_name: &'static str,
        /// Its shape.
        left: Vec<usize>,
        /// Name of the second operand.
        right_name: &'static str,
        /// Its shape.
        right: Vec<usize>,
        /// What must hold.
        rule: &'static str,
    },
}

impl ShapeError {
    /// The error of two operands of `what` that do not go together, by a rule.
    pub fn mismatch(
        what: &'static str,
        (left_name, left): (&'static str, &[usize]),
        (right_name, right): (&'static str, &[usize]),
        rule: &'static str,
    ) -> Self {
        Self::Mismatch { what, left_name, left: left.to_vec(), right_name, right: right.to_vec(), rule }
    }
}

/// Row-major strides: the last axis is adjacent in memory. `[2, 3, 4]` gives `[12, 4, 1]`.
pub fn contiguous_strides<const N: usize>(shape: [usize; N]) -> [usize; N] {
    let mut strides = [1_usize; N];
    for axis in (1..N).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis].max(1));
    }
    strides
}

/// Number of elements of a shape, or an error if it does not fit in `usize`.
pub(super) fn element_count(shape: &[usize]) -> Result<usize, ShapeError> {
    if shape.contains(&0) {
        return Ok(0);
    }
    shape
        .iter()
        .try_fold(1_usize, |count, &len| count.checked_mul(len))
        .ok_or_else(|| ShapeError::Overflow { shape: shape.to_vec(), strides: Vec::new() })
}

/// Number of elements of a shape that was checked.
pub(super) fn count(shape: &[usize]) -> usize {
    if shape.contains(&0) { 0 } else { shape.iter().product() }
}

/// Checks that every index of `shape` lies inside `len` elements, and that they can be counted.
pub(super) fn check_reach(shape: &[usize], strides: &[usize], len: usize) -> Result<(), ShapeError> {
    if element_count(shape)? == 0 {
        return Ok(());
    }
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(0_usize, |at, (&n, &stride)| at.checked_add((n - 1).checked_mul(stride)?))
        .and_then(|last| last.checked_add(1))
        .ok_or_else(|| ShapeError::Overflow { shape: shape.to_vec(), strides: strides.to_vec() })?;
    if last > len {
        return Err(ShapeError::OutOfData { shape: shape.to_vec(), strides: strides.to_vec(), needed: last, len });
    }
    Ok(())
}

/// Checks that no two indices reach one element: taken from the smallest stride up, each stride must exceed the
/// whole reach of the axes below it. (Sufficient, and true of every array that slicing and permuting can make.)
pub(super) fn check_disjoint<const N: usize>(shape: [usize; N], strides: [usize; N]) -> Result<(), ShapeError> {
    let mut axes: [usize; N] = std::array::from_fn(|axis| axis);
    axes.sort_unstable_by_key(|&axis| strides[axis]);
    let mut reach = 0;
    if !shape.contains(&0) {
        for axis in axes {
            if shape[axis] > 1 {
                if strides[axis] <= reach {
                    return Err(ShapeError::Overlap { shape: shape.to_vec(), strides: strides.to_vec() });
                }
                reach += (shape[axis] - 1) * strides[axis];
            }
        }
    }
    Ok(())
}

/// Checks that `axis` is one of `rank`.
pub(super) fn check_axis(axis: usize, rank: usize) -> Result<(), ShapeError> {
    if axis < rank { Ok(()) } else { Err(ShapeError::Axis { axis, rank }) }
}

/// The offset that a slice `range` of `axis` starts at, and its length.
pub(super) fn slice_axis(
    shape: &[usize],
    strides: &[usize],
    axis: usize,
    range: &std::ops::Range<usize>,
) -> Result<(usize, usize), ShapeError> {
    check_axis(axis, shape.len())?;
    if range.start > range.end || range.end > shape[axis] {
        return Err(ShapeError::Range { axis, start: range.start, end: range.end, len: shape[axis] });
    }
    let length = range.end - range.start;
    // An empty view starts nowhere: its offset must not point past the data.
    let empty = length == 0 || shape.contains(&0);
    Ok((if empty { 0 } else { range.start * strides[axis] }, length))
}

/// The shape and strides with their axes reordered.
pub(super) fn permute<const N: usize>(
    shape: [usize; N],
    strides: [usize; N],
    axes: [usize; N],
) -> Result<([usize; N], [usize; N]), ShapeError> {
    let mut seen = [false; N];
    for &axis in &axes {
        if axis >= N || std::mem::replace(&mut seen[axis], true) {
            return Err(ShapeError::Permutation { axes: axes.to_vec() });
        }
    }
    Ok((axes.map(|axis| shape[axis]), axes.map(|axis| strides[axis])))
}

/// Whether the elements lie row-major without gaps (strides of axes of length 0 or 1 do not matter).
pub(super) fn is_contiguous<const N: usize>(shape: [usize; N], strides: [usize; N]) -> bool {
    let want = contiguous_strides(shape);
    shape.contains(&0) || (0..N).all(|axis| shape[axis] == 1 || strides[axis] == want[axis])
}

/// The strides of `to` over the same elements, if that needs no copy.
pub(super) fn reshape<const N: usize, const M: usize>(
    from: [usize; N],
    strides: [usize; N],
    to: [usize; M],
) -> Result<[usize; M], ShapeError> {
    if element_count(&from)? == element_count(&to)? && is_contiguous(from, strides) {
        Ok(contiguous_strides(to))
    } else {
        Err(ShapeError::Reshape { from: from.to_vec(), strides: strides.to_vec(), to: to.to_vec() })
    }
}

/// The offset of `index`, or `None` if it is outside the shape.
#[inline]
pub(super) fn offset<const N: usize>(shape: [usize; N], strides: [usize; N], index: [usize; N]) -> Option<usize> {
    let mut at = 0;
    for axis in 0..N {
        if index[axis] >= shape[axis] {
            return None;
        }
        at += index[axis] * strides[axis];
    }
    Some(at)
}
