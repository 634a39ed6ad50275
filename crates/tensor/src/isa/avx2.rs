//! AVX2, FMA and POPCNT: a vector is a pair of `ymm` registers, low half first.

use super::{Isa, LANES, Op};
use std::arch::x86_64::*;

/// Proof that this CPU has AVX2, FMA and POPCNT, and that the system saves their registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// The token, if the CPU has the instructions.
    pub fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("popcnt"))
            .then_some(Self(()))
    }

    /// The token inside a function that is compiled for it.
    ///
    /// # Safety
    /// The CPU has AVX2, FMA and POPCNT.
    #[inline(always)]
    pub(crate) unsafe fn assume() -> Self {
        Self(())
    }
}

/// The trampoline: `op` and all it inlines are compiled with AVX2, FMA and POPCNT.
#[target_feature(enable = "avx2,fma,popcnt")]
fn trampoline<O: Op>(isa: Avx2, op: O) -> O::Output {
    op.run(isa)
}

/// Sixteen set lanes, then sixteen clear ones: the eight integers from `16 − count` on are the mask of the low half.
static MASKS: [i32; 32] = {
    let mut masks = [0; 32];
    let mut i = 0;
    while i < 16 {
        masks[i] = -1;
        i += 1;
    }
    masks
};

#[inline(always)]
fn first(count: usize) -> (__m256i, __m256i) {
    let from = &MASKS[LANES - count..][..LANES];
    // SAFETY: `from` is sixteen integers (checked by the slicing), and the only callers hold the token.
    unsafe { (_mm256_loadu_si256(from.as_ptr().cast()), _mm256_loadu_si256(from[8..].as_ptr().cast())) }
}

/// Stores the first `count` of eight lanes, by fours, twos and ones: a masked store is forty micro-operations on AMD's
/// CPUs (Zen 3), which was a quarter of the time of a product of 100×100×100.
///
/// # Safety
/// `to` is writable for `count` floats, at most eight.
#[inline(always)]
unsafe fn store_first(x: __m256, mut to: *mut f32, count: usize) {
    debug_assert!(count <= 8);
    // SAFETY: the caller promises so many writable floats, and holds the token.
    unsafe {
        if count == 8 {
            return _mm256_storeu_ps(to, x);
        }
        let mut four = _mm256_castps256_ps128(x);
        if count & 4 != 0 {
            _mm_storeu_ps(to, four);
            four = _mm256_extractf128_ps::<1>(x);
            to = to.add(4);
        }
        if count & 2 != 0 {
            // (`_mm_storel_pd` may count on eight bytes' alignment.)
            _mm_storeu_si64(to.cast(), _mm_castps_si128(four));
            four = _mm_movehl_ps(four, four);
            to = to.add(2);
        }
        if count & 1 != 0 {
            _mm_store_ss(to, four);
        }
    }
}

