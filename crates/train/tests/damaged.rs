//! Model files that are cut, flipped, foreign or lying: an error of one line that names the file, never a panic, and no
//! memory for what only the header promises.

use layers::{Activation, Architecture, BatchNormForm, DropoutForm, Init, Network};
use safetensors::tensor::{Dtype, TensorView};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tensor::Exec;
use train::{Model, weights_sha256};

/// The system's allocator, which notes the largest allocation of this thread.
struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    LARGEST.with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every call is handed to `System` unchanged, which keeps the contract; noting neither allocates nor panics.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's duties are those of `System`, which made `at`.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties are those of `System`, which made `at`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// A folder, and a file in it.
struct Place {
    _folder: TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    Place { _folder: folder, path }
}

/// What `load` says of these bytes. If it is an error, it is one line that begins with the file.
fn load(path: &Path, bytes: &[u8]) -> Result<Network, String> {
    std::fs::write(path, bytes).unwrap();
    LARGEST.set(0);
    let loaded = Model::load(Exec::serial(), path);
    let largest = LARGEST.get();
    // The network's buffers are 250 rows of at most its widest layer: 8 units here.
    assert!(largest <= bytes.len().max(8 * 250 * 4) + 4096, "{} bytes make it ask for {largest}", bytes.len());
    loaded.map(|model| model.network).map_err(|error| {
        let message = error.to_string();
        assert!(message.starts_with(&format!("{}: ", path.display())), "which file? {message:?}");
        assert_eq!(message.lines().count(), 1, "{message:?}");
        message[path.display().to_string().len() + 2..].to_owned()
    })
}

/// The bytes of a small model with everything in it, and how many of them are the length and the header.
fn good(path: &Path) -> (Vec<u8>, usize) {
    let architecture = Architecture {
        inputs: 2,
        hidden: vec![3],
        classes: 2,
        activation: Activation::Relu,
        init: Init::He,
        batch_norm: Some(BatchNormForm::Torch),
        dropout: Some((0.25, DropoutForm::Book)),
    };
    Model::save(&mut Network::new(Exec::serial(), architecture, 1, 4), path).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    (bytes, 8 + header)
}

