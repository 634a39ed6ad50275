//! `groundup chapter`

use super::{Failure, tell};
use crate::cli::{Chapter, Name};
use crate::data;
use crate::experiments::{self, Context, Shared};
use crate::progress::Whole;
use crate::report::{Folder, Run};
use crate::threads::{cores, pool};
use clap::ValueEnum;
use std::panic::resume_unwind;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use tensor::Exec;

/// By convention what a program leaves with that SIGINT ended.
const INTERRUPTED: i32 = 130;
/// Seconds.
const QUICK: f64 = 2.0;

/// Runs the experiments, all at the same time if there are threads for it, and writes each, and the page, as it ends.
pub fn run(options: &Chapter) -> Result<(), Failure> {
    if options.seed.checked_add(options.runs - 1).is_none() {
        let what = format!("{} runs from seed {} on, beyond the last seed", options.runs, options.seed);
        return Err(Failure::new(format!("{what}; lower --seed")));
    }
    if options.out.is_file() {
        let what = format!("{} is a file", options.out.display());
        return Err(Failure::new(format!("{what}; give a folder with --out, or the name of one to be made")));
    }
    let threads = options.threads.unwrap_or_else(cores);
    let exec = Exec::new(threads)?;
    if cfg!(debug_assertions) {
        tell("note: a debug build is slow; use `cargo run --release`");
    }
    let digits = data::find(options.data.as_deref(), threads)?;
    say!("data: {}", digits.origin)?;
    // In the chapter's order, each once.
    let asked = |name: &Name| options.names.is_empty() || options.names.contains(name);
    let names: Vec<Name> = Name::value_variants().iter().copied().filter(asked).collect();

    let pool = if threads == 1 { None } else { Some(pool(threads)?) };
    let costs: Vec<_> = names.iter().map(|name| (name.text(), experiments::cost(*name, options.runs))).collect();
    let progress = Arc::new(Whole::new(&costs));
    let run = Run { data: digits.name, runs: options.runs, seed: options.seed, language: options.lang };
    let texts: Vec<&str> = names.iter().map(|name| name.text()).collect();
    let by = (exec.isa().name(), threads);
    let folder = Arc::new(Mutex::new(Folder::new(&options.out, &texts, run, by, Arc::clone(&progress))?));
    leave_what_is_finished_on_interrupt(&folder)?;

    let context = Context {
        digits: &digits,
        exec,
        seed: options.seed,
        runs: options.runs,
        pool: pool.as_ref(),
        shared: &Shared::default(),
        progress: &progress,
        language: options.lang,
    };
    let failures = all(names, &context, &folder);
    progress.clear();
    if failures.len() < costs.len() {
        say!("report: {}", lock(&folder).page().display())?;
    }
    // All but the last are said here, and the last by whoever called.
    let mut failures = failures.into_iter().map(|(name, failure)| Failure::new(format!("{name}: {failure}")));
    let Some(last) = failures.next_back() else { return Ok(()) };
    failures.for_each(|failure| failure.tell());
    Err(last)
}

/// Runs the experiments. Each has a thread that waits for its jobs; the jobs share the pool, those of the longest
/// first. Returns what failed.
fn all(mut names: Vec<Name>, context: &Context<'_>, folder: &Mutex<Folder>) -> Vec<(&'static str, Failure)> {
    let one = |name: Name| one(name, context, folder).err().map(|failure| (name.text(), failure));
    if context.pool.is_none() {
        // Dropout's plain network goes on for longer than weight decay's, and is both.
        names.sort_by_key(|name| *name == Name::WeightDecay);
        return names.into_iter().filter_map(one).collect();
    }
    // The longest first, so that none is left over at the end; but those that are over at once before all others.
    let quick = |cost: f64| if cost < QUICK { f64::INFINITY } else { cost };
    let rank = |&name: &Name| quick(experiments::cost(name, context.runs));
    names.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    thread::scope(|scope| {
        let running: Vec<_> = names.into_iter().map(|name| scope.spawn(move || one(name))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        running.into_iter().filter_map(join).collect()
    })
}

fn one(name: Name, context: &Context<'_>, folder: &Mutex<Folder>) -> Result<(), Failure> {
    let report = experiments::run(name, context);
    let took = context.progress.finish(name.text());
    let mut folder = lock(folder);
    let done = report.map_err(Failure::from).and_then(|report| Ok(folder.add(report, took)?));
    if done.is_err() {
        folder.fail(name.text());
    }
    done
}

/// On Ctrl-C the program ends with the folder as it is. Files are written under the folder's lock, so none is half
/// there.
fn leave_what_is_finished_on_interrupt(folder: &Arc<Mutex<Folder>>) -> Result<(), Failure> {
    let folder = Arc::clone(folder);
    ctrlc::set_handler(move || {
        let mut folder = lock(&folder);
        tell(folder.interrupted());
        process::exit(INTERRUPTED);
    })?;
    Ok(())
}

fn lock(folder: &Mutex<Folder>) -> MutexGuard<'_, Folder> {
    folder.lock().unwrap_or_else(PoisonError::into_inner)
}
