//! The activation functions' common layer: a map of X to Y, and a backward that needs only Y and dY. The functions are
//! one a file.

use crate::layer::{Layer, Pass, expect_shape};
use std::marker::PhantomData;
use tensor::isa::{Isa, Op};
use tensor::profile::{Work, kernel};
use tensor::vec::{LaneFunction, map_rows, map2_rows};
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
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Relu, Self::Sigmoid, Self::Tanh];

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|activation| activation.name() == name)
    }

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
        }
    }

    /// The layer of `width` units.
    pub fn layer(self, width: usize) -> Box<dyn Layer> {
        match self {
            Self::Relu => Box::new(crate::Relu::new(width)),
            Self::Sigmoid => Box::new(crate::Sigmoid::new(width)),
            Self::Tanh => Box::new(crate::Tanh::new(width)),
        }
    }
}

/// An elementwise function, and its derivative written in terms of its value.
pub trait Function: Send + Copy + std::fmt::Debug {
    /// The layer's name, for messages.
    const NAME: &'static str;
    /// Whether a good part of the values is 0, where the derivative is 0 too.
    const MAKES_ZEROS: bool = false;
    /// f(x)
    fn value<I: Isa>(isa: I, x: I::F) -> I::F;
    /// f′(x)·dy, from y = f(x)
    fn gradient<I: Isa>(isa: I, y: I::F, dy: I::F) -> I::F;
}

/// A layer of units that each apply a [`Function`]. Cost: one pass over X and Y.
#[derive(Clone, Debug)]
pub struct Elementwise<F> {
    width: usize,
    function: PhantomData<F>,
}

impl<F: Function> Elementwise<F> {
    /// A layer of `width` units.
    pub fn new(width: usize) -> Self {
        Self { width, function: PhantomData }
    }
}

/// f, as what [`map_rows`] takes.
#[derive(Clone, Copy)]
struct Value<F>(PhantomData<F>);

impl<F: Function> LaneFunction for Value<F> {
    #[inline(always)]
    fn value<I: Isa>(self, isa: I, x: I::F) -> I::F {
        F::value(isa, x)
    }
}

/// Y ← f(X).
struct Forward<'a, F>(View<'a, f32, 2>, ViewMut<'a, f32, 2>, PhantomData<F>);

impl<F: Function> Op for Forward<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        map_rows(isa, self.0, self.1, Value::<F>(PhantomData));
    }
}

/// dX ← f′(X)·dY, from Y.
pub(crate) struct Backward<'a, F>(View<'a, f32, 2>, View<'a, f32, 2>, ViewMut<'a, f32, 2>, PhantomData<F>);

impl<'a, F> Backward<'a, F> {
    /// From Y and dY, which have the shape of dX.
    pub(crate) fn new(y: View<'a, f32, 2>, dy: View<'a, f32, 2>, dx: ViewMut<'a, f32, 2>) -> Self {
        Self(y, dy, dx, PhantomData)
    }
}

impl<F: Function> Op for Backward<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        map2_rows(isa, self.0, self.1, self.2, |y, dy| F::gradient(isa, y, dy));
    }
}

impl<F: Function> Layer for Elementwise<F> {
    fn kind(&self) -> &'static str {
        F::NAME
    }

    fn outputs(&self) -> usize {
        self.width
    }

    fn makes_zeros(&self) -> bool {
        F::MAKES_ZEROS
    }

    fn forward(&mut self, exec: Exec, _: Pass, x: View<'_, f32, 2>, y: ViewMut<'_, f32, 2>) -> Result<(), ShapeError> {
        let shape = [x.rows(), self.width];
        expect_shape(F::NAME, "X", x.shape(), shape)?;
        expect_shape(F::NAME, "Y", y.shape(), shape)?;
        let work = Work::streaming(x.len(), x.len(), x.len());
        kernel(F::NAME, work, || exec.run(Forward::<F>(x, y, PhantomData)));
        Ok(())
    }

    fn backward(
        &mut self,
        exec: Exec,
        _: View<'_, f32, 2>,
        y: View<'_, f32, 2>,
        dy: View<'_, f32, 2>,
        dx: Option<ViewMut<'_, f32, 2>>,
    ) -> Result<(), ShapeError> {
        let shape = [y.rows(), self.width];
        expect_shape(F::NAME, "Y", y.shape(), shape)?;
        expect_shape(F::NAME, "dY", dy.shape(), shape)?;
        let Some(dx) = dx else { return Ok(()) };
        expect_shape(F::NAME, "dX", dx.shape(), shape)?;
        let work = Work::streaming(2 * y.len(), y.len(), y.len());
        kernel(F::NAME, work, || exec.run(Backward::<F>::new(y, dy, dx)));
        Ok(())
    }
}
