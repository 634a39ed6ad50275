//! The command line. The names here are a contract: other programs call them.

mod values;

pub use values::{Sizes, Widths};

use crate::language::Language;
use clap::{Args, Parser, Subcommand, ValueEnum};
use layers::{Activation, Init};
use mnist_io::Sampling;
use optim::{Rule, Schedule};
use std::path::PathBuf;
use train::search::{LogRange, Shard};
use train::{Preset, Workload};
use values::{
    activation, dropout_ratio, init, not_negative, positive, preset, range, rule, sampling, schedule, shard, sizes,
    threads, up_to, widths, workload,
};

/// Chapter 6 of "Deep Learning from Scratch", with kernels written from the ground up.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None)]
pub struct Cli {
    /// What to do; without one, the whole chapter.
    #[command(subcommand)]
    command: Option<Command>,
}

impl Cli {
    /// What was asked for.
    pub fn chosen(self) -> Command {
        self.command.unwrap_or_else(|| Command::Chapter(Chapter::default()))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the chapter's experiments and write their figures, numbers and an index page.
    Chapter(Chapter),
    /// Train a network.
    Train(Box<Train>),
    /// The accuracy of a saved network.
    Evaluate(Evaluate),
    /// Search for a learning rate and a weight decay by random sampling.
    Search(Search),
    /// Fetch MNIST, make synthetic digits, or look into an IDX file.
    #[command(subcommand)]
    Data(Data),
    /// What this machine can do: ISA, threads, caches, peak and bandwidth.
    Info,
    /// The matrix product rung by rung, from three loops to the real thing, timed on this machine.
    Ladder(Ladder),
    /// The kernels of a training step under the roofs of this machine: its arithmetic peak and its bandwidths.
    Roofline(Roofline),
}

/// The chapter's experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    OptimizerPaths,
    OptimizerComparison,
    ActivationHistograms,
    InitComparison,
    BatchNorm,
    WeightDecay,
    Dropout,
    HyperparameterSearch,
}

impl Name {
    /// As the command line has it.
    pub fn text(self) -> &'static str {
        match self {
            Self::OptimizerPaths => "optimizer-paths",
            Self::OptimizerComparison => "optimizer-comparison",
            Self::ActivationHistograms => "activation-histograms",
            Self::InitComparison => "init-comparison",
            Self::BatchNorm => "batch-norm",
            Self::WeightDecay => "weight-decay",
            Self::Dropout => "dropout",
            Self::HyperparameterSearch => "hyperparameter-search",
        }
    }
}

#[derive(Debug, PartialEq, Args)]
pub struct Chapter {
    /// Which experiments; all without a name.
    #[arg(value_name = "NAME")]
    pub names: Vec<Name>,
    /// A folder with the four MNIST files, or "synthetic" [default: MNIST_DIR, data/mnist, else synthetic].
    #[arg(long, value_name = "DIR|synthetic")]
    pub data: Option<String>,
    /// Where figures and numbers go.
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub out: PathBuf,
    /// Seed of the first run; each further run has the next number.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Runs of each experiment, with seeds of their own.
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub runs: u64,
    /// Runs done at the same time, each on one thread [default: the cores there are].
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Language of the page and of the figures' titles.
    #[arg(long, value_enum, default_value_t)]
    pub lang: Language,
}

impl Default for Chapter {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            data: None,
            out: PathBuf::from("report"),
            seed: 1,
            runs: 3,
            threads: None,
            lang: Language::default(),
        }
    }
}

