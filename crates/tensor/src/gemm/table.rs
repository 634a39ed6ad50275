//! Which register tiles each ISA has: one row an ISA. Dispatch, tests and benches walk this.

use super::microkernel::{Tile, tile};
use crate::isa::{AnyIsa, Portable};
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};

/// A tile compiled for one ISA.
pub(super) type Kernel = unsafe fn(&Tile);

/// The tiles of one ISA: `kernels[halves − 1][MR − 1]`, where a tile is `halves` half vectors (of eight columns) wide. Every
/// height up to the greatest is there, so that rows are shared out evenly and none is padded.
pub(super) struct Row {
    pub name: &'static str,
    pub kernels: &'static [&'static [Kernel]],
}

impl Row {
    /// The widest tile, in half vectors.
    pub fn max_halves(&self) -> usize {
        self.kernels.len()
    }

    /// The tallest tile of that width.
    pub fn max_rows(&self, halves: usize) -> usize {
        self.kernels[halves - 1].len()
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
    (1..=row.max_halves()).map(|halves| format!("{}_{}x{}", row.name, row.max_rows(halves), 8 * halves)).collect()
}

/// # Safety
/// As [`tile`].
unsafe fn portable<const MR: usize, const NV: usize, const HALF: bool>(t: &Tile) {
    // SAFETY: the caller's promise is that of `tile`.
    unsafe { tile::<Portable, MR, NV, HALF>(Portable, t) }
}

/// An array of sixteen is four SSE or NEON registers; four rows of it are all there is room for.
static PORTABLE: Row = Row {
    name: "portable",
    kernels: &[
        &[portable::<1, 0, true>, portable::<2, 0, true>, portable::<3, 0, true>, portable::<4, 0, true>],
        &[portable::<1, 1, false>, portable::<2, 1, false>, portable::<3, 1, false>, portable::<4, 1, false>],
    ],
};

/// # Safety
/// As [`tile`]; and the CPU has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const MR: usize, const NV: usize, const HALF: bool>(t: &Tile) {
    // SAFETY: the caller's promise is that of `tile`, and that the CPU has the instructions.
    unsafe { tile::<Avx2, MR, NV, HALF>(Avx2::assume(), t) }
}

/// Sixteen `ymm` registers: 6×16 takes twelve, two for B and one for A; 12×8 takes twelve, one and one.
#[cfg(target_arch = "x86_64")]
static AVX2: Row = Row {
    name: "avx2",
    kernels: &[
        &[
            avx2::<1, 0, true>,
            avx2::<2, 0, true>,
            avx2::<3, 0, true>,
            avx2::<4, 0, true>,
            avx2::<5, 0, true>,
            avx2::<6, 0, true>,
            avx2::<7, 0, true>,
            avx2::<8, 0, true>,
            avx2::<9, 0, true>,
            avx2::<10, 0, true>,
            avx2::<11, 0, true>,
            avx2::<12, 0, true>,
        ],
        &[
            avx2::<1, 1, false>,
            avx2::<2, 1, false>,
            avx2::<3, 1, false>,
            avx2::<4, 1, false>,
            avx2::<5, 1, false>,
            avx2::<6, 1, false>,
        ],
    ],
};

/// # Safety
/// As [`tile`]; and the CPU has AVX-512 F, BW, DQ and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn avx512<const MR: usize, const NV: usize, const HALF: bool>(t: &Tile) {
    // SAFETY: the caller's promise is that of `tile`, and that the CPU has the instructions.
    unsafe { tile::<Avx512, MR, NV, HALF>(Avx512::assume(), t) }
}

/// Thirty-two `zmm` registers: with n of them to a row (a half vector takes a whole one), MR·n + n + 1 ≤ 32.
#[cfg(target_arch = "x86_64")]
static AVX512: Row = Row {
    name: "avx512",
    kernels: &[
        &[
            avx512::<1, 0, true>,
            avx512::<2, 0, true>,
            avx512::<3, 0, true>,
            avx512::<4, 0, true>,
            avx512::<5, 0, true>,
            avx512::<6, 0, true>,
            avx512::<7, 0, true>,
            avx512::<8, 0, true>,
            avx512::<9, 0, true>,
            avx512::<10, 0, true>,
            avx512::<11, 0, true>,
            avx512::<12, 0, true>,
            avx512::<13, 0, true>,
            avx512::<14, 0, true>,
            avx512::<15, 0, true>,
            avx512::<16, 0, true>,
            avx512::<17, 0, true>,
            avx512::<18, 0, true>,
            avx512::<19, 0, true>,
            avx512::<20, 0, true>,
        ],
        &[
            avx512::<1, 1, false>,
            avx512::<2, 1, false>,
            avx512::<3, 1, false>,
            avx512::<4, 1, false>,
            avx512::<5, 1, false>,
            avx512::<6, 1, false>,
            avx512::<7, 1, false>,
            avx512::<8, 1, false>,
            avx512::<9, 1, false>,
            avx512::<10, 1, false>,
            avx512::<11, 1, false>,
            avx512::<12, 1, false>,
            avx512::<13, 1, false>,
            avx512::<14, 1, false>,
            avx512::<15, 1, false>,
            avx512::<16, 1, false>,
            avx512::<17, 1, false>,
            avx512::<18, 1, false>,
            avx512::<19, 1, false>,
            avx512::<20, 1, false>,
        ],
        &[
            avx512::<1, 1, true>,
            avx512::<2, 1, true>,
            avx512::<3, 1, true>,
            avx512::<4, 1, true>,
            avx512::<5, 1, true>,
            avx512::<6, 1, true>,
            avx512::<7, 1, true>,
            avx512::<8, 1, true>,
            avx512::<9, 1, true>,
            avx512::<10, 1, true>,
            avx512::<11, 1, true>,
            avx512::<12, 1, true>,
            avx512::<13, 1, true>,
            avx512::<14, 1, true>,
        ],
        &[
            avx512::<1, 2, false>,
            avx512::<2, 2, false>,
            avx512::<3, 2, false>,
            avx512::<4, 2, false>,
            avx512::<5, 2, false>,
            avx512::<6, 2, false>,
            avx512::<7, 2, false>,
            avx512::<8, 2, false>,
            avx512::<9, 2, false>,
            avx512::<10, 2, false>,
            avx512::<11, 2, false>,
            avx512::<12, 2, false>,
            avx512::<13, 2, false>,
            avx512::<14, 2, false>,
        ],
        &[
            avx512::<1, 2, true>,
            avx512::<2, 2, true>,
            avx512::<3, 2, true>,
            avx512::<4, 2, true>,
            avx512::<5, 2, true>,
            avx512::<6, 2, true>,
            avx512::<7, 2, true>,
            avx512::<8, 2, true>,
            avx512::<9, 2, true>,
        ],
        &[
            avx512::<1, 3, false>,
            avx512::<2, 3, false>,
            avx512::<3, 3, false>,
            avx512::<4, 3, false>,
            avx512::<5, 3, false>,
            avx512::<6, 3, false>,
            avx512::<7, 3, false>,
            avx512::<8, 3, false>,
            avx512::<9, 3, false>,
        ],
        &[
            avx512::<1, 3, true>,
            avx512::<2, 3, true>,
            avx512::<3, 3, true>,
            avx512::<4, 3, true>,
            avx512::<5, 3, true>,
            avx512::<6, 3, true>,
        ],
        &[
            avx512::<1, 4, false>,
            avx512::<2, 4, false>,
            avx512::<3, 4, false>,
            avx512::<4, 4, false>,
            avx512::<5, 4, false>,
            avx512::<6, 4, false>,
        ],
    ],
};
