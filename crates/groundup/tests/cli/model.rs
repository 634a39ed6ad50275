//! Saved networks: what is in the file, what `evaluate` makes of it, and files that are damaged or of something else.

use super::support::run::{Ran, command, groundup};
use super::{digits, failure_of, json, train};
use mnist_io::file::sha256_of_file;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A safetensors file, taken apart: its header as JSON, and the bytes of the tensors.
struct File {
    header: Value,
    body: Vec<u8>,
}

impl File {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let (length, rest) = bytes.split_first_chunk().unwrap();
        let (header, body) = rest.split_at(u64::from_le_bytes(*length) as usize);
        Self { header: serde_json::from_slice(header).unwrap(), body: body.to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        let header = self.header.to_string().into_bytes();
        [&(header.len() as u64).to_le_bytes()[..], &header, &self.body].concat()
    }

    /// The header's `groundup` metadata.
    fn description(&self) -> Value {
        serde_json::from_str(self.header["__metadata__"]["groundup"].as_str().unwrap()).unwrap()
    }

    /// The file with something of its metadata changed.
    fn described(&self, key: &str, value: Value) -> Vec<u8> {
        let mut description = self.description();
        description[key] = value;
        let mut header = self.header.clone();
        header["__metadata__"]["groundup"] = description.to_string().into();
        Self { header, body: self.body.clone() }.bytes()
    }

    /// The file with something of its header changed.
    fn changed(&self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut header = self.header.clone();
        change(&mut header);
        Self { header, body: self.body.clone() }.bytes()
    }

    fn tensor(&self, name: &str) -> &[u8] {
        let offset = |i: usize| self.header[name]["data_offsets"][i].as_u64().unwrap() as usize;
        &self.body[offset(0)..offset(1)]
    }
}

/// Trains a network with these options and saves it at `path`; the result of the run.
fn save(path: &Path, options: &str) -> Value {
    let mut all = vec!["--steps", "6", "--batch-size", "50", "--save", path.to_str().unwrap()];
    all.extend(options.split_whitespace());
    train(&all)
}

fn evaluate(model: &Path) -> Value {
    json(&["evaluate", "--json", "--data", digits(), "--model", model.to_str().unwrap()])
}

#[test]
fn a_saved_network_is_as_good_as_it_was_when_trained() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model.safetensors");
    for options in [
        "--lr 0.1",
        "--hidden none --lr 0.1",
        "--hidden 40,30 --activation tanh --init xavier --lr 0.1 --dropout 0.3",
        "--hidden 40,30 --activation sigmoid --optimizer adam --batch-norm",
        "--hidden 40,30 --optimizer adam --batch-norm --dropout 0.2 --preset torch",
    ] {
        let trained = save(&model, options);
        let evaluated = evaluate(&model);
        for key in ["train_accuracy", "test_accuracy"] {
            assert_eq!(evaluated[key], trained[key], "{key}, {options}");
        }
        // Six steps leave it far from both 0.1 and 1, so that a network lost on the way would be seen.
        let accuracy = evaluated["test_accuracy"].as_f64().unwrap();
        assert!(accuracy > 0.12, "{options}: {accuracy}");
        let words = groundup(&["evaluate", "--data", digits(), "--model", model.to_str().unwrap()]);
        assert!(words.contains(&format!("test {:.2} %", 100.0 * accuracy)), "{words}");
    }
}

