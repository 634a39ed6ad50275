//! The measured constants of this room.

/// Measured: rows of B; the time that a line takes from L2 is some 100 cycles, eight steps of a full tile;
/// `cargo bench --bench gemm -- 512x512x512`
pub(super) const STEPS_AHEAD: usize = 8;

/// Measured: rows of C; a packed element of a B with adjacent columns is used once a tile, and fewer rows do not repay
/// the copy; `cargo bench --bench gemm -- 1024x784x512`
pub(super) const ROWS_TO_PACK: usize = 64;

/// Measured: panels of B; each packed row of a transposed A is read once a panel, and fewer panels do not repay the copy;
/// `cargo bench --bench gemm -- 784x100`
pub(super) const PANELS_TO_PACK_A: usize = 4;

/// Measured: multiply-adds; a thread that stands by in a session is reached in half a microsecond, and is worth calling
/// for ten times that; `benches/peers/run.sh gemm --threads 2`
pub(super) const WORK_PER_THREAD: usize = 50_000;

/// Measured: multiply-adds; outside of a session the other threads sleep, and one is there after 25 to 40 µs;
/// `benches/peers/run.sh gemm --threads 2`
pub(super) const WORK_TO_WAKE: usize = 5_000_000;
