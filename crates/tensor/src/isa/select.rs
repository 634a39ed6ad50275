//! Which ISA to use: what the CPU has, or what `GROUNDUP_ISA` names.

#[cfg(target_arch = "x86_64")]
use super::{Avx2, Avx512};
use super::{Isa, Op, Portable};
use std::sync::OnceLock;
use thiserror::Error;

/// The environment variable that forces an ISA.
pub const VARIABLE: &str = "GROUNDUP_ISA";

/// Every ISA there is, best last. Also those this CPU lacks.
pub const ISA_NAMES: [&str; 3] = [Portable::NAME, "avx2", "avx512"];

/// An ISA that cannot be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IsaError {
    /// No such ISA.
    #[error("{VARIABLE}={name} is not an ISA; use one of: {known}", known = ISA_NAMES.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The CPU does not have it.
    #[error("{VARIABLE}={name} is not available on this CPU; it has: {available}")]
    Unavailable {
        /// The name asked for.
        name: String,
        /// The names to be had.
        available: String,
    },
}

/// The token of one of the ISAs: the row a kernel is run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyIsa {
    /// Portable Rust.
    Portable(Portable),
    /// AVX2, FMA and POPCNT.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl AnyIsa {
    /// The ISAs this CPU has, best last. Tests and benches walk this.
    pub fn available() -> impl Iterator<Item = Self> {
        let mut found = vec![Self::Portable(Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(Avx2::new().map(Self::Avx2));
            found.extend(Avx512::new().map(Self::Avx512));
        }
        found.into_iter()
    }

    /// The ISA of that name.
    ///
    /// # Errors
    /// If there is none, or this CPU lacks it.
    pub fn from_name(name: &str) -> Result<Self, IsaError> {
        if !ISA_NAMES.contains(&name) {
            return Err(IsaError::Unknown { name: name.to_owned() });
        }
        Self::available().find(|isa| isa.name() == name).ok_or_else(|| IsaError::Unavailable {
            name: name.to_owned(),
            available: Self::available().map(Self::name).collect::<Vec<_>>().join(", "),
        })
    }

    /// The ISA that `GROUNDUP_ISA` names, or else the best this CPU has. Looked up once a process.
    ///
    /// # Errors
    /// If the variable names an ISA that is not to be had; there is no silent fallback.
    pub fn selected() -> Result<Self, IsaError> {
        static SELECTED: OnceLock<Result<AnyIsa, IsaError>> = OnceLock::new();
        SELECTED
            .get_or_init(|| match std::env::var(VARIABLE) {
                Ok(name) => Self::from_name(&name),
                Err(std::env::VarError::NotPresent) => Ok(Self::available().last().expect("portable is always there")),
                Err(std::env::VarError::NotUnicode(name)) => {
                    Err(IsaError::Unknown { name: name.to_string_lossy().into_owned() })
                }
            })
            .clone()
    }

    /// The name used by `GROUNDUP_ISA`, tests and benches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable(_) => Portable::NAME,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Avx2::NAME,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Avx512::NAME,
        }
    }

    /// Runs a kernel on this ISA.
    #[inline]
    pub fn run<O: Op>(self, op: O) -> O::Output {
        match self {
            Self::Portable(isa) => isa.run(op),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(isa) => isa.run(op),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(isa) => isa.run(op),
        }
    }
}
