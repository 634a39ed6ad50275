//! Whole files: atomic writing, and checksums.
//!
//! ```text
//! write_atomically:   fill a temporary file in the same folder ─▶ flush it to disk ─▶ rename it
//! ```
//!
//! A reader sees the old file or the new one, never a part.

use crate::error::{Error, io_error};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file so that a part of it is never visible. `write` fills a temporary file in the same folder, which is
/// flushed to disk and renamed. The folder is made if it is missing. Of a symbolic link the target is written. If
/// anything fails, the temporary file is removed and the old file is unchanged.
///
/// # Errors
/// What the system says of the file; if a device, a pipe or a socket stands there, which a file would replace.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), Error> {
    let place = place_of(path)?;
    let temporary = temporary(&place)?;
    let written = (|| {
        let mut writer = BufWriter::new(File::create(&temporary)?);
        write(&mut writer)?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&temporary, &place)
    })();
    if written.is_err() {
        // Best effort: the error to report is the one above.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(io_error(path))
}

/// Whether [`write_atomically`] can write there. It makes the folder, and makes and removes a temporary file in it.
/// Call it before long work whose result is to be written.
///
/// # Errors
/// As [`write_atomically`].
pub fn check_writable(path: &Path) -> Result<(), Error> {
    let temporary = temporary(&place_of(path)?)?;
    File::create(&temporary).and_then(|_| fs::remove_file(&temporary)).map_err(io_error(path))
}

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where a file of this path is, or would be: at the end of symbolic links.
fn place_of(path: &Path) -> Result<PathBuf, Error> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::canonicalize(path).map_err(io_error(path)),
        Ok(found) if found.is_dir() => Err(io_error(path)(io::ErrorKind::IsADirectory.into())),
        Ok(_) => Err(Error::NoFile { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            // A link to a file that is not there yet. (One that leads back to itself is another error.)
            Ok(target) => place_of(&folder_of(path).join(target)),
            Err(_) => Ok(path.to_owned()),
        },
        Err(error) => Err(io_error(path)(error)),
    }
}

/// A name for a temporary file in the folder of `path`, which is made if need be.
fn temporary(path: &Path) -> Result<PathBuf, Error> {
    let folder = folder_of(path);
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    // One name a call, so that two threads (or processes) that write the same file do not meet.
    static CALLS: AtomicU64 = AtomicU64::new(0);
    name.push(format!(".{}.{}.part", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed)));
    Ok(folder.join(name))
}

/// The SHA-256 of a file's bytes, in hexadecimal.
///
/// # Errors
/// What the system says of the file.
pub fn sha256_of_file(path: &Path) -> Result<String, Error> {
    File::open(path).and_then(sha256_of).map_err(io_error(path))
}

/// The SHA-256 of what is left to read, in hexadecimal.
pub(crate) fn sha256_of(mut from: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// A writer that takes the SHA-256 of what passes through it.
pub(crate) struct HashingWriter<W> {
    inner: W,
    hasher: Sha256,
}

impl<W> HashingWriter<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new() }
    }

    pub fn finish(self) -> String {
        hex(&self.hasher.finalize())
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
