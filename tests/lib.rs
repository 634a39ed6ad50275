//! Nothing: a place for the tests that cross the crates.
