//! A line of a journal as JSON.
//!
//! Python's JSON is larger than everyone else's: it has NaN and infinities, lone surrogates in strings, numbers of any
//! length and any depth. Of a line that only Python reads, just the fields that tell studies apart are read: no program
//! but Optuna's writes such a line.

use serde::Deserialize;
use serde_json::{Value, json};

/// How every record begins, in Optuna's journals too. An unfinished last line that begins otherwise is not a record cut
/// short, so it must not be removed.
pub(crate) const RECORD: &str = "{\"op_code\":";

/// A line as JSON; of one in Python's JSON alone, its operation, its study's id and its study's name. `None` if it is
/// neither.
pub(crate) fn parsed(line: &[u8]) -> Option<Value> {
    #[derive(Deserialize)]
    struct Head {
        op_code: u64,
        study_id: Option<u64>,
    }
    if let Ok(record) = serde_json::from_slice(line) {
        return Some(record);
    }
    let line = std::str::from_utf8(line).ok()?;
    let Head { op_code, study_id } = serde_json::from_str(&without_nan(line)).ok()?;
    // A name with a lone surrogate is no text in Rust. Its escaped form in the file identifies it as well.
    let name = line.split_once("\"study_name\":").and_then(|(_, after)| after.split_once(",\"directions\":"));
    Some(json!({"op_code": op_code, "study_id": study_id, "study_name": name.map(|(name, _)| name)}))
}

/// Python's JSON with null for the numbers that are not finite.
fn without_nan(line: &str) -> String {
    let mut in_string = false;
    let mut plain = String::with_capacity(line.len());
    for piece in line.split_inclusive('"') {
        if in_string {
            plain += piece;
            let before = piece.trim_end_matches('"');
            // The quote is part of the string if an odd number of backslashes stands before it.
            in_string = (before.len() - before.trim_end_matches('\\').len()) % 2 == 1;
        } else {
            plain +=
                &["-Infinity", "Infinity", "NaN"].iter().fold(piece.to_owned(), |piece, of| piece.replace(of, "null"));
            in_string = true;
        }
    }
    plain
}
