//! What a layer is.

use tensor::array::AlignedBuf;
use tensor::matmul::Lhs;
use tensor::profile::{Work, kernel};
use tensor::vec::{ByteRows, for_each_piece};
use tensor::{Exec, ShapeError, View, ViewMut};

/// Why a forward pass is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// To learn from: batch normalisation uses the batch's statistics, dropout drops.
    Training {
        /// The step's number; dropout's masks depend on it.
        step: u64,
    },
    /// To predict: running statistics, nothing dropped.
    Inference,
}

/// What a parameter is; weight decay falls on weights only (in the book's form).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// W of an affine layer.
    Weight,
    /// b of an affine layer.
    Bias,
    /// γ of a normalisation.
    Scale,
    /// β of a normalisation.
    Shift,
}

impl Role {
    /// The name used in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Bias => "bias",
            Self::Scale => "gamma",
            Self::Shift => "beta",
        }
    }
}

/// A parameter on its way to an optimizer or a file.
#[derive(Debug)]
pub struct Parameter<'a> {
    /// What it is.
    pub role: Role,
    /// Its shape, `[n, 1]` for a vector.
    pub shape: [usize; 2],
    /// Its value.
    pub value: &'a mut [f32],
    /// The gradient of the last [`Layer::backward`]. After a training step it may be stale: a fused update does not keep
    /// it.
    pub gradient: &'a [f32],
}

/// The network's input.
#[derive(Clone, Copy, Debug)]
pub enum Batch<'a> {
    /// A matrix, a sample a row.
    Floats(View<'a, f32, 2>),
    /// Samples picked from a data set of bytes, which become floats from 0 to 1 where they are used.
    Bytes(ByteRows<'a>),
}

impl<'a> Batch<'a> {
    /// The matrix, for a layer that takes nothing else.
    ///
    /// # Panics
    /// If the batch is bytes.
    pub(crate) fn floats(self, kind: &str) -> View<'a, f32, 2> {
        match self {
            Self::Floats(x) => x,
            Self::Bytes(_) => panic!("{kind} cannot be a network's first layer: it takes no bytes"),
        }
    }

    /// B and I.
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Floats(x) => x.shape(),
            Self::Bytes(x) => x.shape(),
        }
    }
}

impl<'a> From<Batch<'a>> for Lhs<'a> {
    fn from(batch: Batch<'a>) -> Self {
        match batch {
            Batch::Floats(x) => x.into(),
            Batch::Bytes(x) => x.into(),
        }
    }
}

/// An optimizer's state for one parameter: each as long as the parameter, or empty.
pub type State = [AlignedBuf<f32>; 2];

/// The step of an optimizer.
pub trait UpdateRule: Sync {
    /// Moves some elements of a parameter against their gradient, with the same elements of its state.
    fn apply(&self, exec: Exec, role: Role, value: &mut [f32], gradient: &[f32], state: [&mut [f32]; 2]);
}

/// State that is not learnt but must be kept: batch normalisation's running values.
#[derive(Debug)]
pub struct Statistic<'a> {
    /// The name used in files.
    pub name: &'static str,
    /// Its value.
    pub value: &'a mut [f32],
}

/// A step of the computation, forward and backward: what a layer of one's own implements.
///
/// Shapes: X is B×I, Y and dY are B×O, dX is B×I, for any B up to what was reserved. The pair of calls for one batch is
/// `forward(Training)` then `backward`, with the same X and the Y that came out; whatever else backward needs the layer
/// keeps. A layer knows nothing of its neighbours. No call should allocate once `reserve` has been called for the batch.
/// Rows may lie apart, but the elements of a row are adjacent.
pub trait Layer: Send {
    /// The kind of layer, for messages and tables.
    fn kind(&self) -> &'static str;

    /// O, the width of the output.
    fn outputs(&self) -> usize;

    /// Makes room for batches of up to `batch` rows.
    fn reserve(&mut self, batch: usize) {
        let _ = batch;
    }

    /// Fills Y.
    ///
    /// # Errors
    /// If a shape is not the layer's.
    fn forward(
        &mut self,
        exec: Exec,
        pass: Pass,
        x: View<'_, f32, 2>,
        y: ViewMut<'_, f32, 2>,
    ) -> Result<(), ShapeError>;

    /// Fills the gradients of the parameters and, unless it is `None` (nobody needs it of the first layer), dX. Nothing
    /// is accumulated, and X, Y and dY are left as they are.
    ///
    /// # Errors
    /// If a shape is not the layer's.
    fn backward(
        &mut self,
        exec: Exec,
        x: View<'_, f32, 2>,
        y: View<'_, f32, 2>,
        dy: View<'_, f32, 2>,
        dx: Option<ViewMut<'_, f32, 2>>,
    ) -> Result<(), ShapeError>;

    /// Whether a good part of Y is 0, and of dX where Y is: a hint for the products that read them, which then look for
    /// zeros to skip.
    fn makes_zeros(&self) -> bool {
        false
    }

    /// W, what weight decay falls on in the book's form; of a layer that has none, nothing.
    fn weights(&self) -> &[f32] {
        &[]
    }

    /// Calls `visit` for each parameter, always in the same order. Their values may be changed.
    fn parameters(&mut self, visit: &mut dyn FnMut(Parameter<'_>)) {
        let _ = visit;
    }

    /// Calls `visit` for each statistic, always in the same order.
    fn statistics(&mut self, visit: &mut dyn FnMut(Statistic<'_>)) {
        let _ = visit;
    }
}

/// Moves every parameter of a layer by `rule`, with a state each.
pub(crate) fn update(exec: Exec, layer: &mut dyn Layer, rule: &dyn UpdateRule, state: &mut [State]) {
    let mut states = state.iter_mut();
    layer.parameters(&mut |parameter| {
        let [first, second] = states.next().expect("a state for each parameter");
        let moved = 2 * (first.len() + second.len()) + 3 * parameter.value.len();
        let (role, gradient) = (parameter.role, parameter.gradient);
        kernel("update", Work::streaming(moved, 0, 0), || {
            for_each_piece(exec, [parameter.value, first, second], &|range, [value, first, second]| {
                rule.apply(exec.one_thread(), role, value, &gradient[range], [first, second]);
            });
        });
    });
}

/// The error of an operand that is `got` where the layer needs `want`.
pub(crate) fn expect_shape(
    what: &'static str,
    operand: &'static str,
    got: [usize; 2],
    want: [usize; 2],
) -> Result<(), ShapeError> {
    if got == want {
        return Ok(());
    }
    Err(ShapeError::Mismatch {
        what,
        left_name: operand,
        left: got.to_vec(),
        right_name: "what the layer needs",
        right: want.to_vec(),
        rule: "they must be equal",
    })
}
