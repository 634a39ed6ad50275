//! Models in files: what comes back, what others read in them, and the SHA-256 of the weights.

mod common;

use common::{WIDTH, images, small};
use layers::{Activation, BatchNormForm, DropoutForm, Init, Network, Pass};
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::path::Path;
use tensor::{Exec, Tensor};
use testkit::compare::assert_bits;
use testkit::rng::Rng;
use train::{Config, Model, Trainer, weights_sha256};

/// Every kind of network, trained for three steps, so that none of its values is what it started with.
fn every_network() -> Vec<(String, Trainer)> {
    let data = images(30, 1);
    let mut all = Vec::new();
    for activation in [Activation::Relu, Activation::Sigmoid, Activation::Tanh] {
        for batch_norm in [None, Some(BatchNormForm::Book), Some(BatchNormForm::Torch)] {
            for dropout in [None, Some((0.3, DropoutForm::Book)), Some((0.7, DropoutForm::Torch))] {
                for hidden in [&[][..], &[6], &[6, 1, 5]] {
                    let mut config: Config = small(hidden);
                    (config.architecture.activation, config.architecture.batch_norm) = (activation, batch_norm);
                    config.architecture.dropout = dropout;
                    let mut trainer = Trainer::new(config, Exec::serial(), data.clone()).unwrap();
                    for _ in 0..3 {
                        trainer.step().unwrap();
                    }
                    all.push((format!("{hidden:?}, {activation:?}, {batch_norm:?}, {dropout:?}"), trainer));
                }
            }
        }
    }
    all
}

/// Name, shape and value of all that a file should hold.
fn contents(network: &mut Network) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut all = Vec::new();
    let (inputs, hidden) = (network.architecture().inputs, network.architecture().hidden.clone());
    let mut widths: Vec<usize> = std::iter::once(inputs).chain(hidden).chain([10]).collect();
    widths.reverse();
    let kinds = network.kinds();
    let mut width = 0;
    let mut shapes = Vec::new();
    for kind in kinds {
        if kind.starts_with("affine") {
            let inputs = widths.pop().unwrap();
            width = *widths.last().unwrap();
            shapes.push(vec![("weight", vec![inputs, width]), ("bias", vec![width])]);
        } else if kind.starts_with("batch_norm") {
            shapes.push(["gamma", "beta", "running_mean", "running_var"].map(|name| (name, vec![width])).to_vec());
        } else {
            shapes.push(vec![]);
        }
    }
    let mut take = |layer: usize, value: &[f32]| {
        let (name, shape) = shapes[layer].remove(0);
        all.push((format!("layers.{layer}.{name}"), shape, value.to_vec()));
    };
    network.parameters(&mut |layer, parameter| take(layer, parameter.value));
    network.statistics(&mut |layer, statistic| take(layer, statistic.value));
    assert!(shapes.iter().all(Vec::is_empty), "values that nobody visits: {shapes:?}");
    all
}

fn load(path: &Path) -> Network {
    Model::load(Exec::serial(), path).unwrap_or_else(|error| panic!("{error}")).network
}

#[test]
fn a_network_comes_back_bit_for_bit_with_its_statistics_and_its_second_file_is_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    let x = Tensor::from_slice(&Rng::new(2).vec_f32(9 * WIDTH), [9, WIDTH]).unwrap();
    let mut with_statistics = 0;
    for (name, mut trainer) in every_network() {
        let network = trainer.network();
        Model::save(network, &first).unwrap();
        let mut read = load(&first);
        let (want, got) = (contents(network), contents(&mut read));
        assert_eq!(got.len(), want.len(), "{name}");
        for ((tensor, _, want), (_, _, got)) in want.iter().zip(&got) {
            assert_bits(&format!("{tensor} of {name}"), got, want);
        }
        with_statistics += usize::from(want.iter().any(|(tensor, ..)| tensor.ends_with("running_var")));

        let mut architecture = network.architecture().clone();
        architecture.init = Init::Zeros;
        assert_eq!(*read.architecture(), architecture, "{name}");
        assert_eq!(read.kinds(), network.kinds(), "{name}");
        assert_eq!(weights_sha256(&mut read), weights_sha256(network), "{name}");
        let logits = |network: &mut Network| {
            network.forward(Exec::serial(), Pass::Inference, x.view()).unwrap().to_tensor().as_slice().to_vec()
        };
        assert_bits(&format!("logits of {name}"), &logits(&mut read), &logits(network));

        Model::save(&mut read, &second).unwrap();
        assert!(std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap(), "{name}: another file");
    }
    assert_eq!(with_statistics, 3 * 2 * 3 * 2);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "files left lying: {left:?}");
}

#[test]
fn others_read_the_tensors_by_name_shape_and_value_and_the_network_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for (name, mut trainer) in every_network() {
        Model::save(trainer.network(), &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let want = contents(trainer.network());
        let mut names: Vec<&str> = want.iter().map(|(tensor, ..)| tensor.as_str()).collect();
        let mut found = file.names();
        names.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, names, "{name}");
        for (tensor, shape, value) in &want {
            let view = file.tensor(tensor).unwrap();
            assert_eq!((view.dtype(), view.shape()), (Dtype::F32, &shape[..]), "{tensor} of {name}");
            let floats: Vec<f32> = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            assert_bits(&format!("{tensor} of {name}"), &floats, value);
        }

        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        assert_eq!(metadata.keys().collect::<Vec<_>>(), ["groundup"], "a second key makes the bytes depend on a hash");
        let about: Value = serde_json::from_str(&metadata["groundup"]).unwrap();
        let architecture = &trainer.config().architecture;
        assert_eq!(about["version"], json!(2));
        assert_eq!(about["hidden"], json!(architecture.hidden));
        assert_eq!(about["activation"], json!(architecture.activation.name()));
        let preset = |torch: bool| if torch { "torch" } else { "book" };
        assert_eq!(about["batch_norm"], json!(architecture.batch_norm.map(|f| preset(f == BatchNormForm::Torch))));
        let dropout = &about["dropout"];
        let read =
            dropout.as_array().map(|dropout| (dropout[0].as_f64().unwrap() as f32, dropout[1].as_str().unwrap()));
        let want = architecture.dropout.map(|(ratio, form)| (ratio, preset(form == DropoutForm::Torch)));
        assert_eq!(read, want, "{dropout} of {name}");
    }
}

