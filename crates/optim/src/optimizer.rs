//! An update rule with its state.
//!
//! ```text
//! plain:  begin_step;  for each parameter:  for each element:  (w, state) ← rule(w, g + λ·w, state)
//! ```
//!
//! [`Optimizer`] holds the state of all parameters. [`Step`] is one step of the rule as a value. It can be applied to
//! any part of a parameter, on any thread, because every rule works element by element.

use crate::adagrad::AdaGrad;
use crate::adam::Adam;
use crate::lanes::Pass;
use crate::momentum::Momentum;
use crate::nesterov::Nesterov;
use crate::rmsprop::RmsProp;
use crate::rule::{Form, Rule};
use crate::sgd::Sgd;
use tensor::Exec;
use tensor::array::AlignedBuf;
use tensor::vec::for_each_piece;

/// An update rule, its learning rate, and its state for a list of parameters.
///
/// A step is `begin_step` once, then `update` for each parameter. No call allocates. Cost: one pass over the
/// parameter, its gradient and its state.
#[derive(Clone)]
pub struct Optimizer {
    rule: Rule,
    form: Form,
    learning_rate: f64,
    steps: u64,
    /// β₁ᵗ and β₂ᵗ of Adam.
    powers: [f64; 2],
    slots: Vec<[AlignedBuf<f32>; 2]>,
}

impl Optimizer {
    /// An optimizer for parameters of these lengths, before its first step; all state is 0.
    pub fn new(rule: Rule, form: Form, learning_rate: f64, lengths: &[usize]) -> Self {
        let slots = lengths
            .iter()
            .map(|&len| [0, 1].map(|slot| AlignedBuf::zeroed(if slot < rule.slots() { len } else { 0 })))
            .collect();
        Self { rule, form, learning_rate, steps: 0, powers: [1.0; 2], slots }
    }

    /// η for the next update.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Sets η for the next update: what a [`Schedule`](crate::Schedule) is for.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    /// The state of each parameter, in order. A state is as long as its parameter, or empty if the rule has no such
    /// state.
    pub fn state(&mut self) -> &mut [[AlignedBuf<f32>; 2]] {
        &mut self.slots
    }

    /// Begins `steps` steps: those that a resumed run has behind it. The caller restores the state.
    pub fn take_up(&mut self, steps: u64) {
        (0..steps).for_each(|_| self.begin_step());
    }

    /// Begins step t ← t + 1, whose updates share Adam's corrections.
    pub fn begin_step(&mut self) {
        self.steps += 1;
        if let Some([beta1, beta2]) = self.rule.betas() {
            self.powers[0] *= beta1;
            self.powers[1] *= beta2;
        }
    }

    /// What this step does to any parameter, and the state of all parameters, in order. `decay` is λ of the L2 penalty
    /// ½λ‖W‖². The same pass adds its gradient λW to the gradient. AdamW's own decay is separate.
    ///
    /// # Panics
    /// If no step was begun.
    pub fn step(&mut self, decay: f64) -> (Step, &mut [[AlignedBuf<f32>; 2]]) {
        assert!(self.steps > 0, "begin_step comes before update");
        let corrections = self.powers.map(|power| 1.0 - power);
        let (rule, form, eta) = (self.rule, self.form, self.learning_rate);
        (Step { rule, form, eta, decay: decay as f32, corrections }, &mut self.slots)
    }

    /// Moves parameter number `index` one step against `gradient`; see [`Optimizer::step`].
    ///
    /// # Panics
    /// If there is no such parameter, the lengths differ, or no step was begun.
    pub fn update(&mut self, exec: Exec, index: usize, weights: &mut [f32], gradient: &[f32], decay: f64) {
        assert_eq!(weights.len(), gradient.len(), "weights and gradient");
        let (step, slots) = self.step(decay);
        let [first, second] = &mut slots[index];
        for_each_piece(exec, [weights, first, second], &|range, [weights, first, second]| {
            step.apply(exec.one_thread(), weights, &gradient[range], [first, second]);
        });
    }
}

/// One step of a rule, the same for all elements of a parameter.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    rule: Rule,
    form: Form,
    eta: f64,
    decay: f32,
    /// 1 − β₁ᵗ and 1 − β₂ᵗ of Adam.
    corrections: [f64; 2],
}

impl Step {
    /// The same step without the L2 penalty.
    pub fn without_decay(self) -> Self {
        Self { decay: 0.0, ..self }
    }

    /// Moves `weights`, some elements of a parameter, against their `gradient`. `state` holds the same elements of the
    /// parameter's state. A slot that the rule does not have is empty.
    ///
    /// # Panics
    /// If their lengths differ.
    pub fn apply(&self, exec: Exec, weights: &mut [f32], gradient: &[f32], state: [&mut [f32]; 2]) {
        let Self { rule, form, eta, decay, corrections: [mean, squares] } = *self;
        let [first, second] = state;
        let epsilon = rule.epsilon(form) as f32;
        let rate = eta as f32;
        match rule {
            Rule::Sgd => exec.run(Pass { weights, gradient, state: [], decay, rule: Sgd { eta: rate } }),
            Rule::Momentum { alpha } => exec.run(Pass {
                weights,
                gradient,
                state: [first],
                decay,
                rule: Momentum { eta: rate, alpha: alpha as f32, form },
            }),
            Rule::Nesterov { alpha } => {
                exec.run(Pass { weights, gradient, state: [first], decay, rule: Nesterov { eta, alpha, form } })
            }
            Rule::AdaGrad => {
                exec.run(Pass { weights, gradient, state: [first], decay, rule: AdaGrad { eta: rate, epsilon } })
            }
            Rule::RmsProp { rho } => {
                exec.run(Pass { weights, gradient, state: [first], decay, rule: RmsProp { eta: rate, rho, epsilon } })
            }
            Rule::Adam { beta1, beta2 } | Rule::AdamW { beta1, beta2, .. } => {
                let corrected = form == Form::Torch || matches!(rule, Rule::AdamW { .. });
                let (rate, scale) =
                    if corrected { (eta / mean, 1.0 / squares.sqrt()) } else { (eta * squares.sqrt() / mean, 1.0) };
                let keep = match rule {
                    Rule::AdamW { weight_decay, .. } => 1.0 - eta * weight_decay,
                    _ => 1.0,
                };
                let [keep, rate, scale] = [keep, rate, scale].map(|scalar| scalar as f32);
                exec.run(Pass {
                    weights,
                    gradient,
                    state: [first, second],
                    decay,
                    rule: Adam { beta1, beta2, keep, rate, scale, epsilon },
                });
            }
        }
    }
}
