//! The random lanes: the plain definition, the moments, no visible pattern between neighbours, the same bits
//! everywhere.
//!
//! Every bound is so many standard deviations of the statistic under the hypothesis that the numbers are random; with
//! the seeds fixed, a test either always passes or always fails.

use std::f64::consts::TAU;
use tensor::exec::Exec;
use tensor::isa::{AnyIsa, Isa, LANES, Op};
use tensor::vec::{LaneFunction, LaneRng, cos_sin_turns_lanes, map_lanes, normal_pairs, uniform_lanes};
use testkit::compare::{Bound, assert_bits, assert_close};
use testkit::poison::Poisoned;
use testkit::rng::Rng;

/// Standard deviations that a statistic may be off. A right generator exceeds five once in 1.7 million statistics.
const SIGMAS: f64 = 5.0;

/// 2²⁴: uniforms are multiples of its inverse.
const STEPS: u32 = 1 << 24;

/// The best ISA; that the others give the same bits is tested on its own.
fn best() -> AnyIsa {
    AnyIsa::available().last().expect("portable is always there")
}

struct Uniforms<'a>(LaneRng, u32, &'a mut [f32]);
impl Op for Uniforms<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let mut first = self.1;
        for chunk in self.2.chunks_mut(LANES) {
            isa.store_part(uniform_lanes(isa, self.0, first), chunk);
            first = first.wrapping_add(LANES as u32);
        }
    }
}

fn uniforms(isa: AnyIsa, rng: LaneRng, first: u32, len: usize) -> Vec<f32> {
    let mut all = vec![f32::NAN; len];
    isa.run(Uniforms(rng, first, &mut all));
    all
}

/// Asserts that the mean of `values` is `mean`, as for independent values of that `variance`.
#[track_caller]
fn assert_mean(name: &str, values: impl Iterator<Item = f64>, mean: f64, variance: f64) {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
    let sigmas = (sum / count - mean) / (variance / count).sqrt();
    assert!(sigmas.abs() <= SIGMAS, "{name}: the mean is {} of {count}, want {mean}: {sigmas:.1} σ", sum / count);
}

/// Asserts that the counts are those of independent draws with these probabilities: Pearson's χ², by Wilson and
/// Hilferty's cube root, which is nearly normal. Both sides: counts that fit too well are not random either.
#[track_caller]
fn assert_chi_square(name: &str, counts: &[u32], probabilities: &[f64]) {
    assert_eq!(counts.len(), probabilities.len());
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{name}: probabilities add to 1");
    let total = counts.iter().map(|&count| f64::from(count)).sum::<f64>();
    let chi_square: f64 = counts
        .iter()
        .zip(probabilities)
        .map(|(&count, p)| {
            assert!(total * p >= 10.0, "{name}: too few are expected for χ²");
            (f64::from(count) - total * p).powi(2) / (total * p)
        })
        .sum();
    let freedom = (counts.len() - 1) as f64;
    let spread = 2.0 / (9.0 * freedom);
    let sigmas = ((chi_square / freedom).cbrt() - (1.0 - spread)) / spread.sqrt();
    assert!(sigmas.abs() <= SIGMAS, "{name}: χ² is {chi_square:.1} with {freedom} degrees: {sigmas:.1} σ");
}

#[test]
fn every_lane_is_the_plain_definition_also_where_the_index_wraps_around() {
    let mut seeds = Rng::new(1);
    for round in 0..200 {
        let rng = LaneRng::new(&[seeds.next_u64(), round]);
        let random = seeds.next_u64() as u32;
        for first in [0, 1, 15, random, (1 << 31) - 5, u32::MAX - 100, u32::MAX - 15, u32::MAX - 7, u32::MAX] {
            let want: Vec<f32> = (0..40).map(|i| rng.uniform(first.wrapping_add(i))).collect();
            for isa in AnyIsa::available() {
                let name = format!("{rng:?} from {first} on {}", isa.name());
                assert_bits(&name, &uniforms(isa, rng, first, 40), &want);
            }
        }
    }
}

#[test]
fn uniforms_are_frozen_so_that_a_seed_means_the_same_tomorrow() {
    // Computed from the documented formulas in Python.
    let rng = LaneRng::new(&[42, 7, 3]);
    let want =
        [9_806_732, 10_464_939, 11_563_047, 6_946_767, 2_037_859, 24_079].map(|step: u32| step as f32 / STEPS as f32);
    assert_bits("stream (42, 7, 3)", &uniforms(best(), rng, 0, 6), &want);
}

