//! What an experiment costs.

use crate::cli::Name;

/// About how many seconds it takes on one thread: what the bar weighs it with, and the longest goes first.
pub fn cost(name: Name, runs: u64) -> f64 {
    let runs = runs as f64;
    match name {
        Name::OptimizerPaths => 0.01,
        Name::OptimizerComparison => 5.0 * runs,
        Name::ActivationHistograms => 0.7,
        Name::InitComparison => 2.5 * runs,
        Name::BatchNorm => 2.5 * runs,
        Name::WeightDecay => 4.8 * runs,
        Name::Dropout => 9.0 * runs,
        Name::HyperparameterSearch => 12.0,
    }
}
