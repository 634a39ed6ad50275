//! Running a lane function over slices and matrices.
//!
//! ```text
//! plain:  for each i:  y[i] ← f(x[i])            here: whole vectors of sixteen, then the rest in one partial vector
//! ```
//!
//! A function of more than a few instructions is a type ([`LaneFunction`]), not a closure. The loop calls it from two
//! places, so the compiler may not inline a closure. It would then compile the closure outside of the function that
//! enables the CPU's instructions, and each instruction would become a call (`docs/measurements.md`, 6).

use crate::array::{View, ViewMut};
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};

/// An elementwise function. Its method must be `#[inline(always)]`; see the module.
pub trait LaneFunction: Copy {
    /// f(x), lane by lane.
    fn value<I: Isa>(self, isa: I, x: I::F) -> I::F;
}

/// `y[i] ← f(x[i])`.
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
pub fn map_lanes<I: Isa>(isa: I, x: &[f32], y: &mut [f32], f: impl LaneFunction) {
    assert_eq!(x.len(), y.len(), "input and output of a map");
    let (x, x_tail) = x.as_chunks::<LANES>();
    let (y, y_tail) = y.as_chunks_mut::<LANES>();
    for (x, y) in x.iter().zip(y) {
        isa.store(f.value(isa, isa.load(x)), y);
    }
    if !x_tail.is_empty() {
        isa.store_part(f.value(isa, isa.load_part(x_tail)), y_tail);
    }
}

/// `Y[i, j] ← f(X[i, j])`: adjacent rows are treated as one long row.
///
/// # Panics
/// If the shapes differ, or the elements of a row are not adjacent.
#[inline(always)]
pub fn map_rows<I: Isa>(isa: I, x: View<'_, f32, 2>, y: ViewMut<'_, f32, 2>, f: impl LaneFunction) {
    assert_eq!(x.shape(), y.shape(), "input and output of a map");
    let joined = x.is_contiguous() && y.view().is_contiguous();
    let (x, y) = if joined { (x.joined(), y.joined()) } else { (x, y) };
    for (x, y) in x.row_iter().zip(y.into_row_iter()) {
        map_lanes(isa, x, y, f);
    }
}

/// `y[i] ← f(x[i])`, on the ISA of `exec`.
///
/// # Panics
/// If the lengths differ.
pub(super) fn map<F: LaneFunction>(exec: Exec, x: &[f32], y: &mut [f32], f: F) {
    struct Map<'a, F>(&'a [f32], &'a mut [f32], F);
    impl<F: LaneFunction> Op for Map<'_, F> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            map_lanes(isa, self.0, self.1, self.2);
        }
    }
    exec.run(Map(x, y, f));
}

/// `z[i] ← f(x[i], y[i])`.
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
fn map2_lanes<I: Isa>(isa: I, x: &[f32], y: &[f32], z: &mut [f32], f: impl Fn(I::F, I::F) -> I::F) {
    assert_eq!(x.len(), z.len(), "first input and output of a map");
    assert_eq!(y.len(), z.len(), "second input and output of a map");
    let (x, x_tail) = x.as_chunks::<LANES>();
    let (y, y_tail) = y.as_chunks::<LANES>();
    let (z, z_tail) = z.as_chunks_mut::<LANES>();
    for ((x, y), z) in x.iter().zip(y).zip(z) {
        isa.store(f(isa.load(x), isa.load(y)), z);
    }
    if !x_tail.is_empty() {
        isa.store_part(f(isa.load_part(x_tail), isa.load_part(y_tail)), z_tail);
    }
}

/// `Z[i, j] ← f(X[i, j], Y[i, j])`: adjacent rows are treated as one long row.
///
/// # Panics
/// If the shapes differ, or the elements of a row are not adjacent.
#[inline(always)]
pub fn map2_rows<I: Isa>(
    isa: I,
    x: View<'_, f32, 2>,
    y: View<'_, f32, 2>,
    z: ViewMut<'_, f32, 2>,
    f: impl Fn(I::F, I::F) -> I::F,
) {
    assert_eq!([x.shape(), y.shape()], [z.shape(); 2], "inputs and output of a map");
    let joined = x.is_contiguous() && y.is_contiguous() && z.view().is_contiguous();
    let (x, y, z) = if joined { (x.joined(), y.joined(), z.joined()) } else { (x, y, z) };
    for ((x, y), z) in x.row_iter().zip(y.row_iter()).zip(z.into_row_iter()) {
        map2_lanes(isa, x, y, z, &f);
    }
}

