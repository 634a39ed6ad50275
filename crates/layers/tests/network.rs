//! The network as a whole: how it is strung together, what it refuses, and that a run has the same bits everywhere.

use layers::{
    Activation, Architecture, Batch, BatchNormForm, DropoutForm, Init, Network, Pass, Role, State, UpdateRule,
};
use tensor::isa::AnyIsa;
use tensor::vec::ByteRows;
use tensor::{Exec, ShapeError, Tensor, View};
use testkit::compare::{Bound, assert_bits, assert_close};
use testkit::rng::Rng;

fn small() -> Architecture {
    Architecture {
        inputs: 6,
        hidden: vec![5],
        classes: 3,
        activation: Activation::Relu,
        init: Init::He,
        batch_norm: None,
        dropout: None,
    }
}

#[test]
fn layers_stand_in_the_order_of_the_chapter() {
    let kinds = |activation, batch_norm, dropout| {
        let architecture = Architecture { activation, batch_norm, dropout, ..small() };
        let mut network = Network::new(Exec::serial(), architecture.clone(), 1, 4);
        assert_eq!((network.architecture(), network.batch()), (&architecture, 4));
        assert_eq!(network.depth(), network.kinds().len());
        (network.kinds().join(" "), network.parameter_lengths())
    };
    let (norm, drop) = (Some(BatchNormForm::Book), Some((0.5, DropoutForm::Book)));
    let (plain, normed) = (vec![30, 5, 15, 3], vec![30, 5, 5, 5, 15, 3]);
    assert_eq!(kinds(Activation::Relu, None, None), ("affine relu affine".into(), plain.clone()));
    assert_eq!(kinds(Activation::Tanh, None, None), ("affine tanh affine".into(), plain.clone()));
    assert_eq!(kinds(Activation::Relu, None, drop), ("affine relu dropout affine".into(), plain));
    assert_eq!(kinds(Activation::Relu, norm, None), ("affine batch_norm relu affine".into(), normed.clone()));
    assert_eq!(kinds(Activation::Sigmoid, norm, drop), ("affine batch_norm sigmoid dropout affine".into(), normed));
}

#[test]
fn a_batch_that_does_not_fit_is_an_error_that_says_so() {
    fn refused<T>(result: Result<T, ShapeError>) -> (&'static str, String) {
        let error = result.err().expect("a wrong shape was accepted");
        let message = error.to_string();
        match error {
            ShapeError::Mismatch { left_name, .. } => (left_name, message),
            other => panic!("not the error of two shapes: {other}"),
        }
    }
    let exec = Exec::serial();
    let mut network = Network::new(exec, small(), 1, 4);
    let [large, wide, right] = [[5, 6], [4, 7], [4, 6]].map(Tensor::<f32, 2>::zeros);
    for pass in [Pass::Training { step: 0 }, Pass::Inference] {
        let (operand, message) = refused(network.forward(exec, pass, large.view()));
        assert_eq!(operand, "the batch");
        assert!(
            message.starts_with("network") && message.contains("[5, 6]") && message.contains("[4, 6]"),
            "{message}"
        );
        assert_eq!(refused(network.forward(exec, pass, wide.view())).0, "the batch");
        assert_eq!(network.forward(exec, pass, right.view()).unwrap().shape(), [4, 3]);
    }
    assert_eq!(refused(network.loss_and_gradients(exec, 0, large.view(), &[0; 5])).0, "the batch");
    assert_eq!(refused(network.loss_and_gradients(exec, 0, right.view(), &[0; 3])).0, "the labels");
    assert!(network.loss_and_gradients(exec, 0, right.view(), &[0, 1, 2, 0]).unwrap() > 0.0);
}

