//! `groundup roofline`

use super::Failure;
use crate::cli::Roofline as Options;
use crate::figure::{Dot, Roofline};
use crate::profile::{Entry, Profile, columns};
use crate::threads::{cores, on_threads};
use mnist_io::file::{check_writable, write_atomically};
use mnist_io::synthetic::Synthetic;
use std::io::Write;
use std::path::Path;
use tensor::Exec;
use tensor::limits::Limits;
use tensor::profile::Work;
use train::{Error, Workload};

/// Profiles steps of the workloads, and says how near their kernels come to what this machine can do: in lines, and in
/// a plot.
pub fn run(options: &Options) -> Result<(), Failure> {
    // Before anything is measured that could not be kept.
    check_writable(&options.out)?;
    let threads = options.threads;
    let exec = Exec::new(threads)?;
    let mut workloads = options.workloads.clone();
    if workloads.is_empty() {
        workloads = Workload::ALL.to_vec();
    }
    workloads.sort_unstable();
    workloads.dedup();
    let digits = Synthetic { train: 10_000, test: 1, seed: 1 }.generate(cores());
    let data = digits.map_err(|fault| fault.at(Path::new("synthetic digits")))?.train;
    let (limits, profiles) = on_threads(threads, || -> Result<_, Error> {
        let limits = Limits::measure(exec);
        let mut profiles = Vec::new();
        for &workload in &workloads {
            profiles.push(Profile::take(&workload.config(), exec, &workload.pictures(&data))?);
        }
        Ok((limits, profiles))
    })??;

    let head = ["", "", "section", "layer", "kernel", "µs a step", "flops/byte", "GFLOP/s", "GB/s", "limit", "reached"];
    let mut rows = vec![head.map(str::to_owned)];
    let mut dots = Vec::new();
    for (group, (workload, profile)) in workloads.iter().zip(profiles).enumerate() {
        for Kernel { layers, entry, .. } in merged(profile.entries) {
            let limit = limits.of(entry.work, entry.seconds);
            let (layers, reached) = (numbers(&layers), format!("{:.0} %", 100.0 * limit.share));
            // A kernel that only moves data has no place in the plot, which is logarithmic.
            let mut number = "–".to_owned();
            if entry.gflops() > 0.0 {
                let place = [entry.section, &layers].join(" ");
                dots.push(Dot {
                    group,
                    at: [entry.intensity(), entry.gflops()],
                    name: format!("{}: {}", place.trim_end(), entry.kernel),
                    note: format!("{reached} of {}", limit.name),
                });
                number = dots.len().to_string();
            }
            rows.push([
                number,
                workload.name().to_owned(),
                entry.section.to_owned(),
                layers,
                entry.kernel.to_owned(),
                format!("{:.2}", 1e6 * entry.seconds),
                format!("{:.2}", entry.intensity()),
                format!("{:.1}", entry.gflops()),
                format!("{:.1}", entry.gbytes()),
                limit.name.to_owned(),
                reached,
            ]);
        }
    }
    say!("{}\n{}", limits.to_text(), columns(5, &rows).trim_end())?;
    let svg = figure(exec, &limits, &workloads, dots).to_svg();
    write_atomically(&options.out, |file| file.write_all(svg.as_bytes()))?;
    say!("plot: {}", options.out.display())?;
    Ok(())
}

fn figure(exec: Exec, limits: &Limits, workloads: &[Workload], dots: Vec<Dot>) -> Roofline {
    let (threads, isa) = (limits.threads_in_words(), exec.isa().name());
    let head = |workload: &Workload| format!("{}: {}", workload.name(), workload.description());
    Roofline {
        title: format!("The kernels of a training step under the roofs of {threads}, {isa}"),
        description:
            "A dot for each kernel: its rate against its flops per byte, both on logarithmic scales, below the \
                      arithmetic peak and the bandwidths of the caches and of memory."
                .to_owned(),
        peak: limits.peak / 1e9,
        slopes: limits.levels.iter().map(|level| (level.name.to_owned(), level.bandwidth / 1e9)).collect(),
        groups: workloads.iter().map(head).collect(),
        dots,
    }
}

/// A kernel with all the layers for which it does the same work: their dots would lie on each other.
struct Kernel {
    layers: Vec<usize>,
    /// What it does for one of them.
    work: Work,
    /// For all of them.
    entry: Entry,
}

fn merged(entries: Vec<Entry>) -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = Vec::new();
    for entry in entries {
        let layer = entry.layer.map(|(number, _)| number);
        let same = |kernel: &&mut Kernel| {
            let Entry { section, kernel: name, .. } = kernel.entry;
            (section, name, kernel.work) == (entry.section, entry.kernel, entry.work)
        };
        match kernels.iter_mut().find(same) {
            Some(kernel) => {
                kernel.layers.extend(layer);
                kernel.entry.work.flops += entry.work.flops;
                kernel.entry.work.bytes += entry.work.bytes;
                kernel.entry.seconds += entry.seconds;
            }
            None => kernels.push(Kernel { layers: layer.into_iter().collect(), work: entry.work, entry }),
        }
    }
    kernels
}

/// `0`, `1–3` or `0, 2, 4`.
fn numbers(layers: &[usize]) -> String {
    let mut layers = layers.to_vec();
    layers.sort_unstable();
    match layers[..] {
        [first, .., last] if last - first + 1 == layers.len() => format!("{first}–{last}"),
        _ => layers.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_named_in_short() {
        let cases: [(&[usize], &str); 5] =
            [(&[], ""), (&[4], "4"), (&[3, 2, 1], "1–3"), (&[4, 0, 2], "0, 2, 4"), (&[1, 0], "0–1")];
        for (layers, text) in cases {
            assert_eq!(numbers(layers), text);
        }
    }

    #[test]
    fn a_kernel_stands_for_the_layers_it_does_the_same_work_for() {
        let entry = |section, layer, flops| {
            let work = Work { flops, bytes: 10, touched: 5 };
            Entry { section, layer: Some((layer, "affine")), kernel: "product", work, seconds: 2.0 }
        };
        let forward = [(0, 7), (1, 8), (2, 8)].map(|(layer, flops)| entry("forward", layer, flops));
        let kernels = merged(forward.into_iter().chain([entry("backward", 1, 8)]).collect());
        let of: Vec<_> = kernels.iter().map(|kernel| (kernel.entry.section, numbers(&kernel.layers))).collect();
        let want = [("forward", "0"), ("forward", "1–2"), ("backward", "1")];
        assert_eq!(of, want.map(|(section, layers)| (section, layers.to_owned())));
        let Entry { work, seconds, .. } = kernels[1].entry;
        assert_eq!((work, seconds), (Work { flops: 16, bytes: 20, touched: 5 }, 4.0));
    }
}
