//! One product, computed by this project or by a rival: the operands, the engines, and the check that comes before any
//! timing.

use crate::random;
use tensor::{Exec, Gemm, Tensor, View};
use testkit::compare::{Bound, assert_close};
use testkit::gemm as reference;
use testkit::rng::Rng;
use testkit::shapes::Shape;

/// Who computes.
#[derive(Clone, Copy, Debug)]
pub enum Engine {
    /// This project, on an ISA with some threads.
    Ours(Exec),
    /// `matrixmultiply`; with the feature `peers`, on `MATMUL_NUM_THREADS` threads.
    MatrixMultiply,
    /// `faer`, on one thread, or on rayon's with more.
    #[cfg(feature = "peers")]
    Faer(usize),
    /// `gemm`, on one thread, or on rayon's with more.
    #[cfg(feature = "peers")]
    Gemm(usize),
}

impl Engine {
    /// The rivals, with `threads` threads each.
    pub fn rivals(threads: usize) -> Vec<Self> {
        let _ = threads;
        vec![
            Self::MatrixMultiply,
            #[cfg(feature = "peers")]
            Self::Faer(threads),
            #[cfg(feature = "peers")]
            Self::Gemm(threads),
        ]
    }

    /// The name in a bench: the ISA's for this project.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours(exec) => exec.isa().name(),
            Self::MatrixMultiply => "matrixmultiply",
            #[cfg(feature = "peers")]
            Self::Faer(_) => "faer",
            #[cfg(feature = "peers")]
            Self::Gemm(_) => "gemm",
        }
    }
}

/// The operands of a shape: the tensors as they lie in memory.
#[derive(Debug)]
pub struct Product {
    shape: Shape,
    a: Tensor<f32, 2>,
    b: Tensor<f32, 2>,
    c: Tensor<f32, 2>,
}

impl Product {
    /// Random operands.
    pub fn new(shape: Shape, rng: &mut Rng) -> Self {
        let turned = |[rows, cols]: [usize; 2], turn: bool| if turn { [cols, rows] } else { [rows, cols] };
        let a = random(rng, turned([shape.m, shape.k], shape.a_transposed));
        let b = random(rng, turned([shape.k, shape.n], shape.b_transposed));
        Self { shape, a, b, c: Tensor::zeros([shape.m, shape.n]) }
    }

    /// `784x100ᵀx100`: m×k×n, with a mark on a transposed operand.
    pub fn name(&self) -> String {
        let mark = |turned| if turned { "ᵀ" } else { "" };
        let Shape { m, k, n, a_transposed, b_transposed, .. } = self.shape;
        format!("{m}x{k}{}x{n}{}", mark(a_transposed), mark(b_transposed))
    }

    fn views(&self) -> (View<'_, f32, 2>, View<'_, f32, 2>) {
        let (a, b) = (self.a.view(), self.b.view());
        (if self.shape.a_transposed { a.t() } else { a }, if self.shape.b_transposed { b.t() } else { b })
    }

    /// C ← A·B.
    pub fn multiply(&mut self, engine: Engine) {
        let mut c = std::mem::replace(&mut self.c, Tensor::zeros([0, 0]));
        let (a, b) = self.views();
        if let Engine::Ours(exec) = engine {
            Gemm::new(a, b, c.view_mut()).run(exec).expect("the shapes go together");
        } else {
            rival(engine, self.shape, a, b, c.as_mut_slice());
        }
        self.c = c;
    }

    /// Holds C against the f64 reference, or, where that would take seconds, against Freivalds' test; then fills C with
    /// NaN, so that the next engine cannot pass on this one's result.
    ///
    /// # Panics
    /// If C is not A·B.
    pub fn check(&mut self, who: &str) {
        let Shape { m, k, n, .. } = self.shape;
        let (a, b) = self.views();
        let (a, b) = (a.to_tensor(), b.to_tensor());
        let product = reference::Gemm::product(m, n, k, a.as_slice(), b.as_slice());
        if self.shape.flops() < 100_000_000 {
            let want = product.reference();
            assert_close(who, self.c.as_slice(), &want.values, Bound::PerElement(&want.bounds()));
        } else {
            testkit::freivalds::freivalds(&product, self.c.as_slice(), &mut Rng::new(9)).expect("C is A times B");
        }
        self.c.as_mut_slice().fill(f32::NAN);
    }
}

/// C ← A·B by a rival; C is row-major.
fn rival(engine: Engine, Shape { m, k, n, .. }: Shape, a: View<'_, f32, 2>, b: View<'_, f32, 2>, c: &mut [f32]) {
    assert_eq!(c.len(), m * n, "C is {m}×{n}");
    let [[rsa, csa], [rsb, csb]] = [a.strides(), b.strides()].map(|strides| strides.map(usize::cast_signed));
    let (a, b, c, rsc) = (a.data().as_ptr(), b.data().as_ptr(), c.as_mut_ptr(), n.cast_signed());
    // SAFETY, of all of them: the views were checked to reach all their elements; C is m×n, row-major and its own.
    match engine {
        Engine::Ours(_) => unreachable!("`multiply` has done it"),
        Engine::MatrixMultiply => {
            // SAFETY: see above.
            unsafe { matrixmultiply::sgemm(m, k, n, 1.0, a, rsa, csa, b, rsb, csb, 0.0, c, rsc, 1) }
        }
        #[cfg(feature = "peers")]
        Engine::Faer(threads) => {
            let threads = if threads > 1 { faer::Par::rayon(threads) } else { faer::Par::Seq };
            // SAFETY: see above.
            let (a, b, c) = unsafe {
                (
                    faer::MatRef::from_raw_parts(a, m, k, rsa, csa),
                    faer::MatRef::from_raw_parts(b, k, n, rsb, csb),
                    faer::MatMut::from_raw_parts_mut(c, m, n, rsc, 1),
                )
            };
            faer::linalg::matmul::matmul(c, faer::Accum::Replace, a, b, 1.0, threads);
        }
        #[cfg(feature = "peers")]
        Engine::Gemm(threads) => {
            let threads = if threads > 1 { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
            // SAFETY: see above.
            unsafe {
                gemm::gemm(m, n, k, c, 1, rsc, false, a, csa, rsa, b, csb, rsb, 0.0, 1.0, false, false, false, threads);
            }
        }
    }
}
