//! Damaged files: each is refused in one line that names the file and the fault, without a panic, and without taking
//! more memory than the file itself can hold. The damages are listed in `table.rs`; `memory.rs` counts the bytes.

mod memory;
mod table;

use flate2::bufread::GzDecoder;
use memory::{CASE, with_peak};
use mnist_io::idx::Idx;
use mnist_io::mnist::FILES;
use mnist_io::{Dataset, Error, Fault, Mnist};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use table::{Case, ONE_EACH, TRAIN_IMAGES, TRAIN_LABELS, Table, idx, images, labels, zipped};

/// The most memory that reading these files may take: four times a plain file and 64 KiB; for gzip its own bytes, three
/// times what it really unpacks to, and 1 MiB.
fn ceiling<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> usize {
    let (mut bytes, mut spare) = (0, 64 << 10);
    for file in files {
        if file.starts_with(&[0x1f, 0x8b]) {
            bytes += file.len() + 3 * unpacked(file);
            spare = 1 << 20;
        } else {
            bytes += 4 * file.len();
        }
    }
    bytes + spare
}

/// How many bytes a gzip file gives until it ends or is found damaged.
fn unpacked(file: &[u8]) -> usize {
    let (mut decoder, mut buffer, mut sum) = (GzDecoder::new(file), [0; 4096], 0);
    while let Ok(count @ 1..) = decoder.read(&mut buffer) {
        sum += count;
    }
    sum
}

/// What is wrong with how one damaged file is met, if anything is. `dir` holds the good files.
fn judge(case: &Case, good: &[Vec<u8>; 4], dir: &Path) -> Vec<String> {
    CASE.set(case.name.clone().leak());
    let name = format!("{}{}", FILES[case.place].name, if case.gz { ".gz" } else { "" });
    let path = dir.join(&name);
    fs::remove_file(dir.join(FILES[case.place].name)).unwrap();
    match &case.bytes {
        Some(bytes) => fs::write(&path, bytes).unwrap(),
        None => fs::create_dir(&path).unwrap(),
    }
    let bytes = case.bytes.as_deref().unwrap_or_default();
    let others = good.iter().enumerate().filter(|&(place, _)| place != case.place).map(|(_, file)| &file[..]);
    let (loaded, load_peak) = with_peak(|| catch_unwind(AssertUnwindSafe(|| Mnist::load(dir).err())));
    let (read, read_peak) = with_peak(|| catch_unwind(AssertUnwindSafe(|| Idx::read(&path).err())));
    match &case.bytes {
        Some(_) => fs::remove_file(&path).unwrap(),
        None => fs::remove_dir(&path).unwrap(),
    }
    fs::write(dir.join(FILES[case.place].name), &good[case.place]).unwrap();

    let mut wrong = Vec::new();
    let mut check = |right: bool, what: String| {
        if !right {
            wrong.push(format!("{}: {what}", case.name));
        }
    };
    let (load_ceiling, read_ceiling) = (ceiling(others.chain([bytes])), ceiling([bytes]));
    check(load_peak <= load_ceiling, format!("load took {load_peak} bytes, {load_ceiling} allowed"));
    check(read_peak <= read_ceiling, format!("read took {read_peak} bytes, {read_ceiling} allowed"));
    let (Ok(loaded), Ok(read)) = (loaded, read) else {
        check(false, "panicked".into());
        return wrong;
    };
    let Some(error) = loaded else {
        check(false, "loaded".into());
        return wrong;
    };
    let message = error.to_string();
    check(!message.contains(['\n', '\r']), format!("more than one line: {message}"));
    check(message.contains(FILES[case.place].name), format!("does not name the file: {message}"));
    check(case.faults.iter().any(|fault| message.contains(fault)), format!("not {:?}: {message}", case.faults));
    match (&error, read) {
        // Found only beside the partner, or by what the file is needed for: by itself it is a sound file.
        (Error::Content { fault: Fault::Kind { .. } | Fault::Inconsistent { .. } | Fault::Label { .. }, .. }, read) => {
            check(read.is_none(), format!("sound by itself, but {read:?}"));
        }
        (Error::Missing { .. }, read) => {
            let read = read.map_or(String::new(), |error| error.to_string());
            check(read.contains(&name) && !read.contains('\n'), format!("a folder read: {read:?}"));
        }
        (_, read) => {
            let read = read.map_or(String::new(), |error| error.to_string());
            check(read == message && read.contains(&name), format!("read alone says {read:?}, in company {message:?}"));
        }
    }
    wrong
}

