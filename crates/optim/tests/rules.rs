//! Every rule, in both forms, on every ISA, against the f64 reference.

use optim::{Form, Optimizer, Rule};
use tensor::Exec;
use tensor::isa::AnyIsa;
use testkit::compare::{Bound, assert_bits, assert_close};
use testkit::optim::{self as reference, State};
use testkit::preset::Preset;
use testkit::rng::Rng;

const RULES: [(Rule, reference::Rule); 7] = [
    (Rule::SGD, reference::Rule::Sgd),
    (Rule::MOMENTUM, reference::Rule::Momentum { alpha: 0.9 }),
    (Rule::NESTEROV, reference::Rule::Nesterov { alpha: 0.9 }),
    (Rule::ADAGRAD, reference::Rule::AdaGrad),
    (Rule::RMSPROP, reference::Rule::RmsProp { rho: 0.99 }),
    (Rule::ADAM, reference::Rule::Adam { beta1: 0.9, beta2: 0.999 }),
    (Rule::ADAMW, reference::Rule::AdamW { beta1: 0.9, beta2: 0.999, weight_decay: 1e-2 }),
];

const FORMS: [(Form, Preset); 2] = [(Form::Book, Preset::Book), (Form::Torch, Preset::Torch)];

/// The weights after 20 steps of random gradients.
fn walk(isa: AnyIsa, rule: Rule, form: Form, len: usize, decay: f64) -> (Vec<f32>, Vec<Vec<f32>>) {
    let mut rng = Rng::new(len as u64);
    let start = rng.vec_f32(len);
    let gradients: Vec<Vec<f32>> = (0..20).map(|_| rng.vec_normal(len)).collect();
    let mut weights = start.clone();
    let mut optimizer = Optimizer::new(rule, form, 0.01, &[len]);
    for gradient in &gradients {
        optimizer.begin_step();
        optimizer.update(Exec::with_isa(isa, 1), 0, &mut weights, gradient, decay);
    }
    (weights, std::iter::once(start).chain(gradients).collect())
}

#[test]
fn no_rule_is_missing_here() {
    assert_eq!(RULES.map(|(rule, _)| rule).as_slice(), Rule::ALL.as_slice());
}

#[test]
fn every_rule_follows_its_equations_for_twenty_steps() {
    for isa in AnyIsa::available() {
        for (rule, reference) in RULES {
            for (form, preset) in FORMS {
                for decay in [0.0, 0.05] {
                    // The book has no AdamW: both forms are PyTorch's.
                    let preset = if reference.exists_in(preset) { preset } else { Preset::Torch };
                    let (got, inputs) = walk(isa, rule, form, 37, decay);
                    let mut want: Vec<f64> = inputs[0].iter().map(|&w| f64::from(w)).collect();
                    let mut state = State::new(reference, preset, 0.01, want.len());
                    for gradient in &inputs[1..] {
                        let g: Vec<f64> = gradient.iter().zip(&want).map(|(&g, w)| f64::from(g) + decay * w).collect();
                        state.step(&mut want, &g);
                    }
                    let name = format!("{} {form:?} decay {decay} on {}", rule.name(), isa.name());
                    assert_close(&name, &got, &want, Bound::Allclose { rtol: 2e-6, atol: 2e-7 });
                }
            }
        }
    }
}

#[test]
fn every_rule_has_the_same_bits_on_every_isa_and_for_every_tail() {
    for (rule, _) in RULES {
        for (form, _) in FORMS {
            for len in [0, 1, 15, 16, 17, 100] {
                let mut results = AnyIsa::available().map(|isa| walk(isa, rule, form, len, 0.1).0);
                let first = results.next().expect("portable is always there");
                results.for_each(|result| assert_bits(rule.name(), &result, &first));
            }
        }
    }
}

#[test]
fn the_state_of_a_weight_that_has_no_gradient_any_more_does_not_become_subnormal() {
    for isa in AnyIsa::available() {
        for rule in Rule::ALL {
            for (form, _) in FORMS {
                let (exec, mut weights) = (Exec::with_isa(isa, 1), [1.0; 17]);
                let mut optimizer = Optimizer::new(rule, form, 0.01, &[weights.len()]);
                // What decays slowest, by 0.999 a step, is below 1e-38 after 90 000; and once it is subnormal it stays
                // so, for it is rounded to the nearest. All steps but the first have no gradient.
                for step in 0..120_000 {
                    let gradient = [if step == 0 { 0.1 } else { 0.0 }; 17];
                    optimizer.begin_step();
                    optimizer.update(exec, 0, &mut weights, &gradient, 0.0);
                }
                for state in optimizer.state()[0].iter().flat_map(|state| state.iter()) {
                    assert!(!state.is_subnormal(), "{} {form:?} on {}: {state:e}", rule.name(), isa.name());
                }
            }
        }
    }
}

#[test]
fn state_belongs_to_its_parameter() {
    let exec = Exec::serial();
    let mut optimizer = Optimizer::new(Rule::MOMENTUM, Form::Book, 0.1, &[1, 1]);
    let (mut a, mut b) = ([0.0], [0.0]);
    for _ in 0..2 {
        optimizer.begin_step();
        optimizer.update(exec, 0, &mut a, &[1.0], 0.0);
        optimizer.update(exec, 1, &mut b, &[0.0], 0.0);
    }
    assert_eq!(b, [0.0], "a parameter without gradient does not move");
    assert!((f64::from(a[0]) + 0.1 + 0.19).abs() < 1e-7, "two steps of momentum: {a:?}");
}

#[test]
#[should_panic(expected = "weights and gradient")]
fn a_gradient_of_another_length_is_refused() {
    let mut optimizer = Optimizer::new(Rule::SGD, Form::Book, 0.1, &[2]);
    optimizer.begin_step();
    optimizer.update(Exec::serial(), 0, &mut [0.0; 2], &[0.0; 3], 0.0);
}
