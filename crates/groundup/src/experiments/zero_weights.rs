//! Section 6.2.1: why the weights do not start at 0. Training moves them, but all units of a layer stay the same.

use super::Context;
use crate::statistics::rounded;
use layers::{Activation, Init, Role};
use optim::Rule;
use serde_json::{Value, json};
use tensor::Exec;
use train::{Config, Error, Length, Trainer};

/// Units of each of two hidden layers.
const WIDTH: usize = 100;
const STEPS: u64 = 300;

/// Trains from zero weights. Returns the greatest difference between two units of a hidden layer and how far the
/// weights have moved.
pub fn zero_weights(context: &Context<'_>, exec: Exec, activation: Activation) -> Result<Value, Error> {
    let mut config = Config::book(&[WIDTH; 2], Rule::SGD, Length::Steps(STEPS), context.seed);
    config.learning_rate = 0.5;
    config.architecture.inputs = context.digits.mnist.train.width();
    config.architecture.init = Init::Zeros;
    config.architecture.activation = activation;
    let mut trainer = Trainer::new(config, exec, &context.digits.train)?;
    let mut loss = f64::NAN;
    for _ in 0..STEPS {
        loss = trainer.step()?;
    }
    let (mut difference, mut moved) = (0.0_f32, Vec::new());
    trainer.network().parameters(&mut |_, parameter| {
        let [_, columns] = parameter.shape;
        moved.push(f64::from(parameter.value.iter().fold(0.0_f32, |most, value| most.max(value.abs()))));
        // Units of a hidden layer are the columns of its W (the last layer's columns are classes, not units).
        if parameter.role == Role::Weight && columns == WIDTH {
            for row in parameter.value.chunks_exact(columns) {
                difference = row.iter().fold(difference, |most, value| most.max((value - row[0]).abs()));
            }
        }
    });
    let accuracy = trainer.accuracy(&context.digits.test)?;
    Ok(json!({
        "steps": STEPS,
        "greatest_difference_between_units": difference,
        "greatest_weight_or_bias_by_parameter": moved,
        "last_loss": rounded(loss, 5),
        "test_accuracy": accuracy,
    }))
}
