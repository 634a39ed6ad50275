//! The synthetic digits are about as hard as MNIST, and the rules rank on them as the chapter has it.
//!
//! These runs are long enough to need a fast kernel. On the portable ISA, where a fused multiply-add may be a call of
//! the C library, they would take minutes and are skipped; `same_bits.rs` shows that the result would be the same.

use mnist_io::Mnist;
use mnist_io::synthetic::Synthetic;
use optim::Rule;
use std::sync::OnceLock;
use tensor::Exec;
use tensor::isa::AnyIsa;
use train::{Config, Length, Trainer};

/// A third of the default's training images and half of its test images, of the same seed: the first ones of each.
fn digits() -> &'static Mnist {
    static DIGITS: OnceLock<Mnist> = OnceLock::new();
    DIGITS.get_or_init(|| Synthetic { train: 20_000, test: 5_000, ..Synthetic::default() }.generate(2).unwrap())
}

/// Says that a test is skipped, if it is.
fn too_slow() -> bool {
    let name = AnyIsa::selected().unwrap().name();
    if name == "portable" {
        println!("SKIPPED: on {name} this would take minutes");
    }
    name == "portable"
}

/// A run of so many steps on batches of 128, and the loss of each.
fn run(hidden: &[usize], rule: Rule, steps: u64) -> (Trainer, Vec<f64>) {
    let config = Config { batch: 128, ..Config::book(hidden, rule, Length::Steps(steps), 1) };
    let mut trainer = Trainer::new(config, Exec::serial(), digits().train.clone()).unwrap();
    let losses = (0..steps).map(|_| trainer.step().unwrap()).collect();
    (trainer, losses)
}

#[test]
fn a_linear_classifier_gets_80_to_92_percent_of_the_synthetic_digits() {
    if too_slow() {
        return;
    }
    // Thirteen epochs; the last seven of them add 0.013.
    let (mut trainer, _) = run(&[], Rule::ADAM, 2000);
    let accuracy = trainer.accuracy(&digits().test).unwrap();
    println!("a linear classifier: {accuracy}");
    assert!((0.80..=0.92).contains(&accuracy), "a linear classifier: {accuracy}");
}

#[test]
fn the_chapters_five_layers_get_95_to_98_5_percent_of_the_synthetic_digits() {
    if too_slow() {
        return;
    }
    // Adam at 0.001 swings by a percent from one hundred steps to the next, so five looks, and the middle one counts.
    let (mut trainer, _) = run(&[100; 4], Rule::ADAM, 1000);
    let mut accuracies = [0.0; 5];
    for accuracy in &mut accuracies {
        for _ in 0..100 {
            trainer.step().unwrap();
        }
        *accuracy = trainer.accuracy(&digits().test).unwrap();
    }
    println!("five layers after 1100 to 1500 steps: {accuracies:?}");
    accuracies.sort_unstable_by(f64::total_cmp);
    assert!((0.95..=0.985).contains(&accuracies[2]), "five layers: {accuracies:?}");
}

#[test]
fn sgd_is_slowest_then_momentum_and_adagrad_and_adam_are_fastest() {
    if too_slow() {
        return;
    }
    let mean_of_the_last_hundred = |rule: Rule| {
        let losses = run(&[100; 4], rule, 1000).1;
        losses[900..].iter().sum::<f64>() / 100.0
    };
    let [sgd, momentum, adagrad, adam] = std::thread::scope(|scope| {
        let run = |rules: [Rule; 2]| scope.spawn(move || rules.map(mean_of_the_last_hundred));
        let halves = [run([Rule::SGD, Rule::MOMENTUM]), run([Rule::ADAGRAD, Rule::ADAM])];
        let [[sgd, momentum], [adagrad, adam]] = halves.map(|half| half.join().unwrap());
        [sgd, momentum, adagrad, adam]
    });
    let found = format!("sgd {sgd:.4}, momentum {momentum:.4}, adagrad {adagrad:.4}, adam {adam:.4}");
    println!("mean loss of steps 901 to 1000: {found}");
    assert!(sgd > 2.0 * momentum, "momentum is hardly better than SGD: {found}");
    assert!(momentum > 1.2 * adagrad && momentum > 1.2 * adam, "momentum is as good as the adaptive rules: {found}");
    assert!(adagrad > 0.01 && adam > 0.01, "the digits are too easy: {found}");
}
