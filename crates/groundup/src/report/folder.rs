//! The folder of a report, which holds at any time whatever is finished.

use super::{Run, page};
use crate::experiments::Report;
use crate::progress::Whole;
use mnist_io::Error;
use mnist_io::file::write_atomically;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What became of an experiment.
enum State {
    Running,
    Failed,
    Finished { report: Box<Report>, took: Duration },
}

/// The folder, and the experiments in the chapter's order.
pub struct Folder {
    path: PathBuf,
    run: Run,
    isa: &'static str,
    threads: usize,
    began: Instant,
    experiments: Vec<(&'static str, State)>,
    /// How many of them have their line on the screen.
    printed: usize,
    progress: Arc<Whole>,
}

impl Folder {
    /// Makes the folder. That a file can be written is tried before anything is computed.
    pub fn new(
        path: &Path,
        names: &[&'static str],
        run: Run,
        (isa, threads): (&'static str, usize),
        progress: Arc<Whole>,
    ) -> Result<Self, Error> {
        let experiments = names.iter().map(|&name| (name, State::Running)).collect();
        let (path, began) = (path.to_owned(), Instant::now());
        let folder = Self { path, run, isa, threads, began, experiments, printed: 0, progress };
        folder.write_times()?;
        Ok(folder)
    }

    /// The page.
    pub fn page(&self) -> PathBuf {
        self.path.join("index.html")
    }

    /// Takes an experiment in: its files, then the page over all that are finished.
    pub fn add(&mut self, report: Report, took: Duration) -> Result<(), Error> {
        let name = report.name;
        self.write(&format!("{name}.svg"), &report.svg)?;
        for more in &report.more {
            self.write(&format!("{}.svg", more.name), &more.svg)?;
        }
        self.write(&format!("{name}.json"), &format!("{:#}\n", report.json))?;
        self.set(name, State::Finished { report: Box::new(report), took });
        let finished: Vec<&Report> = self.finished().map(|(report, _)| report).collect();
        self.write("index.html", &page(&finished, &self.run))?;
        self.write_times()
    }

    /// Notes that an experiment failed.
    pub fn fail(&mut self, name: &str) {
        self.set(name, State::Failed);
    }

    /// What there is, for somebody who did not wait for the rest.
    pub fn interrupted(&mut self) -> String {
        self.print(true);
        self.progress.clear();
        let finished: Vec<&str> = self.finished().map(|(report, _)| report.name).collect();
        let of = self.experiments.len();
        if finished.is_empty() {
            return format!("interrupted: none of {of} experiments is finished");
        }
        let page = self.page();
        format!(
            "interrupted: {} of {of} experiments finished: {}: {}",
            finished.len(),
            finished.join(", "),
            page.display()
        )
    }

    fn finished(&self) -> impl Iterator<Item = (&Report, Duration)> {
        self.experiments.iter().filter_map(|(_, state)| match state {
            State::Finished { report, took } => Some((&**report, *took)),
            State::Running | State::Failed => None,
        })
    }

    fn set(&mut self, name: &str, state: State) {
        let experiment = self.experiments.iter_mut().find(|experiment| experiment.0 == name);
        experiment.unwrap_or_else(|| panic!("{name} is one of the experiments that were asked for")).1 = state;
        self.print(false);
    }

    /// Prints the lines whose turn it is, or all there are.
    fn print(&mut self, all: bool) {
        for (_, state) in &self.experiments[self.printed..] {
            match state {
                State::Running if all => {}
                State::Running => break,
                State::Failed => {}
                State::Finished { report, took } => {
                    let line = format!("{:24} {:6.1} s  {}", report.name, took.as_secs_f64(), report.headline.en);
                    self.progress.print(&line);
                }
            }
            self.printed += 1;
        }
    }

    /// How long everything took: the one file that is not the same on another run.
    fn write_times(&self) -> Result<(), Error> {
        let seconds = |time: Duration| (time.as_secs_f64() * 1e3).round() / 1e3;
        let each: serde_json::Map<_, _> =
            self.finished().map(|(report, took)| (report.name.to_owned(), json!(seconds(took)))).collect();
        let times = json!({
            "seconds": each,
            "total": seconds(self.began.elapsed()),
            "threads": self.threads,
            "isa": self.isa,
            "version": env!("CARGO_PKG_VERSION"),
        });
        self.write("times.json", &format!("{times:#}\n"))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        write_atomically(&self.path.join(name), |file| file.write_all(text.as_bytes()))
    }
}
