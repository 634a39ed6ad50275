//! The training step.

use crate::config::{Config, Preset};
use crate::error::Error;
use crate::samples::{Samples, accuracy};
use layers::{Batch, Network, Pass, Role, Stream, UpdateRule, stream};
use mnist_io::Sampler;
use optim::{Optimizer, Step};
use rand_xoshiro::Xoshiro256PlusPlus;
use tensor::Exec;
use tensor::threads::session;
use tensor::vec::sum_squares;

/// Rows of a batch when evaluating: enough for the products, few enough for the caches.
const EVALUATION_BATCH: usize = 200;

/// A network, its optimizer and the stream of its batches.
///
/// ```text
/// step:  draw a batch ─▶ forward ─▶ loss ─▶ backward ─▶ update each parameter
/// ```
///
/// A batch stays bytes, which become floats where they are multiplied, in the order in which they were drawn. A warm step
/// allocates nothing.
pub struct Trainer {
    config: Config,
    exec: Exec,
    data: Samples,
    network: Network,
    pub(crate) optimizer: Optimizer,
    sampler: Sampler<Xoshiro256PlusPlus>,
    /// The batch: which samples, and their labels.
    indices: Vec<usize>,
    labels: Vec<u8>,
    steps: u64,
    /// Of the last step, and the sum of its epoch's.
    last_loss: f64,
    epoch_loss: f64,
}

impl Trainer {
    /// A run at its beginning, over the training samples `data`.
    ///
    /// # Errors
    /// If the settings cannot be.
    pub fn new(config: Config, exec: Exec, data: impl Into<Samples>) -> Result<Self, Error> {
        let samples = data.into();
        let data = samples.dataset();
        config.check(data)?;
        let rows = config.batch.max(EVALUATION_BATCH);
        let mut network = Network::new(exec, config.architecture.clone(), config.seed, rows);
        let lengths = network.parameter_lengths();
        let optimizer = Optimizer::new(config.rule, config.preset.optimizer_form(), config.learning_rate, &lengths);
        let sampler = Sampler::new(config.sampling, stream(config.seed, Stream::Batches), data.len(), config.batch);
        let (indices, labels) = (vec![0; config.batch], vec![0; config.batch]);
        network.compile_for(exec, config.batch, config.rule.slots());
        let data = samples;
        let (steps, last_loss, epoch_loss) = (0, f64::NAN, 0.0);
        Ok(Self { config, exec, data, network, optimizer, sampler, indices, labels, steps, last_loss, epoch_loss })
    }

    /// The SHA-256 of the training samples.
    pub(crate) fn samples_sha256(&self) -> &str {
        self.data.sha256()
    }

    /// Goes on after so many steps, with the losses that a run had there. Network and optimizer are put back by the
    /// caller.
    pub(crate) fn take_up(&mut self, steps: u64, last_loss: f64, epoch_loss: f64) {
        self.optimizer.take_up(steps);
        (0..steps).for_each(|_| self.draw());
        self.look_up_labels();
        (self.steps, self.last_loss, self.epoch_loss) = (steps, last_loss, epoch_loss);
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

    /// What [`Trainer::step`] returned last; NaN before the first step.
    pub fn last_loss(&self) -> f64 {
        self.last_loss
    }

    /// The sum of what it returned in the epoch of the last step.
    pub fn epoch_loss(&self) -> f64 {
        self.epoch_loss
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
        session(self.exec, |exec| {
            let per_epoch = self.config.steps_per_epoch(self.data.dataset().len());
            let epoch = self.steps / per_epoch;
            self.optimizer.set_learning_rate(self.config.schedule.rate(self.config.learning_rate, epoch));
            self.draw();
            self.look_up_labels();
            let penalty = self.penalty(exec);
            self.optimizer.begin_step();
            let (step, state) = self.optimizer.step(self.config.weight_decay);
            let rule = Decayed { step, everywhere: self.config.preset == Preset::Torch };
            let x = Batch::Bytes(self.data.batch(&self.indices));
            let loss = self.network.loss_and_update(exec, self.steps, x, &self.labels, &rule, state)?;
            let loss = f64::from(loss) + penalty;
            let of_epoch = if self.steps.is_multiple_of(per_epoch) { 0.0 } else { self.epoch_loss };
            (self.last_loss, self.epoch_loss) = (loss, of_epoch + loss);
            self.steps += 1;
            Ok(loss)
        })
    }

    /// Draws the next batch.
    fn draw(&mut self) {
        self.indices.copy_from_slice(self.sampler.next_batch());
    }

    fn look_up_labels(&mut self) {
        for (label, &index) in self.labels.iter_mut().zip(&self.indices) {
            *label = self.data.dataset().labels()[index];
        }
    }

    /// The loss of the last step's batch as the network is now, after the update, in inference mode: what the chapter's
    /// comparisons plot.
    ///
    /// # Errors
    /// If the data do not fit the network.
    ///
    /// # Panics
    /// If there was no step.
    pub fn loss_after(&mut self) -> Result<f64, Error> {
        assert!(self.steps > 0, "a step comes before the loss after it");
        let x = Batch::Bytes(self.data.batch(&self.indices));
        self.network.forward_batch(self.exec, Pass::Inference, x)?;
        let loss = self.network.loss(self.exec, &self.labels)?;
        Ok(f64::from(loss) + self.penalty(self.exec))
    }

    /// ½λ‖W‖² of the book's preset; 0 in Torch's, whose reported loss has no such term.
    fn penalty(&self, exec: Exec) -> f64 {
        let decay = self.config.weight_decay;
        if decay == 0.0 || self.config.preset == Preset::Torch {
            return 0.0;
        }
        let squares: f64 = self.network.weights().map(|weights| f64::from(sum_squares(exec, weights))).sum();
        0.5 * decay * squares
    }

    /// The share of `data` that the network gets right, in inference mode.
    ///
    /// # Errors
    /// If the data do not fit the network.
    pub fn accuracy(&mut self, data: impl Into<Samples>) -> Result<f64, Error> {
        accuracy(self.exec, &mut self.network, data.into().dataset())
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
