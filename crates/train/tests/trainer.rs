//! The step: its loss, its penalty, weight decay, the schedule, how batches are drawn; and evaluation.

mod common;

use common::{WIDTH, images, small};
use layers::{BatchNormForm, DropoutForm, Network, Pass, Role, Stream, stream};
use mnist_io::dataset::below;
use mnist_io::{Dataset, Sampler, Sampling};
use optim::Schedule;
use tensor::isa::AnyIsa;
use tensor::{Exec, Tensor, View};
use testkit::compare::{Bound, assert_bits, assert_close, assert_close_f64};
use testkit::rng::Rng;
use testkit::softmax_loss::softmax_loss;
use testkit::vector::widen;
use train::{Config, Length, Preset, Samples, Trainer, accuracy, weights_sha256};

const PRESETS: [Preset; 2] = [Preset::Book, Preset::Torch];

fn trainer(config: Config, data: &Dataset) -> Trainer {
    Trainer::new(config, Exec::serial(), data.clone()).unwrap()
}

/// Role and value of every parameter.
fn parameters(network: &mut Network) -> Vec<(Role, Vec<f32>)> {
    let mut all = Vec::new();
    network.parameters(&mut |_, p| all.push((p.role, p.value.to_vec())));
    all
}

/// The gradient of every parameter for a batch. (A training step does not keep them.)
fn gradients(network: &mut Network, batch: View<'_, f32, 2>, labels: &[u8]) -> Vec<Vec<f32>> {
    network.loss_and_gradients(Exec::serial(), 0, batch, labels).unwrap();
    let mut all = Vec::new();
    network.parameters(&mut |_, p| all.push(p.gradient.to_vec()));
    all
}

fn statistics(network: &mut Network) -> Vec<Vec<f32>> {
    let mut all = Vec::new();
    network.statistics(&mut |_, statistic| all.push(statistic.value.to_vec()));
    all
}

/// All images as floats, and their labels.
fn all_of(data: &Dataset) -> (Vec<f32>, Vec<u8>) {
    let indices: Vec<usize> = (0..data.len()).collect();
    let (mut x, mut labels) = (vec![0.0; data.len() * data.width()], vec![0; data.len()]);
    data.gather(&indices, &mut x, &mut labels);
    (x, labels)
}

/// Ten black images, one of each class, drawn as one batch; and a network with γ, β and every other kind of parameter,
/// whose logits are all equal whatever the image: every gradient of its loss is 0 but for rounding, and its loss is
/// ln 10.
fn without_anything_to_learn(preset: Preset, weight_decay: f64) -> Trainer {
    let data = Dataset::new(vec![0; 10 * WIDTH], (0..10).collect(), 3, 4).unwrap();
    let mut config = Config { preset, weight_decay, learning_rate: 0.5, ..small(&[3]) };
    config.architecture.batch_norm = Some(preset.batch_norm_form());
    (config.batch, config.sampling) = (10, Sampling::Shuffle);
    let mut trainer = trainer(config, &data);
    let mut rng = Rng::new(4);
    trainer.network().parameters(&mut |layer, parameter| {
        let columns = parameter.shape[1];
        match parameter.role {
            Role::Weight if layer == 0 => parameter.value.copy_from_slice(&rng.vec_f32(3 * WIDTH)),
            // The same to each class.
            Role::Weight => parameter.value.chunks_mut(columns).zip([0.5, -1.0, 2.0]).for_each(|(row, w)| row.fill(w)),
            Role::Bias => parameter.value.fill(1.0),
            Role::Scale => parameter.value.fill(2.0),
            Role::Shift => parameter.value.fill(0.25),
        }
    });
    trainer
}

