//! Summaries over runs.

/// The mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation with divisor n − 1; 0 of one value.
pub fn std(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
}

/// Point by point over curves of one length: (mean, least, greatest).
pub fn spread(curves: &[&[f64]]) -> Vec<[f64; 3]> {
    let len = curves.iter().map(|curve| curve.len()).min().unwrap_or(0);
    (0..len)
        .map(|i| {
            let at: Vec<f64> = curves.iter().map(|curve| curve[i]).collect();
            let low = at.iter().copied().fold(f64::INFINITY, f64::min);
            let high = at.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            [mean(&at), low, high]
        })
        .collect()
}

/// Means over windows of `every` values: (index of the window's middle, mean).
pub fn smooth(curve: &[f64], every: usize) -> Vec<[f64; 2]> {
    curve
        .chunks(every.max(1))
        .enumerate()
        .map(|(i, window)| [(i * every) as f64 + (window.len() as f64 + 1.0) / 2.0, mean(window)])
        .collect()
}

/// Rounded to so many digits after the point: figures' numbers are read by people too.
pub fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// Rounded to so many digits that count, whatever the size.
pub fn significant(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits - 1).parse().unwrap_or(value)
}

/// "0.123 ± 0.004" over runs, or the value alone if there is one.
pub fn plus_minus(values: &[f64], digits: usize) -> String {
    if values.len() < 2 {
        return format!("{:.digits$}", mean(values));
    }
    format!("{:.digits$} ± {:.digits$}", mean(values), std(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_small_lists_are_right() {
        assert_eq!((mean(&[1.0, 2.0, 6.0]), std(&[1.0, 3.0])), (3.0, 2.0_f64.sqrt()));
        assert_eq!(spread(&[&[1.0, 5.0], &[3.0, 1.0]]), [[2.0, 1.0, 3.0], [3.0, 1.0, 5.0]]);
        assert_eq!(smooth(&[1.0, 3.0, 5.0], 2), [[1.5, 2.0], [3.0, 5.0]]);
        assert_eq!(plus_minus(&[0.5], 2), "0.50");
        assert_eq!([significant(1.23456e-9, 3), significant(-99.96, 3), significant(0.0, 3)], [1.23e-9, -100.0, 0.0]);
    }
}
