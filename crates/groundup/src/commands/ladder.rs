//! `groundup ladder`

use super::{Failure, cores, on_threads};
use crate::cli::Ladder;
use crate::figure::{Bar, Bars, rate};
use layers::{Stream, standard_normal, stream};
use std::hint::black_box;
use std::time::{Duration, Instant};
use tensor::gemm::ladder::{Operands, RUNGS, Rung};
use tensor::{Exec, Gemm, ShapeError, View, ViewMut, probe};

/// The product's rungs as bars: GFLOP/s, and the share of the peak.
pub fn run(options: &Ladder) -> Result<(), Failure> {
    let [m, k, n] = options.shape;
    let threads = options.threads.unwrap_or_else(cores);
    let exec = Exec::new(1)?;
    let peak = probe::fma_peak(exec) / 1e9;
    let rng = &mut stream(1, Stream::Experiment);
    let (a, b, mut c) = (standard_normal(exec, rng, m * k), standard_normal(exec, rng, k * n), vec![0.0; m * n]);
    let flops = 2.0 * m as f64 * k as f64 * n as f64;

    let title = format!("The ladder: {m}×{k} times {k}×{n}");
    println!("{title}; the peak of one thread, {}, is {peak:.1} GFLOP/s\n", exec.isa().name());
    let mut bars = Vec::new();
    let mut add = |name: &str, threads: usize, seconds: f64| {
        let value = flops / seconds / 1e9;
        let share = 100.0 * value / (peak * threads as f64);
        let of = if threads == 1 { "peak".to_owned() } else { format!("{threads} peaks") };
        let name = if threads == 1 { name.to_owned() } else { format!("{name}, {threads} threads") };
        bars.push(Bar { name, value, label: format!("{} GFLOP/s, {} % of {of}", rate(value), rate(share)) });
    };
    let mut climb = |rung: &Rung, exec| {
        best_seconds(|| {
            rung.run(exec, Operands { m, k, n, a: &a, b: &b, c: black_box(&mut c) });
            Ok(())
        })
    };
    let (last, alone) = RUNGS.split_last().expect("the ladder has rungs");
    for rung in alone {
        add(rung.name, 1, climb(rung, exec)?);
    }
    let with_threads = Exec::new(threads)?;
    if threads > 1 {
        add(last.name, threads, on_threads(threads, || climb(last, with_threads))??);
    }
    let mut gemm = |exec| {
        best_seconds(|| {
            Gemm::new(View::new(&a, [m, k])?, View::new(&b, [k, n])?, ViewMut::new(black_box(&mut c), [m, n])?)
                .run(exec)
        })
    };
    add("gemm", 1, gemm(exec)?);
    if threads > 1 {
        add("gemm", threads, on_threads(threads, || gemm(with_threads))??);
    }
    let bars = Bars {
        title,
        description: "One bar for each rung of the ladder, from three loops to the real thing.".to_owned(),
        axis: "GFLOP/s, best of 0.3 s".to_owned(),
        end: peak * threads as f64,
        limit: if threads == 1 { "peak".to_owned() } else { format!("peak of {threads} threads") },
        bars,
    };
    print!("{}", bars.to_text(40));
    if let Some(path) = &options.out {
        std::fs::write(path, bars.to_svg()).map_err(|error| {
            std::io::Error::other(format!(
                "{} cannot be written: {error}; name a file in a folder that is there",
                path.display()
            ))
        })?;
    }
    Ok(())
}

/// The least time of a call: of at least two, and of as many as fit into 0.3 s.
fn best_seconds(mut call: impl FnMut() -> Result<(), ShapeError>) -> Result<f64, ShapeError> {
    let (mut best, start) = (f64::INFINITY, Instant::now());
    call()?;
    while best.is_infinite() || start.elapsed() < Duration::from_millis(300) {
        let one = Instant::now();
        call()?;
        best = best.min(one.elapsed().as_secs_f64());
    }
    Ok(best)
}