#[test]
fn the_loss_of_a_prediction_changes_no_gradient_and_is_that_of_its_logits() {
    let exec = Exec::serial();
    let mut network = Network::new(exec, small(), 1, 4);
    let x = Tensor::from_slice(&Rng::new(1).vec_normal(24), [4, 6]).unwrap();
    let learnt = network.loss_and_gradients(exec, 0, x.view(), &[0, 1, 2, 0]).unwrap();
    let gradients = |network: &mut Network| {
        let mut all = Vec::new();
        network.parameters(&mut |_, parameter| all.extend_from_slice(parameter.gradient));
        all
    };
    let before = gradients(&mut network);
    assert!(before.iter().any(|&g| g != 0.0));

    network.forward(exec, Pass::Inference, x.view()).unwrap();
    // Without batch normalisation and dropout the two passes are one.
    assert_bits("the same labels", &[network.loss(exec, &[0, 1, 2, 0]).unwrap()], &[learnt]);
    assert_ne!(network.loss(exec, &[1, 1, 2, 0]).unwrap(), learnt, "another label");
    assert_bits("gradients", &gradients(&mut network), &before);
}

#[test]
fn at_inference_dropout_scales_what_the_layer_before_it_returns_whichever_of_the_two_does_it() {
    let x = Tensor::from_slice(&Rng::new(5).vec_normal(20 * 6), [20, 6]).unwrap();
    for isa in AnyIsa::available() {
        let exec = Exec::with_isa(isa, 1);
        for (form, scale) in [(DropoutForm::Book, 1.0 - 0.3), (DropoutForm::Torch, 1.0)] {
            // Behind an affine layer with a ReLU, behind batch normalisation with one, and behind a layer of its own.
            for (activation, batch_norm) in
                [(Activation::Relu, None), (Activation::Relu, Some(BatchNormForm::Torch)), (Activation::Tanh, None)]
            {
                let with = |dropout| Architecture { activation, batch_norm, dropout, hidden: vec![50, 50], ..small() };
                let mut network = Network::new(exec, with(Some((0.3, form))), 1, 20);
                // The same weights, but that those of the layers behind dropout are multiplied with the factor.
                let mut plain = Network::new(exec, with(None), 1, 20);
                let mut weights = 0;
                plain.parameters(&mut |_, parameter| {
                    if parameter.role == Role::Weight {
                        weights += 1;
                        let factor = if weights == 1 { 1.0 } else { scale };
                        parameter.value.iter_mut().for_each(|w| *w *= factor);
                    }
                });
                let logits = network.forward(exec, Pass::Inference, x.view()).unwrap().to_tensor();
                let want = plain.forward(exec, Pass::Inference, x.view()).unwrap().to_tensor();
                let name = format!("{form:?} behind {activation:?}, {batch_norm:?} on {}", isa.name());
                let want: Vec<f64> = want.as_slice().iter().map(|&y| f64::from(y)).collect();
                assert_close(&name, logits.as_slice(), &want, Bound::Allclose { rtol: 1e-5, atol: 1e-5 });
                // Y of the dropout layers is there, scaled.
                let kinds = network.kinds();
                let first = kinds.iter().position(|&kind| kind == "dropout").expect("there is one");
                let hidden = plain.activation(first - 1, 20);
                let want: Vec<f32> = hidden.iter().map(|y| scale * y).collect();
                let scaled = network.activation(first, 20).to_tensor();
                assert_bits(&name, scaled.as_slice(), &want);
                let trained = network.forward(exec, Pass::Training { step: 0 }, x.view()).unwrap().to_tensor();
                assert_ne!(logits.as_slice(), trained.as_slice(), "nothing is dropped in training");
            }
        }
    }
}

#[test]
#[should_panic(expected = "Y of layer 1 is not stored")]
fn an_activation_that_is_fused_into_the_next_is_not_returned() {
    let architecture =
        Architecture { activation: Activation::Relu, dropout: Some((0.5, DropoutForm::Book)), ..small() };
    let mut network = Network::new(Exec::serial(), architecture, 1, 4);
    let x = Tensor::<f32, 2>::zeros([4, 6]);
    network.forward(Exec::serial(), Pass::Training { step: 0 }, x.view()).unwrap();
    assert_eq!(network.activation(1, 4).shape(), network.activation(2, 4).shape());
    network.forward(Exec::serial(), Pass::Inference, x.view()).unwrap();
    network.activation(1, 4);
}