#[test]
fn weight_decay_shrinks_weights_alone_in_the_book_and_every_parameter_in_torch() {
    for preset in PRESETS {
        let mut trainer = without_anything_to_learn(preset, 0.25);
        let before = parameters(trainer.network());
        let black = Tensor::zeros([10, WIDTH]);
        let labels: Vec<u8> = (0..10).collect();
        let gradients = gradients(trainer.network(), black.view(), &labels);
        trainer.step().unwrap();
        let after = parameters(trainer.network());
        let roles: Vec<Role> = after.iter().map(|(role, ..)| *role).collect();
        assert_eq!(roles, [Role::Weight, Role::Bias, Role::Scale, Role::Shift, Role::Weight, Role::Bias]);
        for (((role, before), (_, after)), gradient) in before.iter().zip(&after).zip(&gradients) {
            assert!(gradient.iter().all(|g| g.abs() < 1e-6), "there is nothing to learn, but {role:?}: {gradient:?}");
            // 1 − ηλ = 1 − 0.5·0.25
            let kept = if preset == Preset::Torch || *role == Role::Weight { 0.875 } else { 1.0 };
            let want: Vec<f64> = before.iter().map(|&p| f64::from(p) * kept).collect();
            assert!(want.iter().all(|&p| p != 0.0));
            assert_close(&format!("{role:?}, {preset:?}"), after, &want, Bound::Allclose { rtol: 1e-6, atol: 1e-6 });
        }
    }
}

#[test]
fn the_penalty_is_in_the_books_loss_and_not_in_torchs() {
    for preset in PRESETS {
        let mut trainer = without_anything_to_learn(preset, 0.25);
        let squares: f64 = parameters(trainer.network())
            .iter()
            .filter(|(role, ..)| *role == Role::Weight)
            .flat_map(|(_, value)| value)
            .map(|&w| f64::from(w) * f64::from(w))
            .sum();
        // The second layer alone: ten times 0.5² + 1² + 2².
        assert!(squares > 52.5);
        let ln_10 = std::f64::consts::LN_10;
        let (before, after) = match preset {
            Preset::Book => (ln_10 + 0.125 * squares, ln_10 + 0.125 * squares * 0.875 * 0.875),
            Preset::Torch => (ln_10, ln_10),
        };
        let got = [trainer.step().unwrap(), trainer.loss_after().unwrap()];
        assert_close_f64(
            &format!("loss before and after, {preset:?}"),
            &got,
            &[before, after],
            Bound::Allclose { rtol: 1e-6, atol: 0.0 },
        );
    }
}

#[test]
fn one_step_of_sgd_is_the_gradient_and_the_decay_of_each_parameter_times_the_rate() {
    let data = images(40, 2);
    for preset in PRESETS {
        let mut config = Config { preset, weight_decay: 0.03, ..small(&[6, 5]) };
        config.architecture.batch_norm = Some(preset.batch_norm_form());
        // The batches that the trainer draws.
        let mut sampler = Sampler::new(config.sampling, stream(config.seed, Stream::Batches), data.len(), config.batch);
        let mut trainer = trainer(config, &data);
        trainer.step().unwrap();
        sampler.next_batch();
        let before = parameters(trainer.network());
        let indices = sampler.next_batch();
        let (mut batch, mut labels) = (Tensor::zeros([indices.len(), WIDTH]), vec![0; indices.len()]);
        data.gather(indices, batch.as_mut_slice(), &mut labels);
        // Of a training pass: the running statistics that it moves are no part of them.
        let gradients = gradients(trainer.network(), batch.view(), &labels);
        trainer.step().unwrap();
        let after = parameters(trainer.network());
        let before_batch_norm = |i: usize| after.get(i + 1).is_some_and(|(role, ..)| *role == Role::Scale);
        for (i, (((role, before), (_, after)), gradient)) in before.iter().zip(&after).zip(&gradients).enumerate() {
            if before_batch_norm(i) {
                // Batch normalisation takes such a bias out again: its gradient is 0 but for rounding.
                assert!(gradient.iter().all(|g| g.abs() < 1e-6), "bias {i}: {gradient:?}");
                continue;
            }
            let decay = if preset == Preset::Torch || *role == Role::Weight { 0.03 } else { 0.0 };
            let step = |(&p, g): (&f32, &f32)| -0.1 * (f64::from(*g) + decay * f64::from(p));
            let want: Vec<f64> = before.iter().zip(gradient).map(step).collect();
            // The move itself, not the parameter: its rounding is that of the parameter, at most some 2.
            let moved: Vec<f32> = after.iter().zip(before).map(|(after, before)| after - before).collect();
            assert_close(&format!("{role:?}, {preset:?}"), &moved, &want, Bound::Allclose { rtol: 1e-5, atol: 2.5e-7 });
        }
    }
}