#[test]
fn streams_whose_parts_differ_anywhere_share_nothing() {
    let parts: [&[u64]; 14] = [
        &[],
        &[0],
        &[1],
        &[1 << 32],
        &[1 << 63],
        &[u64::MAX],
        &[0, 0],
        &[0, 1],
        &[1, 0],
        &[1, 1],
        &[0, 0, 0],
        &[1, 2, 3],
        &[3, 2, 1],
        &[1, 2, 4],
    ];
    const LEN: usize = 1 << 12;
    let streams = parts.map(|parts| uniforms(best(), LaneRng::new(parts), 0, LEN));
    for (i, a) in streams.iter().enumerate() {
        assert_eq!(*a, uniforms(best(), LaneRng::new(parts[i]), 0, LEN), "the same parts give the same stream");
        for (j, b) in streams.iter().enumerate().skip(i + 1) {
            let name = format!("{:?} and {:?}", parts[i], parts[j]);
            let equal = a.iter().zip(b).filter(|(a, b)| a == b).count();
            assert!(equal <= 2, "{name}: {equal} of {LEN} are equal, 0.0002 are expected");
            // Not the same numbers at other places either: of 2²⁴ possible numbers, LEN² / 2²⁴ = 1 is in both.
            let mut both: Vec<f32> = a.iter().chain(b).copied().collect();
            both.sort_by(f32::total_cmp);
            let repeated = both.windows(2).filter(|pair| pair[0] == pair[1]).count();
            assert!(repeated <= 16, "{name}: {repeated} numbers come twice, 2 are expected");
            let products = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - 0.5) * (f64::from(b) - 0.5));
            assert_mean(&name, products, 0.0, 1.0 / 144.0);
        }
    }
}

#[test]
fn uniforms_have_the_moments_and_the_bits_of_uniforms() {
    const LEN: usize = 1 << 20;
    for seed in 0..4 {
        let all = uniforms(best(), LaneRng::new(&[seed]), 0, LEN);
        assert!(all.iter().all(|u| (0.0..1.0).contains(u)));
        for power in 1..=4 {
            let mean = 1.0 / f64::from(power + 1);
            let values = all.iter().map(|&u| f64::from(u).powi(power));
            assert_mean(&format!("u^{power}"), values, mean, 1.0 / f64::from(2 * power + 1) - mean * mean);
        }
        // (u + 2⁻²⁵ − ½) is symmetric about 0.
        let centred = |u: f32| f64::from(u) + 0.5 / f64::from(STEPS) - 0.5;
        for lag in [1, 2, 3, 16, 17, 100, 784, 1 << 15] {
            let products = all.iter().zip(&all[lag..]).map(|(&a, &b)| centred(a) * centred(b));
            assert_mean(&format!("u and u {lag} later"), products, 0.0, 1.0 / 144.0);
        }
        for shift in [0, 8, 16] {
            let mut counts = [0; 256];
            for u in &all {
                counts[((u * STEPS as f32) as usize >> shift) & 255] += 1;
            }
            assert_chi_square(&format!("bits {shift} to {}", shift + 7), &counts, &[1.0 / 256.0; 256]);
        }
    }
}

#[test]
fn a_changed_bit_of_the_index_or_of_a_part_changes_every_bit_with_probability_one_half() {
    const TRIALS: u32 = 4096;
    let mut seeds = Rng::new(2);
    let mut flips = vec![[0_u32; 24]; 32 + 64];
    for _ in 0..TRIALS {
        let (seed, step, i) = (seeds.next_u64(), seeds.next_u64() % 10_000, seeds.next_u64() as u32 % 100_000);
        let bits = |seed, i| (LaneRng::new(&[seed, step]).uniform(i) * STEPS as f32) as u32;
        for (bit, flips) in flips.iter_mut().enumerate() {
            let other = if bit < 32 { bits(seed, i ^ 1 << bit) } else { bits(seed ^ 1 << (bit - 32), i) };
            let changed = bits(seed, i) ^ other;
            flips.iter_mut().enumerate().for_each(|(out, count)| *count += changed >> out & 1);
        }
    }
    for (bit, flips) in flips.iter().enumerate() {
        for (out, &count) in flips.iter().enumerate() {
            let sigmas = (f64::from(count) - f64::from(TRIALS) / 2.0) / (f64::from(TRIALS) / 4.0).sqrt();
            assert!(sigmas.abs() <= SIGMAS, "input bit {bit} flips bit {out} {count} times: {sigmas:.1} σ");
        }
    }
}

