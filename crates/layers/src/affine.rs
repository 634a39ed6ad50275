//! The affine layer (chapter 5.6), alone or with a ReLU behind it.
//!
//! ```text
//! forward    Y  = X·W + b          (B×I)·(I×O)        fused: Y = max(0, X·W + b)
//! backward   dW = Xᵀ·dY            (I×B)·(B×O)        fused: dY is first set to 0 where Y ≤ 0,
//!            db = Σ rows of dY                               if the next layer does not do it (2)
//!            dX = dY·Wᵀ            (B×O)·(O×I)
//! ```
//!
//! Plain: three triple loops (`testkit::affine`). Here each product is one call of the GEMM, and a transpose is a swap
//! of strides: nobody copies X or W to transpose it.
//!
//! 1. *Forward*: the bias and the ReLU are the GEMM's epilogue, and at inference the factor of a dropout layer behind
//!    that ([`Layer::scale_inference`]). They are applied while the result is in registers, and Y is written once.
//! 2. *The derivative of the ReLU before this layer* is the epilogue of dX, if the network asks for it
//!    ([`Layer::gate_dx`]): dX is 0 where X ≤ 0. The layer below then gets its dY masked, and has no pass over B×O of
//!    its own to make.
//! 3. *dW is not stored* in a training step: the update takes it from the GEMM 48 rows at a time
//!    ([`tensor::gemm::consume`]), while it is in L1.
//! 4. *W is kept packed* for an evaluation, from its second batch on ([`Prepacked`]).
//!
//! X, Y and dY are never edited.

use crate::activation::Backward;
use crate::init::Init;
use crate::layer::{Batch, Layer, Parameter, Pass, Role, State, UpdateRule, expect_shape};
use crate::relu::ReluFunction;
use rand_xoshiro::Xoshiro256PlusPlus;
use tensor::gemm::Prepacked;
use tensor::profile::{Work, kernel};
use tensor::vec::{column_sums, for_each_piece};
use tensor::{Epilogue, Exec, Gemm, ShapeError, Tensor, View, ViewMut, gemm};

/// Y = X·W + b, or max(0, X·W + b). Cost: 2·B·I·O operations forward, twice that backward.
#[derive(Clone, Debug)]
pub struct Affine {
    weight: Tensor<f32, 2>,
    /// W, kept packed.
    packed: Prepacked,
    bias: Tensor<f32, 1>,
    d_weight: Tensor<f32, 2>,
    d_bias: Tensor<f32, 1>,
    relu: bool,
    /// The factor of Y at inference, behind the ReLU.
    inference_scale: f32,
    /// Whether dX is to be 0 where X ≤ 0.
    gates_dx: bool,
    /// Whether dY comes with the ReLU's derivative in it.
    dy_is_gated: bool,
    /// dY, and 0 where Y ≤ 0; B×O, where there is a ReLU and dY does not come so.
    masked: Tensor<f32, 2>,
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
        Ok(Self {
            weight,
            packed: Prepacked::default(),
            bias,
            d_weight,
            d_bias,
            relu: false,
            inference_scale: 1.0,
            gates_dx: false,
            dy_is_gated: false,
            masked: Tensor::zeros([0, 0]),
        })
    }

    /// The fused form, with a ReLU on its output.
    pub fn with_relu(self) -> Self {
        Self { relu: true, ..self }
    }

    /// Packs W for an evaluation, whose batches all have it, if it is not packed and they ask for it.
    fn pack(&mut self, exec: Exec, pass: Pass) {
        if pass == Pass::Inference {
            self.packed.pack_if_asked(exec, self.weight.view());
        }
    }

    /// Checks the shapes, and puts dY with the ReLU's derivative aside, if that is this layer's to apply.
    fn prepare(
        &mut self,
        exec: Exec,
        x: [usize; 2],
        y: View<'_, f32, 2>,
        dy: View<'_, f32, 2>,
        dx: Option<[usize; 2]>,
    ) -> Result<(), ShapeError> {
        let rows = x[0];
        expect_shape("affine", "X", x, [rows, self.weight.shape()[0]])?;
        expect_shape("affine", "dY", dy.shape(), [rows, self.outputs()])?;
        if let Some(dx) = dx {
            expect_shape("affine", "dX", dx, x)?;
        }
        if self.masks() {
            expect_shape("affine", "Y", y.shape(), dy.shape())?;
            self.reserve(rows);
            kernel("dY where Y > 0", Work::streaming(2 * dy.len(), dy.len(), dy.len()), || {
                exec.run(Backward::<ReluFunction>::new(y, dy, self.masked.head_mut(rows)));
            });
        }
        Ok(())
    }

    /// dX = dY·Wᵀ
    fn backward_x(
        &self,
        exec: Exec,
        x: Batch<'_>,
        dy: View<'_, f32, 2>,
        dx: Option<ViewMut<'_, f32, 2>>,
    ) -> Result<(), ShapeError> {
        let Some(dx) = dx else { return Ok(()) };
        let Batch::Floats(x) = x else { panic!("the dX of a batch of bytes: nobody is below a network's first layer") };
        let dy = gradient(self.masks(), &self.masked, dy);
        let epilogue = if self.gates_dx { Epilogue::Gate(x) } else { Epilogue::None };
        let work = Work::gemm([x.rows(), self.outputs(), x.cols()]);
        kernel("dX = dY·Wᵀ", work, || Gemm::new(dy, self.weight.view().t(), dx).epilogue(epilogue).run(exec))
    }

    /// db = Σ dY
    fn bias_gradient(&mut self, exec: Exec, dy: View<'_, f32, 2>) {
        let dy = gradient(self.masks(), &self.masked, dy);
        let work = Work::streaming(dy.len(), dy.cols(), dy.len());
        kernel("db = Σ dY", work, || column_sums(exec, dy, self.d_bias.as_mut_slice()));
    }

    fn epilogue(&self, pass: Pass) -> Epilogue<'_> {
        let (bias, scale) = (self.bias.as_slice(), self.inference_scale);
        match pass {
            _ if !self.relu => Epilogue::Bias(bias),
            Pass::Inference if scale != 1.0 => Epilogue::BiasReluScale(bias, scale),
            _ => Epilogue::BiasRelu(bias),
        }
    }

    /// Whether the ReLU's derivative is this layer's to apply.
    fn masks(&self) -> bool {
        self.relu && !self.dy_is_gated
    }
}