/// ReLU alone, with dropout, with batch normalisation, in both presets and with decay.
fn kinds() -> Vec<(String, Config)> {
    let mut all = Vec::new();
    for preset in PRESETS {
        for (batch_norm, dropout) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut config = Config { preset, weight_decay: 0.01, ..small(&[9, 8]) };
            config.architecture.batch_norm = batch_norm.then(|| preset.batch_norm_form());
            config.architecture.dropout = dropout.then(|| (0.3, preset.dropout_form()));
            all.push((format!("{preset:?}, batch norm {batch_norm}, dropout {dropout}"), config));
        }
    }
    all
}

#[test]
fn the_loss_after_a_step_is_that_of_its_batch_in_inference_with_the_new_weights() {
    let data = images(30, 3);
    let (x, labels) = all_of(&data);
    let labels: Vec<usize> = labels.into_iter().map(usize::from).collect();
    for (name, config) in kinds() {
        // One batch of all samples: whatever its order, its loss is the loss of all.
        let config = Config { batch: 30, sampling: Sampling::Shuffle, ..config };
        let (preset, decay) = (config.preset, config.weight_decay);
        let mut trainer = trainer(config, &data);
        trainer.step().unwrap();
        let before = trainer.step().unwrap();
        let got = trainer.loss_after().unwrap();
        let x = View::new(&x, [30, WIDTH]).unwrap();
        let logits = trainer.network().forward(Exec::serial(), Pass::Inference, x).unwrap().to_tensor();
        let penalty: f64 = parameters(trainer.network())
            .iter()
            .filter(|(role, ..)| preset == Preset::Book && *role == Role::Weight)
            .flat_map(|(_, value)| value)
            .map(|&w| 0.5 * decay * f64::from(w) * f64::from(w))
            .sum();
        let want = softmax_loss(&widen(logits.as_slice()), &labels, 10).loss + penalty;
        assert_close_f64(&name, &[got], &[want], Bound::Allclose { rtol: 1e-6, atol: 0.0 });
        assert!((before - got).abs() > 1e-4, "{name}: {before} before the update, {got} after it");
    }
}

#[test]
fn looking_at_a_network_changes_nothing_of_its_training() {
    let data = images(40, 5);
    for (name, config) in kinds() {
        let (mut left_alone, mut looked_at) = (trainer(config.clone(), &data), trainer(config, &data));
        for _ in 0..4 {
            left_alone.step().unwrap();
            looked_at.step().unwrap();
            let before = (weights_sha256(looked_at.network()), statistics(looked_at.network()));
            looked_at.loss_after().unwrap();
            looked_at.accuracy(&data).unwrap();
            let after = (weights_sha256(looked_at.network()), statistics(looked_at.network()));
            assert_eq!(before, after, "{name}: evaluation moves the network");
        }
        assert_eq!(weights_sha256(left_alone.network()), weights_sha256(looked_at.network()), "{name}");
    }
}

