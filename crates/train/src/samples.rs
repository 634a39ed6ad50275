//! Samples as trainers share them, and evaluation.

use crate::error::Error;
use layers::{Batch, Network, Pass, count_right};
use mnist_io::Dataset;
use mnist_io::file::hex;
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};
use tensor::Exec;
use tensor::threads::session;
use tensor::vec::ByteRows;

/// A data set, shared by the trainers that read it. Clones are the same samples; their checksum is computed once.
#[derive(Clone)]
pub struct Samples(Arc<Shared>);

struct Shared {
    dataset: Dataset,
    /// The SHA-256 of their width, pixels and labels, for checkpoints.
    sha256: OnceLock<String>,
}

impl From<Dataset> for Samples {
    fn from(dataset: Dataset) -> Self {
        Self(Arc::new(Shared { dataset, sha256: OnceLock::new() }))
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

    pub(crate) fn sha256(&self) -> &str {
        self.0.sha256.get_or_init(|| samples_sha256(self.dataset()))
    }

    /// Some of the samples.
    pub(crate) fn batch<'a>(&'a self, indices: &'a [usize]) -> ByteRows<'a> {
        ByteRows::new(self.dataset().pixels(), self.dataset().width(), indices)
    }
}

/// The share of `data` that a network gets right, in inference mode. A row of NaN counts as class 0.
///
/// # Errors
/// If the data do not fit the network, or there are none.
pub fn accuracy(exec: Exec, network: &mut Network, data: &Dataset) -> Result<f64, Error> {
    if data.is_empty() {
        let (what, cure) = ("the accuracy on no samples".to_owned(), "give at least one".to_owned());
        return Err(Error::Config { what, cure });
    }
    let right = session(exec, |exec| right(exec, network, data))?;
    Ok(right as f64 / data.len() as f64)
}

/// How many samples a network gets right, batch by batch in the order of the file.
fn right(exec: Exec, network: &mut Network, data: &Dataset) -> Result<usize, Error> {
    let (batch, width) = (network.batch(), data.width());
    let indices: Vec<usize> = (0..batch.min(data.len())).collect();
    let mut right = 0;
    for (number, labels) in data.labels().chunks(batch).enumerate() {
        let rows = ByteRows::new(&data.pixels()[number * batch * width..], width, &indices[..labels.len()]);
        let logits = network.forward_batch(exec, Pass::Inference, Batch::Bytes(rows))?;
        right += count_right(exec, logits, labels);
    }
    Ok(right)
}

/// The SHA-256 of the width, pixels and labels of samples.
pub(crate) fn samples_sha256(samples: &Dataset) -> String {
    let mut hasher = Sha256::new();
    hasher.update(samples.width().to_le_bytes());
    hasher.update(samples.pixels());
    hasher.update(samples.labels());
    hex(&hasher.finalize())
}
