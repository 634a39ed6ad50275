//! Samples, and what is found of them once for all that read them.

use crate::error::Error;
use layers::{Batch, Network, Pass, count_right};
use mnist_io::Dataset;
use mnist_io::file::hex;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tensor::Exec;
use tensor::gemm::find_nonzero;
use tensor::threads::session;
use tensor::vec::{BlockForm, ByteRows, NonzeroBlocks, NonzeroBytes};

/// A data set as trainers read it, again and again. Clones are the same samples: what one of them had to find out is
/// known to all.
///
/// Where products leave out pixels that are 0 one by one (AVX2, AVX-512), those that are not are found when the first
/// trainer is made of the samples, or they are first evaluated (if its ISA asks for them: later ones do without if it
/// did not): some 30 ms and 25 MB for the 60 000 images of MNIST. (With AVX-512 training takes from it only how many
/// they are.) If those are evaluated, 90 ms for their order, and 30 ms and 25 to 40 MB for each size of batches and form
/// of blocks there is, kept as long as there is a clone.
#[derive(Clone)]
pub struct Samples(Arc<Shared>);

struct Shared {
    dataset: Dataset,
    /// Their pixels that are not 0, if products ask for them.
    nonzero: OnceLock<Option<NonzeroBytes>>,
    by_class: OnceLock<Order>,
    alike: OnceLock<Order>,
    /// What is known of each batch of so many of them, as they are evaluated.
    blocks: Mutex<Vec<(usize, BlockForm, Batches)>>,
    /// The SHA-256 of their width, pixels and labels, for checkpoints.
    sha256: OnceLock<String>,
}

type Batches = Arc<[NonzeroBlocks]>;

/// In which order they are evaluated: each beside one that is like it. The same pixels and units are 0 in them, and
/// those a matrix product leaves out (`gemm/needed.rs`); two rows at a time, if the ISA has the registers.
struct Order {
    indices: Vec<usize>,
    /// Their labels, in that order.
    labels: Vec<u8>,
}

/// How many are looked through for the one that is most like another. With all of a class the pairs of MNIST's test
/// images need 22.5 % of the pixels, with 64 23.0, and beside any of their class 25.8; one alone needs 19.3.
const LOOKED_THROUGH: usize = 64;

impl Order {
    /// By class.
    fn by_class(dataset: &Dataset) -> Self {
        let labels = dataset.labels();
        let mut indices: Vec<usize> = (0..labels.len()).collect();
        indices.sort_by_key(|&index| labels[index]);
        Self::of(dataset, indices)
    }

    /// By class, and of each two in turn the second is, of those not far behind the first, the one that is black where
    /// the first is not, or the other way round, at the fewest pixels. Cost: some 1.5 µs an image of MNIST.
    fn alike(dataset: &Dataset) -> Self {
        let (pixels, width) = (dataset.pixels(), dataset.width().max(1));
        let word = |pixels: &[u8]| pixels.iter().rev().fold(0, |word, &pixel| word << 1 | u64::from(pixel != 0));
        let words = width.div_ceil(WORD);
        let bits: Vec<u64> = pixels.chunks_exact(width).flat_map(|image| image.chunks(WORD).map(word)).collect();
        let of = |index: usize| &bits[index * words..][..words];
        let apart = |a: usize, b: usize| -> u32 { of(a).iter().zip(of(b)).map(|(a, b)| (a ^ b).count_ones()).sum() };
        let mut left = Self::by_class(dataset).indices.into_iter();
        let (mut near, mut indices) = (VecDeque::with_capacity(LOOKED_THROUGH + 1), Vec::with_capacity(left.len()));
        loop {
            near.extend(left.by_ref().take(LOOKED_THROUGH + 1 - near.len()));
            let Some(first) = near.pop_front() else { return Self::of(dataset, indices) };
            indices.push(first);
            let nearest = (0..near.len()).min_by_key(|&at| apart(first, near[at]));
            indices.extend(nearest.and_then(|at| near.remove(at)));
        }
    }

    fn of(dataset: &Dataset, indices: Vec<usize>) -> Self {
        let labels = indices.iter().map(|&index| dataset.labels()[index]).collect();
        Self { indices, labels }
    }
}

/// Pixels whose bits are in a word.
const WORD: usize = 64;

