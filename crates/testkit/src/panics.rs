//! Calls that must panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a call that must panic says.
///
/// # Panics
/// If it does not, or says nothing.
pub fn message<R>(f: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it did not panic") };
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => (*payload.downcast::<&'static str>().expect("a message")).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_panic_is_refused_and_one_that_does_is_quoted() {
        assert_eq!(message(|| message(|| 1)), "it did not panic");
        assert_eq!(message(|| panic!("{} of {}", 1, 2)), "1 of 2");
    }
}
