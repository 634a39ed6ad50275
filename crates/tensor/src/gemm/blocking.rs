//! How large the blocks are: KC, NC and what stays in which cache, each with its argument.
//!
//! ```text
//!               NC                       a tile goes down one panel:  KC steps of a row of B (L1 or L2)
//!          ┌───────────┐                                              and of MR rows of A (L1)
//!       KC │ block of B│  in L2          the next panel:              the same rows of A, still in L1
//!          └───────────┘                 the next rows of A:          the same block of B, still in L2
//! ```
//!
//! The numbers follow from the sizes of the caches ([`crate::machine::Caches`]) and the ISA's largest tile. They change
//! the time, never a bit.

use super::kernels::Tiles;
use super::row::HALF_LANES;
use crate::exec::Exec;
use crate::isa::LANES;
use crate::threads::share;
use std::ops::Range;

/// Bytes of a float.
const FLOAT: usize = size_of::<f32>();

/// The longest block of k and the largest block of B, in floats, on any machine. Scratch is sized by them.
pub(super) const MOST_STEPS: usize = 1024;
pub(super) const MOST_OF_B: usize = 1 << 20;

/// Block sizes of an ISA on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocking {
    /// Steps of k in a packed block of B.
    pub kc: usize,
    /// Columns in a packed block of B.
    pub nc: usize,
    /// Bytes of a panel of B that stays in L1 beside the rows of A.
    pub panel_in_l1: usize,
    /// Bytes of a C that stays in L2.
    pub c_in_l2: usize,
    /// Bytes of a B that is read in place: it stays in L2 as it is, and a copy costs more than it saves.
    pub b_in_place: usize,
    /// Bytes of a B of which each thread packs a copy of its own.
    pub b_of_each_thread: usize,
}

impl Blocking {
    /// The block sizes for the ISA and the caches of `exec`.
    pub fn of(exec: Exec) -> Self {
        let (caches, [_, width]) = (exec.caches(), Tiles::of(exec.isa()).largest());
        // A step takes a row of the panel, and one float of each of eight rows of A. A block of k takes three times L1:
        // the rows of A stay there while the panel streams by. Fewer steps would read and write C more often.
        let kc = (3 * caches.l1 / ((width + 8) * FLOAT)).clamp(LANES, MOST_STEPS);
        // A block of B takes half of L2, and 512 columns where that is fewer: each block reads all of A again.
        let narrowest = (caches.l2 >> 10).min(512);
        let nc = (caches.l2 / 2 / (kc * FLOAT)).max(narrowest).clamp(width, MOST_OF_B / kc) / LANES * LANES;
        Self {
            kc,
            nc,
            panel_in_l1: caches.l1 / 3 * 2,
            c_in_l2: caches.l2 / 2,
            b_in_place: caches.l2 / 8 * 3,
            b_of_each_thread: caches.l2 / 8,
        }
    }
}

/// The blocks of at most `nc` columns that `columns` are cut into: even ones, of whole vectors but for the last.
pub(super) fn column_blocks(columns: Range<usize>, nc: usize) -> impl Iterator<Item = Range<usize>> {
    let blocks = if columns.len() <= nc { 1 } else { columns.len().div_ceil(nc) };
    (0..blocks).map(move |block| {
        let within = share(columns.len(), LANES, block, blocks);
        columns.start + within.start..columns.start + within.end
    })
}

/// The blocks of at most `kc` steps that k is cut into, in order; one of no steps if k is 0.
pub(super) fn step_blocks(k: usize, kc: usize) -> impl Iterator<Item = Range<usize>> {
    let blocks = if k <= kc { 1 } else { k.div_ceil(kc) };
    (0..blocks).map(move |block| block * kc..k.min((block + 1) * kc))
}

/// Panels of equal width, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PanelGroup {
    /// The first column.
    pub from: usize,
    /// Half vectors of each panel.
    pub halves: usize,
    pub panels: usize,
}

/// How some columns are cut into panels: at most three groups, wide ones, ones a vector narrower, and a last one that
/// ends in half a vector. 100 columns are 6 × 16 + 8 with AVX2, and 48 + 56 with AVX-512. No panel is much narrower
/// than the others.
pub(super) fn panel_groups(tiles: &Tiles, columns: usize) -> [PanelGroup; 3] {
    let halves = columns.div_ceil(HALF_LANES);
    let (vectors, odd) = (halves / 2, halves % 2);
    let most = tiles.max_halves();
    // As many panels as the columns need; where a panel has room for no more than whole vectors, the odd half is one.
    let count = halves.div_ceil(most).max(vectors.div_ceil((most / 2).max(1))).max(1);
    let (width, wider) = (vectors / count, vectors % count);
    let narrow = count - wider;
    let mut groups = [PanelGroup::default(); 3];
    groups[0] = PanelGroup { from: 0, halves: 2 * (width + 1), panels: wider };
    groups[1] = PanelGroup { from: LANES * wider * (width + 1), halves: 2 * width, panels: narrow - odd };
    let from = groups[1].from + LANES * width * (narrow - odd);
    groups[2] = PanelGroup { from, halves: 2 * width + odd, panels: odd };
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::AnyIsa;

    #[test]
    fn panels_cover_the_columns_once_and_fit_the_tiles() {
        for isa in AnyIsa::available() {
            let tiles = Tiles::of(isa);
            for columns in 1..300 {
                let mut next = 0;
                for group in panel_groups(tiles, columns) {
                    assert!(group.panels == 0 || group.from == next, "{columns} columns: {group:?}");
                    assert!(group.panels == 0 || (1..=tiles.max_halves()).contains(&group.halves), "{group:?}");
                    next += group.panels * group.halves * HALF_LANES;
                }
                assert!((columns..columns + HALF_LANES).contains(&next), "{columns} columns in {next}");
            }
        }
    }
}
