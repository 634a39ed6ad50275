//! A trained network in a file: safetensors, so that Python and everyone else can read it.
//!
//! Tensors are named by layer, `layers.0.weight` (I×O as in the book; PyTorch's `nn.Linear` has the transpose),
//! `layers.0.bias`, `layers.1.gamma`, `layers.1.running_mean`. What the network is made of stands as JSON under the one
//! metadata key `groundup`: with a second key the file's bytes would depend on the writer's hash seed.

use crate::config::Preset;
use crate::error::Error;
use crate::settings::Record;
use crate::text::one_line;
use layers::{Activation, Architecture, Init, Network, Parameter, Role};
use mnist_io::file::{hex, write_atomically};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use tensor::Exec;

/// The metadata key.
const KEY: &str = "groundup";

/// The version of the description. Before 2, a tensor's number did not count the activations, and batches were in
/// another order: a run could not go on with the same bits.
const FORMAT: u32 = 2;

/// A network read from a file.
pub struct Model {
    /// The network, ready to predict.
    pub network: Network,
}

/// The JSON of the metadata.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Description {
    version: u32,
    inputs: usize,
    hidden: Vec<usize>,
    classes: usize,
    activation: String,
    /// The preset of batch normalisation, if there is any.
    batch_norm: Option<String>,
    /// Ratio and preset of dropout, if there is any.
    dropout: Option<(f32, String)>,
    /// Of a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunState>,
}

/// What the JSON of a checkpoint holds more than that of a model.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunState {
    pub settings: Record,
    pub steps: u64,
    /// The losses as bits: a decimal may be read back as a neighbouring value.
    pub last_loss: u64,
    pub epoch_loss: u64,
}

/// SHA-256 over all parameters' little-endian bytes, in network order.
pub fn weights_sha256(network: &mut Network) -> String {
    let mut hasher = Sha256::new();
    network.parameters(&mut |_, parameter| {
        for value in parameter.value.iter() {
            hasher.update(value.to_le_bytes());
        }
    });
    hex(&hasher.finalize())
}

/// A tensor's name, shape and bytes.
pub(crate) type Named = (String, Vec<usize>, Vec<u8>);

/// Floats as a file has them.
pub(crate) fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The named tensors of a network: parameters and running statistics.
fn tensors(network: &mut Network) -> Vec<Named> {
    let mut named = Vec::new();
    network.parameters(&mut |layer, parameter| {
        let shape = file_shape(&parameter);
        named.push((format!("layers.{layer}.{}", parameter.role.name()), shape, bytes_of(parameter.value)));
    });
    network.statistics(&mut |layer, statistic| {
        let name = format!("layers.{layer}.{}", statistic.name);
        named.push((name, vec![statistic.value.len()], bytes_of(statistic.value)));
    });
    named
}

/// The bytes of a model, or with more tensors and the `run` of a checkpoint. The same network gives the same bytes.
pub(crate) fn serialize(network: &mut Network, more: Vec<Named>, run: Option<RunState>) -> Result<Vec<u8>, String> {
    let architecture = network.architecture();
    let description = Description {
        version: FORMAT,
        inputs: architecture.inputs,
        hidden: architecture.hidden.clone(),
        classes: architecture.classes,
        activation: architecture.activation.name().to_owned(),
        batch_norm: architecture.batch_norm.map(|form| Preset::of_batch_norm(form).name().to_owned()),
        dropout: architecture.dropout.map(|(ratio, form)| (ratio, Preset::of_dropout(form).name().to_owned())),
        run,
    };
    let description = serde_json::to_string(&description).map_err(|e| e.to_string())?;
    let mut tensors = tensors(network);
    tensors.extend(more);
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .map(|(name, shape, bytes)| TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name, view)))
        .collect();
    let metadata = HashMap::from([(KEY.to_owned(), description)]);
    safetensors::serialize(views.map_err(|e| e.to_string())?, Some(metadata)).map_err(|e| e.to_string())
}

/// What a file of ours says of its network, and its tensors.
pub(crate) fn parse(bytes: &[u8]) -> Result<(Description, SafeTensors<'_>), String> {
    let damaged = |e: safetensors::SafeTensorError| format!("not a safetensors file ({e})");
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let description = metadata.metadata().as_ref().and_then(|all| all.get(KEY));
    let description = description.ok_or_else(|| format!("no {KEY:?} metadata"))?;
    let description = serde_json::from_str(description).map_err(|e| format!("its {KEY:?} metadata: {e}"))?;
    Ok((description, file))
}

/// Reads a tensor.
pub(crate) fn fill(file: &SafeTensors<'_>, name: &str, shape: &[usize], value: &mut [f32]) -> Result<(), String> {
    let tensor = file.tensor(name).map_err(|_| format!("no tensor {name}"))?;
    if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
        return Err(format!("{name} is {:?} {:?}, expected F32 {shape:?}", tensor.dtype(), tensor.shape()));
    }
    for (value, bytes) in value.iter_mut().zip(tensor.data().as_chunks::<4>().0) {
        *value = f32::from_le_bytes(*bytes);
    }
    Ok(())
}

