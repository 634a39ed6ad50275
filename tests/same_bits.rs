//! A whole run has the same bits on every ISA and with every number of threads.

use layers::{BatchNormForm, DropoutForm};
use mnist_io::Dataset;
use mnist_io::synthetic::Synthetic;
use optim::Rule;
use std::sync::OnceLock;
use tensor::Exec;
use tensor::isa::AnyIsa;
use train::{Config, Length, Preset, Trainer, weights_sha256};

/// Steps of a run.
const STEPS: usize = 50;
/// Steps where a forced ISA has the whole suite run once more: this test forces every ISA itself.
const FEW_STEPS: usize = 2;
/// Some do not divide anything, and eight are more than this kind of network can use.
const THREADS: [usize; 4] = [1, 2, 3, 8];

fn digits() -> &'static Dataset {
    static DIGITS: OnceLock<Dataset> = OnceLock::new();
    DIGITS.get_or_init(|| Synthetic { train: 600, test: 1, seed: 1 }.generate(2).unwrap().train)
}

/// The bits of each loss, and the SHA-256 of the weights at the end.
fn run(config: &Config, isa: AnyIsa, threads: usize, steps: usize) -> (Vec<u64>, String) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut trainer = Trainer::new(config.clone(), Exec::with_isa(isa, threads), digits().clone()).unwrap();
        let losses: Vec<f64> = (0..steps).map(|_| trainer.step().unwrap()).collect();
        assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
        (losses.iter().map(|loss| loss.to_bits()).collect(), weights_sha256(trainer.network()))
    })
}

fn assert_same_bits(config: &Config) {
    let steps = if std::env::var_os(tensor::isa::VARIABLE).is_some() { FEW_STEPS } else { STEPS };
    let mut want: Option<(Vec<u64>, String)> = None;
    for isa in AnyIsa::available() {
        for threads in THREADS {
            let got = run(config, isa, threads, steps);
            let want = want.get_or_insert_with(|| got.clone());
            assert_eq!(got, *want, "{steps} steps on {} with {threads} threads", isa.name());
        }
    }
    let (losses, sha256) = want.expect("portable is always there");
    assert!(losses.windows(2).all(|pair| pair[0] != pair[1]), "the loss stands still: {losses:?}");
    let isa = AnyIsa::available().last().expect("portable is always there");
    let other = run(&Config { seed: config.seed + 1, ..config.clone() }, isa, 1, steps);
    assert_ne!(other.1, sha256, "another seed ends in the same weights");
}

fn workload(hidden: &[usize], rule: Rule) -> Config {
    Config { batch: 128, ..Config::book(hidden, rule, Length::Steps(STEPS as u64), 7) }
}

#[test]
fn a_run_of_sgd_has_the_same_bits_everywhere() {
    assert_same_bits(&workload(&[100; 4], Rule::SGD));
}

#[test]
fn a_run_of_adam_has_the_same_bits_everywhere() {
    assert_same_bits(&workload(&[100; 4], Rule::ADAM));
}

#[test]
fn a_run_with_batch_normalisation_has_the_same_bits_everywhere() {
    for form in [BatchNormForm::Book, BatchNormForm::Torch] {
        let mut config = Config { batch: 100, ..workload(&[100; 5], Rule::SGD) };
        if form == BatchNormForm::Torch {
            config.preset = Preset::Torch;
            config.sampling = Preset::Torch.sampling();
            // A narrower one, for time.
            config.architecture.hidden = vec![37, 50];
        }
        config.architecture.batch_norm = Some(form);
        assert_same_bits(&config);
    }
}

/// The chapter's network with dropout: its masks are made again in the backward pass, or read off the ReLU's output.
#[test]
fn a_run_with_dropout_has_the_same_bits_everywhere() {
    let mut config = workload(&[100; 4], Rule::SGD);
    config.architecture.dropout = Some((0.15, DropoutForm::Book));
    assert_same_bits(&config);
}

#[test]
fn a_run_with_dropout_decay_and_a_ragged_shape_has_the_same_bits_everywhere() {
    let mut config = Config { batch: 61, weight_decay: 0.01, ..workload(&[99, 53, 17], Rule::MOMENTUM) };
    config.architecture.dropout = Some((0.2, DropoutForm::Book));
    assert_same_bits(&config);
}