/// The transpose of an 8×8 block held in eight registers.
#[inline(always)]
fn transpose8(r: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: the only caller holds the token.
    unsafe {
        let mut t = r;
        for i in 0..4 {
            t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        let mut u = r;
        for g in 0..2 {
            u[4 * g] = _mm256_shuffle_ps::<0b01_00_01_00>(t[4 * g], t[4 * g + 2]);
            u[4 * g + 1] = _mm256_shuffle_ps::<0b11_10_11_10>(t[4 * g], t[4 * g + 2]);
            u[4 * g + 2] = _mm256_shuffle_ps::<0b01_00_01_00>(t[4 * g + 1], t[4 * g + 3]);
            u[4 * g + 3] = _mm256_shuffle_ps::<0b11_10_11_10>(t[4 * g + 1], t[4 * g + 3]);
        }
        let mut out = r;
        for c in 0..4 {
            out[c] = _mm256_permute2f128_ps::<0x20>(u[c], u[4 + c]);
            out[4 + c] = _mm256_permute2f128_ps::<0x31>(u[c], u[4 + c]);
        }
        out
    }
}

/// Registers i and i + 8, byte by byte, as registers 2i and 2i + 1, in each 128 bits.
///
/// # Safety
/// The CPU has the instructions.
#[inline(always)]
unsafe fn interleaved(r: [__m256i; LANES]) -> [__m256i; LANES] {
    // SAFETY: as promised.
    let low = |i: usize| unsafe { _mm256_unpacklo_epi8(r[i], r[i + 8]) };
    // SAFETY: as promised.
    let high = |i: usize| unsafe { _mm256_unpackhi_epi8(r[i], r[i + 8]) };
    one_by_one!(low, high)
}

// SAFETY of every `unsafe` below without its own comment: the token proves that the CPU has the instruction.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Isa for Avx2 {
    type F = (__m256, __m256);
    type U = (__m256i, __m256i);
    type M = (__m256, __m256);
    type H = __m256;

    const NAME: &'static str = "avx2";
    const REGISTERS: usize = 16;
    const MASKS_STORES: bool = false;

    #[inline]
    fn run<O: Op>(self, op: O) -> O::Output {
        unsafe { trampoline(self, op) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        let half = unsafe { _mm256_set1_ps(x) };
        (half, half)
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        // SAFETY: the reference is to sixteen floats.
        unsafe { (_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from[8..].as_ptr())) }
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        // SAFETY: the reference is to sixteen floats.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), x.0);
            _mm256_storeu_ps(to[8..].as_mut_ptr(), x.1);
        }
    }
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Self::F {
        // SAFETY: the slice has `len` floats; a length over 16 panics inside `first`.
        unsafe { self.load_ptr_part(from.as_ptr(), from.len()) }
    }
    #[inline(always)]
    fn store_part(self, x: Self::F, to: &mut [f32]) {
        assert!(to.len() <= LANES);
        // SAFETY: the slice has `len` floats, no more than a vector.
        unsafe { self.store_ptr_part(x, to.as_mut_ptr(), to.len()) }
    }
    #[inline(always)]
    fn load_u8(self, from: &[u8; LANES]) -> Self::F {
        // SAFETY: the reference is to sixteen bytes. (Read once and shifted, they took another instruction.)
        unsafe {
            let eight = |from: *const u8| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast())));
            (eight(from.as_ptr()), eight(from.as_ptr().add(8)))
        }
    }
    #[inline(always)]
    fn nonzero_bytes(self, bytes: &[u8; 64]) -> u64 {
        let (first, second) = bytes.split_at(32);
        let [first, second] = [first, second].map(|half| {
            // SAFETY: the slice is of thirty-two bytes.
            let zero = unsafe { _mm256_cmpeq_epi8(_mm256_loadu_si256(half.as_ptr().cast()), _mm256_setzero_si256()) };
            // SAFETY: the token.
            !(unsafe { _mm256_movemask_epi8(zero) }) as u32
        });
        u64::from(first) | u64::from(second) << 32
    }
    /// A register has rows i and i + 16. Those of i and i + 8 are interleaved in each half, four times over; each time
    /// the highest bit of i becomes the lowest of a byte's column, and that one's highest the lowest of i.
    #[inline(always)]
    unsafe fn transpose_bytes(self, from: &[*const u8; 64], column: usize, to: *mut u8, stride: usize) {
        // SAFETY: the caller promises sixteen bytes at column `column` of each row, and sixty-four at each i·stride.
        unsafe {
            for (half, from) in from.as_chunks::<32>().0.iter().enumerate() {
                let load = |i: usize| _mm_loadu_si128(from[i].add(column).cast());
                let r: [__m256i; LANES] = std::array::from_fn(|i| _mm256_set_m128i(load(16 + i), load(i)));
                let r = interleaved(interleaved(interleaved(interleaved(r))));
                for (i, row) in r.into_iter().enumerate() {
                    _mm256_storeu_si256(to.add(i * stride + 32 * half).cast(), row);
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn load_ptr(self, from: *const f32) -> Self::F {
        // SAFETY: the caller promises sixteen readable floats.
        unsafe { (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }
    #[inline(always)]
    unsafe fn load_ptr_part(self, from: *const f32, count: usize) -> Self::F {
        let mask = first(count);
        // SAFETY: the caller promises `count` readable floats; a masked load does not touch the others.
        unsafe { (_mm256_maskload_ps(from, mask.0), _mm256_maskload_ps(from.wrapping_add(8), mask.1)) }
    }
    #[inline(always)]
    unsafe fn store_ptr(self, x: Self::F, to: *mut f32) {
        // SAFETY: the caller promises sixteen writable floats.
        unsafe {
            _mm256_storeu_ps(to, x.0);
            _mm256_storeu_ps(to.add(8), x.1);
        }
    }
    #[inline(always)]
    unsafe fn stream_ptr(self, x: Self::F, to: *mut f32) {
        // SAFETY: the caller promises sixteen writable floats on a line of their own.
        unsafe {
            _mm256_stream_ps(to, x.0);
            _mm256_stream_ps(to.add(8), x.1);
        }
    }
    #[inline(always)]
    fn fence(self) {
        unsafe { _mm_sfence() }
    }
    #[inline(always)]
    unsafe fn store_ptr_part(self, x: Self::F, to: *mut f32, count: usize) {
        // SAFETY: the caller promises `count` writable floats.
        unsafe {
            if count < 8 {
                store_first(x.0, to, count);
            } else {
                _mm256_storeu_ps(to, x.0);
                store_first(x.1, to.add(8), count - 8);
            }
        }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_div_ps(a.0, b.0), _mm256_div_ps(a.1, b.1)) }
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        unsafe { (_mm256_sqrt_ps(a.0), _mm256_sqrt_ps(a.1)) }
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { (_mm256_fmadd_ps(a.0, b.0, c.0), _mm256_fmadd_ps(a.1, b.1, c.1)) }
    }
    #[inline(always)]
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { (_mm256_fnmadd_ps(a.0, b.0, c.0), _mm256_fnmadd_ps(a.1, b.1, c.1)) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_min_ps(a.0, b.0), _mm256_min_ps(a.1, b.1)) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_max_ps(a.0, b.0), _mm256_max_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        unsafe { (_mm256_cmp_ps::<_CMP_LT_OQ>(a.0, b.0), _mm256_cmp_ps::<_CMP_LT_OQ>(a.1, b.1)) }
    }
    #[inline(always)]
    fn le(self, a: Self::F, b: Self::F) -> Self::M {
        unsafe { (_mm256_cmp_ps::<_CMP_LE_OQ>(a.0, b.0), _mm256_cmp_ps::<_CMP_LE_OQ>(a.1, b.1)) }
    }
    #[inline(always)]
    fn ne(self, a: Self::F, b: Self::F) -> Self::M {
        unsafe { (_mm256_cmp_ps::<_CMP_NEQ_UQ>(a.0, b.0), _mm256_cmp_ps::<_CMP_NEQ_UQ>(a.1, b.1)) }
    }
    #[inline(always)]
    fn is_nan(self, a: Self::F) -> Self::M {
        unsafe { (_mm256_cmp_ps::<_CMP_UNORD_Q>(a.0, a.0), _mm256_cmp_ps::<_CMP_UNORD_Q>(a.1, a.1)) }
    }
    #[inline(always)]
    fn bits(self, mask: Self::M) -> u16 {
        // SAFETY: AVX2 is there, as for all of these.
        let [low, high] = unsafe { [_mm256_movemask_ps(mask.0), _mm256_movemask_ps(mask.1)] };
        low as u16 | (high as u16) << 8
    }
    #[inline(always)]
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_blendv_ps(b.0, a.0, mask.0), _mm256_blendv_ps(b.1, a.1, mask.1)) }
    }

    #[inline(always)]
    fn as_bits(self, a: Self::F) -> Self::U {
        unsafe { (_mm256_castps_si256(a.0), _mm256_castps_si256(a.1)) }
    }
    #[inline(always)]
    fn as_floats(self, a: Self::U) -> Self::F {
        unsafe { (_mm256_castsi256_ps(a.0), _mm256_castsi256_ps(a.1)) }
    }
    #[inline(always)]
    fn to_float(self, a: Self::U) -> Self::F {
        unsafe { (_mm256_cvtepi32_ps(a.0), _mm256_cvtepi32_ps(a.1)) }
    }
    #[inline(always)]
    fn splat_u(self, x: u32) -> Self::U {
        let half = unsafe { _mm256_set1_epi32(x.cast_signed()) };
        (half, half)
    }
    #[inline(always)]
    fn load_u(self, from: &[u32; LANES]) -> Self::U {
        // SAFETY: the reference is to sixteen integers.
        unsafe { (_mm256_loadu_si256(from.as_ptr().cast()), _mm256_loadu_si256(from[8..].as_ptr().cast())) }
    }
    #[inline(always)]
    fn add_u(self, a: Self::U, b: Self::U) -> Self::U {
        unsafe { (_mm256_add_epi32(a.0, b.0), _mm256_add_epi32(a.1, b.1)) }
    }
    #[inline(always)]
    fn sub_u(self, a: Self::U, b: Self::U) -> Self::U {
        unsafe { (_mm256_sub_epi32(a.0, b.0), _mm256_sub_epi32(a.1, b.1)) }
    }
    #[inline(always)]
    fn mul_u(self, a: Self::U, b: Self::U) -> Self::U {
        unsafe { (_mm256_mullo_epi32(a.0, b.0), _mm256_mullo_epi32(a.1, b.1)) }
    }
    #[inline(always)]
    fn and(self, a: Self::U, b: Self::U) -> Self::U {
        unsafe { (_mm256_and_si256(a.0, b.0), _mm256_and_si256(a.1, b.1)) }
    }
    #[inline(always)]
    fn xor(self, a: Self::U, b: Self::U) -> Self::U {
        unsafe { (_mm256_xor_si256(a.0, b.0), _mm256_xor_si256(a.1, b.1)) }
    }
    #[inline(always)]
    fn shl<const N: u32>(self, a: Self::U) -> Self::U {
        let count = unsafe { _mm_cvtsi32_si128(N.cast_signed()) };
        unsafe { (_mm256_sll_epi32(a.0, count), _mm256_sll_epi32(a.1, count)) }
    }
    #[inline(always)]
    fn shr<const N: u32>(self, a: Self::U) -> Self::U {
        let count = unsafe { _mm_cvtsi32_si128(N.cast_signed()) };
        unsafe { (_mm256_srl_epi32(a.0, count), _mm256_srl_epi32(a.1, count)) }
    }
    #[inline(always)]
    fn sar<const N: u32>(self, a: Self::U) -> Self::U {
        let count = unsafe { _mm_cvtsi32_si128(N.cast_signed()) };
        unsafe { (_mm256_sra_epi32(a.0, count), _mm256_sra_epi32(a.1, count)) }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }

    #[inline(always)]
    fn half_splat(self, x: f32) -> Self::H {
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn half_load_ptr(self, from: *const f32) -> Self::H {
        // SAFETY: the caller promises eight readable floats.
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn half_load_ptr_part(self, from: *const f32, count: usize) -> Self::H {
        // SAFETY: the caller promises `count` readable floats; a masked load does not touch the others.
        unsafe { _mm256_maskload_ps(from, first(count).0) }
    }
    #[inline(always)]
    unsafe fn half_store_ptr(self, x: Self::H, to: *mut f32) {
        // SAFETY: the caller promises eight writable floats.
        unsafe { _mm256_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn half_store_ptr_part(self, x: Self::H, to: *mut f32, count: usize) {
        // SAFETY: the caller promises `count` writable floats.
        unsafe { store_first(x, to, count) }
    }
    #[inline(always)]
    fn half_add(self, a: Self::H, b: Self::H) -> Self::H {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn half_mul(self, a: Self::H, b: Self::H) -> Self::H {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn half_fma(self, a: Self::H, b: Self::H, c: Self::H) -> Self::H {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn half_max(self, a: Self::H, b: Self::H) -> Self::H {
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn half_gate(self, gate: Self::H, a: Self::H) -> Self::H {
        unsafe { _mm256_andnot_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(gate, _mm256_setzero_ps()), a) }
    }

    /// Four 8×8 blocks; the two off the diagonal change places.
    #[inline(always)]
    fn transpose(self, r: [Self::F; LANES]) -> [Self::F; LANES] {
        let top_left = transpose8(std::array::from_fn(|i| r[i].0));
        let top_right = transpose8(std::array::from_fn(|i| r[i].1));
        let bottom_left = transpose8(std::array::from_fn(|i| r[8 + i].0));
        let bottom_right = transpose8(std::array::from_fn(|i| r[8 + i].1));
        std::array::from_fn(
            |i| if i < 8 { (top_left[i], bottom_left[i]) } else { (top_right[i - 8], bottom_right[i - 8]) },
        )
    }
}
