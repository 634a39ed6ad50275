//! `groundup chapter`

use super::{Failure, cores, on_threads};
use crate::cli::{Chapter, Name};
use crate::experiments::{self, Context};
use crate::{data, report};
use clap::ValueEnum;
use mnist_io::file::write_atomically;
use std::io::Write;
use std::time::Instant;
use tensor::Exec;

/// Runs the experiments, writing each as it ends, then the page.
pub fn run(options: &Chapter) -> Result<(), Failure> {
    let threads = options.threads.unwrap_or_else(cores);
    let exec = Exec::new(threads)?;
    if cfg!(debug_assertions) {
        eprintln!("note: a debug build is slow; use `cargo run --release`");
    }
    let digits = data::find(options.data.as_deref(), threads)?;
    println!("data: {}", digits.origin);
    let mut names = if options.names.is_empty() { Name::value_variants().to_vec() } else { options.names.clone() };
    let mut seen = Vec::new();
    names.retain(|name| !seen.contains(name) && (seen.push(*name), true).1);
    let context = Context { digits: &digits, exec, seed: options.seed, runs: options.runs };
    let mut reports = Vec::new();
    for name in names {
        let started = Instant::now();
        let report = on_threads(threads, || experiments::run(name, &context))??;
        let write = |extension: &str, text: &str| {
            let path = options.out.join(format!("{}.{extension}", report.name));
            write_atomically(&path, |file| file.write_all(text.as_bytes()))
        };
        write("svg", &report.svg)?;
        write("json", &format!("{:#}\n", report.json))?;
        println!("{:24} {:6.1} s  {}", report.name, started.elapsed().as_secs_f64(), report.headline);
        reports.push(report);
        // Rewritten after each, so that whatever is finished can be looked at.
        let page = report::page(&reports, &context);
        write_atomically(&options.out.join("index.html"), |file| file.write_all(page.as_bytes()))?;
    }
    println!("report: {}", options.out.join("index.html").display());
    Ok(())
}
