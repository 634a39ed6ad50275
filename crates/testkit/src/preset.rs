//! The two conventions a reference can follow where the book and PyTorch differ.

/// Whose formulas and constants to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Chapter 6 of *Deep Learning from Scratch*.
    Book,
    /// The defaults of PyTorch.
    Torch,
}

impl Preset {
    /// Both presets, for tests that walk them.
    pub const ALL: [Preset; 2] = [Preset::Book, Preset::Torch];
}
