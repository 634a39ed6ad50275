//! The four files of MNIST.

use crate::dataset::Dataset;
use crate::error::Error;
use crate::idx::Idx;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

/// A published file: its name without `.gz`, and the SHA-256 of the `.gz`.
#[derive(Clone, Copy, Debug)]
pub struct PublishedFile {
    /// Name of the unpacked file.
    pub name: &'static str,
    /// SHA-256 of the published `.gz`.
    pub sha256: &'static str,
}

/// The files: training images and labels, test images and labels.
pub const FILES: [PublishedFile; 4] = [
    PublishedFile {
        name: "train-images-idx3-ubyte",
        sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    },
    PublishedFile {
        name: "train-labels-idx1-ubyte",
        sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    },
    PublishedFile {
        name: "t10k-images-idx3-ubyte",
        sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    },
    PublishedFile {
        name: "t10k-labels-idx1-ubyte",
        sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
];

/// A training and a test set of the same kind of image.
#[derive(Clone, Debug)]
pub struct Mnist {
    /// 60,000 images in MNIST.
    pub train: Dataset,
    /// 10,000 images in MNIST.
    pub test: Dataset,
}

impl Mnist {
    /// Reads the four files from a folder, plain or with `.gz` (the plain one if both are there).
    ///
    /// # Errors
    /// If a file is missing, damaged, or does not go with its partner, or `dir` is a file; the message names it.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        if dir.is_file() {
            return Err(Error::NoFolder { path: dir.to_owned() });
        }
        let paths = FILES.map(|file| find(dir, file.name));
        let [train_images, train_labels, test_images, test_labels] = paths;
        let (train_images, train_labels) = (train_images?, train_labels?);
        let (test_images, test_labels) = (test_images?, test_labels?);
        let (train, test) = thread::scope(|scope| {
            let load_test = || load_pair(&test_images, &test_labels);
            // Where no thread is to be had, one does it.
            let test = thread::Builder::new().spawn_scoped(scope, load_test).ok();
            let train = load_pair(&train_images, &train_labels);
            (train, test.map_or_else(load_test, |test| test.join().unwrap_or_else(|panic| resume_unwind(panic))))
        });
        let (train, test) = (train?, test?);
        if train.image_shape() != test.image_shape() {
            let what = format!(
                "images of {:?} pixels, but those of the training set have {:?}",
                test.image_shape(),
                train.image_shape()
            );
            return Err(crate::Fault::Inconsistent { what }.at(&test_images));
        }
        Ok(Self { train, test })
    }

    /// Whether one of the four files is in a folder, whatever its content. Then MNIST is meant to be there, and a
    /// missing file is an error.
    pub fn is_in(dir: &Path) -> bool {
        FILES.iter().any(|file| find(dir, file.name).is_ok())
    }
}

fn find(dir: &Path, file: &'static str) -> Result<PathBuf, Error> {
    [dir.join(file), dir.join(format!("{file}.gz"))]
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| Error::Missing { dir: dir.to_owned(), file })
}

fn load_pair(images: &Path, labels: &Path) -> Result<Dataset, Error> {
    Dataset::from_idx(Idx::read(images)?, Idx::read(labels)?)
        .map_err(|(in_labels, fault)| fault.at(if in_labels { labels } else { images }))
}
