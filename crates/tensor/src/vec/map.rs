//! Running a lane function over slices: whole vectors first, then what is left in one partial vector.

use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};

/// `y[i] ← f(x[i])`.
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
pub fn map_lanes<I: Isa>(isa: I, x: &[f32], y: &mut [f32], f: impl Fn(I::F) -> I::F) {
    assert_eq!(x.len(), y.len(), "input and output of a map");
    let (x, x_tail) = x.as_chunks::<LANES>();
    let (y, y_tail) = y.as_chunks_mut::<LANES>();
    for (x, y) in x.iter().zip(y) {
        isa.store(f(isa.load(x)), y);
    }
    if !x_tail.is_empty() {
        isa.store_part(f(isa.load_part(x_tail)), y_tail);
    }
}

/// `z[i] ← f(x[i], y[i])`.
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
pub fn map2_lanes<I: Isa>(isa: I, x: &[f32], y: &[f32], z: &mut [f32], f: impl Fn(I::F, I::F) -> I::F) {
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

/// `y[i] ← a · x[i]`.
///
/// # Panics
/// If the lengths differ.
pub fn scale(exec: Exec, a: f32, x: &[f32], y: &mut [f32]) {
    struct Scale<'a>(f32, &'a [f32], &'a mut [f32]);
    impl Op for Scale<'_> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            let a = isa.splat(self.0);
            map_lanes(isa, self.1, self.2, |x| isa.mul(a, x));
        }
    }
    exec.run(Scale(a, x, y));
}
