//! Which register tiles each ISA has: one row an ISA. Dispatch, tests and benches walk this.

use super::HALF_LANES;
use super::compressed::{Floats, Listing, Lists, ListsKernel, MaskedKernel, Pairs, Rows, Twos, listed_rows};
use super::images::InPlaceBytes;
use super::masked::{InPlace, Masked, masked_rows};
use super::microkernel::{Tile, tiles};
use super::pixels::Turned;
use crate::isa::{AnyIsa, Portable};
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};

/// A tile compiled for one ISA: it computes some, one below the other.
pub(super) type Kernel = for<'a, 'b> unsafe fn(&'a mut Tile<'b>);

/// The tiles of one ISA: `kernels[halves − 1][MR − 1]`, where a tile is `halves` half vectors (of eight columns) wide.
/// Every height up to the greatest is there, so that rows are shared out evenly and none is padded.
pub(super) struct Row {
    pub name: &'static str,
    pub kernels: &'static [&'static [Kernel]],
    /// Those that leave out steps ([`super::needed`]). The widest have few rows: the fewer rows, the fewer steps they
    /// need.
    pub listed: &'static [&'static [Kernel]],
    /// Half vectors in a register.
    halves: usize,
    /// Fewest rows of the tallest wide tile, where there are kernels of so many.
    wide_rows: usize,
    /// Whether tiles that leave out steps look up the floats that bytes stand for. Else the bytes are converted first,
    /// and k is cut into blocks whose panel of B stays in L1.
    pub looks_up: bool,
    /// Share of the steps, of those that tiles of three rows need, up to which leaving out the others pays where A is
    /// floats; `None`: never.
    pub floats_pay: Option<f64>,
    /// A row of C at a time ([`super::compressed`]).
    pub elements: Option<ByElement>,
}

/// Products of A's elements that are not 0, a row of C at a time.
pub(super) struct ByElement {
    /// Those of 7 to 13 registers, where A is floats.
    pub floats: &'static [ListsKernel<Floats>],
    /// The same where A is bytes.
    pub images: Images,
    /// The same where A is bytes that are turned ([`super::pixels`]).
    pub pixels: &'static [MaskedKernel<Turned>],
    /// The same where A is floats that are read in place, if that is faster than to list them.
    pub in_place: Option<InPlaceRows>,
    /// Share of the elements up to which leaving out the others pays, times many columns.
    pub pays: f64,
    /// To list an element of A, zero or not, takes as long as a product of one with so many columns.
    pub list_costs: ListCosts,
    /// Most steps of a product that is so short that it had best be computed a row at a time, zeros or not. Where tiles
    /// begin and end is what takes its time, and a row of thirteen registers does it in less than AVX2's tiles of six
    /// by two do for as many elements: 128×10×100, dX of workload A's last layer, took 0.6 to 0.7 of it; with 16 steps
    /// 0.8, with 24 as long. AVX-512's, of 14 by 2, do it as quickly.
    pub short: usize,
}

/// Products of images.
#[derive(Clone, Copy)]
pub(super) enum Images {
    /// A row at a time, of lists.
    OneByOne(&'static [ListsKernel<Pairs>]),
    /// Two at once, and of pixels too.
    TwoByTwo {
        /// Where they lie ([`super::images`]).
        in_place: &'static [MaskedKernel<InPlaceBytes>],
        /// Of lists that two rows share, which are known.
        known: &'static [ListsKernel<Twos>],
    },
}

impl Images {
    /// Rows that are computed at once.
    pub fn at_once(self) -> usize {
        match self {
            Self::OneByOne(_) => 1,
            Self::TwoByTwo { .. } => 2,
        }
    }
}

/// Products of floats that are read in place ([`super::masked`]).
pub(super) struct InPlaceRows {
    /// Those of 7 to 13 registers.
    pub kernels: &'static [MaskedKernel<InPlace>],
    /// Rows that are computed at once.
    pub at_once: usize,
    /// Share of the steps that so many rows need up to which leaving out the others pays, times many columns.
    pays: f64,
    /// To look at A takes as long as to do all steps of so many columns.
    costs: f64,
}

impl InPlaceRows {
    /// Whether it pays with so many columns, where the rows that are computed at once need such a share of the steps.
    pub fn pay(&self, needed: f64, columns: usize) -> bool {
        needed <= self.pays - self.costs / columns as f64
    }
}

/// What it costs to list an element, or a byte to turn it, by how A lies.
pub(super) struct ListCosts {
    pub row_major: f64,
    pub turned: f64,
}

/// Which tiles a product takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tiles {
    /// Those that do every step of k.
    Full,
    /// Those that leave out steps, wide and of few rows.
    Wide,
    /// Those that leave out steps, as tall as those that do not.
    Tall,
    /// A row of C at a time, of A's elements that are not 0.
    Elements,
}

impl Row {
    /// Columns in a register.
    pub fn register(&self) -> usize {
        HALF_LANES * self.halves
    }

