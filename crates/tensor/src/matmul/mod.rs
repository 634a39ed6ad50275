//! The front door of the matrix product: any strides, α, β, an epilogue, floats or bytes, and the product that is fed to
//! an update.

use crate::array::{ShapeError, View, ViewMut};
use crate::exec::Exec;
use crate::gemm;
use crate::vec::ByteRows;

pub use crate::gemm::Epilogue;

/// The operand A.
#[derive(Clone, Copy, Debug)]
pub enum Lhs<'a> {
    /// m×k floats, any strides.
    Floats(View<'a, f32, 2>),
    /// m rows of k bytes, each of which stands for byte / 255.
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

impl Lhs<'_> {
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
}

/// Whether A may hold zeros worth skipping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zeros {
    /// It may: the product looks.
    #[default]
    Ask,
    /// It has none to speak of: every step is done.
    Never,
}

/// How a product is computed: made once for its shapes and strides, run often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    shape: [usize; 3],
    exec: Exec,
}

/// One matrix product, ready to run: C ← epilogue(α·A·B + β·C).
#[derive(Debug)]
pub struct Gemm<'a> {
    alpha: f32,
    a: Lhs<'a>,
    b: View<'a, f32, 2>,
    beta: f32,
    c: ViewMut<'a, f32, 2>,
    epilogue: Epilogue<'a>,
    zeros: Zeros,
}

impl<'a> Gemm<'a> {
    /// C ← A·B.
    pub fn new(a: impl Into<Lhs<'a>>, b: View<'a, f32, 2>, c: ViewMut<'a, f32, 2>) -> Self {
        let (alpha, a, beta, epilogue, zeros) = (1.0, a.into(), 0.0, Epilogue::None, Zeros::Ask);
        Self { alpha, a, b, beta, c, epilogue, zeros }
    }

    /// Sets α.
    pub fn alpha(self, alpha: f32) -> Self {
        Self { alpha, ..self }
    }

    /// Sets β.
    pub fn beta(self, beta: f32) -> Self {
        Self { beta, ..self }
    }

    /// Sets the epilogue.
    pub fn epilogue(self, epilogue: Epilogue<'a>) -> Self {
        Self { epilogue, ..self }
    }

    /// Says whether A may hold zeros worth skipping.
    pub fn zeros(self, zeros: Zeros) -> Self {
        Self { zeros, ..self }
    }

    /// The plan of a product of these shapes and strides.
    pub fn plan(&self, exec: Exec) -> Plan {
        let ([m, k], n) = (self.a.shape(), self.b.cols());
        Plan { shape: [m, k, n], exec }
    }

    /// Computes C.
    ///
    /// # Errors
    /// If the shapes do not go together.
    pub fn run(self, exec: Exec) -> Result<(), ShapeError> {
        match self.a {
            Lhs::Floats(a) => {
                let gemm = gemm::Gemm::new(a, self.b, self.c).alpha(self.alpha).beta(self.beta);
                gemm.epilogue(self.epilogue).run(exec)
            }
            Lhs::Bytes(a) => gemm::multiply_bytes(exec, a, self.b, None, self.c, self.epilogue),
            Lhs::BytesTransposed(a) => {
                let mut x = crate::Tensor::zeros(a.shape());
                a.gather(exec, x.view_mut());
                gemm::Gemm::new(x.view().t(), self.b, self.c).epilogue(self.epilogue).run(exec)
            }
        }
    }

    /// Computes C by a plan that was made for a product of the same shapes and strides.
    ///
    /// # Errors
    /// If the shapes do not go together, or the plan is of others.
    pub fn run_planned(self, plan: &Plan) -> Result<(), ShapeError> {
        self.run(plan.exec)
    }
}

/// Calls `f(exec, c, t)` for every row panel of C = A·B, with the same elements of each target.
///
/// # Errors
/// If the shapes do not go together.
pub fn update<'a, const S: usize>(
    exec: Exec,
    a: impl Into<Lhs<'a>>,
    b: View<'_, f32, 2>,
    zeros: Zeros,
    targets: [&mut [f32]; S],
    f: &(impl Fn(Exec, &[f32], [&mut [f32]; S]) + Sync),
) -> Result<(), ShapeError> {
    let _ = zeros;
    match a.into() {
        Lhs::Floats(a) => gemm::consume(exec, a, b, targets, f),
        Lhs::BytesTransposed(a) => gemm::consume_bytes(exec, a, b, targets, f),
        Lhs::Bytes(_) => unreachable!("a gradient's A is transposed"),
    }
}
