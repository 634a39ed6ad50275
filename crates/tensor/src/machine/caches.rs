//! The sizes of the caches: what block sizes are derived from.
//!
//! ```text
//! GROUNDUP_CACHES=32K,512K,16M        L1 of data and L2 of one core, and L3; the last may be left out
//! ```
//!
//! The variable makes a machine plan its products as another would. Results have the same bits under every setting:
//! that is what the tests use it for.

use std::path::Path;
use std::sync::OnceLock;
use thiserror::Error;

/// The environment variable that sets the sizes.
pub const VARIABLE: &str = "GROUNDUP_CACHES";

/// The sizes of the caches, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// The data cache nearest to a core.
    pub l1: usize,
    /// The second level of a core.
    pub l2: usize,
    /// The third level, shared by cores; 0 if there is none.
    pub l3: usize,
}

/// A value of [`VARIABLE`] that cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{VARIABLE}={value} is not L1,L2 or L1,L2,L3; write sizes such as 32K,512K,16M, each at least as large as the one before"
)]
pub struct CachesError {
    /// What the variable holds.
    pub value: String,
}

/// Sizes for a system that reports none: the smallest that are common.
const FALLBACK: Caches = Caches { l1: 32 << 10, l2: 512 << 10, l3: 0 };

impl Caches {
    /// The sizes that the variable sets, or else those of this machine. Looked up once a process.
    ///
    /// # Errors
    /// If the variable cannot be read; there is no silent fallback.
    pub fn selected() -> Result<Self, CachesError> {
        static SELECTED: OnceLock<Result<Caches, CachesError>> = OnceLock::new();
        SELECTED
            .get_or_init(|| match std::env::var(VARIABLE) {
                Ok(value) => Self::parse(&value),
                Err(std::env::VarError::NotPresent) => Ok(Self::of_this_machine()),
                Err(std::env::VarError::NotUnicode(value)) => {
                    Err(CachesError { value: value.to_string_lossy().into_owned() })
                }
            })
            .clone()
    }

    /// The sizes that a text such as `32K,512K,16M` states.
    ///
    /// # Errors
    /// If it is not two or three sizes in ascending order.
    pub fn parse(value: &str) -> Result<Self, CachesError> {
        let sizes: Option<Vec<usize>> = value.split(',').map(|text| size(text.trim())).collect();
        let caches = match sizes.as_deref() {
            Some(&[l1, l2]) => Self { l1, l2, l3: 0 },
            Some(&[l1, l2, l3]) => Self { l1, l2, l3 },
            _ => return Err(CachesError { value: value.to_owned() }),
        };
        let ascending = caches.l1 > 0 && caches.l1 <= caches.l2 && (caches.l3 == 0 || caches.l2 <= caches.l3);
        if ascending { Ok(caches) } else { Err(CachesError { value: value.to_owned() }) }
    }

    /// The sizes that the system reports of its first core.
    pub fn of_this_machine() -> Self {
        let folder = Path::new("/sys/devices/system/cpu/cpu0/cache");
        let read = |index: usize, name: &str| std::fs::read_to_string(folder.join(format!("index{index}/{name}"))).ok();
        let mut found = [0; 3];
        for index in 0..8 {
            let entry = (read(index, "level"), read(index, "type"), read(index, "size"));
            let (Some(level), Some(kind), Some(text)) = entry else { continue };
            let level = level.trim().parse::<usize>().unwrap_or(0);
            if kind.trim() != "Instruction" && (1..=3).contains(&level) {
                found[level - 1] = size(text.trim()).unwrap_or(0);
            }
        }
        let or = |found: usize, fallback: usize| if found == 0 { fallback } else { found };
        let l1 = or(found[0], FALLBACK.l1);
        Self { l1, l2: or(found[1], FALLBACK.l2).max(l1), l3: found[2] }
    }

    /// The levels that are there: their names and sizes.
    pub fn levels(self) -> impl Iterator<Item = (&'static str, usize)> {
        [("L1", self.l1), ("L2", self.l2), ("L3", self.l3)].into_iter().filter(|&(_, bytes)| bytes > 0)
    }
}

/// Bytes of a text such as `48K`, `2M` or `4096`.
fn size(text: &str) -> Option<usize> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(Caches::parse("32K,512K,16M"), Ok(Caches { l1: 32 << 10, l2: 512 << 10, l3: 16 << 20 }));
        assert_eq!(Caches::parse("49152, 2M"), Ok(Caches { l1: 48 << 10, l2: 2 << 20, l3: 0 }));
        assert_eq!(Caches::parse("1k,1k,1k"), Ok(Caches { l1: 1 << 10, l2: 1 << 10, l3: 1 << 10 }));
    }

    #[test]
    fn what_is_not_two_or_three_ascending_sizes_is_refused_with_its_value() {
        for value in
            ["", "32K", "32K,", "32K,512K,16M,1G", "32Q,512K", "512K,32K", "0,0", "1K,1M,4K", "-1,2", "99999999G,1"]
        {
            assert_eq!(Caches::parse(value), Err(CachesError { value: value.to_owned() }), "{value}");
        }
    }

    #[test]
    fn this_machine_has_two_levels_at_least_in_ascending_order() {
        let caches = Caches::of_this_machine();
        assert!(0 < caches.l1 && caches.l1 <= caches.l2, "{caches:?}");
        assert_eq!(Caches::parse(&format!("{},{}", caches.l1, caches.l2)).map(|parsed| parsed.l2), Ok(caches.l2));
    }
}