#[derive(Debug, Args)]
pub struct Train {
    /// A folder with the four MNIST files, or "synthetic" [default: MNIST_DIR, data/mnist, else synthetic].
    #[arg(long, value_name = "DIR|synthetic")]
    pub data: Option<String>,
    /// Units of the hidden layers, or "none" for a linear classifier.
    #[arg(long, value_name = "N,N,…|none", default_value = "100,100,100,100", value_parser = widths)]
    pub hidden: Widths,
    /// After each hidden layer: relu, sigmoid or tanh.
    #[arg(long, value_name = "NAME", default_value = "relu", value_parser = activation)]
    pub activation: Activation,
    /// Initial weights: he, xavier, glorot, he-uniform, glorot-uniform, normal:STD or zeros.
    #[arg(long, value_name = "NAME", default_value = "he", value_parser = init)]
    pub init: Init,
    /// Batch normalisation before each activation.
    #[arg(long)]
    pub batch_norm: bool,
    /// Dropout after each activation.
    #[arg(long, value_name = "R", value_parser = dropout_ratio)]
    pub dropout: Option<f32>,
    /// λ of the penalty ½λ‖W‖². (AdamW's own decay, 0.01, is apart from it and fixed.)
    #[arg(long, value_name = "L", default_value_t = 0.0, value_parser = not_negative, allow_negative_numbers = true)]
    pub weight_decay: f64,
    /// The update rule: sgd, momentum, nesterov, adagrad, rmsprop, adam or adamw.
    #[arg(long, value_name = "NAME", default_value = "sgd", value_parser = rule)]
    pub optimizer: Rule,
    /// Learning rate [default: 0.001 for adam and adamw, else 0.01].
    #[arg(long, value_name = "X", value_parser = not_negative, allow_negative_numbers = true)]
    pub lr: Option<f64>,
    /// How the learning rate moves: constant, step:EPOCHS:FACTOR or cosine:EPOCHS:MINIMUM.
    #[arg(long, value_name = "NAME", default_value = "constant", value_parser = schedule)]
    pub schedule: Schedule,
    /// Samples a step.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = positive)]
    pub batch_size: usize,
    /// Epochs to train [default: 5].
    #[arg(long, value_name = "N", conflicts_with = "steps", value_parser = clap::value_parser!(u64).range(1..))]
    pub epochs: Option<u64>,
    /// Steps to train, instead of epochs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// Use only the first N training samples.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub train_samples: Option<usize>,
    /// Whose details: book or torch.
    #[arg(long, value_name = "NAME", default_value = "book", value_parser = preset)]
    pub preset: Preset,
    /// How batches are drawn: shuffle or replacement [default: the preset's].
    #[arg(long, value_name = "NAME", value_parser = sampling)]
    pub sampling: Option<Sampling>,
    /// Of weights, batches and dropout.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Threads a kernel may use; the result is the same.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = threads)]
    pub threads: usize,
    /// Write every step and epoch as JSON lines; without --resume an older file is replaced.
    #[arg(long, value_name = "FILE.jsonl")]
    pub log: Option<PathBuf>,
    /// Save the trained network.
    #[arg(long, value_name = "FILE.safetensors")]
    pub save: Option<PathBuf>,
    /// Keep the run in a file as it goes, for --resume; `evaluate` reads it too.
    #[arg(long, value_name = "FILE.safetensors")]
    pub checkpoint: Option<PathBuf>,
    /// Steps from one checkpoint to the next [default: an epoch's]; there is also one after the last.
    #[arg(long, value_name = "STEPS", requires = "checkpoint", value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_every: Option<u64>,
    /// Continue the run of a checkpoint: its options again, of which only --epochs or --steps may be others. --log
    /// continues its file.
    #[arg(long, value_name = "FILE.safetensors")]
    pub resume: Option<PathBuf>,
    /// Also say where the time of a step goes, by layer and kernel, from some steps of a run with the same settings
    /// after it (not with --quiet, unless as JSON).
    #[arg(long)]
    pub profile: bool,
    /// Also print the program that a step runs: every kernel with its operands, shape, work, plan and fusions (not with
    /// --quiet, unless as JSON).
    #[arg(long)]
    pub explain: bool,
    /// Print nothing but errors (and the JSON, if asked for).
    #[arg(long)]
    pub quiet: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Evaluate {
    /// A network saved by `train --save`.
    #[arg(long, value_name = "FILE.safetensors")]
    pub model: PathBuf,
    /// A folder with the four MNIST files, or "synthetic" [default: MNIST_DIR, data/mnist, else synthetic].
    #[arg(long, value_name = "DIR|synthetic")]
    pub data: Option<String>,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Search {
    /// A folder with the four MNIST files, or "synthetic" [default: MNIST_DIR, data/mnist, else synthetic].
    #[arg(long, value_name = "DIR|synthetic")]
    pub data: Option<String>,
    /// Trials a round.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = up_to::<1_000_000>)]
    pub trials: usize,
    /// Epochs a trial.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub epochs: u64,
    /// Range of the learning rate.
    #[arg(long, value_name = "LO..HI", default_value = "1e-6..1e-2", value_parser = range)]
    pub lr: LogRange,
    /// Range of the weight decay.
    #[arg(long, value_name = "LO..HI", default_value = "1e-8..1e-4", value_parser = range)]
    pub weight_decay: LogRange,
    /// Rounds; after each the ranges narrow to what the best fifth of the trials span.
    #[arg(long, value_name = "R", default_value_t = 1, value_parser = up_to::<1000>)]
    pub rounds: usize,
    /// Trials done at the same time [default: the cores there are].
    #[arg(long, value_name = "N", value_parser = threads)]
    pub jobs: Option<usize>,
    /// Of everything: trial i is a function of the seed and i.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Do only share I of N of the trials (1/4 … 4/4).
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<Shard>,
    /// Keep each trial in a file as it ends, an Optuna journal; processes and machines can share it.
    #[arg(long, value_name = "FILE")]
    pub study: Option<PathBuf>,
    /// Go on with the study: trials that are in it are not done again. The same options as then, but there may be more
    /// rounds, or more trials if there is one round, and --shard and --jobs are free.
    #[arg(long, requires = "study")]
    pub resume: bool,
    /// Print the trials as one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Ladder {
    /// Rows of A, columns of A, columns of B.
    #[arg(long, value_name = "MxKxN", default_value = "512x512x512", value_parser = sizes)]
    pub shape: Sizes,
    /// Threads of the last rungs [default: the cores there are].
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Also draw the bars.
    #[arg(long, value_name = "FILE.svg")]
    pub out: Option<PathBuf>,
    /// Also draw the time of square products from 10⁴ to 10⁸ multiply-adds, with what packing, a call and a second
    /// thread cost.
    #[arg(long, value_name = "FILE.svg")]
    pub sizes: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Roofline {
    /// Where the plot goes.
    #[arg(long, value_name = "FILE.svg", default_value = "roofline.svg")]
    pub out: PathBuf,
    /// The training step; more than one if given again, all without any. A: 784-100×4-10, batch 128, SGD. B: the same,
    /// Adam. C: 784-100×5-10, batch norm, batch 100, SGD. D: 784-1024×3-10, batch 512, Adam.
    #[arg(long = "workload", value_name = "A|B|C|D", value_parser = workload)]
    pub workloads: Vec<Workload>,
    /// Threads a kernel may use; the roofs are then those of all of them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = threads)]
    pub threads: usize,
}

#[derive(Debug, Subcommand)]
pub enum Data {
    /// Fetch the four MNIST files from a mirror and check them.
    Download {
        /// Where to.
        #[arg(long, value_name = "DIR", default_value = "data/mnist")]
        dir: PathBuf,
    },
    /// Write synthetic digits as IDX files under MNIST's names.
    Synth {
        /// Where to.
        #[arg(long, value_name = "DIR", default_value = "data/synthetic")]
        dir: PathBuf,
        /// Training images.
        #[arg(long, value_name = "N", default_value_t = 60_000, value_parser = up_to::<4_000_000>)]
        train: usize,
        /// Test images.
        #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = up_to::<4_000_000>)]
        test: usize,
        /// Seed of both.
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
    },
    /// Say what an IDX file, or a folder of the four, holds.
    Info {
        /// The file or folder.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_experiment_is_called_what_the_command_line_calls_it() {
        for name in Name::value_variants() {
            assert_eq!(name.to_possible_value().map(|value| value.get_name() == name.text()), Some(true));
        }
    }

    #[test]
    fn a_bare_groundup_is_the_chapter_with_the_defaults_that_the_chapter_has_on_the_command_line() {
        let chapter = |args: &[&str]| match Cli::try_parse_from(args).map(Cli::chosen) {
            Ok(Command::Chapter(chapter)) => chapter,
            other => panic!("{args:?} is {other:?}"),
        };
        assert_eq!(chapter(&["groundup"]), Chapter::default());
        assert_eq!(chapter(&["groundup", "chapter"]), Chapter::default());
        assert_ne!(chapter(&["groundup", "chapter", "--seed", "2"]), Chapter::default());
    }

    #[test]
    fn the_ladder_takes_a_place_for_its_plot_of_sizes() {
        let Ok(Command::Ladder(ladder)) =
            Cli::try_parse_from(["groundup", "ladder", "--sizes", "sizes.svg"]).map(Cli::chosen)
        else {
            panic!("it does not")
        };
        assert_eq!((ladder.sizes, ladder.out), (Some("sizes.svg".into()), None));
    }
}