/// Parameters, statistics and losses after three steps, the last of them with a short batch.
fn train(exec: Exec, architecture: &Architecture, images: &[f32], labels: &[u8]) -> Vec<f32> {
    let (batch, inputs) = (labels.len(), architecture.inputs);
    let mut network = Network::new(exec, architecture.clone(), 3, batch);
    let mut all = Vec::new();
    for (step, rows) in [(0, batch), (1, batch), (2, batch / 2)] {
        let x = View::new(&images[..rows * inputs], [rows, inputs]).unwrap();
        all.push(network.loss_and_gradients(exec, step, x, &labels[..rows]).unwrap());
        network.parameters(&mut |_, parameter| {
            for (w, g) in parameter.value.iter_mut().zip(parameter.gradient) {
                *w -= 0.1 * g;
            }
        });
    }
    network.parameters(&mut |_, parameter| all.extend_from_slice(parameter.value));
    network.statistics(&mut |_, statistic| all.extend_from_slice(statistic.value));
    all
}

#[test]
fn training_has_the_same_bits_on_every_isa_and_with_two_threads() {
    // 40·784·100 multiplications are more than two threads' worth.
    let mut rng = Rng::new(2);
    let images: Vec<f32> = (0..40 * 784).map(|_| rng.f32_in(0.0, 1.0)).collect();
    let labels: Vec<u8> = (0..40).map(|_| rng.usize_in(0..10) as u8).collect();
    let architectures = [
        (Activation::Relu, None, None),
        (Activation::Sigmoid, Some(BatchNormForm::Book), None),
        (Activation::Tanh, Some(BatchNormForm::Torch), Some((0.2, DropoutForm::Torch))),
    ];
    for (activation, batch_norm, dropout) in architectures {
        let architecture = Architecture {
            inputs: 784,
            hidden: vec![100, 33],
            classes: 10,
            activation,
            init: Init::Xavier,
            batch_norm,
            dropout,
        };
        let want = train(Exec::serial(), &architecture, &images, &labels);
        assert!(want.iter().all(|v| v.is_finite()));
        for isa in AnyIsa::available() {
            for threads in [1, 2] {
                let got = train(Exec::with_isa(isa, threads), &architecture, &images, &labels);
                assert_bits(&format!("{activation:?} on {}, {threads} threads", isa.name()), &got, &want);
            }
        }
    }
}

#[test]
fn dropout_layers_of_a_network_have_masks_of_their_own_that_change_with_step_and_seed() {
    let exec = Exec::serial();
    let architecture = Architecture {
        inputs: 6,
        hidden: vec![50, 50],
        classes: 3,
        activation: Activation::Sigmoid, // never 0, so that a 0 was dropped
        init: Init::He,
        batch_norm: None,
        dropout: Some((0.5, DropoutForm::Book)),
    };
    let x = Tensor::from_slice(&Rng::new(3).vec_normal(120), [20, 6]).unwrap();
    let masks = |seed, step| {
        let mut network = Network::new(exec, architecture.clone(), seed, 20);
        assert_eq!(network.kinds()[2], "dropout");
        network.forward(exec, Pass::Training { step }, x.view()).unwrap();
        let mask = |layer| network.activation(layer, 20).iter().map(|&y| y == 0.0).collect::<Vec<bool>>();
        [mask(2), mask(5)]
    };
    let ([first, second], [later, _], [other, _]) = (masks(1, 0), masks(1, 1), masks(2, 0));
    for (name, mask) in [("the second layer", &second), ("the next step", &later), ("another seed", &other)] {
        // Half of 1000 elements differ, with a standard deviation of 16.
        let differ = first.iter().zip(mask).filter(|(a, b)| a != b).count();
        assert!(differ.abs_diff(500) < 80, "{differ} of 1000 elements differ in {name}");
    }
    assert_eq!(masks(1, 0), [first, second]);
}

