//! Optimisers in f64, in the form of the book and in the form of PyTorch.
//!
//! η is the learning rate, g the gradient; all operations are element by element.
//!
//! | rule | Book | Torch |
//! |---|---|---|
//! | SGD | w ← w − ηg | the same |
//! | momentum | v ← αv − ηg; w ← w + v | b ← αb + g; w ← w − ηb |
//! | Nesterov | w ← w + α²v − (1+α)ηg; v ← αv − ηg | b ← αb + g; w ← w − η(g + αb) |
//! | AdaGrad | h ← h + g²; w ← w − ηg / (√h + 1e-7) | ε 1e-10 |
//! | RMSProp | h ← ρh + (1−ρ)g²; w ← w − ηg / (√h + 1e-7) | ε 1e-8 |
//! | Adam | η√(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + 1e-7) | η · m̂ / (√v̂ + 1e-8), m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ) |
//! | AdamW | (has none) | w ← (1 − ηλ)w, then Adam |

use crate::preset::Preset;

/// An update rule with its constants. The learning rate is the [`State`]'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Stochastic gradient descent.
    Sgd,
    /// Momentum.
    Momentum {
        /// α, the share of the velocity that survives a step.
        alpha: f64,
    },
    /// Nesterov's accelerated gradient.
    Nesterov {
        /// α, the share of the velocity that survives a step.
        alpha: f64,
    },
    /// AdaGrad.
    AdaGrad,
    /// RMSProp.
    RmsProp {
        /// ρ, the share of the mean square that survives a step.
        rho: f64,
    },
    /// Adam.
    Adam {
        /// β₁, the share of the mean that survives a step.
        beta1: f64,
        /// β₂, the share of the mean square that survives a step.
        beta2: f64,
    },
    /// Adam with decoupled weight decay; Torch only.
    AdamW {
        /// β₁, the share of the mean that survives a step.
        beta1: f64,
        /// β₂, the share of the mean square that survives a step.
        beta2: f64,
        /// λ; a step takes the share ηλ off every parameter.
        weight_decay: f64,
    },
}

impl Rule {
    /// Every rule with its default constants. `AdamW` comes last: it is the one the book has not.
    pub const ALL: [Rule; 7] = [
        Rule::Sgd,
        Rule::Momentum { alpha: 0.9 },
        Rule::Nesterov { alpha: 0.9 },
        Rule::AdaGrad,
        Rule::RmsProp { rho: 0.99 },
        Rule::Adam { beta1: 0.9, beta2: 0.999 },
        Rule::AdamW { beta1: 0.9, beta2: 0.999, weight_decay: 1e-2 },
    ];

    /// Whether the preset has this rule.
    pub fn exists_in(&self, preset: Preset) -> bool {
        match self {
            Rule::Sgd
            | Rule::Momentum { .. }
            | Rule::Nesterov { .. }
            | Rule::AdaGrad
            | Rule::RmsProp { .. }
            | Rule::Adam { .. } => true,
            Rule::AdamW { .. } => preset == Preset::Torch,
        }
    }

    /// What keeps the denominator from zero; 0 for a rule without one.
    fn epsilon(&self, preset: Preset) -> f64 {
        match (self, preset) {
            (Rule::Sgd | Rule::Momentum { .. } | Rule::Nesterov { .. }, _) => 0.0,
            (Rule::AdaGrad | Rule::RmsProp { .. } | Rule::Adam { .. }, Preset::Book) => 1e-7,
            (Rule::AdaGrad, Preset::Torch) => 1e-10,
            (Rule::RmsProp { .. } | Rule::Adam { .. }, Preset::Torch) | (Rule::AdamW { .. }, _) => 1e-8,
        }
    }
}

/// An optimiser with its memory of the steps before.
#[derive(Clone, Debug)]
pub struct State {
    /// η, for the next step.
    pub learning_rate: f64,
    rule: Rule,
    preset: Preset,
    /// Velocity, or mean of the gradients.
    first: Vec<f64>,
    /// Sum or mean of the squared gradients.
    second: Vec<f64>,
    steps: i32,
}

impl State {
    /// The state before the first step over `n` parameters.
    ///
    /// # Panics
    /// If the preset has no such rule.
    pub fn new(rule: Rule, preset: Preset, learning_rate: f64, n: usize) -> Self {
        assert!(rule.exists_in(preset), "{preset:?} has no {rule:?}");
        Self { learning_rate, rule, preset, first: vec![0.0; n], second: vec![0.0; n], steps: 0 }
    }

    /// Moves the parameters `w` one step, given the gradient `g` there.
    ///
    /// # Panics
    /// If `w` or `g` is not n long.
    pub fn step(&mut self, w: &mut [f64], g: &[f64]) {
        let n = self.first.len();
        assert_eq!((w.len(), g.len()), (n, n), "parameters and gradients are as long as the state");
        self.steps += 1;
        for i in 0..n {
            self.step_element(i, &mut w[i], g[i]);
        }
    }