#[test]
fn the_file_says_what_the_network_is_and_its_bytes_are_those_of_weights_sha256() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model.safetensors");
    let options = "--hidden 30,20 --activation tanh --batch-norm --dropout 0.25 --preset torch";
    let trained = save(&model, options);
    let file = File::read(&model);
    assert_eq!(
        file.description(),
        json!({"version": 2, "inputs": 784, "hidden": [30, 20], "classes": 10, "activation": "tanh",
            "batch_norm": "torch", "dropout": [0.25, "torch"]})
    );
    let weights: Vec<(&String, &Value)> =
        file.header.as_object().unwrap().iter().filter(|(name, _)| name.ends_with(".weight")).collect();
    let shapes: Vec<&Value> = weights.iter().map(|(_, tensor)| &tensor["shape"]).collect();
    assert_eq!(shapes, [&json!([784, 30]), &json!([30, 20]), &json!([20, 10])], "weights are inputs x outputs");

    // Network order: layer by layer, W before b and γ before β; the running statistics are no parameters.
    let mut parameters = Vec::new();
    for layer in 0..20 {
        for role in ["weight", "bias", "gamma", "beta"] {
            let name = format!("layers.{layer}.{role}");
            if file.header.get(&name).is_some() {
                parameters.extend_from_slice(file.tensor(&name));
            }
        }
    }
    let count = 784 * 30 + 30 + 30 * 20 + 20 + 20 * 10 + 10 + 2 * 30 + 2 * 20;
    assert_eq!(parameters.len(), 4 * count);
    let path = dir.path().join("parameters");
    fs::write(&path, parameters).unwrap();
    assert_eq!(trained["weights_sha256"], sha256_of_file(&path).unwrap());

    let again = dir.path().join("again.safetensors");
    save(&again, options);
    assert!(fs::read(&again).unwrap() == fs::read(&model).unwrap(), "the same run gave another file");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "something was left beside the files");
}

#[test]
fn a_damaged_or_foreign_model_is_refused_in_a_line_that_names_the_file_and_the_fault() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model.safetensors");
    save(&model, "--hidden 30,20 --dropout 0.2");
    let file = File::read(&model);
    let good = fs::read(&model).unwrap();
    let rename = |header: &mut Value| {
        let tensors = header.as_object_mut().unwrap();
        let tensor = tensors.shift_remove("layers.0.bias").unwrap();
        tensors.insert("layers.0.b".to_owned(), tensor);
    };
    let half = |header: &mut Value| {
        let tensor = &mut header["layers.0.bias"];
        tensor["dtype"] = "F16".into();
        tensor["shape"] = json!([60]);
    };
    // With room for the 200 values of batch normalisation, which are not there.
    let mut roomy = File::read(&model);
    let end = roomy.body.len();
    roomy.header["spare"] = json!({"dtype": "F32", "shape": [200], "data_offsets": [end, end + 800]});
    roomy.body.resize(end + 800, 0);
    let damages: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "not a safetensors file"),
        ("text", b"this is a text, not a network".to_vec(), "not a safetensors file"),
        ("an image file", b"\x00\x00\x08\x01\x00\x00\x00\x02\x01\x02".to_vec(), "not a safetensors file"),
        ("truncated in the length", good[..5].to_vec(), "not a safetensors file"),
        ("truncated in the header", good[..200].to_vec(), "not a safetensors file"),
        ("truncated in the tensors", good[..good.len() / 2].to_vec(), "not a safetensors file"),
        ("a byte short", good[..good.len() - 1].to_vec(), "not a safetensors file"),
        ("a byte long", [&good[..], b"x"].concat(), "not a safetensors file"),
        ("a length beyond the file", [&[0xff; 7][..], &good[7..]].concat(), "not a safetensors file"),
        ("no metadata", file.changed(|h| drop(h.as_object_mut().unwrap().shift_remove("__metadata__"))), "metadata"),
        ("PyTorch's metadata", file.changed(|h| h["__metadata__"] = json!({"format": "pt"})), "metadata"),
        ("metadata that is no JSON", file.changed(|h| h["__metadata__"]["groundup"] = "{".into()), "metadata"),
        ("a tensor missing", file.changed(rename), "no tensor layers.0.bias"),
        ("a tensor of another type", file.changed(half), "layers.0.bias is F16"),
        ("another version", file.described("version", 1.into()), "version 1"),
        ("another activation", file.described("activation", "gelu".into()), "\"gelu\""),
        ("another width", file.described("hidden", json!([30, 21])), "is F32 [30, 20]"),
        ("a layer more", file.described("hidden", json!([30, 20, 1])), "is F32 [20, 10]"),
        ("a layer less", file.described("hidden", json!([30])), "is F32 [30, 20]"),
        ("a layer of nothing", file.described("hidden", json!([30, 0])), "[30, 0]"),
        ("a huge network", file.described("hidden", json!([1_u64 << 40, 1_u64 << 40])), "too large"),
        ("a large network", file.described("hidden", json!([30, 1_000_000])), "more than the file holds"),
        ("a width of −1", file.described("hidden", json!([30, -1])), "metadata"),
        ("a dropout of 2", file.described("dropout", json!([2.0, "book"])), "dropout ratio of 2"),
        ("dropout of another preset", file.described("dropout", json!([0.2, "keras"])), "\"keras\""),
        ("batch norm in too small a file", file.described("batch_norm", "book".into()), "more than the file holds"),
        ("batch norm that has no tensors", roomy.described("batch_norm", "book".into()), "no tensor layers.1.gamma"),
        ("no classes", file.described("classes", 0.into()), "0 classes"),
    ];
    for (what, bytes, says) in damages {
        let path = dir.path().join("damaged.safetensors");
        fs::write(&path, bytes).unwrap();
        let [cause, cure] = failure_of(&["evaluate", "--data", digits(), "--model", path.to_str().unwrap()]);
        assert!(cause.starts_with(&format!("{}: ", path.display())), "{what}: {cause}");
        assert!(cause.contains(says) || cure.contains(says), "{what}: {cause}; {cure}");
    }
    for nowhere in [dir.path().to_owned(), dir.path().join("none.safetensors")] {
        let [cause, _] = failure_of(&["evaluate", "--data", digits(), "--model", nowhere.to_str().unwrap()]);
        assert!(cause.starts_with(&format!("{}: ", nowhere.display())), "{cause}");
    }
    // The parts put together again are a network, so that it is the damage that was refused.
    let path = dir.path().join("whole.safetensors");
    fs::write(&path, file.bytes()).unwrap();
    assert_eq!(evaluate(&path), evaluate(&model));
}