/// A mask as dropout makes it: true where a unit is kept, by (seed, step, layer) and element.
fn mask(parts: [u64; 3], ratio: f32, len: usize) -> Vec<bool> {
    uniforms(best(), LaneRng::new(&parts), 0, len).into_iter().map(|u| u > ratio).collect()
}

/// The probability that a unit is kept: the multiples of 2⁻²⁴ above the ratio.
fn kept(ratio: f32) -> f64 {
    1.0 - ((f64::from(ratio) * f64::from(STEPS)).floor() + 1.0) / f64::from(STEPS)
}

/// Asserts that masks, bit by bit, are kept or dropped independently of each other: χ² over all 2ⁿ patterns.
#[track_caller]
fn assert_independent(name: &str, masks: &[impl AsRef<[bool]>], p: f64) {
    let masks: Vec<&[bool]> = masks.iter().map(AsRef::as_ref).collect();
    let mut counts = vec![0; 1 << masks.len()];
    for i in 0..masks[0].len() {
        counts[masks.iter().fold(0, |pattern, mask| pattern << 1 | usize::from(mask[i]))] += 1;
    }
    let chance =
        |pattern: usize| (0..masks.len()).map(|bit| if pattern >> bit & 1 == 1 { p } else { 1.0 - p }).product::<f64>();
    assert_chi_square(name, &counts, &(0..counts.len()).map(chance).collect::<Vec<_>>());
}

/// The elements `lags` after a start, from all starts that use no element twice: χ² wants independent draws.
fn apart(mask: &[bool], lags: &[usize]) -> Vec<Vec<bool>> {
    let mut used = vec![false; mask.len()];
    let mut columns = vec![Vec::new(); lags.len()];
    for start in 0..mask.len() - lags.iter().max().expect("a lag") {
        if lags.iter().all(|lag| !used[start + lag]) {
            for (column, lag) in columns.iter_mut().zip(lags) {
                used[start + lag] = true;
                column.push(mask[start + lag]);
            }
        }
    }
    columns
}

#[test]
fn dropout_masks_show_no_pattern_over_neighbouring_elements() {
    const LEN: usize = 1 << 19;
    for ratio in [0.15, 0.5, 0.9] {
        for parts in [[0, 0, 0], [0, 1, 0], [1, 1000, 3]] {
            let mask = mask(parts, ratio, LEN);
            // Next to each other, a vector, a row of the chapter's layers, a power of two apart; three in a row, and
            // two by two of two rows of 100.
            for lag in [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 50, 64, 100, 128, 256, 784, 1024, 4096, 65_536] {
                assert_independent(&format!("{lag} apart, ratio {ratio}"), &apart(&mask, &[0, lag]), kept(ratio));
            }
            for lags in [&[0, 1, 2][..], &[0, 1, 100, 101]] {
                assert_independent(&format!("{lags:?}, ratio {ratio}"), &apart(&mask, lags), kept(ratio));
            }
        }
    }
    let neighbours = apart(&mask([5, 0, 0], 0.5, LEN), &[0, 1, 2, 3, 4, 5, 6, 7]);
    assert_independent("eight neighbours", &neighbours, kept(0.5));
}

#[test]
fn dropout_masks_show_no_pattern_over_neighbouring_steps_layers_and_seeds() {
    const LEN: usize = 1 << 16;
    for ratio in [0.15, 0.5, 0.9] {
        for base in [[0_u64, 0, 0], [1, 599, 2], [12_345, 16_000, 5]] {
            let here = mask(base, ratio, LEN);
            for axis in 0..3 {
                for distance in [1, 2, 3, 16, 1 << 8, 1 << 32] {
                    let mut parts = base;
                    parts[axis] += distance;
                    let there = mask(parts, ratio, LEN + 1);
                    let name = format!("ratio {ratio}, {base:?} and {parts:?}");
                    assert_independent(&name, &[&here[..], &there[..LEN]], kept(ratio));
                    assert_independent(&format!("{name}, one element on"), &[&here[..], &there[1..]], kept(ratio));
                }
            }
            let [seed, step, layer] = base;
            let swapped = mask([step + 1, seed, layer], ratio, LEN);
            assert_independent("seed and step changed places", &[&here, &swapped], kept(ratio));
        }
    }
    // Eight steps of one element, and one element over very many steps.
    let steps: [Vec<bool>; 8] = std::array::from_fn(|step| mask([0, step as u64, 1], 0.5, LEN));
    assert_independent("eight steps", &steps, kept(0.5));
    let history: Vec<bool> = (0..LEN as u64).map(|step| LaneRng::new(&[0, step, 1]).uniform(7) > 0.5).collect();
    for lags in [&[0, 1][..], &[0, 2], &[0, 1, 2], &[0, 600], &[0, 1, 2, 3, 4, 5]] {
        assert_independent(&format!("one element over steps {lags:?}"), &apart(&history, lags), kept(0.5));
    }
}

