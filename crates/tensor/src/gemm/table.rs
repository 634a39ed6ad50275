//! Which register tiles each ISA has: one row an ISA. Dispatch, tests and benches walk this.

use super::microkernel::{Tile, tile};
use crate::isa::{AnyIsa, Portable};
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};

/// A tile compiled for one ISA.
pub(super) type Kernel = unsafe fn(&Tile);

/// The tiles of one ISA: `kernels[NV − 1][MR − 1]`. Every height up to the greatest is there, so that rows are shared
/// out evenly and none is padded.
pub(super) struct Row {
    pub name: &'static str,
    pub kernels: &'static [&'static [Kernel]],
}

impl Row {
    /// The widest tile, in vectors.
    pub fn max_vectors(&self) -> usize {
        self.kernels.len()
    }

    /// The tallest tile of `vectors` vectors.
    pub fn max_rows(&self, vectors: usize) -> usize {
        self.kernels[vectors - 1].len()
    }
}

/// The row of an ISA whose token is held: what makes its kernels callable.
pub(super) fn row(isa: AnyIsa) -> &'static Row {
    match isa {
        AnyIsa::Portable(_) => &PORTABLE,
        #[cfg(target_arch = "x86_64")]
        AnyIsa::Avx2(_) => &AVX2,
        #[cfg(target_arch = "x86_64")]
        AnyIsa::Avx512(_) => &AVX512,
    }
}

/// The tallest tile of each width of an ISA, by name: `avx512_6x64`.
pub fn tile_names(isa: AnyIsa) -> Vec<String> {
    let row = row(isa);
    (1..=row.max_vectors()).map(|nv| format!("{}_{}x{}", row.name, row.max_rows(nv), 16 * nv)).collect()
}

/// # Safety
/// As [`tile`].
unsafe fn portable<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is that of `tile`.
    unsafe { tile::<Portable, MR, NV>(Portable, t) }
}

/// An array of sixteen is four SSE or NEON registers; four rows of it are all there is room for.
static PORTABLE: Row =
    Row { name: "portable", kernels: &[&[portable::<1, 1>, portable::<2, 1>, portable::<3, 1>, portable::<4, 1>]] };

/// # Safety
/// As [`tile`]; and the CPU has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is that of `tile`, and that the CPU has the instructions.
    unsafe { tile::<Avx2, MR, NV>(Avx2::assume(), t) }
}

/// Sixteen `ymm` registers: 6×16 takes twelve, two for B and one for A.
#[cfg(target_arch = "x86_64")]
static AVX2: Row = Row {
    name: "avx2",
    kernels: &[&[avx2::<1, 1>, avx2::<2, 1>, avx2::<3, 1>, avx2::<4, 1>, avx2::<5, 1>, avx2::<6, 1>]],
};

/// # Safety
/// As [`tile`]; and the CPU has AVX-512 F, BW, DQ and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn avx512<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is that of `tile`, and that the CPU has the instructions.
    unsafe { tile::<Avx512, MR, NV>(Avx512::assume(), t) }
}

/// Thirty-two `zmm` registers: MR·NV + NV + 1 ≤ 32.
#[cfg(target_arch = "x86_64")]
static AVX512: Row = Row {
    name: "avx512",
    kernels: &[
        &[
            avx512::<1, 1>,
            avx512::<2, 1>,
            avx512::<3, 1>,
            avx512::<4, 1>,
            avx512::<5, 1>,
            avx512::<6, 1>,
            avx512::<7, 1>,
            avx512::<8, 1>,
            avx512::<9, 1>,
            avx512::<10, 1>,
            avx512::<11, 1>,
            avx512::<12, 1>,
            avx512::<13, 1>,
            avx512::<14, 1>,
            avx512::<15, 1>,
            avx512::<16, 1>,
            avx512::<17, 1>,
            avx512::<18, 1>,
            avx512::<19, 1>,
            avx512::<20, 1>,
        ],
        &[
            avx512::<1, 2>,
            avx512::<2, 2>,
            avx512::<3, 2>,
            avx512::<4, 2>,
            avx512::<5, 2>,
            avx512::<6, 2>,
            avx512::<7, 2>,
            avx512::<8, 2>,
            avx512::<9, 2>,
            avx512::<10, 2>,
            avx512::<11, 2>,
            avx512::<12, 2>,
            avx512::<13, 2>,
            avx512::<14, 2>,
        ],
        &[
            avx512::<1, 3>,
            avx512::<2, 3>,
            avx512::<3, 3>,
            avx512::<4, 3>,
            avx512::<5, 3>,
            avx512::<6, 3>,
            avx512::<7, 3>,
            avx512::<8, 3>,
            avx512::<9, 3>,
        ],
        &[avx512::<1, 4>, avx512::<2, 4>, avx512::<3, 4>, avx512::<4, 4>, avx512::<5, 4>, avx512::<6, 4>],
    ],
};
