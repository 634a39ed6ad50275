//! The distribution of a layer's values: a histogram and a few shares.

use super::Context;
use super::terms::{ACTIVATION, SHARE};
use crate::figure::{Axis, Mark, Panel};
use crate::statistics::significant;
use serde_json::{Value, json};

/// Bars of a histogram.
pub const BINS: usize = 30;

/// The distribution of a layer's activations.
pub struct Distribution {
    /// The range of the histogram; what lies beyond is counted in its first and last bar.
    pub range: [f64; 2],
    /// Share of the values in each bar.
    pub histogram: Vec<f64>,
    pub mean: f64,
    pub std: f64,
    /// Share below 0.1.
    pub under: f64,
    /// Share above 0.9.
    pub over: f64,
    /// Share of zeros.
    pub zero: f64,
    /// Share of the units that are 0 for every sample.
    pub dead: f64,
}

/// Mean and standard deviation (divisor n).
fn moments(values: &[f32]) -> [f64; 2] {
    let count = values.len() as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    [mean, variance.sqrt()]
}

impl Distribution {
    /// The distribution of a matrix of so many columns, a unit a column.
    pub fn of(values: &[f32], columns: usize, [low, high]: [f64; 2]) -> Self {
        let count = values.len() as f64;
        let mut counts = [0_usize; BINS];
        let (mut under, mut over, mut zero) = (0, 0, 0);
        for &value in values {
            let place = (f64::from(value) - low) / (high - low) * BINS as f64;
            counts[(place.max(0.0) as usize).min(BINS - 1)] += 1;
            under += usize::from(value < 0.1);
            over += usize::from(value > 0.9);
            zero += usize::from(value == 0.0);
        }
        let silent = |unit: &usize| values[*unit..].iter().step_by(columns).all(|&value| value == 0.0);
        let [mean, std] = moments(values);
        let share = |part: usize| part as f64 / count;
        Self {
            range: [low, high],
            histogram: counts.iter().map(|&part| share(part)).collect(),
            mean,
            std,
            under: share(under),
            over: share(over),
            zero: share(zero),
            dead: (0..columns).filter(silent).count() as f64 / columns as f64,
        }
    }

    /// The histogram, cut off at a share of 0.2, of layer `depth` (counted from 0) of `network`.
    pub fn panel(&self, context: &Context<'_>, network: &str, depth: usize, series: usize) -> Panel {
        Panel {
            title: format!("{network}: {}", context.layer(depth + 1)),
            x: Axis::linear(context.say(ACTIVATION), self.range[0], self.range[1]),
            y: Axis::linear(context.say(SHARE), 0.0, 0.2),
            marks: vec![Mark::Bars { series, heights: self.histogram.clone() }],
        }
    }
}

/// The distribution of the size of a gradient's elements, which go over many decades.
pub struct Sizes {
    /// Share of the elements in each third of a decade from 10⁻¹⁵ to 1; what lies beyond is counted in the first and
    /// last bar, zeros in none.
    pub histogram: Vec<f64>,
    /// The standard deviation of the elements.
    pub std: f64,
    /// Share of zeros.
    pub zero: f64,
}

impl Sizes {
    /// The powers of ten the histogram begins and ends with.
    pub const DECADES: [i32; 2] = [-15, 0];
    /// Bars of a decade.
    const A_DECADE: i32 = 3;

    /// The middle of a bar.
    pub fn middle(bar: usize) -> f64 {
        10_f64.powf(f64::from(Self::DECADES[0]) + (bar as f64 + 0.5) / f64::from(Self::A_DECADE))
    }

    /// Of the elements of a gradient.
    pub fn of(gradient: &[f32]) -> Self {
        let [low, high] = Self::DECADES;
        // The lower ends of the bars but the first.
        let edges: Vec<f64> = (1..(high - low) * Self::A_DECADE)
            .map(|bar| train::decimal::exp10(f64::from(low) + f64::from(bar) / f64::from(Self::A_DECADE)))
            .collect();
        let mut counts = vec![0_usize; edges.len() + 1];
        let mut zero = 0;
        for size in gradient.iter().map(|&value| f64::from(value.abs())) {
            if size == 0.0 {
                zero += 1;
            } else {
                counts[edges.partition_point(|&edge| edge <= size)] += 1;
            }
        }
        let count = gradient.len() as f64;
        let [_, std] = moments(gradient);
        let histogram = counts.into_iter().map(|part| part as f64 / count).collect();
        Self { histogram, std, zero: zero as f64 / count }
    }
}

/// A quantity of each layer, to six digits, as JSON.
pub fn by_layer<L>(layers: &[L], quantity: impl Fn(&L) -> f64) -> Value {
    json!(layers.iter().map(|layer| significant(quantity(layer), 6)).collect::<Vec<f64>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beyond_the_range_is_in_the_outer_bars_and_a_unit_that_is_always_0_is_dead() {
        let d = Distribution::of(&[-5.0, 0.0, 0.5, 0.0, 9.0, 0.0, 0.95, 0.0], 2, [0.0, 1.0]);
        assert_eq!((d.histogram[0], d.histogram[15], d.histogram[28], d.histogram[29]), (0.625, 0.125, 0.125, 0.125));
        assert_eq!((d.under, d.over, d.zero, d.dead), (0.625, 0.25, 0.5, 0.5));
    }

    #[test]
    fn sizes_are_counted_by_thirds_of_a_decade_without_zeros() {
        let sizes = Sizes::of(&[0.0, -0.5, 1e-30, 1.1e-3, -1.2e-3, 7.0, 2.2e-3, 0.0]);
        let shares: Vec<(usize, f64)> = sizes.histogram.iter().copied().enumerate().filter(|(_, s)| *s > 0.0).collect();
        assert_eq!(shares, [(0, 0.125), (36, 0.25), (37, 0.125), (44, 0.25)]);
        assert_eq!((sizes.histogram.len(), sizes.zero), (45, 0.25));
        assert!((Sizes::middle(36) / 1.468e-3 - 1.0).abs() < 1e-3);
    }
}