#[test]
fn every_damaged_file_is_refused_by_name_in_one_line_without_panic_and_within_its_own_memory() {
    let table = Table::of_damages();
    let distinct: HashSet<_> = table.cases.iter().map(|case| (case.place, case.gz, &case.bytes)).collect();
    assert!(distinct.len() >= 100, "only {} damages", distinct.len());
    let names: HashSet<_> = table.cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), table.cases.len(), "two damages of one name");

    let dir = tempfile::tempdir().unwrap();
    for (file, bytes) in FILES.iter().zip(&table.good) {
        fs::write(dir.path().join(file.name), bytes).unwrap();
    }
    let sound = Mnist::load(dir.path()).expect("without damage it loads");
    assert_eq!((sound.train.len(), sound.test.len()), (12, 8));

    let wrong: Vec<String> = table.cases.iter().flat_map(|case| judge(case, &table.good, dir.path())).collect();
    assert!(wrong.is_empty(), "{} complaints about {} files:\n{}", wrong.len(), distinct.len(), wrong.join("\n"));
    Mnist::load(dir.path()).expect("the good files were put back");
}

#[test]
fn a_gzip_bomb_behind_a_small_header_is_not_unpacked_into_memory() {
    let bomb = zipped(&idx(8, &[12], 32 << 20));
    let (result, peak) = with_peak(|| Idx::from_bytes(&bomb));
    assert!(matches!(result, Err(Fault::Trailing { expected: 20, extra: 1.. })), "{result:?}");
    assert!(peak < 256 << 10, "{peak} bytes taken for 12 labels and a bomb");
}

#[test]
fn the_memory_counter_sees_every_byte_held() {
    let ((), peak) = with_peak(|| drop(std::hint::black_box(vec![1_u8; 1 << 20])));
    assert_eq!(peak, 1 << 20);
    let ((), peak) = with_peak(|| {
        let mut grown = std::hint::black_box(Vec::<u8>::with_capacity(1000));
        grown.reserve_exact(3000);
        drop(std::hint::black_box(grown));
    });
    assert_eq!(peak, 4000, "a reallocation is the old and the new");
}

/// Four files whose training images file is `images`, with `labels` labels; what loading them says.
fn load_with(images: &[u8], labels_file: &[u8]) -> Result<Mnist, Error> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(6);
    let dir = tempfile::tempdir().unwrap();
    let test = [table::images(2, 28, &mut rng), labels(&[3, 4])];
    for (file, bytes) in FILES.iter().zip([images, labels_file, &test[0], &test[1]]) {
        fs::write(dir.path().join(file.name), bytes).unwrap();
    }
    Mnist::load(dir.path())
}

#[test]
fn no_images_of_enormous_size_are_refused_although_their_pixels_overflow_when_counted() {
    // 12 · (2^32 − 1)² does not fit a u64; 4 · 2^31 · 2^31 is 0 if it wraps, which is the number of pixels there are.
    for (side, count) in [(u32::MAX, 12), (1 << 31, 4)] {
        let images = idx(8, &[0, side, side], 0);
        let result = catch_unwind(|| load_with(&images, &labels(&vec![1; count])));
        let error = result.expect("panicked").expect_err("0 images and some labels").to_string();
        assert!(error.contains(FILES[TRAIN_IMAGES].name) && error.contains(ONE_EACH[0]), "{error}");
        let (images, labels) = (Idx::from_bytes(&images).unwrap(), Idx::from_bytes(&labels(&vec![1; count])).unwrap());
        let fault = Dataset::from_idx(images, labels).expect_err("0 images and some labels").1;
        assert!(matches!(fault, Fault::Inconsistent { .. }), "{fault}");
    }
}

#[test]
fn an_empty_labels_file_is_not_blamed_on_the_images() {
    let images = images(12, 28, &mut Xoshiro256PlusPlus::seed_from_u64(6));
    let error = load_with(&images, &labels(&[])).expect_err("12 images and no label").to_string();
    let blamed = error.contains(FILES[TRAIN_LABELS].name) && !error.contains(FILES[TRAIN_IMAGES].name);
    assert!(blamed && error.contains("12 images but 0 labels"), "{error}");
}
