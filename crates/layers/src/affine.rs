//! The affine layer (chapter 5.6).
//!
//! ```text
//! forward    Y  = X·W + b          (B×I)·(I×O)
//! backward   dW = Xᵀ·dY            (I×B)·(B×O)
//!            db = Σ rows of dY
//!            dX = dY·Wᵀ            (B×O)·(O×I)
//! ```
//!
//! Plain: three triple loops (`testkit::affine`). Here each product is one call of the GEMM, and a transpose is a swap
//! of strides: nobody copies X or W to transpose it. The bias is the GEMM's epilogue.
//!
//! Each product is a method of its own, which takes what may be fused with it as an argument: an epilogue for Y, a gate
//! for dX, an update for dW. The layer does not know who asks, or why (`program/`). X, Y and dY are never edited.

use crate::init::Init;
use crate::layer::{Batch, Layer, Parameter, Pass, Role, State, UpdateRule, expect_shape};
use rand_xoshiro::Xoshiro256PlusPlus;
use tensor::matmul::{self, Epilogue, Gemm, Lhs, Plan, Zeros};
use tensor::profile::{Work, kernel};
use tensor::vec::column_sums;
use tensor::{Exec, ShapeError, Tensor, View, ViewMut};

/// Y = X·W + b. Cost: 2·B·I·O operations forward, twice that backward.
///
/// ```
/// use layers::{Affine, Layer, Pass};
/// use tensor::{Exec, Tensor};
/// let weight = Tensor::from_slice(&[1.0, 2.0, 3.0, 4.0], [2, 2])?;
/// let mut layer = Affine::from_parts(weight, Tensor::from_slice(&[0.5, -0.5], [2])?)?;
/// let (x, mut y) = (Tensor::from_slice(&[1.0, 1.0], [1, 2])?, Tensor::zeros([1, 2]));
/// layer.forward(Exec::serial(), Pass::Inference, x.view(), y.view_mut())?;
/// assert_eq!(y.as_slice(), &[4.5, 5.5]);
/// # Ok::<(), tensor::ShapeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Affine {
    weight: Tensor<f32, 2>,
    bias: Tensor<f32, 1>,
    d_weight: Tensor<f32, 2>,
    d_bias: Tensor<f32, 1>,
}

/// How a product is to be computed, as far as its caller knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route<'a> {
    pub exec: Exec,
    /// The plan that was made for the product. One that is for another number of rows, or another exec, is not used.
    pub plan: Option<&'a Plan>,
    pub zeros: Zeros,
}

impl Route<'_> {
    /// Planned on the way.
    fn unplanned(exec: Exec, zeros: Zeros) -> Self {
        Self { exec, plan: None, zeros }
    }
}

/// What happens to Y as it is stored, besides the bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Finish {
    /// Nothing.
    Bias,
    /// max(0, Y).
    Relu,
    /// max(0, Y)·s.
    ReluScale(f32),
}

