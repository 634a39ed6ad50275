//! The affine layer (chapter 5.6), alone or with a ReLU behind it.
//!
//! ```text
//! forward    Y  = X·W + b          (B×I)·(I×O)        fused: Y = max(0, X·W + b)
//! backward   dW = Xᵀ·dY            (I×B)·(B×O)        fused: dY is first set to 0 where Y ≤ 0
//!            db = Σ rows of dY
//!            dX = dY·Wᵀ            (B×O)·(O×I)
//! ```
//!
//! Plain: three triple loops (`testkit::affine`). Here each product is one call of the GEMM, and a transpose is a swap of
//! strides: nobody copies X or W to transpose it. The bias and the ReLU of the forward pass are the GEMM's epilogue: they
//! are applied while the result is in registers, and Y is written once. The masked dY of the fused form is a buffer of
//! the layer (one more pass over B×O); X, Y and dY are never edited.

use crate::activation::Backward;
use crate::init::Init;
use crate::layer::{Layer, Parameter, Pass, Role, expect_shape};
use crate::relu::ReluFunction;
use rand_xoshiro::Xoshiro256PlusPlus;
use tensor::vec::column_sums;
use tensor::{Epilogue, Exec, Gemm, ShapeError, Tensor, View, ViewMut};

/// Y = X·W + b, or max(0, X·W + b). Cost: 2·B·I·O operations forward, twice that backward.
#[derive(Clone, Debug)]
pub struct Affine {
    weight: Tensor<f32, 2>,
    bias: Tensor<f32, 1>,
    d_weight: Tensor<f32, 2>,
    d_bias: Tensor<f32, 1>,
    relu: bool,
    /// dY where Y > 0; B×O, in the fused form only.
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
        Ok(Self { weight, bias, d_weight, d_bias, relu: false, masked: Tensor::zeros([0, 0]) })
    }

    /// The fused form, with a ReLU on its output.
    pub fn with_relu(self) -> Self {
        Self { relu: true, ..self }
    }

    fn backward_of(&mut self, exec: Exec, x: View<'_, f32, 2>, dy: View<'_, f32, 2>) -> Result<(), ShapeError> {
        Gemm::new(x.t(), dy, self.d_weight.view_mut()).run(exec)?;
        column_sums(exec, dy, self.d_bias.as_mut_slice());
        Ok(())
    }
}

impl Layer for Affine {
    fn kind(&self) -> &'static str {
        if self.relu { "affine+relu" } else { "affine" }
    }

    fn outputs(&self) -> usize {
        self.weight.shape()[1]
    }

    fn reserve(&mut self, batch: usize) {
        if self.relu && self.masked.shape()[0] < batch {
            self.masked = Tensor::zeros([batch, self.outputs()]);
        }
    }

    fn forward(&mut self, exec: Exec, _: Pass, x: View<'_, f32, 2>, y: ViewMut<'_, f32, 2>) -> Result<(), ShapeError> {
        expect_shape("affine", "X", x.shape(), [x.rows(), self.weight.shape()[0]])?;
        expect_shape("affine", "Y", y.shape(), [x.rows(), self.outputs()])?;
        let bias = self.bias.as_slice();
        let epilogue = if self.relu { Epilogue::BiasRelu(bias) } else { Epilogue::Bias(bias) };
        Gemm::new(x, self.weight.view(), y).epilogue(epilogue).run(exec)
    }

    fn backward(
        &mut self,
        exec: Exec,
        x: View<'_, f32, 2>,
        y: View<'_, f32, 2>,
        dy: View<'_, f32, 2>,
        dx: Option<ViewMut<'_, f32, 2>>,
    ) -> Result<(), ShapeError> {
        expect_shape("affine", "X", x.shape(), [x.rows(), self.weight.shape()[0]])?;
        expect_shape("affine", "dY", dy.shape(), [x.rows(), self.outputs()])?;
        if let Some(dx) = &dx {
            expect_shape("affine", "dX", dx.shape(), x.shape())?;
        }
        if !self.relu {
            self.backward_of(exec, x, dy)?;
            return dx.map_or(Ok(()), |dx| Gemm::new(dy, self.weight.view().t(), dx).run(exec));
        }
        expect_shape("affine", "Y", y.shape(), dy.shape())?;
        self.reserve(x.rows());
        // Taken out while the rest of the layer is borrowed; moving a tensor moves a pointer.
        let mut masked = std::mem::replace(&mut self.masked, Tensor::zeros([0, 0]));
        exec.run(Backward::<ReluFunction>::new(y, dy, masked.head_mut(x.rows())));
        let dy = masked.head(x.rows());
        let mut done = self.backward_of(exec, x, dy);
        if let (Ok(()), Some(dx)) = (&done, dx) {
            done = Gemm::new(dy, self.weight.view().t(), dx).run(exec);
        }
        self.masked = masked;
        done
    }

    fn parameters(&mut self, visit: &mut dyn FnMut(Parameter<'_>)) {
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
