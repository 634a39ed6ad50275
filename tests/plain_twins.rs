//! The first steps of whole runs against the same steps in f64, made of `testkit`'s plain layers and rules.

use layers::{Activation, Dropout, Role, Stream, stream};
use mnist_io::synthetic::Synthetic;
use mnist_io::{Dataset, Sampler};
use optim::Rule;
use std::sync::OnceLock;
use tensor::Exec;
use tensor::isa::AnyIsa;
use testkit::compare::{Bound, assert_close, assert_close_f64};
use testkit::network::{Layer, Network};
use testkit::optim::{self as reference, State};
use testkit::preset::Preset as Plain;
use testkit::vector::widen;
use train::{Config, Length, Preset, Trainer};

const STEPS: u64 = 3;
const BATCH: usize = 16;
const HIDDEN: [usize; 2] = [12, 9];

fn digits() -> &'static Dataset {
    static DIGITS: OnceLock<Dataset> = OnceLock::new();
    DIGITS.get_or_init(|| Synthetic { train: 100, test: 1, seed: 1 }.generate(1).unwrap().train)
}

fn plain(preset: Preset) -> Plain {
    match preset {
        Preset::Book => Plain::Book,
        Preset::Torch => Plain::Torch,
    }
}

/// The same network in f64, with the dropout masks of a step.
fn plain_network(config: &Config, step: u64) -> Network {
    let architecture = &config.architecture;
    let preset = plain(config.preset);
    let mut layers = Vec::new();
    for (depth, &units) in architecture.hidden.iter().enumerate() {
        layers.push(Layer::Affine { outputs: units });
        if architecture.batch_norm.is_some() {
            layers.push(Layer::BatchNorm { preset });
        }
        layers.push(match architecture.activation {
            Activation::Relu => Layer::Relu,
            Activation::Sigmoid => Layer::Sigmoid,
            Activation::Tanh => Layer::Tanh,
        });
        if let Some((ratio, form)) = architecture.dropout {
            let mask = Dropout::new(units, ratio, form, config.seed, depth as u64);
            let keep = (0..BATCH * units).map(|i| mask.keeps(step, i / units, i % units)).collect();
            layers.push(Layer::Dropout { preset, ratio: f64::from(ratio), keep });
        }
    }
    layers.push(Layer::Affine { outputs: architecture.classes });
    // The book's decay is a part of the loss; Torch's is not, and falls on every parameter: `twin_steps` adds it.
    let weight_decay = if config.preset == Preset::Book { config.weight_decay } else { 0.0 };
    Network { inputs: architecture.inputs, layers, weight_decay }
}

/// All parameters, one after the other.
fn flat(trainer: &mut Trainer) -> (Vec<f32>, Vec<Role>) {
    let (mut values, mut roles) = (Vec::new(), Vec::new());
    trainer.network().parameters(&mut |_, parameter| {
        values.extend_from_slice(parameter.value);
        roles.extend(std::iter::repeat_n(parameter.role, parameter.value.len()));
    });
    (values, roles)
}