/// Pairs of normal deviates from two streams.
fn normals(isa: AnyIsa, seed: u64, len: usize) -> [Vec<f32>; 2] {
    let [mut u1, mut u2] = [0, 1].map(|half| uniforms(isa, LaneRng::new(&[seed, half]), 0, len));
    normal_pairs(Exec::with_isa(isa, 1), &mut u1, &mut u2);
    [u1, u2]
}

#[test]
fn normal_deviates_have_the_moments_tails_and_independence_of_normal_deviates() {
    const LEN: usize = 1 << 19;
    for seed in 0..3 {
        let halves = normals(best(), seed, LEN);
        for (half, z) in ["cosines", "sines"].iter().zip(&halves) {
            let z = || z.iter().map(|&z| f64::from(z));
            // The variance of zᵖ is E z²ᵖ − (E zᵖ)²: 1, 3 − 1, 15, 105 − 9.
            for (power, name, mean, variance) in
                [(1, "mean", 0.0, 1.0), (2, "variance", 1.0, 2.0), (3, "skew", 0.0, 15.0), (4, "kurtosis", 3.0, 96.0)]
            {
                assert_mean(&format!("{name} of the {half}"), z().map(|z| z.powi(power)), mean, variance);
            }
            for (limit, inside) in [
                (0.5, 0.382_924_922_548),
                (1.0, 0.682_689_492_137),
                (2.0, 0.954_499_736_104),
                (3.0, 0.997_300_203_937),
                (4.0, 0.999_936_657_516),
            ] {
                let hits = z().map(|z| f64::from(u8::from(z.abs() < limit)));
                assert_mean(&format!("{half} inside {limit}"), hits, inside, inside * (1.0 - inside));
            }
            let most = z().fold(0.0, |most: f64, z| most.max(z.abs()));
            assert!((4.0..5.78).contains(&most), "the largest of {LEN} {half} is {most}");
            assert_mean(&format!("neighbours, {half}"), z().zip(z().skip(1)).map(|(a, b)| a * b), 0.0, 1.0);
        }
        let pairs = || halves[0].iter().zip(&halves[1]).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        assert_mean("correlation of a pair", pairs().map(|(a, b)| a * b), 0.0, 1.0);
        assert_mean("correlation of a pair's squares", pairs().map(|(a, b)| a * a * b * b), 1.0, 8.0);
        assert_mean("a square with its partner", pairs().map(|(a, b)| a * a * b), 0.0, 3.0);
    }
}

#[test]
fn normal_pairs_are_box_and_muller_of_their_uniforms_at_every_length_and_write_no_more() {
    let mut seeds = Rng::new(3);
    let mut uniform = |len: usize| -> Vec<f32> {
        (0..len).map(|_| seeds.usize_in(0..STEPS as usize) as f32 / STEPS as f32).collect()
    };
    for len in (0..50).chain([1000, 5003]) {
        let (mut u1, mut u2) = (uniform(len), uniform(len));
        // The ends of the interval, and the quarter turns.
        let ends = [0.0, 1.0 - 1.0 / STEPS as f32, 0.25, 0.5, 0.75];
        for (at, i) in (0..len).step_by(7).enumerate() {
            u1[i] = ends[at % 5];
            u2[i] = ends[at / 5 % 5];
        }
        let radius = |u1: f32| (-2.0 * (f64::from(u1) + 1.0 / f64::from(STEPS)).ln()).sqrt();
        let want = |part: fn(f64) -> f64| -> Vec<f64> {
            u1.iter().zip(&u2).map(|(&u1, &u2)| radius(u1) * part(TAU * f64::from(u2))).collect()
        };
        // The logarithm is off by 1 ULP (2⁻²³ relatively, half of it after the root); the root and the product are
        // rounded: 3·2⁻²⁴ of r, and 1.2e-7 of r from cosine and sine. A cosine of f64 is not 0 at a quarter turn:
        // 1e-15.
        let bounds: Vec<f64> = u1.iter().map(|&u1| 3.05e-7 * radius(u1) + 1e-15).collect();
        for isa in AnyIsa::available() {
            let [mut z0, mut z1] = [&u1, &u2].map(|u| Poisoned::vector(len, 17).with_values(u));
            normal_pairs(Exec::with_isa(isa, 2), z0.as_mut_slice(), z1.as_mut_slice());
            let name = format!("{len} on {}", isa.name());
            assert_close(&format!("cosines, {name}"), z0.as_slice(), &want(f64::cos), Bound::PerElement(&bounds));
            assert_close(&format!("sines, {name}"), z1.as_slice(), &want(f64::sin), Bound::PerElement(&bounds));
            z0.assert_guards_untouched();
            z1.assert_guards_untouched();
        }
    }
}

