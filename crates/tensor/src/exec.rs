//! How a kernel is to be run: on which ISA, with how many threads.

use crate::isa::{AnyIsa, IsaError, Op};

/// The ISA and the number of threads a kernel may use. A small value, passed by copy from the command line down;
/// there is no global state to set. It changes how long a kernel takes, never a bit of its result.
///
/// With one thread nothing in this workspace touches rayon. With more, kernels that are large enough split their work
/// among at most `threads` threads of the rayon pool they are called in, or, in a [`session`](crate::team::session),
/// among the helpers that stand by: enter a pool once, around a whole run.
#[derive(Clone, Copy, Debug)]
pub struct Exec {
    isa: AnyIsa,
    threads: usize,
}

impl Exec {
    /// The selected ISA (see [`AnyIsa::selected`]) and `threads` threads (0 counts as 1).
    ///
    /// # Errors
    /// If `GROUNDUP_ISA` names an ISA that is not to be had.
    pub fn new(threads: usize) -> Result<Self, IsaError> {
        Ok(Self::with_isa(AnyIsa::selected()?, threads))
    }

    /// A given ISA and `threads` threads (0 counts as 1).
    pub fn with_isa(isa: AnyIsa, threads: usize) -> Self {
        Self { isa, threads: threads.max(1) }
    }

    /// One thread on the selected ISA: for tests and examples.
    ///
    /// # Panics
    /// If `GROUNDUP_ISA` names an ISA that is not to be had.
    pub fn serial() -> Self {
        Self::new(1).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same ISA on one thread.
    pub fn one_thread(self) -> Self {
        Self { threads: 1, ..self }
    }

    /// The ISA kernels run on.
    pub fn isa(self) -> AnyIsa {
        self.isa
    }

    /// Threads a kernel may use.
    pub fn threads(self) -> usize {
        self.threads
    }

    /// Runs a kernel on this thread.
    #[inline]
    pub fn run<O: Op>(self, op: O) -> O::Output {
        self.isa.run(op)
    }
}
