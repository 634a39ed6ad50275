//! How a kernel is to be run: on which ISA, with how many threads.

use crate::isa::{AnyIsa, IsaError, Op};

/// The ISA and the number of threads a kernel may use. A small value, passed by copy from the command line down;
/// there is no global state to set. It changes how long a kernel takes, never a bit of its result.
///
/// With one thread nothing in this workspace touches rayon. With more, kernels that are large enough split their work
/// among at most `threads` threads of the rayon pool they are called in: enter a pool once, around a whole run. In a
/// [`session`](fn@crate::threads::session) the other threads stand by, and smaller kernels are worth sharing. Whether
/// they do is a part of this value.
#[derive(Clone, Copy, Debug)]
pub struct Exec {
    isa: AnyIsa,
    threads: usize,
    in_session: bool,
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
        Self { isa, threads: threads.max(1), in_session: false }
    }

    /// One thread on the selected ISA: for tests and examples.
    ///
    /// # Panics
    /// If `GROUNDUP_ISA` names an ISA that is not to be had.
    pub fn serial() -> Self {
        Self::new(1).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same ISA on one thread, for which nobody stands by.
    pub fn one_thread(self) -> Self {
        Self { threads: 1, in_session: false, ..self }
    }

    /// The same, with the other threads standing by. With one thread there are no others, and nothing changes.
    ///
    /// [`session`](fn@crate::threads::session) hands such an `Exec` to its closure. A plan for kernels that will run in
    /// a session is made with it beforehand. Outside of a session its kernels have the same bits and are slower.
    pub fn in_session(self) -> Self {
        Self { in_session: self.threads > 1, ..self }
    }

    /// Whether the other threads stand by in a [`session`](fn@crate::threads::session): they take part in a kernel at
    /// once, and need not be woken. It decides how small a kernel is worth sharing.
    ///
    /// It is a value, and no clock is read and no thread is asked for it. So a plan that depends on it is a pure
    /// function.
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

    /// Runs a kernel on this thread.
    #[inline]
    pub fn run<O: Op>(self, op: O) -> O::Output {
        self.isa.run(op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_several_threads_are_in_a_session() {
        let exec = |threads| Exec { threads, ..Exec::serial() };
        assert!(!exec(2).is_in_session(), "it must be said");
        assert!(exec(2).in_session().is_in_session());
        assert_eq!(exec(3).in_session().threads(), 3);
        assert!(!exec(1).in_session().is_in_session(), "there is no other thread");
        assert!(!exec(2).in_session().one_thread().is_in_session(), "there is no other thread");
    }
}
