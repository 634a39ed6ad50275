//! How a kernel is to be run: on which ISA, with how many threads, for caches of which sizes.

use crate::isa::{AnyIsa, IsaError, Op};
use crate::machine::caches::{Caches, CachesError};
use thiserror::Error;

/// The ISA and the number of threads a kernel may use, and the caches its blocks are made for. A small value, passed by
/// copy from the command line down; there is no global state to set. It changes how long a kernel takes, never a bit of
/// its result.
///
/// With one thread nothing in this workspace touches rayon. With more, kernels that are large enough split their work
/// among at most `threads` threads of the rayon pool they are called in, or, in a
/// [`session`](crate::threads::session), among the workers that stand by: enter a pool once, around a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exec {
    isa: AnyIsa,
    threads: usize,
    in_session: bool,
    caches: Caches,
}

/// An environment variable that asks for what cannot be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExecError {
    /// `GROUNDUP_ISA`.
    #[error(transparent)]
    Isa(#[from] IsaError),
    /// `GROUNDUP_CACHES`.
    #[error(transparent)]
    Caches(#[from] CachesError),
}

impl Exec {
    /// The selected ISA (see [`AnyIsa::selected`]), the selected caches (see [`Caches::selected`]) and `threads` threads
    /// (0 counts as 1).
    ///
    /// # Errors
    /// If `GROUNDUP_ISA` names an ISA that is not to be had, or `GROUNDUP_CACHES` cannot be read.
    pub fn new(threads: usize) -> Result<Self, ExecError> {
        let (isa, caches) = (AnyIsa::selected()?, Caches::selected()?);
        Ok(Self { isa, threads: threads.max(1), in_session: false, caches })
    }

    /// A given ISA and `threads` threads (0 counts as 1), and the selected caches.
    ///
    /// # Panics
    /// If `GROUNDUP_CACHES` cannot be read.
    pub fn with_isa(isa: AnyIsa, threads: usize) -> Self {
        let caches = Caches::selected().unwrap_or_else(|error| panic!("{error}"));
        Self { isa, threads: threads.max(1), in_session: false, caches }
    }

    /// One thread on the selected ISA: for tests and examples.
    ///
    /// # Panics
    /// If an environment variable asks for what cannot be had.
    pub fn serial() -> Self {
        Self::new(1).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same, with blocks made for other caches.
    pub fn with_caches(self, caches: Caches) -> Self {
        Self { caches, ..self }
    }

    /// The same ISA on one thread.
    pub fn one_thread(self) -> Self {
        Self { threads: 1, in_session: false, ..self }
    }

    /// The same, where the other threads stand by in a [`session`](crate::threads::session): a smaller piece of work is
    /// worth sharing. It is a value, and no look at the clock or at the threads: what is planned with it is a pure
    /// function.
    pub fn in_session(self) -> Self {
        Self { in_session: self.threads > 1, ..self }
    }

    /// Whether the other threads stand by.
    pub fn is_in_session(self) -> bool {
        self.in_session
    }

    /// The ISA kernels run on.
    pub fn isa(self) -> AnyIsa {
        self.isa
    }

    /// Threads a kernel may use.
    pub fn threads(self) -> usize {
        self.threads
    }

    /// The caches that blocks are made for.
    pub fn caches(self) -> Caches {
        self.caches
    }

    /// Runs a kernel on this thread.
    #[inline]
    pub fn run<O: Op>(self, op: O) -> O::Output {
        self.isa.run(op)
    }
}
