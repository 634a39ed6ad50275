//! Initial weights: their distributions, and the streams they are drawn from.

use layers::{Activation, Architecture, Init, Network, Role, Stream, standard_normal, stream};
use rand::Rng;
use tensor::Exec;
use tensor::isa::AnyIsa;
use testkit::compare::{assert_bits, check_bits};

const SHAPE: [usize; 2] = [300, 400];

fn isas() -> impl Iterator<Item = Exec> {
    AnyIsa::available().map(|isa| Exec::with_isa(isa, 1))
}

/// Weights of a layer, drawn into an array that was NaN.
fn draw(exec: Exec, init: Init, seed: u64, shape: [usize; 2]) -> Vec<f32> {
    let mut weights = vec![f32::NAN; shape[0] * shape[1]];
    init.fill(exec, &mut stream(seed, Stream::Weights), shape, &mut weights);
    weights
}

/// Mean and standard deviation.
fn moments(x: &[f32]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let var = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    (mean, var.sqrt())
}

fn share(x: &[f32], of: impl Fn(f64) -> bool) -> f64 {
    x.iter().filter(|&&x| of(f64::from(x))).count() as f64 / x.len() as f64
}

/// Correlation of two samples of the same distribution with mean 0 and standard deviation `std`.
fn correlation(x: &[f32], y: &[f32], std: f64) -> f64 {
    assert_eq!(x.len(), y.len());
    let sum: f64 = x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
    sum / (x.len() as f64 * std * std)
}

/// Each form with the standard deviation the chapter's table gives it for [`SHAPE`], and whether it is uniform.
fn every_init() -> [(Init, f64, bool); 7] {
    let [fan_in, fan_out] = SHAPE.map(|n| n as f64);
    [
        (Init::Normal(0.01), 0.01, false),
        (Init::Normal(1.0), 1.0, false),
        (Init::Xavier, 1.0 / fan_in.sqrt(), false),
        (Init::He, (2.0 / fan_in).sqrt(), false),
        (Init::Glorot, (2.0 / (fan_in + fan_out)).sqrt(), false),
        (Init::GlorotUniform, (2.0 / (fan_in + fan_out)).sqrt(), true),
        (Init::HeUniform, (2.0 / fan_in).sqrt(), true),
    ]
}

#[test]
fn mean_and_standard_deviation_are_those_of_the_table() {
    for (init, std, _) in every_init() {
        for seed in [1, 2] {
            let weights = draw(Exec::serial(), init, seed, SHAPE);
            let n = weights.len() as f64;
            let (mean, got) = moments(&weights);
            assert!((init.std(SHAPE[0], SHAPE[1]) / std - 1.0).abs() < 1e-12, "{init:?}");
            // Five standard errors; that of the deviation of a normal sample is σ/√2n, of a uniform one less.
            assert!(mean.abs() < 5.0 * std / n.sqrt(), "{init:?}, seed {seed}: mean {mean}");
            assert!((got / std - 1.0).abs() < 5.0 / (2.0 * n).sqrt(), "{init:?}, seed {seed}: {got}, want {std}");
        }
    }
}

#[test]
fn a_normal_form_has_the_shares_and_the_tail_of_a_normal_distribution() {
    for (init, std, uniform) in every_init() {
        let weights = draw(Exec::serial(), init, 3, SHAPE);
        assert!(weights.iter().all(|w| w.is_finite()), "{init:?}");
        if uniform {
            continue;
        }
        for (within, want) in [(0.5, 0.382_925), (1.0, 0.682_689), (2.0, 0.954_500), (3.0, 0.997_300)] {
            let got = share(&weights, |w| w.abs() < within * std);
            let spread = (want * (1.0 - want) / weights.len() as f64).sqrt();
            assert!((got - want).abs() < 5.0 * spread, "{init:?}: {got} within {within}σ, want {want}");
        }
        // Of 120 000, eight are expected beyond 4σ, and with uniforms of 24 bits none can be beyond 5.77σ.
        assert!(share(&weights, |w| w.abs() > 4.0 * std) > 0.0, "{init:?} has no tail");
        assert_eq!(share(&weights, |w| w.abs() > 5.78 * std), 0.0, "{init:?}");
        assert!((share(&weights, |w| w > 0.0) - 0.5).abs() < 0.0073, "{init:?} leans to a side");
    }
}

#[test]
fn a_uniform_form_fills_its_interval_evenly_and_never_leaves_it() {
    for (init, std, uniform) in every_init() {
        if !uniform {
            continue;
        }
        let weights = draw(Exec::serial(), init, 4, SHAPE);
        let half = std * 3.0_f64.sqrt();
        assert_eq!(share(&weights, |w| w.abs() > half * (1.0 + 1e-7)), 0.0, "{init:?}");
        for tenth in 0..10 {
            let from = -half + half * f64::from(tenth) / 5.0;
            let got = share(&weights, |w| (from..from + half / 5.0).contains(&w));
            assert!((got - 0.1).abs() < 0.0044, "{init:?}: {got} in tenth {tenth}");
        }
        assert!(share(&weights, |w| w > 0.999 * half) > 0.0 && share(&weights, |w| w < -0.999 * half) > 0.0);
    }
}

#[test]
fn zeros_are_zeros_also_where_there_was_nan() {
    assert_bits("zeros", &draw(Exec::serial(), Init::Zeros, 5, [7, 9]), &[0.0; 63]);
    assert_eq!(Init::Zeros.std(7, 9), 0.0);
}

