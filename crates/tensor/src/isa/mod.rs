//! The ISA layer: one vector of sixteen floats, three ways to compute with it.
//!
//! **A vector is sixteen floats on every ISA**: one `zmm` register with AVX-512, a pair of `ymm` with AVX2, an array
//! in portable Rust. A kernel is therefore written once, generic over a token `I: Isa`, and does the same
//! operations on the same elements in the same order everywhere; since each operation is exactly rounded
//! (add, multiply, divide, square root, fused multiply-add), the results have the same bits.
//!
//! **A token is a proof.** [`Avx512`] and [`Avx2`] have a private field and a `new` that asks the CPU; whoever holds
//! one may use its instructions, so the value operations are safe functions. Only the operations on raw
//! pointers are `unsafe`; kernels outside this crate use the ones on arrays and slices.
//!
//! **One trampoline an ISA.** A kernel is a struct that implements [`Op`]; [`Isa::run`] calls it from inside a function
//! with `#[target_feature]`, into which everything is inlined. There is no other `#[target_feature]` outside the
//! GEMM's table of micro-kernels.
//!
//! ```
//! use tensor::isa::{AnyIsa, Isa, Op};
//!
//! /// y ← a·x + y over whole vectors.
//! struct Axpy<'a>(f32, &'a [[f32; 16]], &'a mut [[f32; 16]]);
//!
//! impl Op for Axpy<'_> {
//!     type Output = ();
//!     #[inline(always)]
//!     fn run<I: Isa>(self, isa: I) {
//!         let a = isa.splat(self.0);
//!         for (x, y) in self.1.iter().zip(self.2) {
//!             isa.store(isa.fma(a, isa.load(x), isa.load(y)), y);
//!         }
//!     }
//! }
//!
//! let mut y = [[1.0; 16]];
//! for isa in AnyIsa::available() {
//!     isa.run(Axpy(2.0, &[[3.0; 16]], &mut y));
//! }
//! ```

