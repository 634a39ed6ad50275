//! What the activation functions share: a map of X to Y, and a backward that needs only Y and dY.

use crate::layer::expect_shape;
use tensor::isa::{Isa, Op};
use tensor::vec::{map_lanes, map2_lanes};
use tensor::{Exec, ShapeError, View, ViewMut};

/// The activation functions, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(0, x)
    Relu,
    /// 1/(1 + e⁻ˣ)
    Sigmoid,
    /// tanh x
    Tanh,
}

impl Activation {
    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
        }
    }

    /// The layer of `width` units.
    pub fn layer(self, width: usize) -> Box<dyn crate::Layer> {
        match self {
            Self::Relu => Box::new(crate::Relu::new(width)),
            Self::Sigmoid => Box::new(crate::Sigmoid::new(width)),
            Self::Tanh => Box::new(crate::Tanh::new(width)),
        }
    }
}

/// An elementwise function and its derivative written in terms of its value.
pub(crate) trait Elementwise {
    /// The layer's name, for messages.
    const NAME: &'static str;
    /// f(x)
    fn value<I: Isa>(isa: I, x: I::F) -> I::F;
    /// f′(x)·dy, from y = f(x)
    fn gradient<I: Isa>(isa: I, y: I::F, dy: I::F) -> I::F;
}

/// Y ← f(X), row by row.
pub(crate) fn forward<E: Elementwise>(
    exec: Exec,
    width: usize,
    x: View<'_, f32, 2>,
    y: ViewMut<'_, f32, 2>,
) -> Result<(), ShapeError> {
    struct Forward<'a, E>(View<'a, f32, 2>, ViewMut<'a, f32, 2>, std::marker::PhantomData<E>);
    impl<E: Elementwise> Op for Forward<'_, E> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            for (x, y) in self.0.row_iter().zip(self.1.into_row_iter()) {
                map_lanes(isa, x, y, |x| E::value(isa, x));
            }
        }
    }
    let shape = [x.rows(), width];
    expect_shape(E::NAME, "X", x.shape(), shape)?;
    expect_shape(E::NAME, "Y", y.shape(), shape)?;
    exec.run(Forward::<E>(x, y, std::marker::PhantomData));
    Ok(())
}

/// dX ← f′(X)·dY, row by row, from Y.
pub(crate) fn backward<E: Elementwise>(
    exec: Exec,
    width: usize,
    y: View<'_, f32, 2>,
    dy: View<'_, f32, 2>,
    dx: Option<ViewMut<'_, f32, 2>>,
) -> Result<(), ShapeError> {
    struct Backward<'a, E>(View<'a, f32, 2>, View<'a, f32, 2>, ViewMut<'a, f32, 2>, std::marker::PhantomData<E>);
    impl<E: Elementwise> Op for Backward<'_, E> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            for ((y, dy), dx) in self.0.row_iter().zip(self.1.row_iter()).zip(self.2.into_row_iter()) {
                map2_lanes(isa, y, dy, dx, |y, dy| E::gradient(isa, y, dy));
            }
        }
    }
    let shape = [y.rows(), width];
    expect_shape(E::NAME, "Y", y.shape(), shape)?;
    expect_shape(E::NAME, "dY", dy.shape(), shape)?;
    let Some(dx) = dx else { return Ok(()) };
    expect_shape(E::NAME, "dX", dx.shape(), shape)?;
    exec.run(Backward::<E>(y, dy, dx, std::marker::PhantomData));
    Ok(())
}
