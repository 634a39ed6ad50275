//! The training steps that are timed, by name.

use optim::Rule;
use train::{Config, Length, Preset};

/// Their names.
pub const WORKLOADS: [&str; 4] = ["A", "B", "C", "D"];

/// | workload | network | batch | rule |
/// |---|---|---|---|
/// | A | 784-100×4-10 | 128 | SGD |
/// | B | the same | 128 | Adam |
/// | C | 784-100×5-10, batch norm | 100 | SGD |
/// | D | 784-1024×3-10 | 512 | Adam |
pub fn workload(name: &str) -> Option<Config> {
    let (hidden, batch, rule, batch_norm): (&[usize], _, _, _) = match name {
        "A" => (&[100; 4], 128, Rule::SGD, false),
        "B" => (&[100; 4], 128, Rule::ADAM, false),
        "C" => (&[100; 5], 100, Rule::SGD, true),
        "D" => (&[1024; 3], 512, Rule::ADAM, false),
        _ => return None,
    };
    let mut config = Config { batch, ..Config::book(hidden, rule, Length::Steps(u64::MAX), 1) };
    config.architecture.batch_norm = batch_norm.then(|| Preset::Book.batch_norm_form());
    Some(config)
}
