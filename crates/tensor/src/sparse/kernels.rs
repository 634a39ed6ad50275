//! The kernels of each ISA: rows of seven to thirteen registers, of floats and of bytes. One row an ISA.

use super::kernel::{Block, Element, rows};
use crate::isa::{AnyIsa, LANES, Portable};
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};
use crate::threads::share;
use std::ops::Range;

/// A kernel compiled for one ISA and width.
pub(super) type Kernel<E> = unsafe fn(&[*const E], &Block<'_>);

/// Registers of a row of C: as many chains as hide the latency, and as there are registers.
const FEWEST: usize = 7;
pub(super) const MOST: usize = 13;

/// The widest panel of any ISA, in floats. Scratch is sized by it.
pub(super) const WIDEST: usize = MOST * LANES;

/// The kernels of one ISA.
pub(super) struct Kernels {
    /// Floats of a register.
    pub register: usize,
    /// Those of seven registers to thirteen.
    pub floats: [Kernel<f32>; MOST - FEWEST + 1],
    pub bytes: [Kernel<u8>; MOST - FEWEST + 1],
    /// Measured: a density, up to which to skip the zeros of A pays; `cargo bench --bench sparse`
    pub pays_below: f64,
}

impl Kernels {
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

    /// The fewest columns of a C that there is a kernel for.
    pub fn narrowest(&self) -> usize {
        (FEWEST - 1) * self.register + 1
    }

    /// The panels that some columns are cut into: as few as there can be, and even ones, of seven registers at least.
    pub fn panels(&self, columns: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let (register, count) = (self.register, columns.len().div_ceil(MOST * self.register));
        (0..count).map(move |panel| {
            let within = share(columns.len(), register, panel, count);
            columns.start + within.start..columns.start + within.end
        })
    }

    /// Floats of a row of a panel of so many columns: whole registers.
    pub fn width(&self, columns: usize) -> usize {
        columns.next_multiple_of(self.register)
    }

    /// Which of the kernels is for panels of that width.
    pub fn index(&self, width: usize) -> usize {
        width / self.register - FEWEST
    }
}

/// The kernels of seven to thirteen registers of half a vector each.
macro_rules! of_halves {
    ($kernel:ident) => {
        [
            $kernel::<_, 3, true>,
            $kernel::<_, 4, false>,
            $kernel::<_, 4, true>,
            $kernel::<_, 5, false>,
            $kernel::<_, 5, true>,
            $kernel::<_, 6, false>,
            $kernel::<_, 6, true>,
        ]
    };
}

/// The same of a vector each.
#[cfg(target_arch = "x86_64")]
macro_rules! of_vectors {
    ($kernel:ident) => {
        [
            $kernel::<_, 7>,
            $kernel::<_, 8>,
            $kernel::<_, 9>,
            $kernel::<_, 10>,
            $kernel::<_, 11>,
            $kernel::<_, 12>,
            $kernel::<_, 13>,
        ]
    };
}

/// # Safety
/// As [`rows`].
unsafe fn portable<E: Element, const NV: usize, const HALF: bool>(starts: &[*const E], t: &Block<'_>) {
    // SAFETY: the caller's promise is that of `rows`.
    unsafe { rows::<Portable, E, NV, HALF>(Portable, starts, t) }
}

static PORTABLE: Kernels =
    Kernels { register: LANES / 2, floats: of_halves!(portable), bytes: of_halves!(portable), pays_below: 0.6 };

/// # Safety
/// As [`rows`]; and the CPU has AVX2, FMA and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
unsafe fn avx2<E: Element, const NV: usize, const HALF: bool>(starts: &[*const E], t: &Block<'_>) {
    // SAFETY: the caller's promise is that of `rows`, and that the CPU has the instructions.
    unsafe { rows::<Avx2, E, NV, HALF>(Avx2::assume(), starts, t) }
}

/// Sixteen `ymm` registers: thirteen for C, one for the element of A; B is an operand in memory.
#[cfg(target_arch = "x86_64")]
static AVX2: Kernels =
    Kernels { register: LANES / 2, floats: of_halves!(avx2), bytes: of_halves!(avx2), pays_below: 0.6 };

/// # Safety
/// As [`rows`]; and the CPU has AVX-512 F, BW, DQ and VL, and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
unsafe fn avx512<E: Element, const NV: usize>(starts: &[*const E], t: &Block<'_>) {
    // SAFETY: the caller's promise is that of `rows`, and that the CPU has the instructions.
    unsafe { rows::<Avx512, E, NV, false>(Avx512::assume(), starts, t) }
}

/// Thirty-two `zmm` registers, of which thirteen are enough: 208 columns.
#[cfg(target_arch = "x86_64")]
static AVX512: Kernels =
    Kernels { register: LANES, floats: of_vectors!(avx512), bytes: of_vectors!(avx512), pays_below: 0.6 };
