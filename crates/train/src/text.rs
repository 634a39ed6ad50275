//! Texts of foreign files in messages.

/// The text in one line. The names and strings in a file of another program may hold anything, and a message is one
/// line.
pub(crate) fn one_line(what: &str) -> String {
    what.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