#[test]
fn numbers_that_are_none_and_signed_zeros_survive_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.safetensors");
    let odd = [f32::NAN, f32::from_bits(0xffc0_1234), -0.0, 0.0, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(1)];
    let mut network = Network::new(Exec::serial(), small(&[4]).architecture, 1, 3);
    network.parameters(&mut |_, parameter| {
        parameter.value.iter_mut().zip(odd.iter().cycle()).for_each(|(value, odd)| *value = *odd);
    });
    Model::save(&mut network, &path).unwrap();
    for ((name, _, want), (_, _, got)) in contents(&mut network).iter().zip(contents(&mut load(&path))) {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&got), bits(want), "{name}");
    }
}

#[test]
fn a_model_that_cannot_be_written_leaves_the_old_one_and_is_an_error_that_names_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = Network::new(Exec::serial(), small(&[4]).architecture, 1, 3);
    // A folder stands where the file should.
    let path = folder.path().join("model.safetensors");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("inside"), "1").unwrap();
    let message = Model::save(&mut network, &path).unwrap_err().to_string();
    assert!(message.contains("model.safetensors") && message.lines().count() == 1, "{message:?}");
    assert_eq!(std::fs::read(path.join("inside")).unwrap(), b"1");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
    let message = Model::load(Exec::serial(), &folder.path().join("none")).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("none: ") && message.lines().count() == 1, "{message:?}");
}

/// SHA-256 as FIPS 180-4 has it, without cleverness, in hexadecimal.
fn sha256(message: &[u8]) -> String {
    // The first 32 bits of the fractional parts of the roots of the primes: square roots, cube roots.
    let primes: Vec<u32> = (2..312).filter(|n| (2..*n).all(|d| n % d != 0)).collect();
    assert_eq!(primes.len(), 64);
    // By bisection in whole numbers: the greatest r with rᵖ ≤ prime·2^(32·p), less its whole part.
    let root = |prime: u32, power: u32| {
        let (mut low, mut high) = (0_u128, 1 << 37);
        while high - low > 1 {
            let middle = (low + high) / 2;
            if middle.pow(power) <= u128::from(prime) << (32 * power) { low = middle } else { high = middle }
        }
        low as u32
    };
    let k: Vec<u32> = primes.iter().map(|&prime| root(prime, 3)).collect();
    let mut state: Vec<u32> = primes[..8].iter().map(|&prime| root(prime, 2)).collect();

    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((8 * message.len() as u64).to_be_bytes());
    for block in padded.chunks(64) {
        let mut w: Vec<u32> = block.as_chunks().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect();
        for t in 16..64 {
            let (a, b) = (w[t - 15], w[t - 2]);
            let s0 = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let s1 = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            w.push(w[t - 16].wrapping_add(s0).wrapping_add(w[t - 7]).wrapping_add(s1));
        }
        let mut v = state.clone();
        for t in 0..64 {
            let (a, e) = (v[0], v[4]);
            let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choose = (e & v[5]) ^ (!e & v[6]);
            let t1 = [s1, choose, k[t], w[t]].into_iter().fold(v[7], u32::wrapping_add);
            let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let majority = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]);
            v.rotate_right(1);
            v[4] = v[4].wrapping_add(t1);
            v[0] = t1.wrapping_add(s0).wrapping_add(majority);
        }
        state.iter_mut().zip(v).for_each(|(state, v)| *state = state.wrapping_add(v));
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}

#[test]
fn weights_sha256_is_the_sha256_of_all_parameters_bytes_in_network_order() {
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (name, mut trainer) in every_network() {
        let network = trainer.network();
        let of_statistics = |name: &str| name.contains("running");
        let parameters: Vec<_> = contents(network).into_iter().filter(|(name, ..)| !of_statistics(name)).collect();
        let bytes: Vec<u8> =
            parameters.iter().flat_map(|(.., value)| value).flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(weights_sha256(network), sha256(&bytes), "{name}");
    }
}

#[test]
fn weights_sha256_knows_nothing_of_statistics_and_misses_no_bit_of_a_parameter() {
    for (name, mut trainer) in every_network() {
        let network = trainer.network();
        let start = weights_sha256(network);
        network.statistics(&mut |_, statistic| statistic.value.fill(42.0));
        assert_eq!(weights_sha256(network), start, "{name}: statistics count");
        let mut count = 0;
        network.parameters(&mut |_, _| count += 1);
        for changed in 0..count {
            let flip = |network: &mut Network| {
                let mut index = 0;
                network.parameters(&mut |_, parameter| {
                    if index == changed {
                        let last = parameter.value.last_mut().unwrap();
                        *last = f32::from_bits(last.to_bits() ^ 1);
                    }
                    index += 1;
                });
            };
            flip(network);
            assert_ne!(weights_sha256(network), start, "{name}: parameter {changed} does not count");
            flip(network);
            assert_eq!(weights_sha256(network), start, "{name}");
        }
    }
}
