//! The operand A of a matrix product: floats, or the bytes of a mini-batch.

use super::ByteRows;
use crate::array::{Tensor, View};
use crate::exec::Exec;
use std::ops::Range;

/// Whether A may hold zeros worth skipping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zeros {
    /// It may: some of its rows are looked at, and if there are many zeros they are skipped.
    #[default]
    Ask,
    /// It has none to speak of: every step is done.
    Never,
}

/// The operand A.
#[derive(Clone, Copy, Debug)]
pub enum Lhs<'a> {
    /// m×k floats, any strides.
    Floats(View<'a, f32, 2>),
    /// m rows of k bytes, each of which stands for the float byte / 255.
    Bytes(ByteRows<'a>),
    /// The transpose of k rows of m bytes.
    BytesTransposed(ByteRows<'a>),
}

impl<'a> From<View<'a, f32, 2>> for Lhs<'a> {
    fn from(a: View<'a, f32, 2>) -> Self {
        Self::Floats(a)
    }
}

impl<'a> From<ByteRows<'a>> for Lhs<'a> {
    fn from(a: ByteRows<'a>) -> Self {
        Self::Bytes(a)
    }
}

impl<'a> Lhs<'a> {
    /// The transpose; nothing is copied.
    pub fn t(self) -> Self {
        match self {
            Self::Floats(a) => Self::Floats(a.t()),
            Self::Bytes(a) => Self::BytesTransposed(a),
            Self::BytesTransposed(a) => Self::Bytes(a),
        }
    }

    /// m and k.
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Floats(a) => a.shape(),
            Self::Bytes(a) => a.shape(),
            Self::BytesTransposed(a) => [a.shape()[1], a.shape()[0]],
        }
    }

    /// The strides of A, or of the floats that its bytes become ([`Lhs::rows`]).
    pub(crate) fn strides(&self) -> [usize; 2] {
        match self {
            Self::Floats(a) => a.strides(),
            Self::Bytes(a) => [a.shape()[1], 1],
            Self::BytesTransposed(a) => [1, a.shape()[1]],
        }
    }

    /// All of A as floats, row-major.
    pub(crate) fn to_tensor(self, exec: Exec) -> Tensor<f32, 2> {
        match self {
            Self::Floats(a) => a.to_tensor(),
            Self::Bytes(a) => a.to_tensor(exec),
            Self::BytesTransposed(a) => a.to_tensor(exec).view().t().to_tensor(),
        }
    }

    /// Rows of A as floats: where they are, or, if A is bytes, converted into `to`.
    pub(crate) fn rows<'b>(self, exec: Exec, rows: Range<usize>, to: &'b mut [f32]) -> View<'b, f32, 2>
    where
        'a: 'b,
    {
        let (m, [_, k]) = (rows.len(), self.shape());
        match self {
            Self::Floats(a) => a.slice(0, rows).expect("the rows are inside A"),
            Self::Bytes(a) => {
                a.block(exec, rows, 0..k, to, k);
                View::new(to, [m, k]).expect("there is room for the rows")
            }
            Self::BytesTransposed(a) => {
                a.block(exec, 0..k, rows, to, m);
                View::new(to, [k, m]).expect("there is room for the rows").t()
            }
        }
    }
}