#[test]
fn every_truncation_of_a_model_is_an_error() {
    let place = place();
    let (bytes, _) = good(&place.path);
    load(&place.path, &bytes).unwrap();
    for length in 0..bytes.len() {
        let message = load(&place.path, &bytes[..length]).err();
        assert!(message.is_some(), "{length} of {} bytes are a model", bytes.len());
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(load(&place.path, &longer).is_err(), "a byte too many is no matter");
}

#[test]
fn a_flipped_bit_of_a_header_is_an_error_or_another_legal_network() {
    let place = place();
    let (mut bytes, header) = good(&place.path);
    let sha256 = weights_sha256(&mut load(&place.path, &bytes).unwrap());
    let (mut refused, mut accepted) = (0, Vec::new());
    // Every third, for time: each of the eight bits, in every byte two or three of them.
    for bit in (0..8 * header).step_by(3) {
        bytes[bit / 8] ^= 1 << (bit % 8);
        match load(&place.path, &bytes) {
            Err(_) => refused += 1,
            Ok(mut network) => {
                // The values are whole, and so is what they make.
                assert_eq!(weights_sha256(&mut network), sha256, "bit {bit} changes the weights");
                let (ratio, _) = network.architecture().dropout.unwrap();
                assert!((0.0..1.0).contains(&ratio), "bit {bit}: a ratio of {ratio}");
                accepted.push(String::from_utf8_lossy(&bytes[bit / 8..=bit / 8]).into_owned());
            }
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    // What may change unseen are the digits of the dropout ratio.
    assert!(accepted.len() < 15 && refused > 2 * header, "accepted: {accepted:?}");
}

#[test]
fn a_flipped_bit_of_a_value_changes_that_value_and_nothing_else() {
    let place = place();
    let (mut bytes, header) = good(&place.path);
    let last = bytes.len() - 1;
    for (at, bit) in [(header, 0), (header + 3, 7), (last, 6)] {
        bytes[at] ^= 1 << bit;
        let mut network = load(&place.path, &bytes).unwrap();
        let other = place.path.with_extension("again");
        Model::save(&mut network, &other).unwrap();
        assert!(std::fs::read(&other).unwrap() == bytes, "bit {bit} of byte {at}");
    }
}

#[test]
fn an_announced_header_of_any_length_costs_no_memory() {
    let place = place();
    let (mut bytes, header) = good(&place.path);
    for length in [0, 1, 7, header as u64, 1 << 20, 100_000_000, 100_000_001, 1 << 32, 1 << 63, u64::MAX - 7, u64::MAX]
    {
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        let message = load(&place.path, &bytes).map(|_| ()).expect_err("a header of another length");
        assert!(message.contains("not a safetensors file"), "{length}: {message:?}");
    }
}

/// A description of one hidden layer of 3 on 2 inputs and 2 classes, with one piece of it replaced.
fn description(from: &str, to: &str) -> String {
    let plain =
        r#"{"version":2,"inputs":2,"hidden":[3],"classes":2,"activation":"relu","batch_norm":null,"dropout":null}"#;
    assert!(from.is_empty() || plain.contains(from), "{from:?} is not there to be replaced");
    plain.replacen(from, to, 1)
}

/// A file with this metadata and these tensors of zeros.
fn file(key: &str, description: &str, tensors: &[(&str, Dtype, &[usize])]) -> Vec<u8> {
    let zeros = vec![0; 1 << 12];
    let views = tensors.iter().map(|&(name, dtype, shape)| {
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name, TensorView::new(dtype, shape.to_vec(), &zeros[..bytes]).unwrap())
    });
    safetensors::serialize(views, Some(HashMap::from([(key.to_owned(), description.to_owned())]))).unwrap()
}

/// What the plain description needs.
const TENSORS: [(&str, Dtype, &[usize]); 4] = [
    ("layers.0.weight", Dtype::F32, &[2, 3]),
    ("layers.0.bias", Dtype::F32, &[3]),
    ("layers.2.weight", Dtype::F32, &[3, 2]),
    ("layers.2.bias", Dtype::F32, &[2]),
];

#[test]
fn a_description_that_cannot_be_is_refused_for_its_own_reason() {
    let place = place();
    load(&place.path, &file("groundup", &description("", ""), &TENSORS)).unwrap();
    let huge = (1_u64 << 62).to_string();
    let cases = [
        ("\"version\":2", "\"version\":1", "version 1"),
        ("\"version\":2,", "", "version"),
        ("\"inputs\":2", "\"inputs\":0", "0 inputs"),
        ("\"inputs\":2", "\"inputs\":-2", "metadata"),
        ("\"inputs\":2", "\"inputs\":2.5", "metadata"),
        ("\"inputs\":2", "\"inputs\":18446744073709551615", "too large"),
        ("\"inputs\":2", &format!("\"inputs\":{huge}"), "more than the file holds"),
        ("\"inputs\":2", "\"inputs\":1000000", "more than the file holds"),
        ("\"inputs\":2", "\"inputs\":1099511627776", "more than the file holds"),
        ("[3]", "[0]", "[0]"),
        ("[3]", &format!("[{huge},{huge}]"), "too large"),
        ("[3]", "[100000,100000]", "more than the file holds"),
        // Weights of one input fit, but not with their biases and what batch normalisation keeps.
        (
            "\"inputs\":2,\"hidden\":[3],\"classes\":2,\"activation\":\"relu\",\"batch_norm\":null",
            "\"inputs\":1,\"hidden\":[40],\"classes\":1,\"activation\":\"relu\",\"batch_norm\":\"book\"",
            "more than the file holds",
        ),
        ("[3]", "[3,2]", "no tensor layers.4.weight"),
        ("[3]", "[]", "layers.0.weight"),
        ("\"classes\":2", "\"classes\":0", "0 classes"),
        ("\"classes\":2", "\"classes\":257", "257 classes"),
        ("\"classes\":2", "\"classes\":18446744073709551615", "classes"),
        ("\"classes\":2", "\"classes\":4", "layers.2.weight"),
        ("relu", "swish", "swish"),
        ("relu", "re\\nlu", "re"),
        ("\"batch_norm\":null", "\"batch_norm\":\"keras\"", "keras"),
        ("\"batch_norm\":null", "\"batch_norm\":\"book\"", "layers.1.gamma"),
        ("\"dropout\":null", "\"dropout\":[1.0,\"book\"]", "ratio of 1"),
        ("\"dropout\":null", "\"dropout\":[-0.5,\"book\"]", "ratio of -0.5"),
        ("\"dropout\":null", "\"dropout\":[1e39,\"book\"]", "number out of range"),
        ("\"dropout\":null", "\"dropout\":[null,\"book\"]", "metadata"),
        ("\"dropout\":null", "\"dropout\":[0.5,\"book\\n\"]", "book"),
        ("}", "", "metadata"),
        ("{", "[", "metadata"),
    ];
    for (from, to, want) in cases {
        let bytes = file("groundup", &description(from, to), &TENSORS);
        let message = load(&place.path, &bytes).map(|_| ()).expect_err(to);
        assert!(message.contains(want), "{to:?}: {message:?} says nothing of {want:?}");
        assert!(!message.contains("not a safetensors file"), "{to:?}: {message:?}");
    }
}

#[test]
fn tensors_that_are_not_the_networks_are_refused_by_name() {
    let place = place();
    for (changed, dtype, shape) in [
        (0, Dtype::F32, &[2, 4][..]),
        (0, Dtype::F32, &[3, 2]), // PyTorch's way round: as many values, in another order
        (0, Dtype::F32, &[6]),
        (1, Dtype::F32, &[1, 3]),
        (0, Dtype::I32, &[2, 3]),
        (0, Dtype::F64, &[1, 3]),
        (1, Dtype::F32, &[]),
        (2, Dtype::BF16, &[3, 2]),
        (3, Dtype::F32, &[0]),
        (3, Dtype::F32, &[1 << 8]),
    ] {
        let mut tensors = TENSORS;
        let name = tensors[changed].0;
        tensors[changed] = (name, dtype, shape);
        let message = load(&place.path, &file("groundup", &description("", ""), &tensors)).map(|_| ()).expect_err(name);
        assert!(message.contains(name) && message.contains(&format!("{dtype:?}")), "{name} {shape:?}: {message:?}");
    }
    for missing in 0..4 {
        let mut tensors = TENSORS.to_vec();
        let (name, ..) = tensors.remove(missing);
        let message = load(&place.path, &file("groundup", &description("", ""), &tensors)).map(|_| ()).expect_err(name);
        assert!(message.contains(&format!("no tensor {name}")), "{message:?}");
    }
}

#[test]
fn a_name_with_a_line_break_does_not_break_the_message() {
    let place = place();
    let header = br#"{"a\nb":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(&[0; 8]);
    let message = load(&place.path, &bytes).map(|_| ()).expect_err("the data do not start at 0");
    assert_eq!(message.lines().count(), 1, "{message:?}");
}

#[test]
fn files_of_others_are_refused() {
    let place = place();
    let foreign = file("pytorch", "{}", &TENSORS);
    let message = load(&place.path, &foreign).map(|_| ()).unwrap_err();
    assert!(message.contains("groundup train --save"), "{message:?}");
    for bytes in
        [&b""[..], b"\x93NUMPY\x01\0", b"PK\x03\x04 a zip file of sixty-four bytes or so", &[0xff; 200], &[0; 200]]
    {
        let message = load(&place.path, bytes).map(|_| ()).expect_err("no model");
        assert!(message.contains("not a safetensors file"), "{message:?}");
    }
}
