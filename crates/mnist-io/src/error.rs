//! What can be wrong with a file of digits.

use std::path::{Path, PathBuf};
use thiserror::Error;

/// A file that cannot be had, read or written. The message is one line: the file, the fault, the cure.
#[derive(Debug, Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{path}: {source}; check the path and what may be done there", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something that is neither a file nor a folder stands where a file is to be written.
    #[error("{path}: a device, a pipe or a socket, which a file would replace; give the name of a file", path = path.display())]
    NoFile {
        /// What stands there.
        path: PathBuf,
    },
    /// The file's content is not what it should be.
    #[error("{path}: {fault}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
    /// The four files of MNIST are not there.
    #[error(
        "{dir}: no {file}(.gz); name a folder with the four MNIST files (--data or MNIST_DIR), or run `groundup data download --dir {dir}`",
        dir = dir.display()
    )]
    Missing {
        /// The folder searched.
        dir: PathBuf,
        /// The file not found.
        file: &'static str,
    },
    /// A file stands where a folder is wanted.
    #[error("{path}: a file; name the folder that has it and the other three of MNIST (--data or MNIST_DIR)", path = path.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// No mirror could give a file.
    #[error("{file}: no mirror gave it ({reasons}); fetch it by hand into {dir}, any mirror's copy will do", dir = dir.display())]
    Download {
        /// The file.
        file: String,
        /// Where it should have gone.
        dir: PathBuf,
        /// What each mirror said.
        reasons: String,
    },
}

/// What is wrong with the bytes of a file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// Too short for a header, or for what the header announces.
    #[error("truncated: {expected} bytes expected, {found} found; delete the file and get it again")]
    Truncated {
        /// Bytes the header announces, itself included.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// More bytes than the header announces.
    #[error("{extra} bytes too many after the {expected} the header announces; delete the file and get it again")]
    Trailing {
        /// Bytes the header announces, itself included.
        expected: u64,
        /// A lower bound of the number of bytes beyond.
        extra: u64,
    },
    /// Not an IDX file.
    #[error(
        "not an IDX file: it starts with {found:02x?}, not 00 00, an element type (08 09 0b 0c 0d 0e) and a rank; give an IDX file"
    )]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The header announces more than the file can hold.
    #[error(
        "the header announces shape {shape:?}, more than the file's {held} bytes can hold; delete the file and get it again"
    )]
    Oversized {
        /// The announced shape.
        shape: Vec<u32>,
        /// The most that the file could hold, unpacked.
        held: u64,
    },
    /// The gzip container is damaged.
    #[error("damaged gzip data ({what}); delete the file and get it again")]
    Gzip {
        /// What the decoder said.
        what: String,
    },
    /// An IDX file of another kind than needed.
    #[error("holds {found}, but {wanted} is needed here; give MNIST's file of that name")]
    Kind {
        /// What there is.
        found: String,
        /// What should be.
        wanted: &'static str,
    },
    /// Images or labels that are not there, or do not go together.
    #[error("{what}")]
    Inconsistent {
        /// What does not fit.
        what: String,
    },
    /// A label that is not a digit.
    #[error("label {label} at sample {index}; labels are 0 to 9")]
    Label {
        /// The label.
        label: u8,
        /// Where it stands.
        index: usize,
    },
    /// A plain file that is not the published one. It hides the published `.gz` in the same folder, which is read only
    /// without it.
    #[error("not the published file, and read in place of the published .gz beside it; delete it")]
    Unpublished,
    /// Another file than the one wanted.
    #[error("SHA-256 {found}, expected {expected}; the file is not the published one")]
    Checksum {
        /// Of the file.
        found: String,
        /// Of the published file.
        expected: String,
    },
}

impl Fault {
    /// The error of a fault in a file.
    pub fn at(self, path: &Path) -> Error {
        Error::Content { path: path.to_owned(), fault: self }
    }
}

/// The error of what the system said of a file.
pub(crate) fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    |source| Error::Io { path: path.to_owned(), source }
}