    fn of(&self, tiles: Tiles) -> &'static [&'static [Kernel]] {
        if tiles == Tiles::Full { self.kernels } else { self.listed }
    }

    /// The kernels of a width, by height.
    pub fn heights(&self, tiles: Tiles, halves: usize) -> &'static [Kernel] {
        self.of(tiles)[halves - 1]
    }

    /// The widest tile, in half vectors.
    pub fn max_halves(&self, tiles: Tiles) -> usize {
        if tiles == Tiles::Wide { self.listed.len() } else { self.kernels.len() }
    }

    /// The tallest tile of that width. Of the wide ones: as few rows as have eight accumulators, but at least
    /// `wide_rows`, if there are so many.
    pub fn max_rows(&self, tiles: Tiles, halves: usize) -> usize {
        let most = self.heights(tiles, halves).len();
        if tiles == Tiles::Wide {
            most.min(8_usize.div_ceil(halves.div_ceil(self.halves)).max(self.wide_rows))
        } else {
            most
        }
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
    let name = |halves| format!("{}_{}x{}", row.name, row.max_rows(Tiles::Full, halves), 8 * halves);
    (1..=row.kernels.len()).map(name).collect()
}

/// The kernels of one width, `NV` whole vectors and perhaps half a one, by height; after `listed` those that leave out
/// steps.
macro_rules! heights {
    (listed $isa:ident, $nv:literal, $half:literal: $($mr:literal)*) => { &[$($isa::<$mr, $nv, $half, true>),*] };
    ($isa:ident, $nv:literal, $half:literal: $($mr:literal)*) => { &[$($isa::<$mr, $nv, $half, false>),*] };
}

/// # Safety
/// As [`tiles`].
unsafe fn portable<const MR: usize, const NV: usize, const HALF: bool, const LISTED: bool>(t: &mut Tile<'_>) {
    // SAFETY: the caller's promise is that of `tiles`.
    unsafe { tiles::<Portable, MR, NV, HALF, LISTED>(Portable, t) }
}

/// An array of sixteen is four SSE or NEON registers; four rows of it are all there is room for.
static PORTABLE: Row = Row {
    name: "portable",
    kernels: &[heights!(portable, 0, true: 1 2 3 4), heights!(portable, 1, false: 1 2 3 4)],
    listed: &[heights!(listed portable, 0, true: 1 2 3 4), heights!(listed portable, 1, false: 1 2 3 4)],
    halves: 2,
    wide_rows: 4,
    looks_up: true,
    floats_pay: Some(0.8),
    elements: None,
};

/// # Safety
/// As [`tiles`]; and the CPU has AVX2, FMA and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
unsafe fn avx2<const MR: usize, const NV: usize, const HALF: bool, const LISTED: bool>(t: &mut Tile<'_>) {
    // SAFETY: the caller's promise is that of `tiles`, and that the CPU has the instructions.
    unsafe { tiles::<Avx2, MR, NV, HALF, LISTED>(Avx2::assume(), t) }
}

/// # Safety
/// As [`listed_rows`]; and the CPU has AVX2, FMA and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
unsafe fn avx2_rows<E: Listing, const NV: usize, const HALF: bool>(t: &mut Rows<'_, Lists<'_, E>>) {
    // SAFETY: the caller's promise is that of `listed_rows`, and that the CPU has the instructions.
    unsafe { listed_rows::<Avx2, E, 1, NV, HALF>(Avx2::assume(), t) }
}

/// # Safety
/// As [`masked_rows`]; and the CPU has AVX2, FMA and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
unsafe fn avx2_masked<A: Masked, const R: usize, const NV: usize, const HALF: bool>(t: &mut Rows<'_, A>) {
    // SAFETY: the caller's promise is that of `masked_rows`, and that the CPU has the instructions.
    unsafe { masked_rows::<Avx2, A, R, NV, HALF>(Avx2::assume(), t) }
}

/// A kernel of 7 to 13 registers of half a vector each.
#[cfg(target_arch = "x86_64")]
macro_rules! of_halves {
    ($kernel:ident $(, $first:tt)*) => {
        &[
            $kernel::<$($first,)* 3, true>,
            $kernel::<$($first,)* 4, false>,
            $kernel::<$($first,)* 4, true>,
            $kernel::<$($first,)* 5, false>,
            $kernel::<$($first,)* 5, true>,
            $kernel::<$($first,)* 6, false>,
            $kernel::<$($first,)* 6, true>,
        ]
    };
}