impl From<Dataset> for Samples {
    fn from(dataset: Dataset) -> Self {
        Self(Arc::new(Shared {
            dataset,
            nonzero: OnceLock::new(),
            by_class: OnceLock::new(),
            alike: OnceLock::new(),
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

    /// Their pixels that are not 0, if products ask for them: looked for once.
    pub fn nonzero(&self, exec: Exec) -> Option<&NonzeroBytes> {
        let dataset = self.dataset();
        self.0.nonzero.get_or_init(|| find_nonzero(exec, dataset.pixels(), dataset.width())).as_ref()
    }

    pub(crate) fn sha256(&self) -> &str {
        self.0.sha256.get_or_init(|| samples_sha256(self.dataset()))
    }

    /// How a network's first product reads what is known of them, if it does.
    fn form(&self, exec: Exec, network: &Network) -> Option<(&NonzeroBytes, BlockForm)> {
        self.nonzero(exec).and_then(|found| Some((found, network.block_of(exec, found)?)))
    }

    /// In which order a network evaluates them.
    fn order(&self, exec: Exec, network: &Network) -> &Order {
        match self.form(exec, network) {
            Some((_, BlockForm { rows: 2, .. })) => self.0.alike.get_or_init(|| Order::alike(self.dataset())),
            _ => self.0.by_class.get_or_init(|| Order::by_class(self.dataset())),
        }
    }

    /// What is known of each batch of them, in that order, as a network takes it; nothing, where it does not ask.
    fn blocks(&self, exec: Exec, network: &Network) -> Batches {
        let Some((found, form)) = self.form(exec, network) else { return Arc::new([]) };
        let rows = rows_of(network);
        let mut blocks = self.0.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., known)) = blocks.iter().find(|known| (known.0, known.1) == (rows, form)) {
            return Arc::clone(known);
        }
        let of = |indices| NonzeroBlocks::of(found, indices, form);
        let known: Batches = self.order(exec, network).indices.chunks(rows).map(of).collect();
        blocks.push((rows, form, Arc::clone(&known)));
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
        let right = session(exec, |exec| self.count_right(exec, network))?;
        Ok(right as f64 / self.dataset().len() as f64)
    }

    fn count_right(&self, exec: Exec, network: &mut Network) -> Result<usize, Error> {
        let (Order { indices, labels }, batch) = (self.order(exec, network), rows_of(network));
        let (mut right, blocks) = (0, self.blocks(exec, network));
        for (number, (indices, labels)) in indices.chunks(batch).zip(labels.chunks(batch)).enumerate() {
            let rows = blocks.get(number).into_iter().fold(self.batch(exec, indices), ByteRows::with_blocks);
            let logits = network.forward_batch(exec, Pass::Inference, Batch::Bytes(rows))?;
            right += count_right(exec, logits, labels);
        }
        Ok(right)
    }
}

/// Rows of a batch of an evaluation: an even number, so that no two that are alike are parted.
fn rows_of(network: &Network) -> usize {
    (network.batch() & !1).max(1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_evaluated_once_under_its_own_label_and_beside_its_like() {
        for width in [1, 63, 64, 65, 400] {
            for count in [1, 2, 3, 64, 65, 66, 67, 129, 130, 131] {
                // Images of any bits; three classes, in odd numbers mostly.
                let mut state = (width * 1000 + count) as u64;
                let mut next = || {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (state >> 33) as usize
                };
                let pixels: Vec<u8> = (0..count * width).map(|_| (next() % 3) as u8).collect();
                let labels: Vec<u8> = (0..count).map(|_| (next() % 3) as u8).collect();
                let data = Dataset::new(pixels, labels, 1, width).unwrap();
                for order in [Order::by_class(&data), Order::alike(&data), Order::alike(&data)] {
                    let mut seen = order.indices.clone();
                    seen.sort_unstable();
                    assert_eq!(seen, (0..count).collect::<Vec<_>>(), "{count} of width {width}");
                    let labels: Vec<u8> = order.indices.iter().map(|&index| data.labels()[index]).collect();
                    assert_eq!(order.labels, labels, "{count} of width {width}");
                }
                assert_eq!(Order::alike(&data).indices, Order::alike(&data).indices);
            }
        }
        // Thirty images, each of them there twice in its class, somewhere.
        let image = |number: usize| (0..100).map(move |pixel| u8::from(pixel * (number + 3) % 7 < 2 + number % 3));
        let numbers: Vec<usize> = (0..60).map(|at| at * 7 % 30).collect();
        let pixels: Vec<u8> = numbers.iter().flat_map(|&number| image(number)).collect();
        let labels: Vec<u8> = numbers.iter().map(|number| (number % 2) as u8).collect();
        let data = Dataset::new(pixels, labels, 10, 10).unwrap();
        for pair in Order::alike(&data).indices.chunks_exact(2) {
            let [one, other] = [pair[0], pair[1]].map(|index| image(numbers[index]).collect::<Vec<_>>());
            assert_eq!(one, other, "images {pair:?} stand together");
        }
    }
}
