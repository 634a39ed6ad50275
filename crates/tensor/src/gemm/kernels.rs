//! Which register tiles each ISA has: one table, one row an ISA. Dispatch, tests and benches walk it.
//!
//! A body is written once (`microkernel.rs`). Per ISA there is a trampoline, which enables its instructions, and the
//! list of heights for each width.

use super::microkernel::{Tile, tiles};
use super::row::HALF_LANES;
use crate::isa::{AnyIsa, Portable};
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};

/// A tile compiled for one ISA: it computes [`Tile::tiles`] of them, one below the other.
pub(super) type Kernel = unsafe fn(&mut Tile);

/// The tiles of one ISA: `kernels[halves − 1][MR − 1]`, where a tile is `halves` half vectors (of eight columns) wide.
/// Every height up to the greatest is there, so that rows are shared out evenly and none is padded.
pub(super) struct Tiles {
    pub name: &'static str,
    kernels: &'static [&'static [Kernel]],
}

impl Tiles {
    /// The row of an ISA whose token is held: what makes its kernels callable.
    pub fn of(isa: AnyIsa) -> &'static Self {
        match isa {
            AnyIsa::Portable(_) => &PORTABLE,
            #[cfg(target_arch = "x86_64")]
            AnyIsa::Avx2(_) => &AVX2,
            #[cfg(target_arch = "x86_64")]
            AnyIsa::Avx512(_) => &AVX512,
        }
    }

    /// The widest tile, in half vectors.
    pub fn max_halves(&self) -> usize {
        self.kernels.len()
    }

    /// The kernels of a width, by height.
    pub fn heights(&self, halves: usize) -> &'static [Kernel] {
        self.kernels[halves - 1]
    }

    /// The tallest tile of the widest width, the one that does most of the work.
    pub fn largest(&self) -> [usize; 2] {
        [self.heights(self.max_halves()).len(), HALF_LANES * self.max_halves()]
    }
}

/// The tallest tile of each width of an ISA, by name: `avx512_6x64`.
pub fn tile_names(isa: AnyIsa) -> Vec<String> {
    let tiles = Tiles::of(isa);
    let name = |halves| format!("{}_{}x{}", tiles.name, tiles.heights(halves).len(), HALF_LANES * halves);
    (1..=tiles.max_halves()).map(name).collect()
}

/// The kernels of one width, `NV` whole vectors and perhaps half a one, by height.
macro_rules! heights {
    ($isa:ident, $nv:literal, $half:literal: $($mr:literal)*) => { &[$($isa::<$mr, $nv, $half>),*] };
}

/// # Safety
/// As [`tiles`].
unsafe fn portable<const MR: usize, const NV: usize, const HALF: bool>(t: &mut Tile) {
    // SAFETY: the caller's promise is that of `tiles`.
    unsafe { tiles::<Portable, MR, NV, HALF>(Portable, t) }
}

/// A vector is an array of sixteen, four SSE or NEON registers; there is room for four rows of it.
static PORTABLE: Tiles =
    Tiles { name: "portable", kernels: &[heights!(portable, 0, true: 1 2 3 4), heights!(portable, 1, false: 1 2 3 4)] };

/// # Safety
/// As [`tiles`]; and the CPU has AVX2, FMA and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
unsafe fn avx2<const MR: usize, const NV: usize, const HALF: bool>(t: &mut Tile) {
    // SAFETY: the caller's promise is that of `tiles`, and that the CPU has the instructions.
    unsafe { tiles::<Avx2, MR, NV, HALF>(Avx2::assume(), t) }
}

/// Sixteen `ymm` registers: 6×16 takes twelve for C, two for B and one for A; 12×8 takes twelve, one and one.
#[cfg(target_arch = "x86_64")]
static AVX2: Tiles = Tiles {
    name: "avx2",
    kernels: &[heights!(avx2, 0, true: 1 2 3 4 5 6 7 8 9 10 11 12), heights!(avx2, 1, false: 1 2 3 4 5 6)],
};

/// # Safety
/// As [`tiles`]; and the CPU has AVX-512 F, BW, DQ and VL, and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
unsafe fn avx512<const MR: usize, const NV: usize, const HALF: bool>(t: &mut Tile) {
    // SAFETY: the caller's promise is that of `tiles`, and that the CPU has the instructions.
    unsafe { tiles::<Avx512, MR, NV, HALF>(Avx512::assume(), t) }
}

/// Thirty-two `zmm` registers: with n of them to a row (a half vector takes a whole one), MR·n + n + 1 ≤ 32.
#[cfg(target_arch = "x86_64")]
static AVX512: Tiles = Tiles {
    name: "avx512",
    kernels: &[
        heights!(avx512, 0, true: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20),
        heights!(avx512, 1, false: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20),
        heights!(avx512, 1, true: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        heights!(avx512, 2, false: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        heights!(avx512, 2, true: 1 2 3 4 5 6 7 8 9),
        heights!(avx512, 3, false: 1 2 3 4 5 6 7 8 9),
        heights!(avx512, 3, true: 1 2 3 4 5 6),
        heights!(avx512, 4, false: 1 2 3 4 5 6),
    ],
};
