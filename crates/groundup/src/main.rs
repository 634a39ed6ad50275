//! groundup: chapter 6 of *Deep Learning from Scratch*, from the ground up.
//!
//! Without a subcommand it runs the whole chapter, as `chapter` does without options, and leaves a report. `groundup
//! help` lists the rest.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod data;
mod experiments;
mod figure;
mod language;
mod profile;
mod progress;
mod report;
mod statistics;
mod threads;
mod trials;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Cli::parse().chosen() {
        Command::Chapter(options) => commands::chapter::run(&options),
        Command::Train(options) => commands::train::run(&options),
        Command::Evaluate(options) => commands::evaluate::run(&options),
        Command::Search(options) => commands::search::run(&options),
        Command::Data(command) => commands::data::run(&command),
        Command::Info => commands::info::run(),
        Command::Ladder(options) => commands::ladder::run(&options),
        Command::Roofline(options) => commands::roofline::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            ExitCode::from(1)
        }
    }
}
