//! Batches of bytes, operands in several layouts, and the pools and sessions in which they are multiplied.

use crate::sessions::{can_have_workers, worker_came};
use tensor::isa::AnyIsa;
use tensor::threads::session;
use tensor::vec::ByteRows;
use tensor::{Epilogue, Exec, Gemm, Tensor, View};
use testkit::rng::Rng;

/// The best ISA there is.
pub fn best() -> AnyIsa {
    AnyIsa::available().last().expect("portable is always there")
}

/// The ISAs that a product of so many multiply-adds is tried on: portable Rust may call the library for each of them.
pub fn isas(work: usize) -> impl Iterator<Item = AnyIsa> {
    AnyIsa::available().filter(move |isa| isa.name() != "portable" || work <= 100_000)
}

/// Calls `check` with 1, 2, 3 and 8 threads: in a pool, and in a session of it whose workers have come.
pub fn in_pools_and_sessions(check: impl Fn(Exec, &str) + Sync) {
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("so many threads can be had");
        let exec = Exec::with_isa(best(), threads);
        pool.install(|| {
            check(exec, "in a pool");
            session(exec, |exec| {
                assert!(threads == 1 || !can_have_workers() || worker_came(), "no worker came");
                check(exec, "in a session");
            });
        });
    }
}

/// Rows of bytes, picked at random, some of them more than once and some not at all.
pub struct Batch {
    pub bytes: Vec<u8>,
    pub width: usize,
    pub indices: Vec<usize>,
}

impl Batch {
    pub fn new(rng: &mut Rng, [rows, width]: [usize; 2]) -> Self {
        // One batch in three has hardly a zero, one is as black as MNIST, with columns that are black in all rows, and
        // one is nearly all black.
        let black = [0.0, 0.7, 0.99][rng.usize_in(0..3)];
        Self::as_black(rng, [rows, width], black)
    }

    pub fn as_black(rng: &mut Rng, [rows, width]: [usize; 2], black: f64) -> Self {
        let all = rows + 3;
        let columns: Vec<bool> = (0..width).map(|_| black > 0.0 && rng.unit() < 0.3).collect();
        let byte = |at: usize| {
            let byte = rng.usize_in(0..256) as u8;
            if columns[at % width] || rng.unit() < black { 0 } else { byte }
        };
        let bytes: Vec<u8> = (0..all * width).map(byte).collect();
        Self { bytes, width, indices: (0..rows).map(|_| rng.usize_in(0..all)).collect() }
    }

    pub fn x(&self) -> ByteRows<'_> {
        ByteRows::new(&self.bytes, self.width, &self.indices)
    }

    /// The plain version.
    pub fn floats(&self) -> Tensor<f32, 2> {
        Tensor::from_fn([self.indices.len(), self.width], |[r, j]| {
            f32::from(self.bytes[self.indices[r] * self.width + j]) / 255.0
        })
    }
}

/// How a B lies in memory: with adjacent columns, with adjacent rows (and is packed), or with its rows pages apart (and
/// is packed where there are many rows of A).
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    Rows,
    Columns,
    Pages,
}

pub const LAYOUTS: [Layout; 3] = [Layout::Rows, Layout::Columns, Layout::Pages];

/// A matrix in its layout, NaN wherever no element is.
pub struct Operand {
    pub memory: Vec<f32>,
    pub shape: [usize; 2],
    pub strides: [usize; 2],
    pub layout: Layout,
}

impl Operand {
    pub fn new(values: &[f32], [rows, cols]: [usize; 2], layout: Layout) -> Self {
        let strides = match layout {
            Layout::Rows => [cols, 1],
            Layout::Columns => [1, rows],
            Layout::Pages => [cols + 1024, 1],
        };
        let reach = if rows * cols == 0 { 0 } else { (rows - 1) * strides[0] + (cols - 1) * strides[1] + 1 };
        let mut memory = vec![f32::NAN; reach];
        for (at, &value) in values.iter().enumerate() {
            memory[at / cols * strides[0] + at % cols * strides[1]] = value;
        }
        Self { memory, shape: [rows, cols], strides, layout }
    }

    pub fn view(&self) -> View<'_, f32, 2> {
        View::with_strides(&self.memory, self.shape, self.strides).expect("the memory was made for the shape")
    }
}

/// The product of floats, stored, on one thread of the best ISA.
pub fn stored(a: View<'_, f32, 2>, b: View<'_, f32, 2>, epilogue: Epilogue<'_>) -> Vec<f32> {
    let mut c = Tensor::zeros([a.rows(), b.cols()]);
    let gemm = Gemm::new(a, b, c.view_mut()).epilogue(epilogue);
    gemm.run(Exec::with_isa(best(), 1)).expect("the shapes go together");
    c.as_slice().to_vec()
}