#[test]
fn the_learning_rate_follows_its_schedule_from_epoch_to_epoch() {
    // Two steps an epoch; with nothing to learn a step takes ηλ off the weights, so the weights tell the rates.
    let schedule = Schedule::Step { every: 2, gamma: 0.5 };
    let data = Dataset::new(vec![0; 20 * WIDTH], (0..20).map(|i| i % 10).collect(), 3, 4).unwrap();
    let config = Config { schedule, weight_decay: 0.25, learning_rate: 0.5, batch: 10, ..small(&[]) };
    let mut trainer = trainer(config, &data);
    assert_eq!(trainer.learning_rate(), 0.5);
    trainer.network().parameters(&mut |_, p| p.value.fill(1.0));
    let mut want = 1.0;
    for step in 0..12 {
        trainer.step().unwrap();
        let rate = [0.5, 0.25, 0.125][step / 4];
        assert_eq!(trainer.learning_rate(), rate, "at step {}", step + 1);
        want *= 1.0 - rate * 0.25;
        let weights = &parameters(trainer.network())[0].1;
        let name = format!("weights after step {}", step + 1);
        assert_close(&name, weights, &vec![want; weights.len()], Bound::Allclose { rtol: 1e-5, atol: 0.0 });
    }
    assert_eq!(trainer.steps(), 12);
}

/// Image i has pixel i alone, so row i of the weights of a network without hidden layers stays where it is unless image
/// i is drawn.
fn drawn(config: &Config, steps: usize) -> Vec<Vec<usize>> {
    let pixels = (0..WIDTH * WIDTH).map(|i| if i % (WIDTH + 1) == 0 { 255 } else { 0 }).collect();
    let data = Dataset::new(pixels, vec![0; WIDTH], 3, 4).unwrap();
    let mut trainer = trainer(config.clone(), &data);
    (0..steps)
        .map(|_| {
            let before = parameters(trainer.network())[0].1.clone();
            trainer.step().unwrap();
            let after = &parameters(trainer.network())[0].1;
            (0..WIDTH).filter(|&i| after[i * 10..][..10] != before[i * 10..][..10]).collect()
        })
        .collect()
}

#[test]
fn shuffled_batches_show_every_sample_once_an_epoch_and_in_another_order_each() {
    let config = Config { sampling: Sampling::Shuffle, batch: 4, ..small(&[]) };
    let batches = drawn(&config, 12);
    for (epoch, batches) in batches.chunks(3).enumerate() {
        assert!(batches.iter().all(|batch| batch.len() == 4), "epoch {epoch}: {batches:?}");
        let mut seen = batches.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..WIDTH).collect::<Vec<_>>(), "epoch {epoch}: {batches:?}");
    }
    assert_ne!(batches[0..3], batches[3..6], "two epochs in the same order");

    // Five a batch: two are left, and wait for nothing.
    for batches in drawn(&Config { batch: 5, ..config }, 8).chunks(2) {
        let mut seen = batches.concat();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 10, "a sample twice in an epoch: {batches:?}");
    }
}

#[test]
fn batches_with_replacement_are_draws_of_the_seeds_batch_stream() {
    let config = Config { sampling: Sampling::Replacement, batch: 4, seed: 77, ..small(&[]) };
    let batches = drawn(&config, 20);
    let mut rng = stream(77, Stream::Batches);
    for (step, batch) in batches.iter().enumerate() {
        let mut want: Vec<usize> = (0..4).map(|_| below(&mut rng, WIDTH)).collect();
        want.sort_unstable();
        want.dedup();
        assert_eq!(*batch, want, "step {}", step + 1);
    }
    assert!(batches.iter().any(|batch| batch.len() < 4), "a sample never comes twice in a batch");
    assert_ne!(batches, drawn(&Config { seed: 78, ..config }, 20), "another seed draws the same");
}