impl Affine {
    /// Weights drawn by `init`, biases 0.
    pub fn new(exec: Exec, inputs: usize, outputs: usize, init: Init, rng: &mut Xoshiro256PlusPlus) -> Self {
        let mut weight = Tensor::zeros([inputs, outputs]);
        init.fill(exec, rng, [inputs, outputs], weight.as_mut_slice());
        Self::from_parts(weight, Tensor::zeros([outputs])).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Given weights (I×O) and biases (O).
    ///
    /// # Errors
    /// If their lengths do not go together.
    pub fn from_parts(weight: Tensor<f32, 2>, bias: Tensor<f32, 1>) -> Result<Self, ShapeError> {
        expect_shape("affine", "the bias", [1, bias.len()], [1, weight.shape()[1]])?;
        let (d_weight, d_bias) = (Tensor::zeros(weight.shape()), Tensor::zeros(bias.shape()));
        Ok(Self { weight, bias, d_weight, d_bias })
    }

    /// I, the width of the input.
    pub fn inputs(&self) -> usize {
        self.weight.shape()[0]
    }

    /// Y = X·W + b, and what is fused with it.
    pub(crate) fn output(
        &self,
        route: Route<'_>,
        x: Batch<'_>,
        finish: Finish,
        y: ViewMut<'_, f32, 2>,
    ) -> Result<(), ShapeError> {
        let [rows, inputs] = x.shape();
        expect_shape("affine", "X", x.shape(), [rows, self.inputs()])?;
        expect_shape("affine", "Y", y.shape(), [rows, self.outputs()])?;
        let bias = self.bias.as_slice();
        let epilogue = match finish {
            Finish::Bias => Epilogue::Bias(bias),
            Finish::Relu => Epilogue::BiasRelu(bias),
            Finish::ReluScale(scale) => Epilogue::BiasReluScale(bias, scale),
        };
        let gemm = Gemm::new(x, self.weight.view(), y).epilogue(epilogue);
        kernel("Y = X·W + b", Work::gemm([rows, inputs, self.outputs()]), || {
            gemm.zeros(route.zeros).run_by(route.exec, route.plan)
        })
    }

    /// dX = dY·Wᵀ, and 0 where the gate is ≤ 0.
    pub(crate) fn input_gradient(
        &self,
        route: Route<'_>,
        dy: View<'_, f32, 2>,
        gate: Option<View<'_, f32, 2>>,
        dx: ViewMut<'_, f32, 2>,
    ) -> Result<(), ShapeError> {
        expect_shape("affine", "dX", dx.shape(), [dy.rows(), self.inputs()])?;
        let work = Work::gemm([dy.rows(), self.outputs(), self.inputs()]);
        let gemm = Gemm::new(dy, self.weight.view().t(), dx).epilogue(gate.map_or(Epilogue::None, Epilogue::Gate));
        kernel("dX = dY·Wᵀ", work, || gemm.zeros(route.zeros).run_by(route.exec, route.plan))
    }

    /// dW = Xᵀ·dY.
    pub(crate) fn weight_gradient(
        &mut self,
        route: Route<'_>,
        x: Batch<'_>,
        dy: View<'_, f32, 2>,
    ) -> Result<(), ShapeError> {
        let ([rows, inputs], x) = (x.shape(), Lhs::from(x).t());
        let gemm = Gemm::new(x, dy, self.d_weight.view_mut());
        kernel("dW = Xᵀ·dY", Work::gemm([inputs, rows, dy.cols()]), || {
            gemm.zeros(route.zeros).run_by(route.exec, route.plan)
        })
    }

    /// db = Σ dY.
    pub(crate) fn bias_gradient(&mut self, exec: Exec, dy: View<'_, f32, 2>) {
        let work = Work::streaming(dy.len(), dy.cols(), dy.len());
        kernel("db = Σ dY", work, || column_sums(exec, dy, self.d_bias.as_mut_slice()));
    }

    /// dW = Xᵀ·dY, fed to the update of W; and the update of b, whose gradient is there. dW is not stored.
    pub(crate) fn fused_update(
        &mut self,
        exec: Exec,
        (x, zeros): (Batch<'_>, Zeros),
        dy: View<'_, f32, 2>,
        rule: &dyn UpdateRule,
        state: &mut [State],
    ) -> Result<(), ShapeError> {
        let [[m, v], [bias_m, bias_v]] = state else { panic!("{} states for a weight and a bias", state.len()) };
        let ([rows, inputs], slots) = (x.shape(), usize::from(!m.is_empty()) + usize::from(!v.is_empty()));
        let mut work = Work::gemm([inputs, rows, dy.cols()]);
        // The weights are read too, and the state is read and written.
        work.bytes += ((2 * slots + 1) * inputs * dy.cols() * size_of::<f32>()) as u64;
        let weight = self.weight.as_mut_slice();
        let step = |exec: Exec, gradient: &[f32], [weight, m, v]: [&mut [f32]; 3]| {
            rule.apply(exec, Role::Weight, weight, gradient, [m, v]);
        };
        kernel("dW = Xᵀ·dY, update", work, || {
            matmul::update(exec, Lhs::from(x).t(), dy, zeros, [weight, m, v], &step)
        })?;
        let (bias, d_bias) = (self.bias.as_mut_slice(), self.d_bias.as_slice());
        rule.apply(exec, Role::Bias, bias, d_bias, [bias_m, bias_v]);
        Ok(())
    }

    /// The plans of Y, dX and dW for a batch of `rows`.
    pub(crate) fn plans(&mut self, exec: Exec, rows: usize) -> [Plan; 3] {
        let ([inputs, outputs], weight) = (self.weight.shape(), self.weight.view());
        // What decides a plan is shapes and strides.
        let (mut x, mut y) = (Tensor::zeros([rows, inputs]), Tensor::zeros([rows, outputs]));
        let forward = Gemm::new(x.view(), weight, y.view_mut()).plan(exec);
        let gradient = Gemm::new(x.view().t(), y.view(), self.d_weight.view_mut()).plan(exec);
        [forward, Gemm::new(y.view(), weight.t(), x.view_mut()).plan(exec), gradient]
    }
}

impl Layer for Affine {
    fn kind(&self) -> &'static str {
        "affine"
    }

    fn outputs(&self) -> usize {
        self.bias.len()
    }

    fn forward(&mut self, exec: Exec, _: Pass, x: View<'_, f32, 2>, y: ViewMut<'_, f32, 2>) -> Result<(), ShapeError> {
        self.output(Route::unplanned(exec, Zeros::Ask), Batch::Floats(x), Finish::Bias, y)
    }

    fn backward(
        &mut self,
        exec: Exec,
        x: View<'_, f32, 2>,
        _: View<'_, f32, 2>,
        dy: View<'_, f32, 2>,
        dx: Option<ViewMut<'_, f32, 2>>,
    ) -> Result<(), ShapeError> {
        expect_shape("affine", "X", x.shape(), [x.rows(), self.inputs()])?;
        expect_shape("affine", "dY", dy.shape(), [x.rows(), self.outputs()])?;
        let route = Route::unplanned(exec, Zeros::Ask);
        if let Some(dx) = dx {
            self.input_gradient(route, dy, None, dx)?;
        }
        self.weight_gradient(route, Batch::Floats(x), dy)?;
        self.bias_gradient(exec, dy);
        Ok(())
    }

    fn weights(&self) -> &[f32] {
        self.weight.as_slice()
    }

    fn parameters(&mut self, visit: &mut dyn FnMut(Parameter<'_>)) {
        let shape = self.weight.shape();
        let (value, gradient) = (self.weight.as_mut_slice(), self.d_weight.as_slice());
        visit(Parameter { role: Role::Weight, shape, value, gradient });
        let shape = [self.bias.len(), 1];
        let (value, gradient) = (self.bias.as_mut_slice(), self.d_bias.as_slice());
        visit(Parameter { role: Role::Bias, shape, value, gradient });
    }
}
