//! A B that is packed once and multiplied often: the weights of a layer that only predicts.
//!
//! It owns its panels and stands in the call *instead of* B. So there is no other B that it could be out of step with.

use super::blocking::{Blocking, column_blocks, panel_groups, step_blocks};
use super::kernels::Tiles;
use super::pack::PackPanel;
use super::row::HALF_LANES;
use crate::array::{AlignedBuf, ShapeError, View};
use crate::exec::Exec;
use crate::isa::LANES;
use std::ops::Range;

/// A matrix of k×n floats in panels, block by block, as one ISA's tiles read it.
///
/// ```
/// use tensor::matmul::{Gemm, PackedB};
/// use tensor::{Exec, Tensor};
/// let (exec, b) = (Exec::serial(), Tensor::from_fn([64, 100], |[p, j]| (p + j) as f32));
/// let a = Tensor::from_fn([5, 64], |[i, p]| (i * p) as f32);
/// let (mut c, mut expected) = (Tensor::zeros([5, 100]), Tensor::zeros([5, 100]));
/// Gemm::new(a.view(), b.view(), expected.view_mut()).run(exec)?;
/// let packed = PackedB::new(exec, b.view());
/// Gemm::new(a.view(), &packed, c.view_mut()).run(exec)?;
/// assert_eq!(c, expected);
/// # Ok::<(), tensor::ShapeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PackedB {
    panels: AlignedBuf<f32>,
    shape: [usize; 2],
    /// Steps of k and columns in a block.
    blocks: [usize; 2],
    isa: &'static str,
}

impl PackedB {
    /// Packs `b`. Cost: B is read and written once, and an allocation.
    pub fn new(exec: Exec, b: View<'_, f32, 2>) -> Self {
        let ([k, n], [row, column]) = (b.shape(), b.strides());
        let Blocking { kc, nc, .. } = Blocking::of(exec);
        let [kc, nc] = [k.div_ceil(k.div_ceil(kc).max(1)).max(1), nc.min(n).max(1)];
        let (blocks, isa) = ([kc, nc], exec.isa().name());
        let mut packed = Self { panels: AlignedBuf::zeroed(k * n.next_multiple_of(LANES)), shape: [k, n], blocks, isa };
        for columns in column_blocks(0..n, nc) {
            for steps in step_blocks(k, kc) {
                let at = packed.offset(&columns, steps.start);
                let to = &mut packed.panels[at..][..steps.len() * columns.len().next_multiple_of(LANES)];
                let b = b.data().as_ptr().wrapping_add(steps.start * row + columns.start * column);
                // SAFETY: the block is inside B, which its view was checked to reach.
                unsafe { pack_block(exec, b, [row, column], [steps.len(), columns.len()], to) }
            }
        }
        packed
    }

    /// k and n.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Steps of k and columns in a block.
    pub(super) fn blocks(&self) -> [usize; 2] {
        self.blocks
    }

    /// Whether the ISA's tiles read these panels.
    pub(super) fn is_for(&self, exec: Exec) -> bool {
        exec.isa().name() == self.isa
    }

    /// An error if the ISA's tiles do not read these panels.
    pub(crate) fn check_isa(&self, exec: Exec) -> Result<(), ShapeError> {
        if self.is_for(exec) {
            return Ok(());
        }
        Err(ShapeError::Packed { packed: self.isa, run: exec.isa().name() })
    }

    /// The panels of all blocks.
    pub(super) fn panels(&self) -> &[f32] {
        &self.panels
    }

    /// Where the panels of a block begin.
    pub(super) fn offset(&self, columns: &Range<usize>, step: usize) -> usize {
        columns.start * self.shape[0] + step * columns.len().next_multiple_of(LANES)
    }
}

/// Packs a block of B, `shape` rows and columns, panel by panel.
///
/// # Safety
/// `b` is readable at `p·strides[0] + j·strides[1]` for every row p and column j of the block.
///
/// # Panics
/// If `to` is shorter than the rows of whole vectors.
pub(super) unsafe fn pack_block(
    exec: Exec,
    b: *const f32,
    strides: [usize; 2],
    [k, columns]: [usize; 2],
    to: &mut [f32],
) {
    for group in panel_groups(Tiles::of(exec.isa()), columns) {
        for from in (0..group.panels).map(|panel| group.from + panel * group.halves * HALF_LANES) {
            let columns = (group.halves * HALF_LANES).min(columns - from);
            let width = columns.next_multiple_of(LANES);
            let to = to[from * k..][..k * width].as_mut_ptr();
            let panel = PackPanel { b: b.wrapping_add(from * strides[1]), strides, k, columns, to, width };
            // SAFETY: the panel is inside the block, and `to` was just sliced.
            exec.run(unsafe { panel.op() });
        }
    }
}