/// Three steps of a trainer on every ISA beside the same steps in f64, from the same weights and batches.
fn assert_twins(name: &str, config: &Config, rule: reference::Rule) {
    for isa in AnyIsa::available() {
        let mut trainer = Trainer::new(config.clone(), Exec::with_isa(isa, 1), digits().clone()).unwrap();
        let (start, roles) = flat(&mut trainer);
        let mut parameters = widen(&start);
        let mut state = State::new(rule, plain(config.preset), config.learning_rate, parameters.len());
        let mut sampler =
            Sampler::new(config.sampling, stream(config.seed, Stream::Batches), digits().len(), config.batch);
        for step in 0..STEPS {
            let (mut x, mut labels) = (vec![0.0; BATCH * 784], vec![0; BATCH]);
            // As drawn: a row's dropout mask is that of its place.
            let batch = sampler.next_batch().to_vec();
            digits().gather(&batch, &mut x, &mut labels);
            let (x, labels): (_, Vec<usize>) = (widen(&x), labels.into_iter().map(usize::from).collect());
            let network = plain_network(config, step);
            let want = network.loss(&parameters, &x, &labels);
            let mut gradients = network.gradients(&parameters, &x, &labels);
            if config.preset == Preset::Torch {
                gradients.iter_mut().zip(&parameters).for_each(|(g, w)| *g += config.weight_decay * w);
            }
            state.step(&mut parameters, &gradients);

            let loss = trainer.step().unwrap();
            let name = format!("{name}, step {} on {}", step + 1, isa.name());
            assert_close_f64(&format!("loss of {name}"), &[loss], &[want], Bound::Allclose { rtol: 2e-6, atol: 0.0 });

            // How far each kind of parameter has come since the start, so that one that stands still shows. Weights
            // are below 4 in size, so an f32 of each step is at most 2.4e-7 off.
            let (now, _) = flat(&mut trainer);
            for role in [Role::Weight, Role::Bias, Role::Scale, Role::Shift] {
                let of_role = || (0..now.len()).filter(|&i| roles[i] == role);
                // A bias before a batch normalisation has no gradient but rounding.
                let last_bias = now.len() - config.architecture.classes;
                let counts =
                    |i: &usize| role != Role::Bias || config.architecture.batch_norm.is_none() || *i >= last_bias;
                let moved: Vec<f32> = of_role().filter(counts).map(|i| now[i] - start[i]).collect();
                let want: Vec<f64> = of_role().filter(counts).map(|i| parameters[i] - f64::from(start[i])).collect();
                let bound = Bound::Allclose { rtol: 2e-4, atol: 1e-6 };
                assert_close(&format!("{role:?} of {name}"), &moved, &want, bound);
                if role == Role::Bias {
                    for i in of_role().filter(|i| !counts(i)) {
                        assert!(now[i].abs() < 1e-5, "bias {i} of {name} has no gradient, but is {}", now[i]);
                    }
                }
            }
        }
    }
}

/// SGD at 0.1 on batches of 16.
fn small(preset: Preset, activation: Activation) -> Config {
    let mut config = Config::book(&HIDDEN, Rule::SGD, Length::Steps(STEPS), 3);
    config.architecture.activation = activation;
    Config { batch: BATCH, learning_rate: 0.1, preset, sampling: preset.sampling(), ..config }
}

const PRESETS: [Preset; 2] = [Preset::Book, Preset::Torch];

#[test]
fn a_relu_network_learns_as_its_plain_twin_does() {
    for preset in PRESETS {
        let config = small(preset, Activation::Relu);
        assert_twins(&format!("relu, sgd, {preset:?}"), &config, reference::Rule::Sgd);
        let config = Config { rule: Rule::MOMENTUM, learning_rate: 0.05, ..config };
        assert_twins(&format!("relu, momentum, {preset:?}"), &config, reference::Rule::Momentum { alpha: 0.9 });
    }
}

#[test]
fn a_sigmoid_network_with_weight_decay_learns_as_its_plain_twin_does() {
    for preset in PRESETS {
        let config = Config { weight_decay: 0.1, ..small(preset, Activation::Sigmoid) };
        assert_twins(&format!("sigmoid, sgd, {preset:?}"), &config, reference::Rule::Sgd);
        // Decay gives every weight a gradient well above rounding, which the adaptive rules need to be comparable.
        let config = Config { rule: Rule::ADAGRAD, learning_rate: 0.01, ..config };
        assert_twins(&format!("sigmoid, adagrad, {preset:?}"), &config, reference::Rule::AdaGrad);
    }
}

#[test]
fn a_network_with_batch_normalisation_learns_as_its_plain_twin_does() {
    for preset in PRESETS {
        for activation in [Activation::Relu, Activation::Tanh] {
            let mut config = small(preset, activation);
            config.architecture.batch_norm = Some(preset.batch_norm_form());
            assert_twins(&format!("batch norm, {activation:?}, {preset:?}"), &config, reference::Rule::Sgd);
        }
    }
}

#[test]
fn a_network_with_dropout_learns_as_its_plain_twin_does() {
    for preset in PRESETS {
        let mut config = small(preset, Activation::Tanh);
        config.architecture.dropout = Some((0.4, preset.dropout_form()));
        assert_twins(&format!("dropout, {preset:?}"), &config, reference::Rule::Sgd);
    }
}