#[test]
fn normal_deviates_have_the_same_bits_on_every_isa() {
    const LEN: usize = (1 << 16) + 5;
    let want = normals(AnyIsa::available().next().expect("portable is always there"), 9, LEN);
    for isa in AnyIsa::available().skip(1) {
        for (got, want) in normals(isa, 9, LEN).iter().zip(&want) {
            assert_bits(isa.name(), got, want);
        }
    }
}

#[test]
#[should_panic(expected = "the two halves of the uniforms")]
fn halves_of_different_lengths_are_refused() {
    normal_pairs(Exec::with_isa(best(), 1), &mut [0.5; 3], &mut [0.5; 4]);
}

/// The sine of so many turns, or their cosine.
#[derive(Clone, Copy)]
struct Wave<const SINE: bool>;
impl<const SINE: bool> LaneFunction for Wave<SINE> {
    #[inline(always)]
    fn value<I: Isa>(self, isa: I, turns: I::F) -> I::F {
        let (cos, sin) = cos_sin_turns_lanes(isa, turns);
        if SINE { sin } else { cos }
    }
}
struct CosSin<'a>(&'a [f32], &'a mut [f32], &'a mut [f32]);
impl Op for CosSin<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        map_lanes(isa, self.0, self.1, Wave::<false>);
        map_lanes(isa, self.0, self.2, Wave::<true>);
    }
}

fn cos_sin(isa: AnyIsa, turns: &[f32]) -> [Vec<f32>; 2] {
    let [mut cos, mut sin] = [(); 2].map(|()| vec![f32::NAN; turns.len()]);
    isa.run(CosSin(turns, &mut cos, &mut sin));
    [cos, sin]
}

#[test]
fn cosines_and_sines_of_turns_stay_within_their_bound_and_have_the_same_bits_on_every_isa() {
    // Every 31st multiple of 2⁻²⁴, and all of them around each eighth of a turn, where the reduction changes.
    let eighths = (0..=8).flat_map(|eighth| (STEPS / 8 * eighth).saturating_sub(500)..=STEPS / 8 * eighth + 500);
    let steps = (0..STEPS).step_by(31).chain(eighths.filter(|&step| step <= STEPS));
    let turns: Vec<f32> = steps.map(|step| step as f32 / STEPS as f32).collect();
    let want: Vec<(f64, f64)> = turns.iter().map(|&u| (TAU * f64::from(u)).sin_cos()).collect();
    let reference = cos_sin(AnyIsa::available().next().expect("portable is always there"), &turns);
    for isa in AnyIsa::available() {
        let got = cos_sin(isa, &turns);
        for (((&u, &cos), &sin), want) in turns.iter().zip(&got[0]).zip(&got[1]).zip(&want) {
            let (sin_error, cos_error) = ((f64::from(sin) - want.0).abs(), (f64::from(cos) - want.1).abs());
            let close = cos_error <= 1.2e-7 && sin_error <= 1.2e-7;
            assert!(close, "{}: off by {cos_error:e} and {sin_error:e} at {u:e} turns", isa.name());
        }
        for (got, reference) in got.iter().zip(&reference) {
            assert_bits(isa.name(), got, reference);
        }
    }
}

#[test]
fn cosines_and_sines_of_the_quarter_turns_are_exact() {
    for isa in AnyIsa::available() {
        let [cos, sin] = cos_sin(isa, &[0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!((cos, sin), (vec![1.0, 0.0, -1.0, 0.0, 1.0], vec![0.0, 1.0, 0.0, -1.0, 0.0]), "{}", isa.name());
    }
}
