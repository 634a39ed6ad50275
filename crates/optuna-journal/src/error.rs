//! Why a journal cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// A journal that cannot be used: its message is "file: cause; cure", in one line.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}; {}", path.display(), fault.cure())]
pub struct Error {
    /// The journal, or the file that would be its lock.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The system refuses to read or write it.
    #[error(transparent)]
    System(#[from] io::Error),
    /// The system refuses to make the lock.
    #[error("{0}")]
    Lock(io::Error),
    /// What would be the lock is another file.
    #[error("it is not a lock")]
    NotALock,
    /// There is no journal, or no folder for one.
    #[error("there is no such file")]
    Absent,
    /// A symbolic link leads nowhere.
    #[error("it is a link to a file that is not there")]
    DanglingLink,
    /// One of its lines cannot be replayed.
    #[error("its line {number} is {what}")]
    Line {
        /// The line, counted from 1.
        number: usize,
        /// What it is instead of a record.
        what: &'static str,
    },
    /// The file is not as it was read, or the lock belongs to another process by now.
    #[error("another process wrote to it, or took its lock over, while this one held that")]
    TakenOver,
    /// The study is not in it.
    #[error("the study is not in it")]
    NoStudy,
    /// A trial has a number that JSON has no word for.
    #[error("a trial has a number that is not finite")]
    NotFinite,
}

impl Fault {
    /// What to do about it.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::System(_) => "give a file that can be read and written",
            Self::Lock(_) => "give a file in a folder that can be written",
            Self::NotALock => "move it, or give another file",
            Self::Absent => "create the journal first",
            Self::DanglingLink => "give another file",
            Self::Line { .. } => "take that line out, or give another file",
            Self::TakenOver => "open it again, and go on with what is in it",
            Self::NoStudy => "create the study first",
            Self::NotFinite => "give finite numbers",
        }
    }

    /// This fault, of that file.
    pub(crate) fn of(self, path: &Path) -> Error {
        Error { path: path.to_owned(), fault: self }
    }
}
