//! Studies: a resumed search finds what an uninterrupted one finds, processes share a file, and no other study is taken
//! for the search's own. (Journals as such are tested in `optuna-journal`.)

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/searches.rs"]
mod searches;

mod refused;
mod resumed;
mod support;
