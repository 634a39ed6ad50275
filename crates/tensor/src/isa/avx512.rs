//! AVX-512: a vector is one `zmm` register, a mask one `k` register.

use super::{Isa, LANES, Op};
use std::arch::x86_64::*;

/// Proof that this CPU has AVX-512 F, BW, DQ and VL, AVX2, FMA and POPCNT, and that the system saves its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(());

impl Avx512 {
    /// The token, if the CPU has the instructions.
    pub fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("popcnt"))
        .then_some(Self(()))
    }

    /// The token inside a function that is compiled for it.
    ///
    /// # Safety
    /// The CPU has AVX-512 F, BW, DQ and VL, AVX2, FMA and POPCNT.
    #[inline(always)]
    pub(crate) unsafe fn assume() -> Self {
        Self(())
    }
}

/// The trampoline: `op` and all it inlines are compiled with AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
fn trampoline<O: Op>(isa: Avx512, op: O) -> O::Output {
    op.run(isa)
}

#[inline(always)]
fn first(count: usize) -> __mmask16 {
    debug_assert!(count <= LANES);
    ((1_u32 << count) - 1) as __mmask16
}

/// Registers i and i + 8, byte by byte, as registers 2i and 2i + 1, in each 128 bits.
///
/// # Safety
/// The CPU has the instructions.
#[inline(always)]
unsafe fn interleaved(r: [__m512i; LANES]) -> [__m512i; LANES] {
    // SAFETY: as promised.
    let low = |i: usize| unsafe { _mm512_unpacklo_epi8(r[i], r[i + 8]) };
    // SAFETY: as promised.
    let high = |i: usize| unsafe { _mm512_unpackhi_epi8(r[i], r[i + 8]) };
    one_by_one!(low, high)
}

