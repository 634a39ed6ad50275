//! Samples, and what is found of them once for all that read them.

use crate::error::Error;
use layers::{Batch, Network, Pass, count_right};
use mnist_io::Dataset;
use mnist_io::file::hex;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tensor::Exec;
use tensor::gemm::find_nonzero;
use tensor::team::session;
use tensor::vec::{ByteRows, NonzeroBlocks, NonzeroBytes};

/// A data set as trainers read it, again and again. Clones are the same samples: what one of them had to find out is
/// known to all.
///
/// Where products leave out pixels that are 0 one by one (AVX2, AVX-512), those that are not are found when a trainer is
/// made of the samples, and when they are first evaluated: some 30 ms and 25 MB for the 60 000 images of MNIST, and as
/// long and 50 MB more if those are evaluated.
#[derive(Clone)]
pub struct Samples(Arc<Shared>);

struct Shared {
    dataset: Dataset,
    /// Their pixels that are not 0, if products ask for them.
    nonzero: OnceLock<Option<NonzeroBytes>>,
    by_class: OnceLock<ByClass>,
    /// What is known of each batch of them, as they are evaluated, for so many rows of a batch and columns of a block.
    blocks: Mutex<Vec<([usize; 2], Batches)>>,
    /// The SHA-256 of their width, pixels and labels, for checkpoints.
    sha256: OnceLock<String>,
}

type Batches = Arc<[NonzeroBlocks]>;

/// Samples of one class side by side: the same pixels and units are 0 in them, and those a matrix product leaves out
/// (`gemm/needed.rs`).
struct ByClass {
    order: Vec<usize>,
    labels: Vec<u8>,
}

impl From<Dataset> for Samples {
    fn from(dataset: Dataset) -> Self {
        Self(Arc::new(Shared {
            dataset,
            nonzero: OnceLock::new(),
            by_class: OnceLock::new(),
            blocks: Mutex::new(Vec::new()),
            sha256: OnceLock::new(),
        }))
    }
}

impl From<&Dataset> for Samples {
    fn from(dataset: &Dataset) -> Self {
        dataset.clone().into()
    }
}

impl From<&Samples> for Samples {
    fn from(samples: &Samples) -> Self {
        samples.clone()
    }
}

impl Samples {
    /// The data set.
    pub fn dataset(&self) -> &Dataset {
        &self.0.dataset
    }

    /// Samples that are read once: to look for what is not 0 would take longer than to use it saves.
    fn read_once(dataset: &Dataset) -> Self {
        let samples = Self::from(dataset);
        samples.0.nonzero.get_or_init(|| None);
        samples
    }

    /// Whether `other` is the same samples in the same memory.
    pub(crate) fn is_clone_of(&self, other: &Self) -> bool {
        self.dataset().is_clone_of(other.dataset())
    }

    /// Their pixels that are not 0, if products ask for them.
    pub(crate) fn nonzero(&self, exec: Exec) -> Option<&NonzeroBytes> {
        let dataset = self.dataset();
        self.0.nonzero.get_or_init(|| find_nonzero(exec, dataset.pixels(), dataset.width())).as_ref()
    }

    pub(crate) fn sha256(&self) -> &str {
        self.0.sha256.get_or_init(|| samples_sha256(self.dataset()))
    }

    fn by_class(&self) -> &ByClass {
        self.0.by_class.get_or_init(|| {
            let labels = self.dataset().labels();
            let mut order: Vec<usize> = (0..labels.len()).collect();
            order.sort_by_key(|&index| labels[index]);
            let labels = order.iter().map(|&index| labels[index]).collect();
            ByClass { order, labels }
        })
    }

    /// What is known of each batch of them, by class, as a network takes it; nothing, where it does not ask.
    fn blocks(&self, exec: Exec, network: &Network) -> Batches {
        let asked = self.nonzero(exec).and_then(|found| Some((found, network.block_of(exec, found)?)));
        let Some((found, columns)) = asked else { return Arc::new([]) };
        let (rows, key) = (network.batch(), [network.batch(), columns]);
        let mut blocks = self.0.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = blocks.iter().find(|(of, _)| *of == key) {
            return Arc::clone(known);
        }
        let of = |indices| NonzeroBlocks::of(found, indices, columns);
        let known: Batches = self.by_class().order.chunks(rows).map(of).collect();
        blocks.push((key, Arc::clone(&known)));
        known
    }

    /// Some of the samples.
    pub(crate) fn batch<'a>(&'a self, exec: Exec, indices: &'a [usize]) -> ByteRows<'a> {
        let rows = ByteRows::new(self.dataset().pixels(), self.dataset().width(), indices);
        self.nonzero(exec).into_iter().fold(rows, ByteRows::with_nonzero)
    }

    /// The share of them that a network gets right, in inference mode. A row of NaN counts as class 0.
    pub(crate) fn accuracy(&self, exec: Exec, network: &mut Network) -> Result<f64, Error> {
        if self.dataset().is_empty() {
            return Err(Error::Config {
                what: "the accuracy on no samples".to_owned(),
                cure: "give at least one".to_owned(),
            });
        }
        let right = session(exec, || self.count_right(exec, network))?;
        Ok(right as f64 / self.dataset().len() as f64)
    }

    fn count_right(&self, exec: Exec, network: &mut Network) -> Result<usize, Error> {
        let (ByClass { order, labels }, batch) = (self.by_class(), network.batch());
        let (mut right, blocks) = (0, self.blocks(exec, network));
        for (number, (indices, labels)) in order.chunks(batch).zip(labels.chunks(batch)).enumerate() {
            let rows = blocks.get(number).into_iter().fold(self.batch(exec, indices), ByteRows::with_blocks);
            let logits = network.forward_batch(exec, Pass::Inference, Batch::Bytes(rows))?;
            right += count_right(exec, logits, labels);
        }
        Ok(right)
    }
}

/// The share of `data` that a network gets right, in inference mode. A row of NaN counts as class 0.
///
/// # Errors
/// If the data do not fit the network, or there are none.
pub fn accuracy(exec: Exec, network: &mut Network, data: &Dataset) -> Result<f64, Error> {
    Samples::read_once(data).accuracy(exec, network)
}

/// The SHA-256 of the width, pixels and labels of samples.
pub(crate) fn samples_sha256(samples: &Dataset) -> String {
    let mut hasher = Sha256::new();
    hasher.update(samples.width().to_le_bytes());
    hasher.update(samples.pixels());
    hasher.update(samples.labels());
    hex(&hasher.finalize())
}