#[test]
fn no_change_of_a_byte_of_the_header_and_no_truncation_ends_in_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model.safetensors");
    save(&model, "--hidden 3 --batch-norm");
    let good = fs::read(&model).unwrap();
    let header = good.len() - File::read(&model).body.len();
    let mut cases: Vec<Vec<u8>> = (0..20).map(|i| good[..i * good.len() / 20].to_vec()).collect();
    for (place, bit) in (0..header).step_by(9).zip([0x01, 0x04, 0x10, 0x80].into_iter().cycle()) {
        let mut bytes = good.clone();
        bytes[place] ^= bit;
        cases.push(bytes);
    }
    let mut refused = 0;
    for (i, bytes) in cases.iter().enumerate() {
        let path = dir.path().join("damaged.safetensors");
        fs::write(&path, bytes).unwrap();
        let args = ["evaluate", "--data", digits(), "--model", path.to_str().unwrap()];
        let ran = Ran::of(&mut command(dir.path(), &args));
        assert!(matches!(ran.status, Some(0 | 1)) && !ran.err.contains("panicked"), "case {i}: {}", ran.err);
        refused += usize::from(ran.status == Some(1));
    }
    assert!(refused > cases.len() * 3 / 4, "only {refused} of {} were refused", cases.len());
}

#[test]
fn a_tensor_of_the_right_size_but_the_wrong_shape_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model.safetensors");
    save(&model, "--hidden none");
    // As PyTorch's `nn.Linear` has it: read as I×O it would be a network of other weights.
    let bytes = File::read(&model).changed(|header| header["layers.0.weight"]["shape"] = json!([10, 784]));
    fs::write(&model, bytes).unwrap();
    let [cause, _] = failure_of(&["evaluate", "--data", digits(), "--model", model.to_str().unwrap()]);
    assert!(cause.contains("layers.0.weight") && cause.contains("[10, 784]"), "{cause}");
}

#[test]
fn a_network_for_images_of_another_size_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model.safetensors");
    save(&model, "--hidden none");
    let mut file = File::read(&model);
    file.header = json!({
        "__metadata__": {"groundup": "{\"version\":2,\"inputs\":4,\"hidden\":[],\"classes\":10,\"activation\":\"relu\"}"},
        "layers.0.weight": {"dtype": "F32", "shape": [4, 10], "data_offsets": [0, 160]},
        "layers.0.bias": {"dtype": "F32", "shape": [10], "data_offsets": [160, 200]},
    });
    file.body.truncate(200);
    fs::write(&model, file.bytes()).unwrap();
    let [cause, _] = failure_of(&["evaluate", "--data", digits(), "--model", model.to_str().unwrap()]);
    assert!(cause.contains("784") && cause.contains('4'), "{cause}");
}
