//! Times training steps on request, so that another program can time this project and its rivals in turns.
//!
//! ```text
//! steps THREADS
//!   in:  WORKLOAD STEPS          (WORKLOAD: A, B, C, D or E)
//!   out: milliseconds a step, the best of three blocks of so many; one line for each line
//!   in:  peak 0
//!   out: GFLOP/s that the fused multiply-adds of one thread reach
//! ```

use groundup_benches::{best, enter_pool};
use mnist_io::Dataset;
use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::time::Instant;
use tensor::probe;
use train::{Trainer, Workload};

fn main() {
    let threads = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("usage: steps THREADS");
    if threads > 1 {
        enter_pool(threads);
    }
    let data = digits();
    let mut trainers: HashMap<String, Trainer> = HashMap::new();
    for line in io::stdin().lock().lines() {
        let line = line.expect("a request is text");
        let (name, steps) = line.split_once(' ').expect("a request is a workload and a number of steps");
        let steps: usize = steps.parse().expect("the number of steps is a whole number");
        if name == "peak" {
            println!("{:.2}", probe::fma_peak(best(1)) / 1e9);
            io::stdout().flush().expect("the asker listens");
            continue;
        }
        let trainer = trainers.entry(name.to_owned()).or_insert_with(|| {
            let workload = Workload::from_name(name).unwrap_or_else(|| panic!("no workload {name}"));
            let pictures = workload.pictures(&data);
            let mut trainer = Trainer::new(workload.config(), best(threads), pictures).expect("the settings fit");
            learns(&mut trainer, name);
            trainer
        });
        if std::env::var_os("PROFILE").is_some() {
            tensor::profile::start();
            let start = Instant::now();
            for _ in 0..steps {
                trainer.step().unwrap();
            }
            let total = start.elapsed().as_secs_f64();
            let rows = tensor::profile::stop();
            let mut sum = 0.0;
            for r in &rows {
                let t = r.time.as_secs_f64();
                sum += t;
                eprintln!(
                    "{:9} {:2} {:22} {:8.2} us {:7.1} GFLOP/s {:7.1} GB/s",
                    r.section,
                    r.part,
                    r.kernel,
                    t / steps as f64 * 1e6,
                    r.work.flops as f64 / t / 1e9,
                    r.work.bytes as f64 / t / 1e9
                );
            }
            eprintln!("sum {:.2} of {:.2} us", sum / steps as f64 * 1e6, total / steps as f64 * 1e6);
        }
        let best = (0..3).map(|_| block(trainer, steps)).fold(f64::INFINITY, f64::min);
        println!("{:.6}", best * 1e3);
        io::stdout().flush().expect("the asker listens");
    }
}

/// MNIST where `MNIST_DIR` says, else as many synthetic digits.
fn digits() -> Dataset {
    match std::env::var_os("MNIST_DIR") {
        Some(folder) => mnist_io::Mnist::load(folder.as_ref()).expect("MNIST_DIR holds MNIST").train,
        None => mnist_io::synthetic::Synthetic { train: 60_000, test: 1, seed: 1 }.generate(2).expect("digits").train,
    }
}

/// Checked before it is timed: the mean loss of the second fifty steps is below that of the first.
fn learns(trainer: &mut Trainer, name: &str) {
    let mut mean = || (0..50).map(|_| trainer.step().expect("the data fit")).sum::<f64>() / 50.0;
    let (first, second) = (mean(), mean());
    assert!(second < first, "workload {name}: the loss went from {first} to {second}");
}

fn block(trainer: &mut Trainer, steps: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..steps {
        trainer.step().expect("the data fit");
    }
    start.elapsed().as_secs_f64() / steps as f64
}