/// dY with the ReLU's derivative: what [`Affine::prepare`] has put aside, or dY, where it comes so or there is no ReLU.
fn gradient<'a>(masks: bool, masked: &'a Tensor<f32, 2>, dy: View<'a, f32, 2>) -> View<'a, f32, 2> {
    if masks { masked.head(dy.rows()) } else { dy }
}

impl Layer for Affine {
    fn kind(&self) -> &'static str {
        if self.relu { "affine+relu" } else { "affine" }
    }

    fn outputs(&self) -> usize {
        self.weight.shape()[1]
    }

    fn reserve(&mut self, batch: usize) {
        if self.masks() && self.masked.shape()[0] < batch {
            self.masked = Tensor::zeros([batch, self.outputs()]);
        }
    }

    fn ends_in_relu(&self) -> bool {
        self.relu
    }

    fn gate_dx(&mut self) -> bool {
        self.gates_dx = true;
        true
    }

    fn expect_gated_dy(&mut self) {
        self.dy_is_gated = true;
    }

    fn scale_inference(&mut self, scale: f32) -> bool {
        if self.relu {
            self.inference_scale = scale;
        }
        self.relu
    }

    fn forward(
        &mut self,
        exec: Exec,
        pass: Pass,
        x: View<'_, f32, 2>,
        y: ViewMut<'_, f32, 2>,
    ) -> Result<(), ShapeError> {
        expect_shape("affine", "X", x.shape(), [x.rows(), self.weight.shape()[0]])?;
        expect_shape("affine", "Y", y.shape(), [x.rows(), self.outputs()])?;
        let work = Work::gemm([x.rows(), x.cols(), self.outputs()]);
        self.pack(exec, pass);
        kernel("Y = X·W + b", work, || {
            Gemm::new(x, self.weight.view(), y).prepacked(&self.packed).epilogue(self.epilogue(pass)).run(exec)
        })
    }

    fn backward(
        &mut self,
        exec: Exec,
        x: View<'_, f32, 2>,
        y: View<'_, f32, 2>,
        dy: View<'_, f32, 2>,
        dx: Option<ViewMut<'_, f32, 2>>,
    ) -> Result<(), ShapeError> {
        self.prepare(exec, x.shape(), y, dy, dx.as_ref().map(ViewMut::shape))?;
        self.backward_x(exec, Batch::Floats(x), dy, dx)?;
        let gradient = gradient(self.masks(), &self.masked, dy);
        let work = Work::gemm([x.cols(), x.rows(), dy.cols()]);
        kernel("dW = Xᵀ·dY", work, || Gemm::new(x.t(), gradient, self.d_weight.view_mut()).run(exec))?;
        self.bias_gradient(exec, dy);
        Ok(())
    }

    fn backward_input(
        &mut self,
        exec: Exec,
        x: Batch<'_>,
        y: View<'_, f32, 2>,
        dy: View<'_, f32, 2>,
        dx: Option<ViewMut<'_, f32, 2>>,
    ) -> Result<(), ShapeError> {
        self.prepare(exec, x.shape(), y, dy, dx.as_ref().map(ViewMut::shape))?;
        self.backward_x(exec, x, dy, dx)
    }

    fn update(
        &mut self,
        exec: Exec,
        x: Batch<'_>,
        dy: View<'_, f32, 2>,
        rule: &dyn UpdateRule,
        state: &mut [State],
    ) -> Result<(), ShapeError> {
        let [[m, v], [bias_m, bias_v]] = state else { panic!("{} states for a weight and a bias", state.len()) };
        let gradient = gradient(self.masks(), &self.masked, dy);
        self.packed.forget();
        let weight = self.weight.as_mut_slice();
        let mut work = Work::gemm([weight.len() / dy.cols().max(1), dy.rows(), dy.cols()]);
        let slots = [&m, &v].into_iter().filter(|slot| !slot.is_empty()).count();
        // The state and the weights are read and written. The product's own bytes have the weights once, for the
        // gradient.
        let moved = (2 * slots + 1) * weight.len();
        if gemm::consume_pays(weight.len(), 1 + slots) {
            work.bytes += (moved * size_of::<f32>()) as u64;
            let step = |exec: Exec, gradient: &[f32], [weight, m, v]: [&mut [f32]; 3]| {
                rule.apply(exec, Role::Weight, weight, gradient, [m, v]);
            };
            kernel("dW = Xᵀ·dY, update", work, || match x {
                Batch::Floats(x) => gemm::consume(exec, x.t(), gradient, [weight, m, v], &step),
                Batch::Bytes(x) => gemm::consume_bytes(exec, x, gradient, [weight, m, v], &step),
            })?;
        } else {
            let d_weight = &mut self.d_weight;
            kernel("dW = Xᵀ·dY", work, || match x {
                Batch::Floats(x) => Gemm::new(x.t(), gradient, d_weight.view_mut()).run(exec),
                Batch::Bytes(x) => {
                    let keep =
                        |_: Exec, gradient: &[f32], [d_weight]: [&mut [f32]; 1]| d_weight.copy_from_slice(gradient);
                    gemm::consume_bytes(exec, x, gradient, [d_weight.as_mut_slice()], &keep)
                }
            })?;
            let d_weight = d_weight.as_slice();
            kernel("update", Work::streaming(moved + weight.len(), weight.len(), 0), || {
                for_each_piece(exec, [weight, m, v], &|range, [weight, m, v]| {
                    rule.apply(exec.one_thread(), Role::Weight, weight, &d_weight[range], [m, v]);
                });
            });
        }
        self.bias_gradient(exec, dy);
        rule.apply(exec, Role::Bias, self.bias.as_mut_slice(), self.d_bias.as_slice(), [bias_m, bias_v]);
        Ok(())
    }

    fn forward_first(
        &mut self,
        exec: Exec,
        pass: Pass,
        x: Batch<'_>,
        y: ViewMut<'_, f32, 2>,
    ) -> Result<(), ShapeError> {
        let bytes = match x {
            Batch::Floats(x) => return self.forward(exec, pass, x, y),
            Batch::Bytes(bytes) => bytes,
        };
        let [rows, inputs] = bytes.shape();
        expect_shape("affine", "X", bytes.shape(), [rows, self.weight.shape()[0]])?;
        expect_shape("affine", "Y", y.shape(), [rows, self.outputs()])?;
        let work = Work::gemm([rows, inputs, self.outputs()]);
        self.pack(exec, pass);
        let (weight, packed) = (self.weight.view(), Some(&self.packed));
        kernel("Y = X·W + b", work, || gemm::multiply_bytes(exec, bytes, weight, packed, y, self.epilogue(pass)))
    }

    fn weights(&self) -> &[f32] {
        self.weight.as_slice()
    }

    fn parameters(&mut self, visit: &mut dyn FnMut(Parameter<'_>)) {
        self.packed.forget();
        let shape = self.weight.shape();
        visit(Parameter {
            role: Role::Weight,
            shape,
            value: self.weight.as_mut_slice(),
            gradient: self.d_weight.as_slice(),
        });
        let shape = [self.bias.len(), 1];
        visit(Parameter { role: Role::Bias, shape, value: self.bias.as_mut_slice(), gradient: self.d_bias.as_slice() });
    }
}
