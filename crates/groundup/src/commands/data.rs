//! `groundup data`

use super::Failure;
use crate::cli::Data;
use crate::progress;
use crate::threads::cores;
use mnist_io::download::{MIRRORS, Outcome, fetch};
use mnist_io::idx::Idx;
use mnist_io::mnist::FILES;
use mnist_io::synthetic::Synthetic;
use mnist_io::{Mnist, file};
use std::path::Path;
use std::time::Instant;

/// Downloads, makes, or describes digits.
pub fn run(command: &Data) -> Result<(), Failure> {
    match command {
        Data::Download { dir } => download(dir),
        Data::Synth { dir, train, test, seed } => {
            leaves_mnist_alone(dir)?;
            let started = Instant::now();
            Synthetic { train: *train, test: *test, seed: *seed }.write(dir, cores())?;
            let seconds = started.elapsed().as_secs_f64();
            say!("{train} training and {test} test images in {} ({seconds:.1} s)", dir.display())?;
            Ok(())
        }
        Data::Info { path } => info(path),
    }
}

/// Refuses a folder with MNIST's own files, which would be lost, and one with plain files, which are read first.
fn leaves_mnist_alone(dir: &Path) -> Result<(), Failure> {
    for published in &FILES {
        let (plain, compressed) = (dir.join(published.name), dir.join(format!("{}.gz", published.name)));
        let what = if plain.exists() {
            format!("{} is there, and is read before what would be written", plain.display())
        } else if compressed.is_file() && file::sha256_of_file(&compressed)? == published.sha256 {
            format!("{} is MNIST's, and would be lost", compressed.display())
        } else {
            continue;
        };
        return Err(Failure::new(format!("{what}; give another folder")));
    }
    Ok(())
}

fn download(dir: &Path) -> Result<(), Failure> {
    for published in &FILES {
        let bar = progress::bar(0, published.name);
        let outcome = fetch(published, dir, &MIRRORS, &mut |done, total| {
            bar.set_length(total.max(done));
            bar.set_position(done);
        })?;
        bar.finish_and_clear();
        let what = match outcome {
            Outcome::Present => "is there already",
            Outcome::Fetched => "fetched",
        };
        say!("{}.gz {what}, SHA-256 as published", dir.join(published.name).display())?;
    }
    Ok(())
}

fn info(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        let Mnist { train, test } = Mnist::load(path)?;
        for (name, set) in [("training", train), ("test", test)] {
            let [rows, columns] = set.image_shape();
            let counts: Vec<String> = (0..10_u8)
                .map(|digit| set.labels().iter().filter(|&&label| label == digit).count().to_string())
                .collect();
            say!("{name}: {} images of {rows}x{columns}, by digit: {}", set.len(), counts.join(" "))?;
        }
        return Ok(());
    }
    let idx = Idx::read(path)?;
    let shape: Vec<String> = idx.shape.iter().map(u32::to_string).collect();
    say!("{}: IDX, {} of shape {}", path.display(), idx.elements.type_name(), shape.join("x"))?;
    let sha256 = file::sha256_of_file(path)?;
    let known = FILES.iter().find(|file| file.sha256 == sha256);
    say!("SHA-256 {sha256}{}", known.map_or(String::new(), |file| format!(" (the published {}.gz)", file.name)))?;
    Ok(())
}
