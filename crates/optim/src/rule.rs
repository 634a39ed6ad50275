//! The update rules and their constants.

/// Whose details a rule follows. The table of differences is in `docs/numerics.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// *Deep Learning from Scratch*, chapter 6: ε = 1e-7 added to the root; the learning rate inside the velocity.
    Book,
    /// `torch.optim`: ε = 1e-8 (AdaGrad 1e-10), on Adam's corrected root; the learning rate outside the velocity.
    Torch,
}

/// An update rule and its constants; the learning rate belongs to the [`Optimizer`](crate::Optimizer).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Stochastic gradient descent.
    Sgd,
    /// Gradient descent with momentum.
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
    /// Adam with decoupled weight decay. The book has none; both forms compute PyTorch's.
    AdamW {
        /// β₁, the share of the mean that survives a step.
        beta1: f64,
        /// β₂, the share of the mean square that survives a step.
        beta2: f64,
        /// λ: a step first takes the share ηλ off every parameter.
        weight_decay: f64,
    },
}

impl Rule {
    /// β₁ and β₂ of a rule that corrects the bias of its running means, which begin at 0.
    pub(crate) fn betas(self) -> Option<[f64; 2]> {
        match self {
            Self::Adam { beta1, beta2 } | Self::AdamW { beta1, beta2, .. } => Some([beta1, beta2]),
            Self::Sgd | Self::Momentum { .. } | Self::Nesterov { .. } | Self::AdaGrad | Self::RmsProp { .. } => None,
        }
    }

    /// Stochastic gradient descent.
    pub const SGD: Self = Self::Sgd;
    /// Momentum, α 0.9.
    pub const MOMENTUM: Self = Self::Momentum { alpha: 0.9 };
    /// Nesterov, α 0.9.
    pub const NESTEROV: Self = Self::Nesterov { alpha: 0.9 };
    /// AdaGrad.
    pub const ADAGRAD: Self = Self::AdaGrad;
    /// RMSProp, ρ 0.99.
    pub const RMSPROP: Self = Self::RmsProp { rho: 0.99 };
    /// Adam, β₁ 0.9, β₂ 0.999.
    pub const ADAM: Self = Self::Adam { beta1: 0.9, beta2: 0.999 };
    /// AdamW, β₁ 0.9, β₂ 0.999, λ 0.01.
    pub const ADAMW: Self = Self::AdamW { beta1: 0.9, beta2: 0.999, weight_decay: 1e-2 };

    /// Every rule with its usual constants.
    pub const ALL: [Self; 7] =
        [Self::SGD, Self::MOMENTUM, Self::NESTEROV, Self::ADAGRAD, Self::RMSPROP, Self::ADAM, Self::ADAMW];

    /// The rule's name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Momentum { .. } => "momentum",
            Self::Nesterov { .. } => "nesterov",
            Self::AdaGrad => "adagrad",
            Self::RmsProp { .. } => "rmsprop",
            Self::Adam { .. } => "adam",
            Self::AdamW { .. } => "adamw",
        }
    }

    /// The learning rate the chapter uses: 0.001 for Adam (and AdamW), else 0.01.
    pub fn default_learning_rate(self) -> f64 {
        match self {
            Self::Sgd | Self::Momentum { .. } | Self::Nesterov { .. } | Self::AdaGrad | Self::RmsProp { .. } => 0.01,
            Self::Adam { .. } | Self::AdamW { .. } => 0.001,
        }
    }

    /// State vectors a parameter.
    pub(crate) fn slots(self) -> usize {
        match self {
            Self::Sgd => 0,
            Self::Momentum { .. } | Self::Nesterov { .. } | Self::AdaGrad | Self::RmsProp { .. } => 1,
            Self::Adam { .. } | Self::AdamW { .. } => 2,
        }
    }

    /// What keeps a denominator from zero; 0 for a rule without one.
    pub(crate) fn epsilon(self, form: Form) -> f64 {
        match (form, self) {
            (_, Self::Sgd | Self::Momentum { .. } | Self::Nesterov { .. }) => 0.0,
            (Form::Book, Self::AdaGrad | Self::RmsProp { .. } | Self::Adam { .. }) => 1e-7,
            (Form::Torch, Self::AdaGrad) => 1e-10,
            (Form::Torch, Self::RmsProp { .. } | Self::Adam { .. }) | (_, Self::AdamW { .. }) => 1e-8,
        }
    }
}
