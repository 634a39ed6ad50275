//! Scales: from values to places, and which values get a tick.

/// An axis of a panel.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Written beside it; the quantity and its unit.
    pub label: String,
    /// The least and the greatest value shown.
    pub range: [f64; 2],
    /// Whether equal ratios get equal lengths.
    pub log: bool,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: &str, low: f64, high: f64) -> Self {
        Self { label: label.to_owned(), range: [low, high], log: false }
    }

    /// A logarithmic axis over positive values.
    pub fn log(label: &str, low: f64, high: f64) -> Self {
        Self { label: label.to_owned(), range: [low, high], log: true }
    }

    /// A logarithmic axis of whole decades, at least one, in which all of these positive values lie.
    pub fn decades(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let [mut low, mut high] = [f64::INFINITY, f64::NEG_INFINITY];
        for value in values.into_iter().filter(|&value| value > 0.0 && value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        let low = if low.is_finite() { low.log10().floor() as i32 } else { 0 };
        let high = if high.is_finite() { high.log10().ceil() as i32 } else { 0 };
        Self::log(label, 10_f64.powi(low), 10_f64.powi(high.max(low + 1)))
    }

    /// Its range and kind, for a program that reads the picture: `0 10 lin`, `0.01 1 log`.
    pub(super) fn scale(&self) -> String {
        let [low, high] = self.range;
        format!("{low} {high} {}", if self.log { "log" } else { "lin" })
    }

    /// The place of a value: 0 at the low end, 1 at the high end; values outside are held at the ends.
    pub fn place(&self, value: f64) -> f64 {
        let [low, high] = self.range;
        let place = if self.log {
            (value.max(f64::MIN_POSITIVE) / low).log10() / (high / low).log10()
        } else {
            (value - low) / (high - low)
        };
        place.clamp(0.0, 1.0)
    }

    /// The values that get a tick, with their labels: about `count` of them, round numbers.
    pub fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        let [low, high] = self.range;
        if self.log {
            let decades = low.log10().ceil() as i32..=high.log10().floor() as i32;
            let every = ((decades.end() - decades.start()) as usize / count.max(1) + 1) as i32;
            return decades
                .filter(|decade| decade % every == 0)
                .map(|decade| (10_f64.powi(decade), power_of_ten(decade)))
                .collect();
        }
        let raw = (high - low) / count.max(1) as f64;
        let magnitude = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * magnitude)
            .find(|&step| step >= raw * 0.999)
            .unwrap_or(raw);
        let digits = (0..6).find(|&digits| (step * 10_f64.powi(digits)).fract().abs() < 1e-6).unwrap_or(6);
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|i| i as f64 * step)
            .map(|value| {
                let label =
                    if value.abs() >= 1000.0 { thousands(value) } else { format!("{value:.*}", digits as usize) };
                (
                    value,
                    if label.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
                        "0".to_owned()
                    } else {
                        label
                    },
                )
            })
            .collect()
    }
}

/// 12000 as 12,000.
fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("−{text}") } else { text }
}

/// A power of ten as people write it: 0.001 to 100, else 10⁻⁶.
fn power_of_ten(decade: i32) -> String {
    match decade {
        -2..=3 => format!("{}", 10_f64.powi(decade)),
        _ => {
            let superscript = |c: char| match c {
                '-' => '⁻',
                '1' => '¹',
                '2' => '²',
                '3' => '³',
                digit => char::from_u32(0x2070 + digit as u32 - '0' as u32).unwrap_or(digit),
            };
            format!("10{}", decade.to_string().chars().map(superscript).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let labels = |axis: Axis| axis.ticks(5).into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(Axis::linear("", 0.0, 1.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(Axis::linear("", 0.0, 2000.0)), ["0", "500", "1,000", "1,500", "2,000"]);
        assert_eq!(labels(Axis::log("", 1e-6, 1e-2)), ["10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "0.01"]);
    }

    #[test]
    fn decades_hold_all_values_and_are_a_decade_at_least() {
        let range = |values: &[f64]| Axis::decades("", values.iter().copied()).range;
        assert_eq!(range(&[3.0, 0.02, 1e5]), [0.01, 1e5]);
        assert_eq!(range(&[2.0, 3.0]), [1.0, 10.0]);
        assert_eq!(range(&[100.0]), [100.0, 1000.0]);
        assert_eq!(range(&[0.0, f64::NAN, 20.0]), [10.0, 100.0], "what has no place on the axis does not stretch it");
        assert_eq!(range(&[]), [1.0, 10.0]);
    }

    #[test]
    fn places_are_held_inside_the_axis() {
        let axis = Axis::log("", 0.01, 100.0);
        assert_eq!([axis.place(1e-9), axis.place(1.0), axis.place(1e9)], [0.0, 0.5, 1.0]);
    }
}