// SAFETY of every `unsafe` below without its own comment: the token proves that the CPU has the instruction.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Isa for Avx512 {
    type F = __m512;
    type U = __m512i;
    type M = __mmask16;
    type H = __m256;

    const NAME: &'static str = "avx512";
    const REGISTERS: usize = 32;
    const MASKS_STORES: bool = true;

    #[inline]
    fn run<O: Op>(self, op: O) -> O::Output {
        unsafe { trampoline(self, op) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        // SAFETY: the reference is to sixteen floats.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        // SAFETY: the reference is to sixteen floats.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Self::F {
        assert!(from.len() <= LANES);
        // SAFETY: the mask has a bit for each element of the slice.
        unsafe { _mm512_maskz_loadu_ps(first(from.len()), from.as_ptr()) }
    }
    #[inline(always)]
    fn store_part(self, x: Self::F, to: &mut [f32]) {
        assert!(to.len() <= LANES);
        // SAFETY: the mask has a bit for each element of the slice.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), first(to.len()), x) }
    }
    #[inline(always)]
    fn load_u8(self, from: &[u8; LANES]) -> Self::F {
        // SAFETY: the reference is to sixteen bytes.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn nonzero_bytes(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: the reference is to sixty-four bytes.
        unsafe {
            let bytes = _mm512_loadu_si512(bytes.as_ptr().cast());
            _mm512_test_epi8_mask(bytes, bytes)
        }
    }
    /// As AVX2 does it, with rows i, i + 16, i + 32 and i + 48 in a register.
    #[inline(always)]
    unsafe fn transpose_bytes(self, from: &[*const u8; 64], column: usize, to: *mut u8, stride: usize) {
        // SAFETY: the caller promises sixteen bytes at column `column` of each row, and sixty-four at each i·stride.
        unsafe {
            let load = |i: usize| _mm_loadu_si128(from[i].add(column).cast());
            let r: [__m512i; LANES] = std::array::from_fn(|i| {
                let row = _mm512_castsi128_si512(load(i));
                let row = _mm512_inserti32x4::<1>(row, load(16 + i));
                let row = _mm512_inserti32x4::<2>(row, load(32 + i));
                _mm512_inserti32x4::<3>(row, load(48 + i))
            });
            let r = interleaved(interleaved(interleaved(interleaved(r))));
            for (i, row) in r.into_iter().enumerate() {
                _mm512_storeu_si512(to.add(i * stride).cast(), row);
            }
        }
    }
    #[inline(always)]
    unsafe fn load_ptr(self, from: *const f32) -> Self::F {
        // SAFETY: the caller promises sixteen readable floats.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn load_ptr_part(self, from: *const f32, count: usize) -> Self::F {
        // SAFETY: the caller promises `count` readable floats; a masked load does not touch the others.
        unsafe { _mm512_maskz_loadu_ps(first(count), from) }
    }
    #[inline(always)]
    unsafe fn store_ptr(self, x: Self::F, to: *mut f32) {
        // SAFETY: the caller promises sixteen writable floats.
        unsafe { _mm512_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn stream_ptr(self, x: Self::F, to: *mut f32) {
        // SAFETY: the caller promises sixteen writable floats on a line of their own.
        unsafe { _mm512_stream_ps(to, x) }
    }
    #[inline(always)]
    fn fence(self) {
        unsafe { _mm_sfence() }
    }
    #[inline(always)]
    unsafe fn store_ptr_part(self, x: Self::F, to: *mut f32, count: usize) {
        // SAFETY: the caller promises `count` writable floats; a masked store does not touch the others.
        unsafe { _mm512_mask_storeu_ps(to, first(count), x) }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn le(self, a: Self::F, b: Self::F) -> Self::M {
        unsafe { _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b) }
    }
    #[inline(always)]
    fn ne(self, a: Self::F, b: Self::F) -> Self::M {
        unsafe { _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(a, b) }
    }
    #[inline(always)]
    fn is_nan(self, a: Self::F) -> Self::M {
        unsafe { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a) }
    }
    #[inline(always)]
    fn bits(self, mask: Self::M) -> u16 {
        mask
    }
    #[inline(always)]
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_mask_blend_ps(mask, b, a) }
    }

    #[inline(always)]
    fn as_bits(self, a: Self::F) -> Self::U {
        unsafe { _mm512_castps_si512(a) }
    }
    #[inline(always)]
    fn as_floats(self, a: Self::U) -> Self::F {
        unsafe { _mm512_castsi512_ps(a) }
    }
    #[inline(always)]
    fn to_float(self, a: Self::U) -> Self::F {
        unsafe { _mm512_cvtepi32_ps(a) }
    }
    #[inline(always)]
    fn splat_u(self, x: u32) -> Self::U {
        unsafe { _mm512_set1_epi32(x.cast_signed()) }
    }
    #[inline(always)]
    fn load_u(self, from: &[u32; LANES]) -> Self::U {
        // SAFETY: the reference is to sixteen integers.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn add_u(self, a: Self::U, b: Self::U) -> Self::U {
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    fn sub_u(self, a: Self::U, b: Self::U) -> Self::U {
        unsafe { _mm512_sub_epi32(a, b) }
    }
    #[inline(always)]
    fn mul_u(self, a: Self::U, b: Self::U) -> Self::U {
        unsafe { _mm512_mullo_epi32(a, b) }
    }
    #[inline(always)]
    fn and(self, a: Self::U, b: Self::U) -> Self::U {
        unsafe { _mm512_and_si512(a, b) }
    }
    #[inline(always)]
    fn xor(self, a: Self::U, b: Self::U) -> Self::U {
        unsafe { _mm512_xor_si512(a, b) }
    }
    #[inline(always)]
    fn shl<const N: u32>(self, a: Self::U) -> Self::U {
        unsafe { _mm512_slli_epi32::<N>(a) }
    }
    #[inline(always)]
    fn shr<const N: u32>(self, a: Self::U) -> Self::U {
        unsafe { _mm512_srli_epi32::<N>(a) }
    }
    #[inline(always)]
    fn sar<const N: u32>(self, a: Self::U) -> Self::U {
        unsafe { _mm512_srai_epi32::<N>(a) }
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
        unsafe { _mm256_maskz_loadu_ps(first(count) as __mmask8, from) }
    }
    #[inline(always)]
    unsafe fn half_store_ptr(self, x: Self::H, to: *mut f32) {
        // SAFETY: the caller promises eight writable floats.
        unsafe { _mm256_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn half_store_ptr_part(self, x: Self::H, to: *mut f32, count: usize) {
        // SAFETY: the caller promises `count` writable floats; a masked store does not touch the others.
        unsafe { _mm256_mask_storeu_ps(to, first(count) as __mmask8, x) }
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
        unsafe { _mm256_maskz_mov_ps(!_mm256_cmp_ps_mask::<_CMP_LE_OQ>(gate, _mm256_setzero_ps()), a) }
    }

    /// Four stages of 16 shuffles: pairs of floats, pairs of pairs, then 128-bit quarters twice.
    #[inline(always)]
    fn transpose(self, r: [Self::F; LANES]) -> [Self::F; LANES] {
        unsafe {
            let mut t = r;
            // Within each 128-bit quarter q, rows 2i and 2i+1 interleave: t[2i] holds columns 4q, 4q+1.
            for i in 0..8 {
                t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
                t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
            }
            // u[4g + c]: quarter q is column 4q + c of rows 4g..4g + 4.
            let pd = |x| _mm512_castps_pd(x);
            let ps = |x| _mm512_castpd_ps(x);
            let mut u = r;
            for g in 0..4 {
                u[4 * g] = ps(_mm512_unpacklo_pd(pd(t[4 * g]), pd(t[4 * g + 2])));
                u[4 * g + 1] = ps(_mm512_unpackhi_pd(pd(t[4 * g]), pd(t[4 * g + 2])));
                u[4 * g + 2] = ps(_mm512_unpacklo_pd(pd(t[4 * g + 1]), pd(t[4 * g + 3])));
                u[4 * g + 3] = ps(_mm512_unpackhi_pd(pd(t[4 * g + 1]), pd(t[4 * g + 3])));
            }
            // Gather quarter q of the four groups: column 4q + c of all sixteen rows.
            let mut out = r;
            for c in 0..4 {
                let (a, b, d, e) = (u[c], u[4 + c], u[8 + c], u[12 + c]);
                let ab02 = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
                let ab13 = _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b);
                let de02 = _mm512_shuffle_f32x4::<0b10_00_10_00>(d, e);
                let de13 = _mm512_shuffle_f32x4::<0b11_01_11_01>(d, e);
                out[c] = _mm512_shuffle_f32x4::<0b10_00_10_00>(ab02, de02);
                out[8 + c] = _mm512_shuffle_f32x4::<0b11_01_11_01>(ab02, de02);
                out[4 + c] = _mm512_shuffle_f32x4::<0b10_00_10_00>(ab13, de13);
                out[12 + c] = _mm512_shuffle_f32x4::<0b11_01_11_01>(ab13, de13);
            }
            out
        }
    }

    /// The loads do half of the work: four columns of rows i, i + 4, i + 8 and i + 12 are read into the quarters of one
    /// register (an insertion from memory does not need the shuffle unit), and two stages of interleaving remain, 32
    /// shuffles instead of the 64 of [`transpose`](Isa::transpose). The compiler pairs the insertions and makes 48 of
    /// them. It gained 7 % of a 100×10×100 product with a transposed B, 0 to 2 % of longer ones.
    #[inline(always)]
    unsafe fn load_transposed(self, from: *const f32, stride: usize) -> [Self::F; LANES] {
        let mut out = [self.splat(0.0); LANES];
        for c in 0..4 {
            // SAFETY: the caller promises sixteen readable floats at each of sixteen rows; this reads four of them,
            // 4c..4c + 4.
            let r: [Self::F; 4] = std::array::from_fn(|i| unsafe {
                let quarter = |q: usize| _mm_loadu_ps(from.add((i + 4 * q) * stride + 4 * c));
                let x = _mm512_castps128_ps512(quarter(0));
                let x = _mm512_insertf32x4::<1>(x, quarter(1));
                let x = _mm512_insertf32x4::<2>(x, quarter(2));
                _mm512_insertf32x4::<3>(x, quarter(3))
            });
            unsafe {
                let pd = |x| _mm512_castps_pd(x);
                let ps = |x| _mm512_castpd_ps(x);
                // Quarter q of `low01` holds columns 4c and 4c + 1 of rows 4q and 4q + 1, interleaved.
                let (low01, high01) = (_mm512_unpacklo_ps(r[0], r[1]), _mm512_unpackhi_ps(r[0], r[1]));
                let (low23, high23) = (_mm512_unpacklo_ps(r[2], r[3]), _mm512_unpackhi_ps(r[2], r[3]));
                out[4 * c] = ps(_mm512_unpacklo_pd(pd(low01), pd(low23)));
                out[4 * c + 1] = ps(_mm512_unpackhi_pd(pd(low01), pd(low23)));
                out[4 * c + 2] = ps(_mm512_unpacklo_pd(pd(high01), pd(high23)));
                out[4 * c + 3] = ps(_mm512_unpackhi_pd(pd(high01), pd(high23)));
            }
        }
        out
    }
}