#[derive(Clone, Copy)]
struct Scale(f32);

impl LaneFunction for Scale {
    #[inline(always)]
    fn value<I: Isa>(self, isa: I, x: I::F) -> I::F {
        isa.mul(isa.splat(self.0), x)
    }
}

/// `y[i] ← a · x[i]`.
///
/// # Panics
/// If the lengths differ.
pub fn scale(exec: Exec, a: f32, x: &[f32], y: &mut [f32]) {
    map(exec, x, y, Scale(a));
}

/// `Y[i, j] ← a · X[i, j]`.
///
/// # Panics
/// If the shapes differ, or the elements of a row are not adjacent.
pub fn scale_rows(exec: Exec, a: f32, x: View<'_, f32, 2>, y: ViewMut<'_, f32, 2>) {
    struct Rows<'a>(View<'a, f32, 2>, ViewMut<'a, f32, 2>, f32);
    impl Op for Rows<'_> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            map_rows(isa, self.0, self.1, Scale(self.2));
        }
    }
    exec.run(Rows(x, y, a));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::AnyIsa;

    struct Less<'a>(View<'a, f32, 2>, View<'a, f32, 2>, ViewMut<'a, f32, 2>);

    impl Op for Less<'_> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            map2_rows(isa, self.0, self.1, self.2, |x, y| isa.sub(x, y));
        }
    }

    #[test]
    fn rows_are_mapped_element_by_element_however_far_apart_they_lie_and_what_is_between_is_left_alone() {
        let data: Vec<f32> = (0..4000).map(|i| (i * 7 % 101) as f32 - 50.0).collect();
        for exec in AnyIsa::available().map(|isa| Exec::with_isa(isa, 1)) {
            for (rows, cols) in [(0, 5), (5, 0), (1, 1), (7, 1), (1, 33), (3, 16), (5, 20), (9, 100)] {
                // How far apart the rows of each operand are, of which the first two may have rows in common.
                let apart = [cols, cols + 1, cols + 16, 0];
                for (x_apart, y_apart, z_apart) in apart
                    .into_iter()
                    .flat_map(|x| apart.into_iter().flat_map(move |y| [cols, cols + 3].map(move |z| (x, y, z))))
                {
                    let view = |from: usize, stride| View::with_strides(&data[from..], [rows, cols], [stride, 1]);
                    let (x, y) = (view(0, x_apart).unwrap(), view(11, y_apart).unwrap());
                    let check = |name: &str, kept: &[f32], want: &dyn Fn(usize, usize) -> f32| {
                        for (at, &z) in kept.iter().enumerate() {
                            let (i, j) = (at / z_apart.max(1), at % z_apart.max(1));
                            let want = if i < rows && j < cols { want(i, j) } else { 9.5 };
                            let isa = exec.isa().name();
                            assert!(z == want, "{name} of {rows}×{cols} at {at}: {z} and not {want}, on {isa}");
                        }
                    };
                    let mut kept = vec![9.5; rows * z_apart + 40];
                    let z = ViewMut::with_strides(&mut kept, [rows, cols], [z_apart, 1]).unwrap();
                    scale_rows(exec, 1.5, x, z);
                    check("1.5·x", &kept, &|i, j| 1.5 * x[[i, j]]);
                    let z = ViewMut::with_strides(&mut kept, [rows, cols], [z_apart, 1]).unwrap();
                    exec.run(Less(x, y, z));
                    check("x − y", &kept, &|i, j| x[[i, j]] - y[[i, j]]);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "input and output of a map")]
    fn operands_of_other_shapes_are_refused() {
        let (x, mut y) = ([0.0; 6], [0.0; 6]);
        scale_rows(Exec::serial(), 1.0, View::new(&x, [2, 3]).unwrap(), ViewMut::new(&mut y, [3, 2]).unwrap());
    }
}
