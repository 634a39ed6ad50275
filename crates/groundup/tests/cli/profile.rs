//! `groundup train --profile` and `groundup roofline`: where the time goes, and how near that is to what there is.

use super::support::markup::markup_fault;
use super::support::run::groundup;
use super::{digits, train};
use std::fs;

/// A short run on a small network.
const SHORT: [&str; 8] = ["--hidden", "30,20", "--batch-size", "50", "--train-samples", "200", "--steps", "3"];

/// The percentage that ends with the first "%" of a line.
fn first_percentage(line: &str) -> f64 {
    let number = line.split(" %").next().and_then(|cells| cells.split_whitespace().next_back());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no percentage in {line:?}"))
}

#[test]
fn the_table_of_a_profile_names_layers_and_kernels_and_accounts_for_the_step() {
    for threads in ["1", "2"] {
        let options = ["train", "--data", digits(), "--profile", "--batch-norm", "--threads", threads];
        let out = groundup(&[&options[..], &SHORT[..]].concat());
        // The line of the run, the line of the profile, the head; then kernels, what is outside of them, and all.
        let lines: Vec<&str> = out.lines().skip_while(|line| !line.starts_with("profile of ")).collect();
        let [about, head, kernels @ .., outside, total] = &lines[..] else { panic!("no table in {out}") };
        assert!(about.contains(" steps, ") && about.contains("fma ") && about.contains("DRAM "), "{about}");
        for column in ["section", "layer", "kernel", "share", "GFLOP/s", "GB/s", "limit"] {
            assert!(head.contains(column), "no {column} in {head}");
        }
        for (section, layer, kernel) in [
            ("forward", "0 affine", "Y = X·W + b"),
            ("forward", "1 batch_norm", "batch norm"),
            ("backward", "6 affine", "dX = dY·Wᵀ"),
            ("backward", "0 affine", "dW = Xᵀ·dY"),
        ] {
            let is = |line: &&&str| line.starts_with(section) && line.contains(layer) && line.contains(kernel);
            assert_eq!(kernels.iter().filter(is).count(), 1, "{section} {layer} {kernel} in {out}");
        }
        let limited = |line: &&str| ["fma", "L1", "L2", "DRAM"].iter().any(|limit| line.contains(limit));
        assert!(kernels.iter().all(limited), "{out}");
        // Each is rounded to a tenth.
        let inside: f64 = kernels.iter().map(|line| first_percentage(line)).sum();
        let rounding = 0.05 * (kernels.len() + 1) as f64;
        assert!(inside > 0.0 && inside <= 100.0 + rounding, "{inside} % in {out}");
        assert!(outside.trim_start().starts_with("outside kernels"), "{outside}");
        assert!((inside + first_percentage(outside) - 100.0).abs() <= rounding, "{out}");
        assert!(total.trim_start().starts_with("total") && total.contains("100.0 %"), "{total}");
    }
}

#[test]
fn a_profile_is_a_member_of_the_json_and_changes_nothing_else() {
    let plain = train(&SHORT);
    let profiled = train(&[&SHORT[..], &["--profile"]].concat());
    assert!(plain.get("profile").is_none());
    for key in ["steps", "train_loss", "train_accuracy", "test_accuracy", "weights_sha256"] {
        assert_eq!(profiled[key], plain[key], "{key}");
    }
    let rows = profiled["profile"].as_array().expect("an array");
    let want =
        ["section", "layer", "kind", "kernel", "microseconds", "share", "gflops", "gbytes", "limit", "share_of_limit"];
    for row in rows {
        let keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, want);
        let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} in {row}"));
        assert!(number("share") <= 1.0, "{row}");
        for key in ["microseconds", "share", "gflops", "gbytes", "share_of_limit"] {
            assert!(number(key) >= 0.0, "{key} in {row}");
        }
        assert!(["fma", "L1", "L2", "DRAM"].contains(&row["limit"].as_str().unwrap()), "{row}");
        let of_layer = ["forward", "backward"].contains(&row["section"].as_str().unwrap());
        assert_eq!((row["layer"].is_u64(), row["kind"].is_string()), (of_layer, of_layer), "{row}");
    }
    let shares: f64 = rows.iter().map(|row| row["share"].as_f64().unwrap()).sum();
    assert!(shares > 0.0 && shares <= 1.0 + 1e-9, "{shares}");
    // Each layer has a product forward.
    let products = rows.iter().filter(|row| row["section"] == "forward" && row["kernel"] == "Y = X·W + b");
    let layers: Vec<Option<u64>> = products.map(|row| row["layer"].as_u64()).collect();
    assert_eq!(layers, [Some(0), Some(2), Some(4)]);
}

#[test]
fn a_quiet_profile_prints_nothing() {
    let options = ["train", "--data", digits(), "--profile", "--quiet"];
    assert_eq!(groundup(&[&options[..], &SHORT[..]].concat()), "");
}

#[test]
fn the_roofline_has_a_dot_for_each_kernel_that_computes() {
    let dir = tempfile::tempdir().unwrap();
    let plot = dir.path().join("new/roofline.svg");
    let out = groundup(&["roofline", "--workload", "A", "--workload", "A", "--out", plot.to_str().unwrap()]);
    let svg = fs::read_to_string(&plot).unwrap();
    assert_eq!(markup_fault(&svg), None);
    // A line a dot: its number, the workload, and what it is.
    let number = |line: &&str| line.split_whitespace().next().is_some_and(|word| word.parse::<usize>().is_ok());
    let lines: Vec<&str> = out.lines().filter(number).collect();
    for (i, line) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..2], [(i + 1).to_string().as_str(), "A"], "{line}");
        assert!(svg.contains(&format!(">{}</text>", words[0])), "no number {} in the plot", words[0]);
    }
    assert_eq!(svg.matches("<circle").count(), lines.len(), "{out}");
    for kernel in ["Y = X·W + b", "dX = dY·Wᵀ", "dW = Xᵀ·dY"] {
        // The first layer, the equal ones, the last.
        let count = lines.iter().filter(|line| line.contains(kernel)).count();
        assert!(count >= 2, "{count} of {kernel} in {out}");
        assert!(svg.contains(kernel), "no {kernel} in the plot");
    }
    for text in ["forward 2, 4, 6: ", "FMA peak ", "DRAM ", "flops per byte", "GFLOP/s", "prefers-color-scheme:dark"] {
        assert!(svg.contains(text), "no {text} in the plot");
    }
    assert!(out.starts_with("limits of one thread: fma ") && out.contains("roofline.svg"), "{out}");
}