#[test]
fn the_gradient_seen_at_an_affine_layer_has_the_gradient_of_its_bias_as_column_sums() {
    let exec = Exec::serial();
    for activation in [Activation::Relu, Activation::Sigmoid] {
        let mut network = Network::new(exec, Architecture { activation, hidden: vec![5, 4], ..small() }, 1, 4);
        let x = Tensor::from_slice(&Rng::new(1).vec_normal(24), [4, 6]).unwrap();
        let mut seen: Vec<(usize, Vec<f32>)> = Vec::new();
        let labels = [0, 1, 2, 0];
        let loss = network
            .loss_and_layer_gradients(exec, 0, x.view(), &labels, &mut |layer, dy| {
                let mut sums = vec![0.0; dy.cols()];
                for row in dy.row_iter() {
                    sums.iter_mut().zip(row).for_each(|(sum, dy)| *sum += dy);
                }
                seen.push((layer, sums));
            })
            .unwrap();
        let order: Vec<usize> = seen.iter().map(|(layer, _)| *layer).collect();
        assert_eq!(order, (0..network.depth()).rev().collect::<Vec<_>>(), "{activation:?}");
        let mut biases = 0;
        network.parameters(&mut |layer, parameter| {
            if parameter.role == Role::Bias {
                let (_, sums) = seen.iter().find(|(of, _)| *of == layer).unwrap();
                assert!(parameter.gradient.iter().any(|&g| g.abs() > 1e-6), "{activation:?}, layer {layer}: all 0");
                for (bias, sum) in parameter.gradient.iter().zip(sums) {
                    assert!((bias - sum).abs() <= 1e-6, "{activation:?}, layer {layer}: {bias}, summed {sum}");
                }
                biases += 1;
            }
        });
        assert_eq!(biases, 3, "{activation:?}");
        assert_eq!(loss, network.loss_and_gradients(exec, 0, x.view(), &labels).unwrap(), "{activation:?}");
    }
}

/// Plain descent.
struct Descend(f32);

impl UpdateRule for Descend {
    fn apply(&self, _: Exec, _: Role, value: &mut [f32], gradient: &[f32], _: [&mut [f32]; 2]) {
        value.iter_mut().zip(gradient).for_each(|(w, g)| *w -= self.0 * g);
    }
}

#[test]
fn an_evaluation_is_of_the_weights_as_they_are_after_updates_and_after_edits() {
    let architecture = Architecture { inputs: 144, hidden: vec![100, 100, 40], ..small() };
    let mut rng = Rng::new(21);
    // A quarter of the pixels are not black.
    let pixels: Vec<u8> = (0..64 * 144).map(|_| rng.f32_in(-750.0, 250.0).max(0.0) as u8).collect();
    let labels: Vec<u8> = (0..64).map(|i| i % 3).collect();
    let indices: Vec<usize> = (0..64).collect();
    let x = Batch::Bytes(ByteRows::new(&pixels, 144, &indices));
    for isa in AnyIsa::available() {
        let exec = Exec::with_isa(isa, 1);
        let [mut network, mut plain] = [(); 2].map(|()| Network::new(exec, architecture.clone(), 3, 64));
        let [mut state, mut plain_state]: [Vec<State>; 2] =
            [(); 2].map(|()| network.parameter_lengths().iter().map(|_| State::default()).collect());
        let mut before = Vec::new();
        for turn in 0..6 {
            // The second finds what the first has asked for, and the third too.
            for time in 0..3 {
                // One that never had other weights, nor a pass before. (Those of `network` are not even looked at.)
                let (mut values, mut fresh) = (Vec::new(), Network::new(exec, architecture.clone(), 4, 64));
                plain.parameters(&mut |_, p| values.push(p.value.to_vec()));
                let mut values = values.iter();
                fresh.parameters(&mut |_, p| p.value.copy_from_slice(values.next().unwrap()));
                let [got, want] = [&mut network, &mut fresh]
                    .map(|network| network.forward_batch(exec, Pass::Inference, x).unwrap().to_tensor());
                let name = format!("turn {turn}, time {time}, on {}", isa.name());
                assert_bits(&name, got.as_slice(), want.as_slice());
                assert!(time > 0 || got.as_slice() != before, "{name}: the weights have changed");
                before = got.as_slice().to_vec();
            }
            for (network, state) in [(&mut network, &mut state), (&mut plain, &mut plain_state)] {
                if turn % 2 == 0 {
                    network.loss_and_update(exec, turn, x, &labels, &Descend(0.5), state).unwrap();
                } else {
                    network.parameters(&mut |_, p| p.value.iter_mut().for_each(|value| *value *= 1.25));
                }
            }
        }
    }
}
