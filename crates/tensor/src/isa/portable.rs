//! Portable Rust: a vector is an array, and every operation a loop over it.
//!
//! This is the judge of the other two, and what runs on a CPU that has neither. `f32::mul_add` is one instruction on
//! AArch64 and on x86-64 compiled for a CPU with FMA; elsewhere it is a correctly rounded call into the C library:
//! slow, and the same bits.

use super::{Isa, LANES, Op};

/// The token of portable Rust; always to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portable;

#[inline(always)]
fn map<T: Copy, R>(a: [T; LANES], f: impl Fn(T) -> R) -> [R; LANES] {
    std::array::from_fn(|i| f(a[i]))
}

#[inline(always)]
fn zip<T: Copy, R>(a: [T; LANES], b: [T; LANES], f: impl Fn(T, T) -> R) -> [R; LANES] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Isa for Portable {
    type F = [f32; LANES];
    type U = [u32; LANES];
    type M = [bool; LANES];
    type H = [f32; 8];

    const NAME: &'static str = "portable";
    const REGISTERS: usize = 16;
    const MASKS_STORES: bool = false;

    #[inline]
    fn run<O: Op>(self, op: O) -> O::Output {
        op.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        *from
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        *to = x;
    }
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Self::F {
        let mut lanes = [0.0; LANES];
        lanes[..from.len()].copy_from_slice(from);
        lanes
    }
    #[inline(always)]
    fn store_part(self, x: Self::F, to: &mut [f32]) {
        to.copy_from_slice(&x[..to.len()]);
    }
    #[inline(always)]
    fn load_u8(self, from: &[u8; LANES]) -> Self::F {
        map(*from, f32::from)
    }
    #[inline(always)]
    fn nonzero_bytes(self, bytes: &[u8; 64]) -> u64 {
        bytes.iter().rev().fold(0, |bits, &byte| bits << 1 | u64::from(byte != 0))
    }
    #[inline(always)]
    unsafe fn load_ptr(self, from: *const f32) -> Self::F {
        // SAFETY: the caller promises sixteen readable floats.
        unsafe { from.cast::<[f32; LANES]>().read() }
    }
    #[inline(always)]
    unsafe fn load_ptr_part(self, from: *const f32, count: usize) -> Self::F {
        // SAFETY: the caller promises `count` readable floats.
        self.load_part(unsafe { std::slice::from_raw_parts(from, count) })
    }
    #[inline(always)]
    unsafe fn store_ptr(self, x: Self::F, to: *mut f32) {
        // SAFETY: the caller promises sixteen writable floats.
        unsafe { to.cast::<[f32; LANES]>().write(x) }
    }
    #[inline(always)]
    unsafe fn store_ptr_part(self, x: Self::F, to: *mut f32, count: usize) {
        debug_assert!(count <= LANES);
        // SAFETY: the caller promises `count` writable floats, and `x` is a local that they cannot overlap.
        unsafe { std::ptr::copy_nonoverlapping(x.as_ptr(), to, count) }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        map(a, f32::sqrt)
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }
    #[inline(always)]
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(|i| (-a[i]).mul_add(b[i], c[i]))
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        zip(a, b, |a, b| a < b)
    }
    #[inline(always)]
    fn le(self, a: Self::F, b: Self::F) -> Self::M {
        zip(a, b, |a, b| a <= b)
    }
    #[inline(always)]
    fn ne(self, a: Self::F, b: Self::F) -> Self::M {
        zip(a, b, |a, b| a != b)
    }
    #[inline(always)]
    fn is_nan(self, a: Self::F) -> Self::M {
        map(a, f32::is_nan)
    }
    #[inline(always)]
    fn bits(self, mask: Self::M) -> u16 {
        mask.iter().enumerate().map(|(i, &lane)| u16::from(lane) << i).sum()
    }
    #[inline(always)]
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| if mask[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn as_bits(self, a: Self::F) -> Self::U {
        map(a, f32::to_bits)
    }
    #[inline(always)]
    fn as_floats(self, a: Self::U) -> Self::F {
        map(a, f32::from_bits)
    }
    #[inline(always)]
    fn to_float(self, a: Self::U) -> Self::F {
        map(a, |a| a.cast_signed() as f32)
    }
    #[inline(always)]
    fn splat_u(self, x: u32) -> Self::U {
        [x; LANES]
    }
    #[inline(always)]
    fn load_u(self, from: &[u32; LANES]) -> Self::U {
        *from
    }
    #[inline(always)]
    fn add_u(self, a: Self::U, b: Self::U) -> Self::U {
        zip(a, b, u32::wrapping_add)
    }
    #[inline(always)]
    fn sub_u(self, a: Self::U, b: Self::U) -> Self::U {
        zip(a, b, u32::wrapping_sub)
    }
    #[inline(always)]
    fn mul_u(self, a: Self::U, b: Self::U) -> Self::U {
        zip(a, b, u32::wrapping_mul)
    }
    #[inline(always)]
    fn and(self, a: Self::U, b: Self::U) -> Self::U {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn xor(self, a: Self::U, b: Self::U) -> Self::U {
        zip(a, b, |a, b| a ^ b)
    }
    #[inline(always)]
    fn shl<const N: u32>(self, a: Self::U) -> Self::U {
        map(a, |a| a << N)
    }
    #[inline(always)]
    fn shr<const N: u32>(self, a: Self::U) -> Self::U {
        map(a, |a| a >> N)
    }
    #[inline(always)]
    fn sar<const N: u32>(self, a: Self::U) -> Self::U {
        map(a, |a| (a.cast_signed() >> N).cast_unsigned())
    }

    #[inline(always)]
    fn half_splat(self, x: f32) -> Self::H {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn half_load_ptr(self, from: *const f32) -> Self::H {
        // SAFETY: the caller promises eight readable floats.
        unsafe { from.cast::<[f32; 8]>().read() }
    }
    #[inline(always)]
    unsafe fn half_load_ptr_part(self, from: *const f32, count: usize) -> Self::H {
        debug_assert!(count <= 8);
        let mut lanes = [0.0; 8];
        // SAFETY: the caller promises `count` readable floats, at most the eight there is room for.
        unsafe { std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count) };
        lanes
    }
    #[inline(always)]
    unsafe fn half_store_ptr(self, x: Self::H, to: *mut f32) {
        // SAFETY: the caller promises eight writable floats.
        unsafe { to.cast::<[f32; 8]>().write(x) }
    }
    #[inline(always)]
    unsafe fn half_store_ptr_part(self, x: Self::H, to: *mut f32, count: usize) {
        debug_assert!(count <= 8);
        // SAFETY: the caller promises `count` writable floats, and `x` is a local that they cannot overlap.
        unsafe { std::ptr::copy_nonoverlapping(x.as_ptr(), to, count) }
    }
    #[inline(always)]
    fn half_add(self, a: Self::H, b: Self::H) -> Self::H {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn half_mul(self, a: Self::H, b: Self::H) -> Self::H {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn half_fma(self, a: Self::H, b: Self::H, c: Self::H) -> Self::H {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }
    #[inline(always)]
    fn half_max(self, a: Self::H, b: Self::H) -> Self::H {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn half_gate(self, gate: Self::H, a: Self::H) -> Self::H {
        std::array::from_fn(|i| if gate[i] <= 0.0 { 0.0 } else { a[i] })
    }

    #[inline(always)]
    fn transpose(self, rows: [Self::F; LANES]) -> [Self::F; LANES] {
        std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
    }
}
