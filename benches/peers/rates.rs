//! GFLOP/s on request, so that another program can time this project and the Rust rivals in turns with its own.
//!
//! ```text
//! rates THREADS
//!   in:  ENGINE M K N A_TRANSPOSED B_TRANSPOSED MILLISECONDS     (ENGINE: peak, ours, avx2, …, matrixmultiply, faer, gemm)
//!   out: GFLOP/s, the best batch of the time given; one line for each line
//! ```

use groundup_benches::{Engine, Product, enter_pool};
use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};
use tensor::isa::AnyIsa;
use tensor::{Exec, probe};
use testkit::rng::Rng;
use testkit::shapes::Shape;

fn main() {
    let threads = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("usage: rates THREADS");
    if threads > 1 {
        enter_pool(threads);
    }
    let mut products: HashMap<[usize; 5], Product> = HashMap::new();
    for line in io::stdin().lock().lines() {
        let line = line.expect("a request is text");
        let (name, numbers) = line.split_once(' ').expect("a request is an engine and six numbers");
        let numbers: Vec<usize> =
            numbers.split(' ').map(|number| number.parse().expect("a size is a whole number")).collect();
        let &[m, k, n, a_transposed, b_transposed, time] = &numbers[..] else { panic!("six numbers, not {numbers:?}") };
        let rate = if name == "peak" {
            probe::fma_peak(Exec::with_isa(best(), 1))
        } else {
            let product = products.entry([m, k, n, a_transposed, b_transposed]).or_insert_with(|| {
                let (a_transposed, b_transposed) = (a_transposed == 1, b_transposed == 1);
                Product::new(Shape { name: "", m, k, n, a_transposed, b_transposed }, &mut Rng::new(1))
            });
            rate(engine(name, threads), product, 2.0 * (m * k * n) as f64, Duration::from_millis(time as u64))
        };
        println!("{:.2}", rate / 1e9);
        io::stdout().flush().expect("the asker listens");
    }
}

fn best() -> AnyIsa {
    AnyIsa::selected().expect("GROUNDUP_ISA names an ISA of this machine")
}

fn engine(name: &str, threads: usize) -> Engine {
    if name == "ours" {
        return Engine::Ours(Exec::with_isa(best(), threads));
    }
    if let Some(isa) = AnyIsa::available().find(|isa| isa.name() == name) {
        return Engine::Ours(Exec::with_isa(isa, threads));
    }
    Engine::rivals(threads).into_iter().find(|rival| rival.name() == name).unwrap_or_else(|| panic!("no engine {name}"))
}

/// FLOP/s of the best batch, after a checked call.
fn rate(engine: Engine, product: &mut Product, flops: f64, time: Duration) -> f64 {
    product.multiply(engine);
    product.check(engine.name());
    product.multiply(engine);
    let calls = ((1e8 / flops) as usize).max(1);
    let (mut best, start) = (f64::INFINITY, Instant::now());
    while start.elapsed() < time || best.is_infinite() {
        let batch = Instant::now();
        for _ in 0..calls {
            product.multiply(engine);
        }
        best = best.min(batch.elapsed().as_secs_f64() / calls as f64);
    }
    flops / best
}
