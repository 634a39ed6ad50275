//! The training step.

use crate::config::{Config, Preset};
use crate::error::Error;
use crate::samples::Samples;
use layers::{Batch, Network, Pass, Role, Stream, UpdateRule, stream};
use mnist_io::Sampler;
use optim::{Optimizer, Step};
use rand_xoshiro::Xoshiro256PlusPlus;
use tensor::Exec;
use tensor::gemm::prefetch_nonzero;
use tensor::threads::session;
use tensor::vec::sum_squares;

/// Rows of a batch when evaluating: enough for the GEMM, few enough for the caches. With 500 rows an evaluation of the
/// chapter's dropout experiment took 1.03 of the time, with 100 1.02.
const EVALUATION_BATCH: usize = 200;

/// Data sets that a trainer keeps prepared beside its own: those evaluated last.
const EVALUATED: usize = 2;

/// A network, its optimizer and the stream of its batches.
///
/// ```text
/// step:  draw a batch ─▶ forward ─▶ loss ─▶ backward ─▶ update each parameter
/// ```
///
/// The batch is in the order of its classes, and stays bytes, which become floats where they are multiplied. A warm step
/// of up to 2048 rows allocates nothing. What is found of the samples at the beginning is shared by all trainers that
/// have them ([`Samples`]).
pub struct Trainer {
    config: Config,
    exec: Exec,
    data: Samples,
    /// What was evaluated last.
    evaluated: Vec<Samples>,
    network: Network,
    pub(crate) optimizer: Optimizer,
    sampler: Sampler<Xoshiro256PlusPlus>,
    /// The batch: which samples, and their labels.
    indices: Vec<usize>,
    labels: Vec<u8>,
    /// The samples of the batch after it, of which what is known is asked for ahead, where products read that.
    next: Vec<usize>,
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
        let mut sampler = Sampler::new(config.sampling, stream(config.seed, Stream::Batches), data.len(), config.batch);
        let (indices, labels) = (vec![0; config.batch], vec![0; config.batch]);
        let mut next = vec![0; config.batch];
        by_class(sampler.next_batch(), data.labels(), &mut next);
        samples.nonzero(exec);
        let (data, evaluated) = (samples, Vec::new());
        let (steps, last_loss, epoch_loss) = (0, f64::NAN, 0.0);
        Ok(Self {
            config,
            exec,
            data,
            evaluated,
            network,
            optimizer,
            sampler,
            indices,
            labels,
            next,
            steps,
            last_loss,
            epoch_loss,
        })
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
        session(self.exec, |exec| self.step_in_session(exec))
    }

    fn step_in_session(&mut self, exec: Exec) -> Result<f64, Error> {
        let per_epoch = self.config.steps_per_epoch(self.data.dataset().len());
        let epoch = self.steps / per_epoch;
        self.optimizer.set_learning_rate(self.config.schedule.rate(self.config.learning_rate, epoch));
        self.draw();
        self.look_up_labels();
        let penalty = self.penalty(exec);
        self.optimizer.begin_step();
        let (step, state) = self.optimizer.step(self.config.weight_decay);
        let rule = Decayed { step, everywhere: self.config.preset == Preset::Torch };
        let x = Batch::Bytes(self.data.batch(exec, &self.indices));
        let loss = self.network.loss_and_update(exec, self.steps, x, &self.labels, &rule, state)?;
        if let Some(nonzero) = self.data.nonzero(exec) {
            prefetch_nonzero(exec, nonzero, &self.next);
        }
        let loss = f64::from(loss) + penalty;
        let of_epoch = if self.steps.is_multiple_of(per_epoch) { 0.0 } else { self.epoch_loss };
        (self.last_loss, self.epoch_loss) = (loss, of_epoch + loss);
        self.steps += 1;
        Ok(loss)
    }

    /// Goes on to the next batch, and draws the one after it.
    fn draw(&mut self) {
        std::mem::swap(&mut self.indices, &mut self.next);
        by_class(self.sampler.next_batch(), self.data.dataset().labels(), &mut self.next);
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
        let x = Batch::Bytes(self.data.batch(self.exec, &self.indices));
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
        let (data, Self { exec, data: own, evaluated, network, .. }) = (data.into(), self);
        if own.is_clone_of(&data) {
            return own.accuracy(*exec, network);
        }
        // The last first.
        match evaluated.iter().position(|samples| samples.is_clone_of(&data)) {
            Some(at) => evaluated[..=at].rotate_right(1),
            None => {
                evaluated.truncate(EVALUATED - 1);
                evaluated.insert(0, data);
            }
        }
        evaluated[0].accuracy(*exec, network)
    }
}

/// Puts the samples of a batch in the order of their classes, those of a class as they were drawn. A batch is a set, and
/// images side by side had best be alike: products leave out what is 0 in two of them (`gemm/images.rs`). Cost: some
/// 3 ns a sample.
///
/// # Panics
/// If `to` has not as many places.
fn by_class(drawn: &[usize], labels: &[u8], to: &mut [usize]) {
    assert_eq!(drawn.len(), to.len(), "a place for each");
    // Where the next of each class goes.
    let mut places = [0; 256];
    for &index in drawn {
        places[usize::from(labels[index])] += 1;
    }
    let mut before = 0;
    for place in &mut places {
        before += std::mem::replace(place, before);
    }
    for &index in drawn {
        let place = &mut places[usize::from(labels[index])];
        to[*place] = index;
        *place += 1;
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

#[cfg(test)]
mod tests {
    use super::by_class;

    #[test]
    fn a_batch_in_the_order_of_its_classes_has_each_sample_as_often_as_it_was_drawn() {
        let labels = [2, 0, 255, 2, 0, 7];
        let mut to = [99; 8];
        by_class(&[5, 0, 3, 3, 2, 4, 0, 1], &labels, &mut to);
        assert_eq!(to, [4, 1, 0, 3, 3, 0, 5, 2]);
        by_class(&[], &labels, &mut []);
    }
}
