//! Everything that decides a run.

use crate::error::Error;
use layers::{Activation, Architecture, BatchNormForm, DropoutForm, Init};
use mnist_io::{Dataset, Sampling};
use optim::{Form, Rule, Schedule};

/// Whose details are followed, everywhere at once; the table is in `docs/numerics.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// *Deep Learning from Scratch*: what the chapter's figures are made with.
    Book,
    /// PyTorch's defaults.
    Torch,
}

impl Preset {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Book, Self::Torch];

    /// The preset of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// The name, as on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Torch => "torch",
        }
    }

    /// The optimizers' form.
    pub fn optimizer_form(self) -> Form {
        match self {
            Self::Book => Form::Book,
            Self::Torch => Form::Torch,
        }
    }

    /// Batch normalisation's form.
    pub fn batch_norm_form(self) -> BatchNormForm {
        match self {
            Self::Book => BatchNormForm::Book,
            Self::Torch => BatchNormForm::Torch,
        }
    }

    /// Dropout's form.
    pub fn dropout_form(self) -> DropoutForm {
        match self {
            Self::Book => DropoutForm::Book,
            Self::Torch => DropoutForm::Torch,
        }
    }

    /// Whose form of batch normalisation that is.
    pub(crate) fn of_batch_norm(form: BatchNormForm) -> Self {
        if form == BatchNormForm::Torch { Self::Torch } else { Self::Book }
    }

    /// Whose form of dropout that is.
    pub(crate) fn of_dropout(form: DropoutForm) -> Self {
        if form == DropoutForm::Torch { Self::Torch } else { Self::Book }
    }

    /// How mini-batches are drawn unless one says otherwise.
    pub fn sampling(self) -> Sampling {
        match self {
            Self::Book => Sampling::Replacement,
            Self::Torch => Sampling::Shuffle,
        }
    }
}

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many epochs of ⌊samples / batch⌋ steps (at least one).
    Epochs(u64),
    /// So many steps.
    Steps(u64),
}

/// A run: the network, the rule, the batches and the seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The network.
    pub architecture: Architecture,
    /// The update rule.
    pub rule: Rule,
    /// η at the start.
    pub learning_rate: f64,
    /// How η moves from epoch to epoch.
    pub schedule: Schedule,
    /// λ of the penalty ½λ‖W‖²: on weights in the book's preset, on every parameter in Torch's.
    pub weight_decay: f64,
    /// Samples a step.
    pub batch: usize,
    /// Steps or epochs.
    pub length: Length,
    /// How batches are drawn.
    pub sampling: Sampling,
    /// Whose details.
    pub preset: Preset,
    /// Of weights, batches and dropout.
    pub seed: u64,
}

/// What a run may need: more is a slip of the finger.
const MOST_BYTES: u64 = 64 << 30;

impl Config {
    /// The chapter's network of `hidden` layers with ReLU and He's weights, trained by `rule` at its usual rate on
    /// batches of 100 drawn with replacement.
    pub fn book(hidden: &[usize], rule: Rule, length: Length, seed: u64) -> Self {
        Self {
            architecture: Architecture {
                inputs: 784,
                hidden: hidden.to_vec(),
                classes: 10,
                activation: Activation::Relu,
                init: Init::He,
                batch_norm: None,
                dropout: None,
            },
            rule,
            learning_rate: rule.default_learning_rate(),
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            batch: 100,
            length,
            sampling: Sampling::Replacement,
            preset: Preset::Book,
            seed,
        }
    }

    /// Steps of an epoch over `samples` samples.
    pub fn steps_per_epoch(&self, samples: usize) -> u64 {
        (samples / self.batch.max(1)).max(1) as u64
    }

    /// Steps of the whole run over `samples` samples.
    pub fn steps(&self, samples: usize) -> u64 {
        match self.length {
            Length::Steps(steps) => steps,
            Length::Epochs(epochs) => epochs.saturating_mul(self.steps_per_epoch(samples)),
        }
    }

    /// Epochs that are begun in the whole run over `samples` samples.
    pub(crate) fn epochs(&self, samples: usize) -> u64 {
        self.steps(samples).div_ceil(self.steps_per_epoch(samples))
    }

    /// Bytes that a run needs at least, if their number fits: each weight with its gradient and two states, and for
    /// each sample of a batch each layer's Y and dY.
    fn bytes(&self) -> Option<usize> {
        let Architecture { inputs, hidden, classes, .. } = &self.architecture;
        let (mut floats, mut below) = (0_usize, *inputs);
        for &units in hidden.iter().chain([classes]) {
            let weights = below.checked_mul(units)?.checked_mul(4)?;
            floats = floats.checked_add(weights)?.checked_add(self.batch.checked_mul(units)?.checked_mul(2)?)?;
            below = units;
        }
        floats.checked_mul(size_of::<f32>())
    }

    /// Whether the settings can be, with these data.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn check(&self, data: &Dataset) -> Result<(), Error> {
        let error = |what: String, cure: &str| Err(Error::Config { what, cure: cure.to_owned() });
        if data.is_empty() {
            return error("a run on no samples".to_owned(), "give at least one");
        }
        if self.batch == 0 {
            return error("a batch of 0 samples".to_owned(), "give --batch-size at least 1");
        }
        if self.sampling == Sampling::Shuffle && self.batch > data.len() {
            let what = format!("batches of {} from {} samples without replacement", self.batch, data.len());
            return error(what, "lower --batch-size, or use --sampling replacement");
        }
        if self.architecture.inputs != data.width() {
            let what = format!("{} inputs, but images of {} pixels", self.architecture.inputs, data.width());
            return error(what, "make them equal");
        }
        let classes = self.architecture.classes;
        let greatest = data.labels().iter().max().map_or(0, |&label| usize::from(label));
        if classes <= greatest {
            return error(format!("{classes} classes, but a label {greatest}"), "give a class for every label");
        }
        if let Some((ratio, _)) = self.architecture.dropout.filter(|(ratio, _)| !(0.0..1.0).contains(ratio)) {
            return error(format!("a dropout ratio of {ratio}"), "give a number from 0 up to, but not, 1");
        }
        let moved = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Step { gamma, .. } => gamma,
            Schedule::Cosine { minimum, .. } => minimum,
        };
        if !(moved.is_finite() && moved >= 0.0) {
            return error(format!("a schedule with {moved}"), "give a number, 0 or more");
        }
        if self.bytes().is_none_or(|bytes| bytes as u64 > MOST_BYTES) {
            let what = format!("a network of {:?} units and batches of {}", self.architecture.hidden, self.batch);
            return error(format!("{what}, which would take more than 64 GiB"), "lower --hidden or --batch-size");
        }
        if self.architecture.hidden.contains(&0) {
            return error("a hidden layer of 0 units".to_owned(), "give every layer at least 1");
        }
        if !(self.learning_rate.is_finite() && self.learning_rate >= 0.0) {
            return error(format!("a learning rate of {}", self.learning_rate), "give a number, 0 or more");
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return error(format!("a weight decay of {}", self.weight_decay), "give a number, 0 or more");
        }
        Ok(())
    }
}