/// Reads the tensors of a network. The first fault is returned.
pub(crate) fn fill_network(file: &SafeTensors<'_>, network: &mut Network) -> Result<(), String> {
    let mut filled = Ok(());
    network.parameters(&mut |layer, p| {
        let shape = file_shape(&p);
        let found = fill(file, &format!("layers.{layer}.{}", p.role.name()), &shape, p.value);
        filled = std::mem::replace(&mut filled, Ok(())).and(found);
    });
    network.statistics(&mut |layer, s| {
        let found = fill(file, &format!("layers.{layer}.{}", s.name), &[s.value.len()], s.value);
        filled = std::mem::replace(&mut filled, Ok(())).and(found);
    });
    filled
}

impl Model {
    /// Writes a network to a file; never half. The same network gives the same bytes.
    ///
    /// # Errors
    /// What the system says of the file.
    pub fn save(network: &mut Network, path: &Path) -> Result<(), Error> {
        let error = |what: String| Error::Model { path: path.to_owned(), what };
        let bytes = serialize(network, Vec::new(), None).map_err(error)?;
        Ok(write_atomically(path, |file| file.write_all(&bytes))?)
    }

    /// Reads a network from a file written by [`Model::save`], or of a checkpoint.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or is not of such a network; the message names the tensor at fault.
    pub fn load(exec: Exec, path: &Path) -> Result<Self, Error> {
        let error = |what: String| Error::Model { path: path.to_owned(), what: one_line(&what) };
        let bytes = std::fs::read(path).map_err(|e| error(e.to_string()))?;
        let (description, file) = parse(&bytes).map_err(error)?;
        let architecture = description.architecture().map_err(error)?;

        // What the network would hold must be what the file holds, before anything of that size is made.
        let announced = parameter_count(&architecture).ok_or_else(|| error("its network is too large".to_owned()))?;
        if announced > bytes.len() / size_of::<f32>() || architecture.hidden.len() > file.len() {
            return Err(error(format!("its network has {announced} parameters, more than the file holds")));
        }
        // Each layer has buffers for a batch.
        let units = architecture.hidden.iter().sum::<usize>() + architecture.classes;
        let batch = ((1_usize << 22) / units).clamp(1, 250);
        let mut network = Network::new(exec, architecture, 0, batch);
        fill_network(&file, &mut network).map_err(error)?;
        Ok(Self { network })
    }
}

/// The shape a parameter has in a file: a vector has one axis there.
fn file_shape(parameter: &Parameter<'_>) -> Vec<usize> {
    match parameter.shape {
        [length, 1] if parameter.role != Role::Weight => vec![length],
        shape => shape.to_vec(),
    }
}

/// Floats that a file of such a network holds, if their number fits.
fn parameter_count(architecture: &Architecture) -> Option<usize> {
    let widths = std::iter::once(&architecture.inputs).chain(&architecture.hidden).chain([&architecture.classes]);
    let widths: Vec<usize> = widths.copied().collect();
    // Per unit a bias, and with batch normalisation γ, β and two running values.
    let per_unit = if architecture.batch_norm.is_some() { 5 } else { 1 };
    let of_layer = |inputs: usize, units: usize| inputs.checked_add(per_unit)?.checked_mul(units);
    let last = widths.last()?.checked_mul(per_unit - 1)?; // the last layer has no batch normalisation
    let sum = widths.windows(2).try_fold(0_usize, |sum, pair| sum.checked_add(of_layer(pair[0], pair[1])?))?;
    sum.checked_sub(last)
}

impl Description {
    fn architecture(&self) -> Result<Architecture, String> {
        let preset = |name: &str| {
            Preset::from_name(name).ok_or_else(|| {
                let known = Preset::ALL.map(Preset::name).join(" and ");
                format!("a preset {name:?}, of which {known} are known")
            })
        };
        if self.version != FORMAT {
            return Err(format!(
                "version {} of the format, of which this program reads version {FORMAT}; train again",
                self.version
            ));
        }
        if self.inputs == 0 || self.hidden.contains(&0) || !(1..=256).contains(&self.classes) {
            return Err(format!("a network of {} inputs, {:?} and {} classes", self.inputs, self.hidden, self.classes));
        }
        let activation = Activation::from_name(&self.activation).ok_or_else(|| {
            let known: Vec<&str> = Activation::ALL.iter().map(|activation| activation.name()).collect();
            format!("an activation {:?}, of which {} are known", self.activation, known.join(", "))
        })?;
        let dropout = match &self.dropout {
            Some((ratio, _)) if !(0.0..1.0).contains(ratio) => {
                return Err(format!("a dropout ratio of {ratio}, which must be in [0, 1)"));
            }
            Some((ratio, name)) => Some((*ratio, preset(name)?.dropout_form())),
            None => None,
        };
        Ok(Architecture {
            inputs: self.inputs,
            hidden: self.hidden.clone(),
            classes: self.classes,
            activation,
            init: Init::Zeros,
            batch_norm: self.batch_norm.as_deref().map(preset).transpose()?.map(Preset::batch_norm_form),
            dropout,
        })
    }
}
