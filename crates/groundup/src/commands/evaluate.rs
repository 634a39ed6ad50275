//! `groundup evaluate`

use super::Failure;
use crate::cli::Evaluate;
use crate::data;
use crate::threads::cores;
use serde_json::json;
use tensor::Exec;
use train::{Model, accuracy};

/// The accuracy of a saved network.
pub fn run(options: &Evaluate) -> Result<(), Failure> {
    let exec = Exec::new(1)?;
    let mut network = Model::load(exec, &options.model)?.network;
    let digits = data::find(options.data.as_deref(), cores())?;
    let (inputs, classes) = (network.architecture().inputs, network.architecture().classes);
    if (inputs, classes) != (digits.mnist.train.width(), 10) {
        let pixels = digits.mnist.train.width();
        let what =
            format!("a network of {inputs} inputs and {classes} classes, but images of {pixels} pixels and 10 digits");
        return Err(train::Error::Model { path: options.model.clone(), what }.into());
    }
    let train = accuracy(exec, &mut network, &digits.mnist.train)?;
    let test = accuracy(exec, &mut network, &digits.mnist.test)?;
    if options.json {
        say!("{}", json!({"data": digits.name, "train_accuracy": train, "test_accuracy": test}))?;
    } else {
        say!("data: {}", digits.origin)?;
        say!("train {:.2} %, test {:.2} %", 100.0 * train, 100.0 * test)?;
    }
    Ok(())
}