/// Two functions of 0 to 7, in turns. (Not a loop: the compiler would keep the registers in memory. Not a function that
/// is given them: they would be called, and the chapter's search took 1.13 of its time.)
#[cfg(target_arch = "x86_64")]
macro_rules! one_by_one {
    ($f:ident, $g:ident) => {
        [$f(0), $g(0), $f(1), $g(1), $f(2), $g(2), $f(3), $g(3), $f(4), $g(4), $f(5), $g(5), $f(6), $g(6), $f(7), $g(7)]
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod select;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use portable::Portable;
pub use select::{AnyIsa, ISA_NAMES, IsaError, VARIABLE};

/// Elements of a vector, on every ISA.
pub const LANES: usize = 16;

/// A kernel: something to compute with vectors, on whichever ISA it is handed.
///
/// Mark `run` and every generic function it calls `#[inline(always)]`: what is not inlined into the trampoline
/// is compiled without the ISA's instructions.
pub trait Op {
    /// What the kernel returns.
    type Output;
    /// The kernel's body.
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// Operations on vectors of sixteen floats (`F`), sixteen 32-bit integers (`U`) and sixteen truths (`M`).
///
/// Every operation gives the same bits on every ISA for the same input bits.
/// A NaN result is a NaN on every ISA, but its sign and payload are not specified.
pub trait Isa: Copy + Send + Sync + std::fmt::Debug + 'static {
    /// Sixteen `f32`.
    type F: Copy;
    /// Sixteen `u32`.
    type U: Copy;
    /// Sixteen truth values.
    type M: Copy;
    /// Eight `f32`: half a vector, for the edge of a matrix product.
    type H: Copy;

    /// The name used by `GROUNDUP_ISA`, tests and benches.
    const NAME: &'static str;
    /// Vector registers.
    const REGISTERS: usize;
    /// Whether a part of a vector is stored by one instruction that costs about as much as storing all of it.
    const MASKS_STORES: bool;

    /// Runs a kernel with this ISA's instructions enabled.
    fn run<O: Op>(self, op: O) -> O::Output;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F;
    /// The sixteen elements of `from`.
    fn load(self, from: &[f32; LANES]) -> Self::F;
    /// Writes all lanes.
    fn store(self, x: Self::F, to: &mut [f32; LANES]);
    /// Reads `from.len()` lanes (at most 16); the rest are 0.
    fn load_part(self, from: &[f32]) -> Self::F;
    /// Writes the first `to.len()` lanes (at most 16).
    fn store_part(self, x: Self::F, to: &mut [f32]);
    /// Sixteen bytes as floats 0.0 to 255.0.
    fn load_u8(self, from: &[u8; LANES]) -> Self::F;
    /// Which of sixty-four bytes are not zero: bit i for byte i.
    fn nonzero_bytes(self, bytes: &[u8; 64]) -> u64;
    /// Transposes 64×16 bytes: `to[i·stride + j] = from[j][column + i]`.
    ///
    /// # Safety
    /// Sixteen bytes are readable from `column` of each of `from` on, and sixty-four writable from each i·stride of
    /// `to`, i < 16.
    #[inline(always)]
    unsafe fn transpose_bytes(self, from: &[*const u8; 64], column: usize, to: *mut u8, stride: usize) {
        for (j, from) in from.iter().enumerate() {
            for i in 0..LANES {
                // SAFETY: as the caller promises.
                unsafe { *to.add(i * stride + j) = *from.add(column + i) }
            }
        }
    }

    /// Reads sixteen elements at `from`.
    ///
    /// # Safety
    /// `from` is valid for reading sixteen floats.
    unsafe fn load_ptr(self, from: *const f32) -> Self::F;
    /// Reads the first `count` lanes at `from`; the rest are 0 and their memory is not touched.
    ///
    /// # Safety
    /// `from` is valid for reading `count` floats, and `count <= 16`.
    unsafe fn load_ptr_part(self, from: *const f32, count: usize) -> Self::F;
    /// Writes sixteen elements at `to`.
    ///
    /// # Safety
    /// `to` is valid for writing sixteen floats.
    unsafe fn store_ptr(self, x: Self::F, to: *mut f32);
    /// Writes sixteen elements at `to`, past the caches where the ISA can: for more than they hold. Call [`Isa::fence`]
    /// before another thread reads them.
    ///
    /// # Safety
    /// `to` is valid for writing sixteen floats, and a multiple of 64 bytes.
    #[inline(always)]
    unsafe fn stream_ptr(self, x: Self::F, to: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe { self.store_ptr(x, to) }
    }
    /// Ends a sequence of [`Isa::stream_ptr`].
    #[inline(always)]
    fn fence(self) {}
    /// Writes the first `count` lanes at `to`; the memory of the rest is not touched.
    ///
    /// # Safety
    /// `to` is valid for writing `count` floats, and `count <= 16`.
    unsafe fn store_ptr_part(self, x: Self::F, to: *mut f32, count: usize);

    /// `a + b`
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a − b`
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a · b`
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `√a`
    fn sqrt(self, a: Self::F) -> Self::F;
    /// `a · b + c`, rounded once.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `c − a · b`, rounded once.
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `a` if `a < b`, else `b`: `b` too where either is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a` if `a > b`, else `b`: `b` too where either is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// `|a|`
    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        self.as_floats(self.and(self.as_bits(a), self.splat_u(0x7fff_ffff)))
    }
    /// `−a`
    #[inline(always)]
    fn neg(self, a: Self::F) -> Self::F {
        self.as_floats(self.xor(self.as_bits(a), self.splat_u(0x8000_0000)))
    }

    /// `a < b`; false where either is NaN.
    fn lt(self, a: Self::F, b: Self::F) -> Self::M;
    /// `a ≤ b`; false where either is NaN.
    fn le(self, a: Self::F, b: Self::F) -> Self::M;
    /// `a ≠ b`; true where either is NaN.
    fn ne(self, a: Self::F, b: Self::F) -> Self::M;
    /// `a` is NaN.
    fn is_nan(self, a: Self::F) -> Self::M;
    /// Which lanes are true: bit i for lane i.
    fn bits(self, mask: Self::M) -> u16;
    /// `a` where true, `b` where false.
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F;

    /// The bit patterns of the lanes.
    fn as_bits(self, a: Self::F) -> Self::U;
    /// The floats with these bit patterns.
    fn as_floats(self, a: Self::U) -> Self::F;
    /// The lanes read as *signed* integers, as floats (rounded to nearest even above 2²⁴).
    fn to_float(self, a: Self::U) -> Self::F;
    /// All lanes `x`.
    fn splat_u(self, x: u32) -> Self::U;
    /// The sixteen elements of `from`.
    fn load_u(self, from: &[u32; LANES]) -> Self::U;
    /// `a + b`, wrapping.
    fn add_u(self, a: Self::U, b: Self::U) -> Self::U;
    /// `a − b`, wrapping.
    fn sub_u(self, a: Self::U, b: Self::U) -> Self::U;
    /// `a · b`, the low 32 bits.
    fn mul_u(self, a: Self::U, b: Self::U) -> Self::U;
    /// `a & b`
    fn and(self, a: Self::U, b: Self::U) -> Self::U;
    /// `a ^ b`
    fn xor(self, a: Self::U, b: Self::U) -> Self::U;
    /// `a << N`
    fn shl<const N: u32>(self, a: Self::U) -> Self::U;
    /// `a >> N`, zeros shifted in.
    fn shr<const N: u32>(self, a: Self::U) -> Self::U;
    /// `a >> N`, the sign shifted in.
    fn sar<const N: u32>(self, a: Self::U) -> Self::U;

    /// Asks for the cache line at `at` ahead of its use. A hint: any address may be given, none is read.
    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        let _ = at;
    }

    /// All lanes of half a vector `x`.
    fn half_splat(self, x: f32) -> Self::H;
    /// Reads eight elements at `from`.
    ///
    /// # Safety
    /// `from` is valid for reading eight floats.
    unsafe fn half_load_ptr(self, from: *const f32) -> Self::H;
    /// Reads the first `count` lanes at `from`; the rest are 0 and their memory is not touched.
    ///
    /// # Safety
    /// `from` is valid for reading `count` floats, and `count <= 8`.
    unsafe fn half_load_ptr_part(self, from: *const f32, count: usize) -> Self::H;
    /// Writes eight elements at `to`.
    ///
    /// # Safety
    /// `to` is valid for writing eight floats.
    unsafe fn half_store_ptr(self, x: Self::H, to: *mut f32);
    /// Writes the first `count` lanes at `to`; the memory of the rest is not touched.
    ///
    /// # Safety
    /// `to` is valid for writing `count` floats, and `count <= 8`.
    unsafe fn half_store_ptr_part(self, x: Self::H, to: *mut f32, count: usize);
    /// `a + b`
    fn half_add(self, a: Self::H, b: Self::H) -> Self::H;
    /// `a · b`
    fn half_mul(self, a: Self::H, b: Self::H) -> Self::H;
    /// `a · b + c`, rounded once.
    fn half_fma(self, a: Self::H, b: Self::H, c: Self::H) -> Self::H;
    /// `a` if `a > b`, else `b`: `b` too where either is NaN.
    fn half_max(self, a: Self::H, b: Self::H) -> Self::H;
    /// `0` where `gate ≤ 0`, else `a`: also where `gate` is NaN.
    fn half_gate(self, gate: Self::H, a: Self::H) -> Self::H;
    /// `0` where `gate ≤ 0`, else `a`: also where `gate` is NaN. The derivative of a ReLU at its own output.
    #[inline(always)]
    fn gate(self, gate: Self::F, a: Self::F) -> Self::F {
        let zero = self.splat(0.0);
        self.select(self.le(gate, zero), zero, a)
    }

    /// Row `i` of the result is lane `i` of each row: the transpose of a 16×16 block.
    fn transpose(self, rows: [Self::F; LANES]) -> [Self::F; LANES];

    /// The transpose of the 16×16 block whose rows lie `stride` apart: row `i` of the result is element `i` of each
    /// row.
    ///
    /// # Safety
    /// `from` is valid for reading sixteen floats at each of sixteen rows.
    #[inline(always)]
    unsafe fn load_transposed(self, from: *const f32, stride: usize) -> [Self::F; LANES] {
        let mut block = [self.splat(0.0); LANES];
        for (i, row) in block.iter_mut().enumerate() {
            // SAFETY: as the caller promises.
            *row = unsafe { self.load_ptr(from.add(i * stride)) };
        }
        self.transpose(block)
    }

    /// The lanes as an array.
    #[inline(always)]
    fn to_array(self, a: Self::F) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        self.store(a, &mut lanes);
        lanes
    }

    /// The sum of the lanes, in one fixed tree: lane `i` with `i + 8`, then `i + 4`, `i + 2`, `i + 1`.
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        let mut lanes = self.to_array(a);
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
        }
        lanes[0]
    }
}
