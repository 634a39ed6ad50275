//! Values of options: what a text may be, and what is said if it is not.

use crate::threads::{MOST, cores};
use layers::{Activation, Init};
use mnist_io::Sampling;
use optim::{Rule, Schedule};
use train::search::{LogRange, Shard};
use train::{Preset, Workload};

/// m, k, n.
pub type Sizes = [usize; 3];

pub(super) fn sizes(text: &str) -> Result<Sizes, String> {
    let parts: Result<Vec<usize>, _> = text.split('x').map(positive).collect();
    let sizes = parts.ok().and_then(|parts| Sizes::try_from(parts).ok());
    // A rung that takes a minute teaches nothing more than one that takes a second.
    sizes
        .filter(|sizes| sizes.iter().all(|&size| size <= 4096))
        .ok_or_else(|| format!("\"{text}\" is not a shape; write three sizes from 1 to 4096, such as 100x784x100"))
}

/// The widths of hidden layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widths(pub Vec<usize>);

pub(super) fn widths(text: &str) -> Result<Widths, String> {
    if text == "none" {
        return Ok(Widths(Vec::new()));
    }
    let usage = |_| "give widths of 1 or more, as in 100,100, or none".to_owned();
    text.split(',').map(positive).collect::<Result<_, _>>().map(Widths).map_err(usage)
}

pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("give a whole number, 1 or more".to_owned()),
    }
}

pub(super) fn up_to<const MOST: usize>(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number) if (1..=MOST).contains(&number) => Ok(number),
        _ => Err(format!("give a whole number from 1 to {MOST}")),
    }
}

pub(super) fn threads(text: &str) -> Result<usize, String> {
    up_to::<MOST>(text).map_err(|range| format!("{range} (cores of this machine: {})", cores()))
}

pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number >= 0.0 && number.is_finite() => Ok(number),
        _ => Err("give a number, 0 or more".to_owned()),
    }
}

pub(super) fn dropout_ratio(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(ratio) if (0.0..1.0).contains(&ratio) => Ok(ratio),
        _ => Err("give a number from 0 up to, but not, 1".to_owned()),
    }
}

/// The one of `all` that has this name.
pub(super) fn named<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, text: &str) -> Result<T, String> {
    all.iter().copied().find(|&one| name(one) == text).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|&one| name(one)).collect();
        format!("known are {}", names.join(", "))
    })
}

pub(super) fn activation(text: &str) -> Result<Activation, String> {
    named(&Activation::ALL, Activation::name, text)
}

pub(super) fn init(text: &str) -> Result<Init, String> {
    let named = [Init::He, Init::Xavier, Init::Glorot, Init::HeUniform, Init::GlorotUniform, Init::Zeros];
    if let Some(named) = named.into_iter().find(|named| named.to_string() == text) {
        return Ok(named);
    }
    match text.strip_prefix("normal:").map(not_negative) {
        Some(Ok(std)) => Ok(Init::Normal(std)),
        _ => Err(format!(
            "known are {} and normal:STD, as in normal:0.01",
            named.map(|named| named.to_string()).join(", ")
        )),
    }
}

pub(super) fn rule(text: &str) -> Result<Rule, String> {
    named(&Rule::ALL, Rule::name, text)
}

pub(super) fn workload(text: &str) -> Result<Workload, String> {
    named(&Workload::ALL, Workload::name, text)
}

pub(super) fn preset(text: &str) -> Result<Preset, String> {
    named(&Preset::ALL, Preset::name, text)
}

pub(super) fn sampling(text: &str) -> Result<Sampling, String> {
    named(&[Sampling::Shuffle, Sampling::Replacement], Sampling::name, text)
}

pub(super) fn schedule(text: &str) -> Result<Schedule, String> {
    let words: Vec<&str> = text.split(':').collect();
    let schedule = match words[..] {
        ["constant"] => Some(Schedule::Constant),
        ["step", every, gamma] => match (every.parse(), not_negative(gamma)) {
            (Ok(every @ 1..), Ok(gamma)) => Some(Schedule::Step { every, gamma }),
            _ => None,
        },
        ["cosine", period, minimum] => match (period.parse(), not_negative(minimum)) {
            (Ok(period @ 1..), Ok(minimum)) => Some(Schedule::Cosine { period, minimum }),
            _ => None,
        },
        _ => None,
    };
    let known = "known are constant, step:EPOCHS:FACTOR and cosine:EPOCHS:MINIMUM, with epochs of 1 or more and no negative number";
    schedule.ok_or_else(|| known.to_owned())
}

pub(super) fn range(text: &str) -> Result<LogRange, String> {
    let usage = || "give two positive numbers, the smaller first, as in 1e-6..1e-2".to_owned();
    let (low, high) = text.split_once("..").ok_or_else(usage)?;
    let (Ok(low), Ok(high)) = (low.parse(), high.parse()) else { return Err(usage()) };
    LogRange::new(low, high).map_err(|_| usage())
}

pub(super) fn shard(text: &str) -> Result<Shard, String> {
    let parse = || {
        let (index, of) = text.split_once('/')?;
        Some((index.parse::<usize>().ok()?, of.parse::<usize>().ok()?))
    };
    match parse() {
        Some((index, of)) if (1..=of).contains(&index) => Ok(Shard { index: index - 1, of }),
        _ => Err("give a share and their number, as in 1/4".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_refused_with_what_is_known() {
        assert!(rule("sgdd").is_err_and(|known| known.contains("adamw")));
        assert!(
            init("glorot-uniform") == Ok(Init::GlorotUniform)
                && init("hee").is_err_and(|known| known.contains("he-uniform"))
        );
        assert!(init("normal:-1").is_err() && init("normal:0.5") == Ok(Init::Normal(0.5)));
        assert!(range("1..0.1").is_err() && range("1e-6..1e-2").is_ok());
        assert!(widths("100,0").is_err() && widths("").is_err() && widths("none") == Ok(Widths(Vec::new())));
        assert!(shard("5/4").is_err() && shard("0/4").is_err());
        assert_eq!(shard("4/4"), Ok(Shard { index: 3, of: 4 }));
        assert!(dropout_ratio("1").is_err() && positive("0").is_err());
        assert!(schedule("step:0:0.1").is_err() && schedule("step:2:-1").is_err() && schedule("cosine:5:0").is_ok());
        assert!(not_negative("-1").is_err() && not_negative("inf").is_err() && not_negative("0.5") == Ok(0.5));
        assert!(up_to::<5>("6").is_err() && up_to::<5>("5") == Ok(5));
        assert!(threads("1025").is_err_and(|what| what.contains("1024") && what.contains(&cores().to_string())));
        assert!(threads("0").is_err() && threads("1024") == Ok(1024));
    }
}