    fn step_element(&mut self, i: usize, w: &mut f64, g: f64) {
        let (eta, epsilon) = (self.learning_rate, self.rule.epsilon(self.preset));
        let (v, h) = (&mut self.first[i], &mut self.second[i]);
        match (self.rule, self.preset) {
            (Rule::Sgd, _) => *w -= eta * g,
            (Rule::Momentum { alpha }, Preset::Book) => {
                *v = alpha * *v - eta * g;
                *w += *v;
            }
            (Rule::Momentum { alpha }, Preset::Torch) => {
                *v = alpha * *v + g;
                *w -= eta * *v;
            }
            (Rule::Nesterov { alpha }, Preset::Book) => {
                *w += alpha * alpha * *v - (1.0 + alpha) * eta * g;
                *v = alpha * *v - eta * g;
            }
            (Rule::Nesterov { alpha }, Preset::Torch) => {
                *v = alpha * *v + g;
                *w -= eta * (g + alpha * *v);
            }
            (Rule::AdaGrad, _) => {
                *h += g * g;
                *w -= eta * g / (h.sqrt() + epsilon);
            }
            (Rule::RmsProp { rho }, _) => {
                *h = rho * *h + (1.0 - rho) * g * g;
                *w -= eta * g / (h.sqrt() + epsilon);
            }
            (Rule::Adam { beta1, beta2 }, Preset::Book) => {
                *v = beta1 * *v + (1.0 - beta1) * g;
                *h = beta2 * *h + (1.0 - beta2) * g * g;
                let rate = eta * (1.0 - beta2.powi(self.steps)).sqrt() / (1.0 - beta1.powi(self.steps));
                *w -= rate * *v / (h.sqrt() + epsilon);
            }
            (Rule::Adam { beta1, beta2 } | Rule::AdamW { beta1, beta2, .. }, _) => {
                if let Rule::AdamW { weight_decay, .. } = self.rule {
                    *w *= 1.0 - eta * weight_decay;
                }
                *v = beta1 * *v + (1.0 - beta1) * g;
                *h = beta2 * *h + (1.0 - beta2) * g * g;
                let mean = *v / (1.0 - beta1.powi(self.steps));
                let mean_square = *h / (1.0 - beta2.powi(self.steps));
                *w -= eta * mean / (mean_square.sqrt() + epsilon);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Bound, assert_close_f64};
    use Preset::{Book, Torch};

    /// The parameter after each step, from `w`, with one gradient a step.
    fn path(rule: Rule, preset: Preset, learning_rate: f64, w: f64, gradients: &[f64]) -> Vec<f64> {
        let mut state = State::new(rule, preset, learning_rate, 1);
        let mut w = [w];
        let mut after = |g: f64| {
            state.step(&mut w, &[g]);
            w[0]
        };
        gradients.iter().map(|&g| after(g)).collect()
    }

    #[track_caller]
    fn assert_path(name: &str, got: &[f64], want: &[f64]) {
        assert_close_f64(name, got, want, Bound::Allclose { rtol: 1e-14, atol: 0.0 });
    }

    #[test]
    fn sgd_by_hand() {
        for preset in Preset::ALL {
            assert_path("sgd", &path(Rule::Sgd, preset, 0.5, 1.0, &[2.0, -4.0]), &[0.0, 2.0]);
        }
    }

    #[test]
    fn momentum_by_hand() {
        let rule = Rule::Momentum { alpha: 0.5 };
        // Book: v = -1, then -½ + 2 = 1½. Torch: b = 2, then 1 − 4 = -3.
        for preset in Preset::ALL {
            assert_path("momentum", &path(rule, preset, 0.5, 1.0, &[2.0, -4.0]), &[0.0, 1.5]);
        }
    }

    #[test]
    fn momentum_forms_differ_when_the_rate_changes() {
        let after = |preset| {
            let mut state = State::new(Rule::Momentum { alpha: 0.5 }, preset, 1.0, 1);
            let mut w = [0.0];
            state.step(&mut w, &[1.0]);
            state.learning_rate = 0.1;
            state.step(&mut w, &[0.0]);
            w[0]
        };
        // Book carries η·g in v: -1 − ½. Torch carries g: -1 − 0.1·½.
        assert_path("rate", &[after(Book), after(Torch)], &[-1.5, -1.05]);
    }

    #[test]
    fn nesterov_by_hand() {
        let rule = Rule::Nesterov { alpha: 0.5 };
        // Step 1: 1 − 1.5·0.5·2 = -½; v = -1. Step 2: -½ + ¼·(-1) − 1.5·0.5·(-4) = 2¼.
        assert_path("book", &path(rule, Book, 0.5, 1.0, &[2.0, -4.0]), &[-0.5, 2.25]);
        // b = 2: 1 − ½(2 + 1) = -½. b = 1 − 4 = -3: -½ − ½(-4 − 1½) = 2¼.
        assert_path("torch", &path(rule, Torch, 0.5, 1.0, &[2.0, -4.0]), &[-0.5, 2.25]);
    }

    #[test]
    fn adagrad_by_hand() {
        // h = 9, then 9 + 16 = 25.
        for (preset, e) in [(Book, 1e-7), (Torch, 1e-10)] {
            let first = 1.0 - 0.5 * 3.0 / (3.0 + e);
            assert_path(
                "adagrad",
                &path(Rule::AdaGrad, preset, 0.5, 1.0, &[3.0, 4.0]),
                &[first, first - 2.0 / (5.0 + e)],
            );
        }
    }

    #[test]
    fn rmsprop_by_hand() {
        // h = ¼·16 = 4, then ¾·4 + ¼·4 = 4.
        let rule = Rule::RmsProp { rho: 0.75 };
        for (preset, e) in [(Book, 1e-7), (Torch, 1e-8)] {
            let first = 1.0 - 2.0 / (2.0 + e);
            assert_path("rmsprop", &path(rule, preset, 0.5, 1.0, &[4.0, -2.0]), &[first, first + 1.0 / (2.0 + e)]);
        }
    }

    #[test]
    fn adam_by_hand() {
        let rule = Rule::Adam { beta1: 0.5, beta2: 0.75 };
        // g = 4: m = 2, v = 4, so m̂ = 4, v̂ = 16. g = -2: m = 0. g = 8: m = 4, v = 19, m̂ = 4/(7/8) = 32/7,
        // v̂ = 19/(37/64); at step 2, v = 3 + 1 = 4, so at step 3, v = 3 + 16 = 19.
        let eta = 0.5;
        let square = 19.0 * 64.0 / 37.0;
        let torch_first = 1.0 - eta * 4.0 / (4.0 + 1e-8);
        let torch_third = torch_first - eta * 32.0 / 7.0 / (f64::sqrt(square) + 1e-8);
        assert_path("torch", &path(rule, Torch, eta, 1.0, &[4.0, -2.0, 8.0]), &[torch_first, torch_first, torch_third]);
        // √(1−¾)/(1−½) = 1; at step 3 √(37/64)/(7/8) = √37/7.
        let book_first = 1.0 - eta * 2.0 / (2.0 + 1e-7);
        let book_third = book_first - eta * 37f64.sqrt() / 7.0 * 4.0 / (19f64.sqrt() + 1e-7);
        assert_path("book", &path(rule, Book, eta, 1.0, &[4.0, -2.0, 8.0]), &[book_first, book_first, book_third]);
    }

    #[test]
    fn adamw_decays_before_it_steps() {
        let (beta1, beta2) = (0.5, 0.75);
        let rule = Rule::AdamW { beta1, beta2, weight_decay: 0.5 };
        // 2·(1 − ½·½) = 1½, then as Adam: ½ down. Then 1·¾, and no move as m = 0.
        let first = 1.5 - 0.5 * 4.0 / (4.0 + 1e-8);
        assert_path("adamw", &path(rule, Torch, 0.5, 2.0, &[4.0, -2.0]), &[first, 0.75 * first]);
        let adam = path(Rule::Adam { beta1, beta2 }, Torch, 0.1, 2.0, &[1.0, 2.0, 3.0]);
        let undecayed = path(Rule::AdamW { beta1, beta2, weight_decay: 0.0 }, Torch, 0.1, 2.0, &[1.0, 2.0, 3.0]);
        assert_eq!(undecayed, adam);
    }

    #[test]
    fn every_rule_descends_and_keeps_elements_apart() {
        for preset in Preset::ALL {
            for rule in Rule::ALL.into_iter().filter(|rule| rule.exists_in(preset)) {
                let mut state = State::new(rule, preset, 0.01, 2);
                let (mut w, mut alone) = ([1.0, -2.0], [-2.0]);
                let mut single = State::new(rule, preset, 0.01, 1);
                for _ in 0..20 {
                    let slope = [w[0], 3.0 * w[1]];
                    state.step(&mut w, &slope);
                    single.step(&mut alone, &slope[1..]);
                }
                assert!(w[0].abs() < 1.0 && w[1].abs() < 2.0, "{preset:?} {rule:?} went to {w:?}");
                assert_eq!(w[1], alone[0], "{preset:?} {rule:?}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "Book has no AdamW")]
    fn the_book_has_no_adamw() {
        State::new(Rule::ALL[6], Book, 0.01, 1);
    }
}
