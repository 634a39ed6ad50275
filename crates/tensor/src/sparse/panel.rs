//! A panel of B for the kernel: some columns at all steps of k, rows of whole registers one after the other.

use super::Group;
use super::bitmap::blocks;
use super::guard::Allows;
use super::kernels::Kernels;
use crate::array::View;
use crate::exec::Exec;
use crate::gemm::PackPanel;
use crate::machine::scratch::Arena;
use std::ops::Range;

/// A panel, packed.
pub(crate) struct Panel<'a> {
    /// k rows of `width` floats, of which the first `columns` are B's.
    pub(super) floats: &'a [f32],
    pub(crate) width: usize,
    pub(crate) columns: Range<usize>,
    /// The first block of k from which on every step is done ([`super::guard`]); the number of blocks if there is none.
    pub(super) exact_from: usize,
}

impl<'a> Panel<'a> {
    /// Columns `columns` of B, for a group of rows of A. Cost: they are read and written once, and looked at.
    pub fn pack(
        exec: Exec,
        b: View<'_, f32, 2>,
        columns: Range<usize>,
        group: &Group<'_>,
        arena: &mut Arena<'a>,
    ) -> Self {
        let (k, width, strides) = (b.rows(), Kernels::of(exec.isa()).width(columns.len()), b.strides());
        let floats = arena.take::<f32>(k * width);
        let from = b.data().as_ptr().wrapping_add(columns.start * strides[1]);
        let panel = PackPanel { b: from, strides, k, columns: columns.len(), to: floats.as_mut_ptr(), width };
        // SAFETY: the columns are inside B, which its view was checked to reach; the copy was just sized.
        exec.run(unsafe { panel.op() });
        let allows =
            |steps: Range<usize>| exec.run(Allows(&floats[steps.start * width..steps.end * width], group.least_of_b));
        let mut blocks = blocks(k, group.block);
        let count = blocks.clone().count();
        let exact_from = blocks.position(|steps| !allows(steps)).unwrap_or(count);
        Self { floats, width, columns, exact_from }
    }
}