#[test]
fn accuracy_is_a_plain_count_also_where_the_last_batch_is_short() {
    let exec = Exec::serial();
    let data = images(613, 6);
    let mut trainer = trainer(Config { length: Length::Steps(60), learning_rate: 0.5, ..small(&[]) }, &data);
    for _ in 0..60 {
        trainer.step().unwrap();
    }
    let parts = parameters(trainer.network());
    let (weight, bias) = (&parts[0].1, &parts[1].1);
    let is_right = |i: usize| {
        let logit = |class: usize| -> f64 {
            let products = data.image(i).iter().zip(weight.iter().skip(class).step_by(10));
            f64::from(bias[class]) + products.map(|(&x, &w)| f64::from(x) / 255.0 * f64::from(w)).sum::<f64>()
        };
        let label = usize::from(data.labels()[i]);
        (0..10).all(|class| class == label || logit(label) > logit(class))
    };
    let right: Vec<bool> = (0..data.len()).map(is_right).collect();
    // The trainer's network takes 200 rows at once.
    assert_eq!(trainer.network().batch(), 200);
    let mut seen = Vec::new();
    for count in [1, 2, 9, 199, 200, 201, 399, 400, 401, 613] {
        let want = right[..count].iter().filter(|right| **right).count() as f64 / count as f64;
        let some = data.slice(0..count);
        assert_eq!(trainer.accuracy(&some).unwrap(), want, "{count} samples");
        assert_eq!(trainer.accuracy(data.slice(0..count)).unwrap(), want, "{count} samples, again");
        // A network of another batch size, of the same weights.
        let mut network = Network::new(exec, trainer.network().architecture().clone(), 0, 7);
        let mut values = parts.iter();
        network.parameters(&mut |_, p| p.value.copy_from_slice(&values.next().unwrap().1));
        assert_eq!(accuracy(exec, &mut network, &some).unwrap(), want, "{count} samples, seven at once");
        seen.push(want);
    }
    assert!(seen[9] > 0.2 && seen[9] < 1.0, "an accuracy of {} says little", seen[9]);
    // What is kept of the data sets evaluated last is not another's: three take turns where two are kept, each comes
    // while it is the last, the one before, and let go, and the trainer's own is in between.
    let counts = [2, 9, 500];
    let shares = counts.map(|count| right[..count].iter().filter(|right| **right).count() as f64 / count as f64);
    assert!(shares[0] != shares[1] && shares[1] != shares[2] && shares[2] != shares[0], "not told apart: {shares:?}");
    for (turn, at) in [0, 1, 2, 0, 1, 1, 2, 1, 0, 0, 2, 0, 2, 1, 0].into_iter().enumerate() {
        assert_eq!(trainer.accuracy(data.slice(0..counts[at])).unwrap(), shares[at], "{} in turn {turn}", counts[at]);
        if turn % 4 == 3 {
            assert_eq!(trainer.accuracy(&data).unwrap(), seen[9], "the trainer's own in turn {turn}");
        }
    }
}

#[test]
fn a_network_of_nan_predicts_class_0_and_is_no_better_than_that() {
    // 0 to 9 in turn: 3 of 27 are 0.
    let data = images(27, 7);
    for (name, config) in kinds() {
        let mut trainer = trainer(config, &data);
        assert!(trainer.accuracy(&data).unwrap() <= 1.0);
        trainer.network().parameters(&mut |_, p| p.value.fill(f32::NAN));
        assert_eq!(trainer.accuracy(&data).unwrap(), 3.0 / 27.0, "{name}");
    }
}

#[test]
fn data_of_another_width_are_an_error_and_not_a_panic() {
    let mut trainer = trainer(small(&[4]), &images(20, 8));
    let wide = Dataset::new(vec![0; 40], vec![1, 2], 4, 5).unwrap();
    let message = trainer.accuracy(&wide).unwrap_err().to_string();
    assert!(message.contains("20") && message.contains("12") && message.lines().count() == 1, "{message:?}");
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let data = images(40, 9);
    for (name, config) in kinds() {
        let losses = |seed: u64| {
            let mut trainer = trainer(Config { seed, ..config.clone() }, &data);
            let losses: Vec<f64> = (0..4).map(|_| trainer.step().unwrap()).collect();
            (losses, weights_sha256(trainer.network()))
        };
        assert_eq!(losses(5), losses(5), "{name}");
        assert_ne!(losses(5).0, losses(6).0, "{name}");
        assert_ne!(losses(5).1, losses(6).1, "{name}");
    }
}

