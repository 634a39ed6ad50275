//! What is known of the machine, and what a thread keeps for its kernels.
//!
//! | file | what it holds |
//! |---|---|
//! | `caches.rs` | the sizes of the caches: as the system reports them, or as `GROUNDUP_CACHES` says |
//! | `scratch.rs` | a thread's scratch memory, which kernels borrow and hand back |
//! | `probe.rs` | the measured peaks: multiply-adds, and copies at each level of the memory |
//! | `limits.rs` | which of those peaks holds a kernel back |
//! | `profile.rs` | where the time of a program goes, kernel by kernel |
//!
//! Nothing here changes a bit of a result.

pub mod caches;
pub mod limits;
pub mod probe;
pub mod profile;
pub mod scratch;

pub use caches::Caches;
