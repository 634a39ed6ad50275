//! MNIST from mirrors.
//!
//! The connection is plain HTTP on purpose. What is trusted is the SHA-256 of the published files, which is compiled
//! in. So no TLS library and no C compiler are needed. A file that does not match is never renamed to its final name.

use crate::error::{Error, Fault, io_error};
use crate::file::{HashingWriter, sha256_of, sha256_of_file, write_atomically};
use crate::mnist::PublishedFile;
use flate2::bufread::GzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::time::Duration;

/// Where the `.gz` files are published, in the order they are tried.
pub const MIRRORS: [&str; 2] =
    ["http://ossci-datasets.s3.amazonaws.com/mnist/", "http://storage.googleapis.com/cvdf-datasets/mnist/"];

/// The published files are at most 10 MB; a mirror that sends more is wrong.
const MAX_BYTES: u64 = 32 << 20;

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was there already, and is the published one.
    Present,
    /// It was fetched.
    Fetched,
}

/// Fetches `file` as `.gz` into `dir` unless it is there already, trying `mirrors` in turn. `progress(done, total)` is
/// called as bytes arrive (`total` is 0 where the mirror does not say).
///
/// # Errors
/// - If no mirror gives the published file. `dir` is then as it was.
/// - If `dir` also has a plain file with other content. The plain file would be read instead of the `.gz`, and it may
///   be a file that somebody needs. So the caller has to delete it.
pub fn fetch(
    file: &PublishedFile,
    dir: &Path,
    mirrors: &[&str],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let outcome = fetch_packed(file, dir, mirrors, progress)?;
    let (plain, packed) = (dir.join(file.name), dir.join(format!("{}.gz", file.name)));
    if plain.is_file() {
        let unpacked = File::open(&packed).and_then(|packed| sha256_of(GzDecoder::new(BufReader::new(packed))));
        let (found, unpacked) = (sha256_of_file(&plain)?, unpacked.map_err(io_error(&packed))?);
        // Packed under the plain name it is read as well.
        if found != unpacked && found != file.sha256 {
            return Err(Fault::Unpublished.at(&plain));
        }
    }
    Ok(outcome)
}

/// [`fetch`], whatever plain file there is.
fn fetch_packed(
    file: &PublishedFile,
    dir: &Path,
    mirrors: &[&str],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let name = format!("{}.gz", file.name);
    let path = dir.join(&name);
    if path.is_file() && sha256_of_file(&path)? == file.sha256 {
        return Ok(Outcome::Present);
    }
    // What is wrong here is not a mirror's fault.
    std::fs::create_dir_all(dir).map_err(io_error(dir))?;
    let mut reasons = Vec::new();
    for mirror in mirrors {
        let url = format!("{mirror}{name}");
        match fetch_from(&url, &path, file.sha256, progress) {
            Ok(()) => return Ok(Outcome::Fetched),
            Err(reason) => reasons.push(format!("{url}: {reason}")),
        }
    }
    Err(Error::Download { file: name, dir: dir.to_owned(), reasons: reasons.join("; ") })
}

fn fetch_from(url: &str, path: &Path, sha256: &str, progress: &mut dyn FnMut(u64, u64)) -> Result<(), String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(20)))
        .timeout_global(Some(Duration::from_secs(600)))
        .build()
        .into();
    let response = agent.get(url).call().map_err(|error| error.to_string())?;
    let total = response.body().content_length().unwrap_or(0);
    let mut body = response.into_body().into_reader().take(MAX_BYTES + 1);
    let written = write_atomically(path, |to| {
        let mut hashing = HashingWriter::new(to);
        let mut buffer = vec![0; 1 << 16];
        let mut done = 0;
        loop {
            let count = body.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            done += count as u64;
            if done > MAX_BYTES {
                return Err(io::Error::other(format!("more than {MAX_BYTES} bytes")));
            }
            hashing.write_all(&buffer[..count])?;
            progress(done, total);
        }
        let found = hashing.finish();
        if found != sha256 {
            return Err(io::Error::other(Fault::Checksum { found, expected: sha256.to_owned() }));
        }
        Ok(())
    });
    written.map_err(|error| match error {
        Error::Io { source, .. } => source.to_string(),
        error => error.to_string(),
    })
}
