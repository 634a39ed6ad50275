//! The training step, and evaluation.

use crate::config::{Config, Preset};
use crate::error::Error;
use layers::{Network, Pass, Role, Stream, argmax, stream};
use mnist_io::{Dataset, Sampler};
use optim::Optimizer;
use rand_xoshiro::Xoshiro256PlusPlus;
use tensor::vec::sum_squares;
use tensor::{Exec, Tensor};

/// Rows of a batch when evaluating: enough for the GEMM, few enough for the caches.
const EVALUATION_BATCH: usize = 250;

/// A network, its optimizer and the stream of its batches.
///
/// ```text
/// step:  draw and gather a batch ─▶ forward ─▶ loss ─▶ backward ─▶ update each parameter
/// ```
///
/// A warm step allocates nothing.
pub struct Trainer {
    config: Config,
    exec: Exec,
    data: Dataset,
    network: Network,
    optimizer: Optimizer,
    sampler: Sampler<Xoshiro256PlusPlus>,
    /// The batch: B×inputs, and its labels.
    x: Tensor<f32, 2>,
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
        let x = Tensor::zeros([config.batch, data.width()]);
        let labels = vec![0; config.batch];
        Ok(Self { config, exec, data, network, optimizer, sampler, x, labels, steps: 0 })
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
        let epoch = self.steps / self.config.steps_per_epoch(self.data.len());
        self.optimizer.set_learning_rate(self.config.schedule.rate(self.config.learning_rate, epoch));
        self.data.gather(self.sampler.next_batch(), self.x.as_mut_slice(), &mut self.labels);
        let exec = self.exec;
        let loss = self.network.loss_and_gradients(exec, self.steps, self.x.view(), &self.labels)?;
        let loss = f64::from(loss) + self.penalty();

        self.optimizer.begin_step();
        let (optimizer, preset, decay) = (&mut self.optimizer, self.config.preset, self.config.weight_decay);
        let mut index = 0;
        self.network.parameters(&mut |_, parameter| {
            let decay = if preset == Preset::Torch || parameter.role == Role::Weight { decay } else { 0.0 };
            optimizer.update(exec, index, parameter.value, parameter.gradient, decay);
            index += 1;
        });
        self.steps += 1;
        Ok(loss)
    }

    /// The loss of the last step's batch as the network is now, after the update, in inference mode: what the chapter's
    /// comparisons plot.
    ///
    /// # Errors
    /// If the data do not fit the network.
    pub fn loss_after(&mut self) -> Result<f64, Error> {
        self.network.forward(self.exec, Pass::Inference, self.x.view())?;
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
    let rows = network.batch();
    let mut x = Tensor::<f32, 2>::zeros([rows, data.width()]);
    let mut labels = vec![0; rows];
    let mut indices = Vec::with_capacity(rows);
    let mut right = 0_usize;
    for from in (0..data.len()).step_by(rows) {
        indices.clear();
        indices.extend(from..data.len().min(from + rows));
        let count = indices.len();
        data.gather(&indices, &mut x.as_mut_slice()[..count * data.width()], &mut labels[..count]);
        let logits = network.forward(exec, Pass::Inference, x.head(count))?;
        right +=
            logits.row_iter().zip(&labels).filter(|(logits, label)| argmax(logits) == usize::from(**label)).count();
    }
    Ok(right as f64 / data.len() as f64)
}