/// Sixteen `ymm` registers: 6×16 takes twelve, two for B and one for A; 12×8 takes twelve, one and one; 2×48, of a
/// list, twelve, one and two.
#[cfg(target_arch = "x86_64")]
static AVX2: Row = Row {
    name: "avx2",
    kernels: &[heights!(avx2, 0, true: 1 2 3 4 5 6 7 8 9 10 11 12), heights!(avx2, 1, false: 1 2 3 4 5 6)],
    listed: &[
        // None is tall: of floats, elements are left out.
        heights!(listed avx2, 0, true: 1 2 3 4 5 6 7 8),
        heights!(listed avx2, 1, false: 1 2 3 4),
        heights!(listed avx2, 1, true: 1 2 3),
        heights!(listed avx2, 2, false: 1 2),
        heights!(listed avx2, 2, true: 1 2),
        heights!(listed avx2, 3, false: 1 2),
    ],
    halves: 1,
    wide_rows: 2,
    looks_up: false,
    floats_pay: None,
    elements: Some(ByElement {
        floats: of_halves!(avx2_rows, _),
        images: Images::OneByOne(of_halves!(avx2_rows, _)),
        pixels: of_halves!(avx2_masked, _, 1),
        in_place: None,
        pays: 0.79,
        list_costs: ListCosts { row_major: 17.0, turned: 27.0 },
        short: 16,
    }),
};

/// # Safety
/// As [`tiles`]; and the CPU has AVX-512 F, BW, DQ and VL, and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
unsafe fn avx512<const MR: usize, const NV: usize, const HALF: bool, const LISTED: bool>(t: &mut Tile<'_>) {
    // SAFETY: the caller's promise is that of `tiles`, and that the CPU has the instructions.
    unsafe { tiles::<Avx512, MR, NV, HALF, LISTED>(Avx512::assume(), t) }
}

/// # Safety
/// As [`listed_rows`]; and the CPU has AVX-512 F, BW, DQ and VL, and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
unsafe fn avx512_rows<E: Listing, const R: usize, const NV: usize>(t: &mut Rows<'_, Lists<'_, E>>) {
    // SAFETY: the caller's promise is that of `listed_rows`, and that the CPU has the instructions.
    unsafe { listed_rows::<Avx512, E, R, NV, false>(Avx512::assume(), t) }
}

/// # Safety
/// As [`masked_rows`]; and the CPU has AVX-512 F, BW, DQ and VL, and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
unsafe fn avx512_masked<A: Masked, const R: usize, const NV: usize>(t: &mut Rows<'_, A>) {
    // SAFETY: the caller's promise is that of `masked_rows`, and that the CPU has the instructions.
    unsafe { masked_rows::<Avx512, A, R, NV, false>(Avx512::assume(), t) }
}

/// A kernel of 7 to 13 registers of a vector each.
#[cfg(target_arch = "x86_64")]
macro_rules! of_vectors {
    ($kernel:ident $(, $first:tt)*) => {
        &[
            $kernel::<$($first,)* 7>,
            $kernel::<$($first,)* 8>,
            $kernel::<$($first,)* 9>,
            $kernel::<$($first,)* 10>,
            $kernel::<$($first,)* 11>,
            $kernel::<$($first,)* 12>,
            $kernel::<$($first,)* 13>,
        ]
    };
}

/// Thirty-two `zmm` registers: with n of them to a row (a half vector takes a whole one), MR·n + n + 1 ≤ 32.
#[cfg(target_arch = "x86_64")]
static AVX512: Row = Row {
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
    listed: &[
        // Tall tiles are hardly ever so narrow: as many rows as the wide ones have.
        heights!(listed avx512, 0, true: 1 2 3 4 5 6 7 8),
        heights!(listed avx512, 1, false: 1 2 3 4 5 6 7 8),
        heights!(listed avx512, 1, true: 1 2 3 4),
        heights!(listed avx512, 2, false: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        heights!(listed avx512, 2, true: 1 2 3 4 5 6 7 8 9),
        heights!(listed avx512, 3, false: 1 2 3 4 5 6 7 8 9),
        heights!(listed avx512, 3, true: 1 2 3 4 5 6),
        heights!(listed avx512, 4, false: 1 2 3 4 5 6),
        heights!(listed avx512, 4, true: 1 2 3 4 5),
        heights!(listed avx512, 5, false: 1 2 3 4 5),
        heights!(listed avx512, 5, true: 1 2 3 4),
        heights!(listed avx512, 6, false: 1 2 3 4),
        heights!(listed avx512, 6, true: 1 2 3),
    ],
    halves: 2,
    wide_rows: 4,
    looks_up: true,
    floats_pay: Some(0.8),
    elements: Some(ByElement {
        floats: of_vectors!(avx512_rows, _, 1),
        images: Images::TwoByTwo { in_place: of_vectors!(avx512_masked, _, 2), known: of_vectors!(avx512_rows, _, 2) },
        pixels: of_vectors!(avx512_masked, _, 2),
        in_place: Some(InPlaceRows { kernels: of_vectors!(avx512_masked, _, 2), at_once: 2, pays: 0.9, costs: 10.0 }),
        pays: 0.75,
        list_costs: ListCosts { row_major: 27.0, turned: 34.0 },
        short: 0,
    }),
};
