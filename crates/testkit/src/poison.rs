//! Buffers that detect reads and writes outside of a matrix.
//!
//! A [`Poisoned`] buffer holds a matrix between two guards. The guards, and the gaps between padded rows, are full of
//! one particular NaN:
//!
//! ```text
//! guard | row 0 ........ gap | row 1 ........ gap | row 2 ........ | guard
//! ```
//!
//! A kernel that *reads* the poison gives NaN, which no comparator accepts. A kernel that *writes* over it changes its
//! bits, which [`Poisoned::assert_guards_untouched`] reports. Poison that is written back as it was read is not
//! detected.

/// The bits of the poison: a quiet NaN with a payload that no operation makes by itself.
pub const POISON: u32 = 0x7fc0_dead;

/// A row-major `rows`×`cols` matrix, poisoned all around.
#[derive(Clone, Debug)]
pub struct Poisoned {
    buffer: Vec<f32>,
    rows: usize,
    cols: usize,
    row_stride: usize,
    guard: usize,
}

impl Poisoned {
    /// A matrix whose rows start `row_stride` elements apart, between guards of `guard` elements. Its own elements are
    /// poison too, until they are written: an output that was not written shows.
    ///
    /// # Panics
    /// If `row_stride` is less than `cols`.
    pub fn matrix(rows: usize, cols: usize, row_stride: usize, guard: usize) -> Self {
        assert!(row_stride >= cols, "rows of {cols} elements do not fit a stride of {row_stride}");
        let span = if rows == 0 { 0 } else { (rows - 1) * row_stride + cols };
        let buffer = vec![f32::from_bits(POISON); guard + span + guard];
        Self { buffer, rows, cols, row_stride, guard }
    }

    /// A vector of `len` elements between guards of `guard` elements.
    pub fn vector(len: usize, guard: usize) -> Self {
        Self::matrix(1, len, len, guard)
    }

    /// Writes the elements, given as dense rows; the gaps stay poisoned.
    ///
    /// # Panics
    /// If `values` is not rows·cols long.
    pub fn with_values(mut self, values: &[f32]) -> Self {
        assert_eq!(values.len(), self.rows * self.cols, "the matrix is {}×{}", self.rows, self.cols);
        let (cols, row_stride) = (self.cols, self.row_stride);
        let inner = self.as_mut_slice();
        for (i, &value) in values.iter().enumerate() {
            inner[i / cols * row_stride + i % cols] = value;
        }
        self
    }

    /// From the first element to the last, gaps included.
    pub fn as_slice(&self) -> &[f32] {
        &self.buffer[self.guard..self.buffer.len() - self.guard]
    }

    /// From the first element to the last, gaps included, to write to.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        let end = self.buffer.len() - self.guard;
        &mut self.buffer[self.guard..end]
    }

    /// Distance between rows, in elements.
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// The elements as dense rows, without the gaps.
    pub fn values(&self) -> Vec<f32> {
        let row = |i: usize| &self.as_slice()[i * self.row_stride..][..self.cols];
        (0..self.rows).flat_map(row).copied().collect()
    }

    /// Asserts that guards and gaps still hold the poison, bit for bit.
    ///
    /// # Panics
    /// If an element of them was changed. The message says which, counted from the first element of the matrix.
    #[track_caller]
    pub fn assert_guards_untouched(&self) {
        for (i, &value) in self.buffer.iter().enumerate() {
            if !self.holds_element(i) && value.to_bits() != POISON {
                panic!(
                    "a write outside of the {}×{} matrix of row stride {}: offset {} holds {value:e} ({:#010x})",
                    self.rows,
                    self.cols,
                    self.row_stride,
                    i as isize - self.guard as isize,
                    value.to_bits()
                );
            }
        }
    }

    /// Whether `index` of the whole buffer is an element of the matrix, rather than of a guard or a gap.
    fn holds_element(&self, index: usize) -> bool {
        let inside = (self.guard..self.buffer.len() - self.guard).contains(&index);
        inside && (index - self.guard) % self.row_stride < self.cols
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::assert_bits;

    #[test]
    fn poison_is_a_quiet_nan() {
        let poison = f32::from_bits(POISON);
        assert!(poison.is_nan());
        assert_eq!(POISON & 0x0040_0000, 0x0040_0000, "quiet");
        assert_ne!(POISON, f32::NAN.to_bits(), "not the NaN that operations make");
    }

    #[test]
    fn elements_lie_between_poison() {
        let matrix = Poisoned::matrix(2, 3, 5, 4).with_values(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let nan = f32::NAN;
        assert_bits("inner", matrix.as_slice(), &[1.0, 2.0, 3.0, nan, nan, 4.0, 5.0, 6.0]);
        assert_eq!(matrix.values(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(matrix.row_stride(), 5);
        matrix.assert_guards_untouched();
        assert!(Poisoned::vector(3, 2).values().iter().all(|x| x.is_nan()), "unwritten elements show");
    }

    #[test]
    fn empty_matrices_have_guards_only() {
        for (rows, cols, stride) in [(0, 3, 5), (3, 0, 2), (0, 0, 0), (2, 0, 0)] {
            let mut matrix = Poisoned::matrix(rows, cols, stride, 3).with_values(&[]);
            matrix.assert_guards_untouched();
            assert!(matrix.values().is_empty());
            matrix.buffer[0] = 0.0;
            assert!(std::panic::catch_unwind(|| matrix.assert_guards_untouched()).is_err());
        }
    }

    #[test]
    fn every_write_outside_is_noticed_and_no_write_inside() {
        let clean = Poisoned::matrix(3, 2, 4, 3).with_values(&[0.0; 6]);
        let elements = [3, 4, 7, 8, 11, 12];
        for i in 0..clean.buffer.len() {
            for value in [0.0, f32::NAN] {
                let mut written = clean.clone();
                written.buffer[i] = value;
                let noticed = std::panic::catch_unwind(|| written.assert_guards_untouched()).is_err();
                assert_eq!(noticed, !elements.contains(&i), "index {i}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "offset 2 holds 7e0")]
    fn message_names_the_place() {
        let mut matrix = Poisoned::matrix(2, 2, 3, 1);
        matrix.as_mut_slice()[2] = 7.0;
        matrix.assert_guards_untouched();
    }
}
