//! The chapter's experiments, and a small CPU trainer, from one command line
fn main() {}
