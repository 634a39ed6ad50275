//! The whole training step: draw a mini-batch, forward, loss, backward, update. Throughput is in samples.
//! The workloads A to E are those of [`train::Workload`].

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use groundup_benches::{criterion, execs};
use mnist_io::synthetic::Synthetic;
use train::{Trainer, Workload};

fn benches(c: &mut Criterion) {
    let digits = Synthetic { train: 10_000, test: 1000, seed: 1 }.generate(2).expect("there are images");
    let mut group = c.benchmark_group("step");
    for workload in Workload::ALL {
        let (name, config, pictures) = (workload.name(), workload.config(), workload.pictures(&digits.train));
        group.throughput(Throughput::Elements(config.batch as u64));
        for exec in execs() {
            let mut trainer = Trainer::new(config.clone(), exec, pictures.clone()).expect("the settings fit");
            // Checked before it is timed: it learns.
            let first = trainer.step().expect("the data fit");
            let mut last = first;
            for _ in 0..60 {
                last = trainer.step().expect("the data fit");
            }
            assert!(last.is_finite() && last < first, "workload {name}: the loss went from {first} to {last}");
            group.bench_function(BenchmarkId::new(name, exec.isa().name()), |b| b.iter(|| trainer.step()));
        }
    }
    group.finish();
}

criterion_group! {
    name = group;
    config = criterion();
    targets = benches
}
criterion_main!(group);
