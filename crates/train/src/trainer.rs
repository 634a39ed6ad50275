//! The training step, and evaluation.

use crate::config::{Config, Preset};
use crate::error::Error;
use layers::{Batch, Network, Pass, Role, Stream, UpdateRule, argmax, stream};
use mnist_io::{Dataset, Sampler};
use optim::{Optimizer, Step};
use rand_xoshiro::Xoshiro256PlusPlus;
use tensor::Exec;
use tensor::team::session;
use tensor::vec::{ByteRows, sum_squares};

/// Rows of a batch when evaluating: enough for the GEMM, few enough for the caches.
const EVALUATION_BATCH: usize = 500;

/// A network, its optimizer and the stream of its batches.
///
/// ```text
/// step:  draw a batch ─▶ forward ─▶ loss ─▶ backward ─▶ update each parameter
/// ```
///
/// The batch stays bytes, which become floats where they are multiplied. A warm step of up to 2048 rows allocates
/// nothing.
pub struct Trainer {
    config: Config,
    exec: Exec,
    data: Dataset,
    network: Network,
    optimizer: Optimizer,
    sampler: Sampler<Xoshiro256PlusPlus>,
    /// The batch: which samples, and their labels.
    indices: Vec<usize>,
    labels: Vec<u8>,
    steps: u64,
}

impl Trainer {
    /// A run at its beginning, over the training samples `data`.
    ///
    /// # Errors
    /// If the settings cannot be.
    pub fn new(config: Config, exec: Exec, data: Dataset) -> Result<Self, Error> {
        config.check(&data)?;
        let rows = config.batch.max(EVALUATION_BATCH);
        let mut network = Network::new(exec, config.architecture.clone(), config.seed, rows);
        let lengths = network.parameter_lengths();
        let optimizer = Optimizer::new(config.rule, config.preset.optimizer_form(), config.learning_rate, &lengths);
        let sampler = Sampler::new(config.sampling, stream(config.seed, Stream::Batches), data.len(), config.batch);
        let (indices, labels) = (vec![0; config.batch], vec![0; config.batch]);
        Ok(Self { config, exec, data, network, optimizer, sampler, indices, labels, steps: 0 })
    }

    /// The settings of the run.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The network as it is now.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// η of the last step, or before the first that of the run.
    pub fn learning_rate(&self) -> f64 {
        self.optimizer.learning_rate()
    }

    /// One step. Returns the loss of its batch before the update: the mean cross-entropy, and in the book's preset the
    /// penalty ½λ‖W‖². A loss that is not finite is returned like any other; [`run`](crate::run) makes it an error.
    ///
    /// # Errors
    /// If the data do not fit the network.
    pub fn step(&mut self) -> Result<f64, Error> {
        session(self.exec, || self.step_in_session())
    }

    fn step_in_session(&mut self) -> Result<f64, Error> {
        let epoch = self.steps / self.config.steps_per_epoch(self.data.len());
        self.optimizer.set_learning_rate(self.config.schedule.rate(self.config.learning_rate, epoch));
        let exec = self.exec;
        self.indices.copy_from_slice(self.sampler.next_batch());
        for (label, &index) in self.labels.iter_mut().zip(&self.indices) {
            *label = self.data.labels()[index];
        }
        let penalty = self.penalty();
        self.optimizer.begin_step();
        let (step, state) = self.optimizer.step(self.config.weight_decay);
        let rule = Decayed { step, everywhere: self.config.preset == Preset::Torch };
        let x = batch(&self.data, &self.indices);
        let loss = self.network.loss_and_update(exec, self.steps, x, &self.labels, &rule, state)?;
        self.steps += 1;
        Ok(f64::from(loss) + penalty)
    }

    /// The loss of the last step's batch as the network is now, after the update, in inference mode: what the chapter's
    /// comparisons plot.
    ///
    /// # Errors
    /// If the data do not fit the network.
    pub fn loss_after(&mut self) -> Result<f64, Error> {
        self.network.forward_batch(self.exec, Pass::Inference, batch(&self.data, &self.indices))?;
        let loss = self.network.loss(self.exec, &self.labels)?;
        Ok(f64::from(loss) + self.penalty())
    }

    /// ½λ‖W‖² of the book's preset; 0 in Torch's, whose reported loss has no such term.
    fn penalty(&mut self) -> f64 {
        let (decay, exec) = (self.config.weight_decay, self.exec);
        if decay == 0.0 || self.config.preset == Preset::Torch {
            return 0.0;
        }
        let mut squares = 0.0;
        self.network.parameters(&mut |_, parameter| {
            if parameter.role == Role::Weight {
                squares += f64::from(sum_squares(exec, parameter.value));
            }
        });
        0.5 * decay * squares
    }

    /// The share of `data` that the network gets right, in inference mode.
    ///
    /// # Errors
    /// If the data do not fit the network.
    pub fn accuracy(&mut self, data: &Dataset) -> Result<f64, Error> {
        accuracy(self.exec, &mut self.network, data)
    }
}

/// The optimizer's step, with weight decay where the preset has it.
struct Decayed {
    step: Step,
    /// On every parameter, not on weights alone.
    everywhere: bool,
}

impl UpdateRule for Decayed {
    fn apply(&self, exec: Exec, role: Role, value: &mut [f32], gradient: &[f32], state: [&mut [f32]; 2]) {
        let step = if self.everywhere || role == Role::Weight { self.step } else { self.step.without_decay() };
        step.apply(exec, value, gradient, state);
    }
}

/// Some samples of a data set.
fn batch<'a>(data: &'a Dataset, indices: &'a [usize]) -> Batch<'a> {
    Batch::Bytes(ByteRows::new(data.pixels(), data.width(), indices))
}

/// The share of `data` that a network gets right, in inference mode. A row of NaN counts as class 0.
///
/// # Errors
/// If the data do not fit the network, or there are none.
pub fn accuracy(exec: Exec, network: &mut Network, data: &Dataset) -> Result<f64, Error> {
    if data.is_empty() {
        return Err(Error::Config {
            what: "the accuracy on no samples".to_owned(),
            cure: "give at least one".to_owned(),
        });
    }
    let right = session(exec, || count_right(exec, network, data))?;
    Ok(right as f64 / data.len() as f64)
}

fn count_right(exec: Exec, network: &mut Network, data: &Dataset) -> Result<usize, Error> {
    // Samples of one class side by side: the same pixels and units are 0 in them, and those a matrix product leaves out (`gemm/needed.rs`).
    let mut order: Vec<usize> = (0..data.len()).collect();
    order.sort_by_key(|&index| data.labels()[index]);
    let mut right = 0_usize;
    for indices in order.chunks(network.batch()) {
        let logits = network.forward_batch(exec, Pass::Inference, batch(data, indices))?;
        let labels = indices.iter().map(|&index| usize::from(data.labels()[index]));
        right += logits.row_iter().zip(labels).filter(|(logits, label)| argmax(logits) == *label).count();
    }
    Ok(right)
}