#[test]
fn weights_are_independent_of_each_other() {
    for init in [Init::He, Init::HeUniform] {
        let std = init.std(SHAPE[0], SHAPE[1]);
        let weights = draw(Exec::serial(), init, 6, SHAPE);
        // Neighbours, the two numbers of a 64-bit draw, rows, and the cosine and sine halves of the normal transform.
        for lag in [1, 2, SHAPE[1], weights.len() / 2] {
            let (x, y) = (&weights[..weights.len() - lag], &weights[lag..]);
            let got = correlation(x, y, std);
            assert!(got.abs() < 5.0 / (x.len() as f64).sqrt(), "{init:?}, lag {lag}: correlation {got}");
            // Of the squares too: the two halves of a pair share their radius, and must not show it.
            let square = |x: &[f32]| x.iter().map(|&x| (f64::from(x) / std).powi(2) as f32 - 1.0).collect::<Vec<f32>>();
            let got = correlation(&square(x), &square(y), 2.0_f64.sqrt());
            assert!(got.abs() < 5.0 / (x.len() as f64).sqrt(), "{init:?}, lag {lag}: squares correlate by {got}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_bits_on_every_isa_and_another_seed_others() {
    for (init, ..) in every_init() {
        let want = draw(Exec::serial(), init, 7, [63, 65]);
        for exec in isas() {
            assert_bits(exec.isa().name(), &draw(exec, init, 7, [63, 65]), &want);
            let other = draw(exec, init, 8, [63, 65]);
            assert!(check_bits(&other, &want).is_err(), "{init:?}: seeds 7 and 8 give the same weights");
            let same = other.iter().zip(&want).filter(|(a, b)| a == b).count();
            assert!(same < 10, "{init:?}: seeds 7 and 8 share {same} of {} weights", want.len());
        }
    }
}

#[test]
fn any_number_of_weights_is_filled_to_the_last() {
    for count in [1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 65, 255, 1001] {
        for exec in isas() {
            for init in [Init::Normal(1.0), Init::HeUniform] {
                let mut weights = vec![f32::NAN; count + 4];
                init.fill(exec, &mut stream(9, Stream::Weights), [1, count], &mut weights[..count]);
                assert!(weights[..count].iter().all(|w| w.is_finite() && *w != 0.0), "{init:?}, {count}: {weights:?}");
                assert!(weights[count..].iter().all(|w| w.is_nan()), "{init:?}, {count}: written beyond the end");
            }
        }
    }
    let mut none = [];
    Init::He.fill(Exec::serial(), &mut stream(9, Stream::Weights), [1, 0], &mut none);
}

#[test]
fn standard_normal_is_the_stream_of_normal_one() {
    for exec in isas() {
        for count in [0, 1, 17, 4000] {
            let got = standard_normal(exec, &mut stream(10, Stream::Weights), count);
            assert_bits("standard_normal", &got, &draw(exec, Init::Normal(1.0), 10, [1, count]));
        }
    }
    let mut rng = stream(11, Stream::Experiment);
    let (first, second) =
        (standard_normal(Exec::serial(), &mut rng, 5000), standard_normal(Exec::serial(), &mut rng, 5000));
    let (mean, std) = moments(&first);
    assert!(mean.abs() < 0.0708 && (std - 1.0).abs() < 0.05, "mean {mean}, deviation {std}");
    assert!(correlation(&first, &second, 1.0).abs() < 0.0708, "a second draw goes on where the first ended");
}

#[test]
fn streams_of_a_seed_do_not_meet_and_drawing_from_one_moves_no_other() {
    let draws = |seed, purpose| {
        let mut rng = stream(seed, purpose);
        (0..1000).map(|_| rng.next_u64()).collect::<Vec<u64>>()
    };
    let purposes = [Stream::Weights, Stream::Batches, Stream::Experiment];
    let all: Vec<Vec<u64>> = [1, 2].iter().flat_map(|&seed| purposes.map(|purpose| draws(seed, purpose))).collect();
    let mut distinct: Vec<u64> = all.concat();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 6000, "two streams share numbers");
    for (i, a) in all.iter().enumerate() {
        for b in &all[..i] {
            // 64 000 bits of two independent streams: half agree, with a standard deviation of 126.
            let agree: u32 = a.iter().zip(b).map(|(a, b)| (a ^ b).count_zeros()).sum();
            assert!(agree.abs_diff(32_000) < 640, "{agree} of 64000 bits agree");
        }
    }
    draw(Exec::serial(), Init::He, 1, [50, 50]);
    assert_eq!(draws(1, Stream::Batches), all[1]);
}

#[test]
fn a_network_draws_its_layers_one_after_the_other_from_the_weight_stream() {
    let architecture = |init| Architecture {
        inputs: 13,
        hidden: vec![9, 7],
        classes: 5,
        activation: Activation::Relu,
        init,
        batch_norm: None,
        dropout: None,
    };
    for init in [Init::He, Init::GlorotUniform] {
        for exec in isas() {
            let mut rng = stream(12, Stream::Weights);
            let mut shapes = Vec::new();
            Network::new(exec, architecture(init), 12, 1).parameters(&mut |_, parameter| {
                if parameter.role == Role::Weight {
                    let mut want = vec![f32::NAN; parameter.value.len()];
                    init.fill(exec, &mut rng, parameter.shape, &mut want);
                    assert_bits("weights", parameter.value, &want);
                    shapes.push(parameter.shape);
                } else {
                    assert!(parameter.value.iter().all(|&b| b == 0.0), "a bias starts at 0");
                }
            });
            assert_eq!(shapes, [[13, 9], [9, 7], [7, 5]]);
        }
    }
}
