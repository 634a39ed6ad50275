//! `groundup ladder`

use super::Failure;
use crate::cli::Ladder;
use crate::figure::{Axis, Bar, Bars, Figure, Mark, Panel, rate};
use crate::threads::{cores, on_threads};
use layers::{Stream, standard_normal, stream};
use mnist_io::file::{check_writable, write_atomically};
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};
use tensor::gemm::ladder::{Operands, RUNGS, Rung};
use tensor::matmul::PackedB;
use tensor::{Exec, Gemm, ShapeError, Tensor, View, ViewMut, probe};

/// The product's rungs as bars: GFLOP/s, and the share of the peak.
pub fn run(options: &Ladder) -> Result<(), Failure> {
    // Before anything is timed that could not be kept.
    for path in options.out.iter().chain(&options.sizes) {
        check_writable(path)?;
    }
    let [m, k, n] = options.shape;
    let threads = options.threads.unwrap_or_else(cores);
    let exec = Exec::new(1)?;
    let peak = probe::fma_peak(exec) / 1e9;
    let rng = &mut stream(1, Stream::Experiment);
    let (a, b, mut c) = (standard_normal(exec, rng, m * k), standard_normal(exec, rng, k * n), vec![0.0; m * n]);
    let flops = 2.0 * m as f64 * k as f64 * n as f64;

    let title = format!("The ladder: {m}×{k} times {k}×{n}");
    say!("{title}; the peak of one thread, {}, is {peak:.1} GFLOP/s\n", exec.isa().name())?;
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
    say!("{}", bars.to_text(40).trim_end())?;
    if let Some(path) = &options.out {
        write_atomically(path, |file| file.write_all(bars.to_svg().as_bytes()))?;
    }
    if let Some(path) = &options.sizes {
        let figure = sizes(exec, with_threads, peak, &SIDES)?;
        write_atomically(path, |file| file.write_all(figure.to_svg().as_bytes()))?;
    }
    Ok(())
}

/// The time of square products of these sides against their multiply-adds: as they are planned, with a B that is packed
/// already, on all threads, and the costs that do not shrink with the product.
fn sizes(exec: Exec, with_threads: Exec, peak: f64, sides: &[usize]) -> Result<Figure, Failure> {
    let lines: [(&str, Exec, bool); 3] =
        [("one thread", exec, false), ("B packed before", exec, true), ("all threads", with_threads, false)];
    let mut marks = Vec::new();
    let mut legend = Vec::new();
    for (series, (name, exec, packed)) in lines.into_iter().enumerate() {
        let time = |side: usize| -> Result<[f64; 2], ShapeError> {
            let matrix = || Tensor::from_fn([side, side], |[i, j]| ((i + 3 * j) % 17) as f32 / 16.0 - 0.5);
            let (a, b) = (matrix(), matrix());
            let mut c = Tensor::zeros([side, side]);
            let kept = PackedB::new(exec, b.view());
            let seconds = best_seconds(|| {
                let to = c.view_mut();
                if packed {
                    Gemm::new(a.view(), &kept, to).run(exec)
                } else {
                    Gemm::new(a.view(), b.view(), to).run(exec)
                }
            })?;
            Ok([(side * side * side) as f64, 1e6 * seconds])
        };
        let times = || sides.iter().map(|&side| time(side)).collect::<Result<Vec<_>, _>>();
        let points = on_threads(exec.threads(), times)??;
        marks.push(Mark::Line { series, points, dashed: false });
        legend.push(name.to_owned());
    }
    let ends = WORK;
    let mut dashed = |name: &str, points: Vec<[f64; 2]>| {
        marks.push(Mark::Line { series: legend.len(), points, dashed: true });
        legend.push(name.to_owned());
    };
    dashed("at the peak", ends.map(|work| [work, 2e-3 * work / peak]).to_vec());
    let one = Tensor::from_fn([1, 1], |_| 1.0);
    let mut c = Tensor::zeros([1, 1]);
    let call = best_seconds(|| Gemm::new(one.view(), one.view(), c.view_mut()).run(exec))?;
    dashed("a call", ends.map(|work| [work, 1e6 * call]).to_vec());
    if with_threads.threads() > 1 {
        // A thread that sleeps: what the caller pays for two empty halves after a millisecond of rest.
        let fork = on_threads(with_threads.threads(), || {
            let mut times: Vec<f64> = (0..200)
                .map(|_| {
                    std::thread::sleep(Duration::from_millis(1));
                    let start = Instant::now();
                    rayon::join(|| (), || ());
                    start.elapsed().as_secs_f64()
                })
                .collect();
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        })?;
        dashed("a fork after rest", ends.map(|work| [work, 1e6 * fork]).to_vec());
    }
    // A slow ISA may need a hundred times what a fast one does: every line has its place, none is held at an edge.
    let heights = marks.iter().flat_map(|mark| match mark {
        Mark::Line { points, .. } => points.iter().map(|[_, time]| *time).collect(),
        _ => Vec::new(),
    });
    let y = Axis::decades("microseconds, best of 0.3 s", heights);
    Ok(Figure {
        title: "Square products by size".to_owned(),
        description: "Time against multiply-adds, both on logarithmic scales.".to_owned(),
        legend,
        shades: None,
        columns: 1,
        panel_size: [640.0, 340.0],
        panels: vec![Panel {
            title: String::new(), x: Axis::log("multiply-adds, m·n·k", WORK[0], WORK[1]), y, marks
        }],
    })
}

/// The least and the greatest number of multiply-adds.
const WORK: [f64; 2] = [1e4, 1e8];
/// Sides of squares of so many.
const SIDES: [usize; 14] = [22, 28, 36, 46, 58, 74, 93, 100, 128, 160, 215, 256, 340, 464];

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

#[cfg(test)]
mod tests {
    use super::*;
    use tensor::isa::AnyIsa;

    #[test]
    fn however_slow_the_machine_the_plot_of_sizes_has_room_for_every_time() {
        let isa = AnyIsa::available().last().unwrap();
        // Of a peak of 0.01 GFLOP/s, whose line ends at twenty seconds.
        let figure = sizes(Exec::with_isa(isa, 1), Exec::with_isa(isa, 2), 0.01, &[22, 28]).unwrap();
        let names = ["one thread", "B packed before", "all threads", "at the peak", "a call", "a fork after rest"];
        assert_eq!(figure.legend, names);
        let Panel { x, y, marks, .. } = &figure.panels[0];
        assert_eq!(marks.len(), names.len());
        for (mark, name) in marks.iter().zip(names) {
            let Mark::Line { points, .. } = mark else { panic!("{name} is {mark:?}") };
            assert_eq!(points.len(), 2, "{name}");
            for &[work, time] in points {
                assert!((x.range[0]..=x.range[1]).contains(&work), "{name}: {work} is not in {:?}", x.range);
                assert!((y.range[0]..=y.range[1]).contains(&time), "{name}: {time} is not in {:?}", y.range);
            }
        }
        for side in [SIDES[0], SIDES[SIDES.len() - 1]] {
            assert!((WORK[0]..=WORK[1]).contains(&(side.pow(3) as f64)), "{side}");
        }
    }
}