#[test]
fn a_step_trains_in_training_mode_and_numbers_its_dropout_masks() {
    // The loss of a step is that of `loss_and_gradients` with the step's number, counted from 0, on the same batch in the
    // order drawn.
    let data = images(25, 10);
    let (x, labels) = all_of(&data);
    for form in [DropoutForm::Book, DropoutForm::Torch] {
        let mut config = Config { batch: 25, sampling: Sampling::Shuffle, learning_rate: 0.0, ..small(&[20]) };
        config.architecture.dropout = Some((0.5, form));
        config.architecture.batch_norm = Some(BatchNormForm::Book);
        let mut trainer = trainer(config.clone(), &data);
        let mut network = Network::new(Exec::serial(), config.architecture, config.seed, 25);
        let mut order: Vec<usize> = (0..25).collect();
        let mut rng = stream(config.seed, Stream::Batches);
        let mut losses = Vec::new();
        for step in 0..3 {
            mnist_io::dataset::shuffle(&mut rng, &mut order);
            let batch = Tensor::from_fn([25, WIDTH], |[row, column]| x[order[row] * WIDTH + column]);
            let labels: Vec<u8> = order.iter().map(|&i| labels[i]).collect();
            let want = network.loss_and_gradients(Exec::serial(), step, batch.view(), &labels).unwrap();
            let got = trainer.step().unwrap();
            assert_bits(&format!("{form:?}, step {step}"), &[got as f32], &[want]);
            losses.push(got);
        }
        assert!(losses[0] != losses[1] && losses[1] != losses[2], "the same mask each step: {losses:?}");
    }
}

#[test]
fn trainers_that_share_samples_find_what_each_would_find_alone() {
    // As sparse as MNIST, and an odd number of them.
    let mut rng = Rng::new(31);
    let pixels = (0..333 * 20 * 20).map(|_| rng.f32_in(-750.0, 250.0).max(0.0) as u8).collect();
    let labels: Vec<u8> = (0..333).map(|_| rng.usize_in(0..10) as u8).collect();
    let data = Dataset::new(pixels, labels, 20, 20).unwrap();
    let config = |batch, hidden: &[usize]| {
        let mut config = Config { batch, ..small(hidden) };
        config.architecture.inputs = 400;
        config
    };
    // Batches of evaluations are of 200 rows or more, blocks of columns by the first layer's width.
    let configs = [config(10, &[100]), config(250, &[100]), config(10, &[208]), config(333, &[40]), config(10, &[100])];
    let shared = Samples::from(&data);
    for isa in AnyIsa::available().collect::<Vec<_>>().into_iter().rev() {
        let exec = Exec::with_isa(isa, 1);
        let run = |config: &Config, samples: Samples| {
            let mut trainer = Trainer::new(config.clone(), exec, &samples).unwrap();
            for _ in 0..3 {
                trainer.step().unwrap();
            }
            let shares = [&samples, &samples.clone()].map(|samples| trainer.accuracy(samples).unwrap());
            // Of a slice, which is other samples.
            let some = trainer.accuracy(data.slice(0..201)).unwrap();
            (shares, some, weights_sha256(trainer.network()))
        };
        for (number, config) in configs.iter().enumerate() {
            let (got, want) = (run(config, shared.clone()), run(config, Samples::from(&data)));
            assert_eq!(got, want, "settings {number} on {}", isa.name());
        }
        // And at the same time.
        let together = Samples::from(&data);
        std::thread::scope(|scope| {
            let running = configs.each_ref().map(|config| scope.spawn(|| run(config, together.clone())));
            for (running, config) in running.into_iter().zip(&configs) {
                assert_eq!(running.join().unwrap(), run(config, Samples::from(&data)), "at the same time");
            }
        });
    }
}
