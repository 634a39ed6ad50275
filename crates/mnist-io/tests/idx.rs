//! The IDX reader and writer: whatever is written is read back, by its content and not by its name.

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use mnist_io::file::{check_writable, write_atomically};
use mnist_io::idx::{Elements, Idx};
use mnist_io::{Error, Fault};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

/// Type, shape and bits: NaNs are equal where their bits are.
fn bits(idx: &Idx) -> (&'static str, &[u32], Vec<u64>) {
    let elements = match &idx.elements {
        Elements::U8(x) => x.iter().map(|&x| u64::from(x)).collect(),
        Elements::I8(x) => x.iter().map(|&x| i64::from(x).cast_unsigned()).collect(),
        Elements::I16(x) => x.iter().map(|&x| i64::from(x).cast_unsigned()).collect(),
        Elements::I32(x) => x.iter().map(|&x| i64::from(x).cast_unsigned()).collect(),
        Elements::F32(x) => x.iter().map(|&x| u64::from(x.to_bits())).collect(),
        Elements::F64(x) => x.iter().map(|&x| x.to_bits()).collect(),
    };
    (idx.elements.type_name(), &idx.shape, elements)
}

/// Each element type, with random bits (NaNs among them) for a shape.
fn each_type(shape: &[u32], rng: &mut Xoshiro256PlusPlus) -> [Idx; 6] {
    let count = shape.iter().product::<u32>() as usize;
    let mut draw = || rng.next_u64();
    let elements = [
        Elements::U8((0..count).map(|_| draw() as u8).collect()),
        Elements::I8((0..count).map(|_| draw() as i8).collect()),
        Elements::I16((0..count).map(|_| draw() as i16).collect()),
        Elements::I32((0..count).map(|_| draw() as i32).collect()),
        Elements::F32((0..count).map(|_| f32::from_bits(draw() as u32)).collect()),
        Elements::F64((0..count).map(|_| f64::from_bits(draw())).collect()),
    ];
    elements.map(|elements| Idx { shape: shape.to_vec(), elements })
}

/// The array comes back from memory, a plain file and a gzip file.
fn round_trip(idx: &Idx, dir: &Path) {
    let back = Idx::from_bytes(&idx.to_bytes().unwrap()).unwrap();
    assert_eq!(bits(&back), bits(idx), "from memory");
    for name in ["array", "array.gz"] {
        let path = dir.join(name);
        idx.write(&path).unwrap();
        let gzip = fs::read(&path).unwrap().starts_with(&[0x1f, 0x8b]);
        assert_eq!(gzip, name.ends_with(".gz"), "{name}");
        assert_eq!(bits(&Idx::read(&path).unwrap()), bits(idx), "{name}");
    }
    assert_eq!(fs::read(dir.join("array")).unwrap(), idx.to_bytes().unwrap(), "the plain file is the bytes");
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn files_of(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let cases = [
        (Elements::U8(vec![1, 255]), &[0, 0, 0x08, 1, 0, 0, 0, 2, 1, 255][..]),
        (Elements::I8(vec![1, -2]), &[0, 0, 0x09, 1, 0, 0, 0, 2, 1, 0xfe]),
        (Elements::I16(vec![0x0102, -2]), &[0, 0, 0x0b, 1, 0, 0, 0, 2, 1, 2, 0xff, 0xfe]),
        (Elements::I32(vec![0x0102_0304, -2]), &[0, 0, 0x0c, 1, 0, 0, 0, 2, 1, 2, 3, 4, 0xff, 0xff, 0xff, 0xfe]),
        (Elements::F32(vec![1.0, -2.5]), &[0, 0, 0x0d, 1, 0, 0, 0, 2, 0x3f, 0x80, 0, 0, 0xc0, 0x20, 0, 0]),
        (
            Elements::F64(vec![1.0, -2.5]),
            &[0, 0, 0x0e, 1, 0, 0, 0, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xc0, 4, 0, 0, 0, 0, 0, 0],
        ),
    ];
    for (elements, bytes) in cases {
        let idx = Idx { shape: vec![2], elements };
        assert_eq!(idx.to_bytes().unwrap(), bytes);
        assert_eq!(Idx::from_bytes(bytes).unwrap(), idx);
    }
    let idx = Idx { shape: vec![1, 258], elements: Elements::U8(vec![7; 258]) };
    assert_eq!(idx.to_bytes().unwrap()[..12], [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 1, 2], "axes are big-endian, in order");
}

#[test]
fn every_type_and_rank_comes_back_plain_and_packed() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let shapes: [&[u32]; 8] = [&[], &[1], &[257], &[3, 5], &[4, 1, 6], &[2, 3, 4, 5], &[2, 1, 3, 1, 2], &[70, 28, 28]];
    for shape in shapes {
        for idx in each_type(shape, &mut rng) {
            assert_eq!(idx.elements.len(), shape.iter().product::<u32>() as usize);
            round_trip(&idx, dir.path());
        }
    }
    let [idx, ..] = each_type(&[1; 255], &mut rng);
    round_trip(&idx, dir.path());
}

#[test]
fn every_extreme_value_keeps_its_bits() {
    let dir = tempfile::tempdir().unwrap();
    let f32s = [
        [0.0, -0.0, 1.0, f32::MIN, f32::MAX, f32::MIN_POSITIVE, f32::EPSILON, f32::INFINITY],
        [f32::NEG_INFINITY, f32::NAN, -f32::NAN, -1.0, 0.1, -f32::MIN_POSITIVE, 1e-40, -1e-45],
    ]
    .concat();
    let nans = [0x7f80_0001, 0xffc1_2345, 0x7fff_ffff].map(f32::from_bits);
    let f64s = [
        [0.0, -0.0, 1.0, f64::MIN, f64::MAX, f64::MIN_POSITIVE, f64::EPSILON, f64::INFINITY],
        [f64::NEG_INFINITY, f64::NAN, -f64::NAN, -1.0, 0.1, -f64::MIN_POSITIVE, 1e-310, -5e-324],
    ]
    .concat();
    let quiet_and_signalling = [0x7ff0_0000_0000_0001, 0xfff8_1234_5678_9abc].map(f64::from_bits);
    let all = [
        Elements::U8((0..=255).collect()),
        Elements::I8((-128..=127).collect()),
        Elements::I16(vec![i16::MIN, -256, -255, -1, 0, 1, 255, 256, i16::MAX]),
        Elements::I32(vec![i32::MIN, -65_536, -1, 0, 1, 255, 256, 65_535, 16_777_216, i32::MAX]),
        Elements::F32([f32s, nans.to_vec()].concat()),
        Elements::F64([f64s, quiet_and_signalling.to_vec()].concat()),
    ];
    for elements in all {
        round_trip(&Idx { shape: vec![elements.len() as u32], elements }, dir.path());
    }
}

#[test]
fn an_axis_of_length_zero_makes_an_array_without_elements_of_that_shape() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
    for shape in [&[0][..], &[0, 28, 28], &[5, 0], &[3, 0, 4, 0], &[0; 5]] {
        for idx in each_type(shape, &mut rng) {
            assert!(idx.elements.is_empty());
            assert_eq!(idx.to_bytes().unwrap().len(), 4 + 4 * shape.len(), "a header and nothing else");
            round_trip(&idx, dir.path());
        }
    }
    let idx = Idx { shape: vec![], elements: Elements::U8(vec![9]) };
    assert!(!idx.elements.is_empty(), "rank 0 is one element");
    assert_eq!(idx.to_bytes().unwrap(), [0, 0, 8, 0, 9]);
}

#[test]
fn an_empty_array_with_enormous_other_axes_is_read() {
    let bytes = [&[0, 0, 8, 4][..], &[0xff; 12], &[0; 4]].concat();
    let idx = Idx::from_bytes(&bytes).unwrap();
    assert_eq!((&idx.shape[..], idx.elements), (&[u32::MAX, u32::MAX, u32::MAX, 0][..], Elements::U8(vec![])));
}

#[test]
fn what_the_reader_accepts_the_writer_writes_also_an_empty_array_with_enormous_other_axes() {
    let bytes = [&[0, 0, 8, 4][..], &[0xff; 12], &[0; 4]].concat();
    let idx = Idx::from_bytes(&bytes).unwrap();
    assert_eq!(idx.to_bytes().map_err(|error| error.to_string()), Ok(bytes));
}

#[test]
fn gzip_is_told_by_content_and_not_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let idx = Idx { shape: vec![3], elements: Elements::I16(vec![1, -1, 300]) };
    let plain = idx.to_bytes().unwrap();
    let cases = [("plain.gz", plain.clone()), ("packed", zipped(&plain)), ("packed.txt", zipped(&plain))];
    for (name, bytes) in cases {
        let path = dir.path().join(name);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(Idx::read(&path).unwrap(), idx, "{name}");
        assert_eq!(Idx::from_bytes(&bytes).unwrap(), idx, "{name} in memory");
    }
}

#[test]
fn gzip_with_every_optional_field_is_read() {
    let idx = Idx { shape: vec![2], elements: Elements::U8(vec![4, 2]) };
    let builder =
        flate2::GzBuilder::new().filename("digits").comment("two").extra(vec![1, 2, 0, 0]).mtime(1).operating_system(3);
    let mut encoder = builder.write(Vec::new(), Compression::none());
    idx.write_to(&mut encoder).unwrap();
    assert_eq!(Idx::from_bytes(&encoder.finish().unwrap()).unwrap(), idx);
}

#[test]
fn the_array_that_deflate_packs_best_is_not_taken_for_a_header_that_lies() {
    let idx = Idx { shape: vec![8 << 20], elements: Elements::U8(vec![0; 8 << 20]) };
    let packed = zipped(&idx.to_bytes().unwrap());
    assert!((8 << 20) / packed.len() > 1000, "{} bytes are too many to prove anything", packed.len());
    assert_eq!(Idx::from_bytes(&packed).unwrap(), idx);
}

#[test]
fn the_same_array_gives_the_same_gzip_bytes_whenever_and_wherever_it_is_written() {
    let [idx, ..] = each_type(&[40, 28, 28], &mut Xoshiro256PlusPlus::seed_from_u64(3));
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a.gz", "b.gz", "below/here/c.gz"].map(|name| dir.path().join(name));
    let written = paths.map(|path| {
        idx.write(&path).unwrap();
        fs::read(&path).unwrap()
    });
    assert_eq!(written[0], written[1]);
    assert_eq!(written[0], written[2]);
    assert_eq!(written[0][3], 0, "no name and no other optional field in the header");
    assert_eq!(written[0][4..8], [0; 4], "no time in the header");
    let mut unpacked = Vec::new();
    GzDecoder::new(&written[0][..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, idx.to_bytes().unwrap(), "another reader finds the plain bytes in it");
}

#[test]
fn a_shape_that_is_not_that_of_the_elements_is_refused_and_nothing_is_written() {
    let cases: [(&[u32], usize); 8] = [
        (&[3], 2),
        (&[3], 4),
        (&[], 0),
        (&[], 2),
        (&[2, 0], 2),
        (&[2, 3], 5),
        (&[1 << 31, 1 << 31, 4], 0),
        (&[1; 256], 1),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (shape, count) in cases {
        let idx = Idx { shape: shape.to_vec(), elements: Elements::F32(vec![0.5; count]) };
        let mut to = Vec::new();
        let error = idx.write_to(&mut to).expect_err("a wrong shape");
        let message = error.to_string();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{message}");
        assert!(message.contains(&format!("{shape:?}")) && message.contains(&count.to_string()), "{message}");
        assert!(to.is_empty(), "{to:?} written of {shape:?} with {count} elements");
        assert!(idx.to_bytes().is_err());
        for name in ["x", "x.gz"] {
            let message = idx.write(&dir.path().join(name)).expect_err("a wrong shape").to_string();
            assert!(message.contains(name) && message.contains("shape"), "{message}");
        }
    }
    assert_eq!(files_of(dir.path()), [""; 0]);
}

#[test]
fn a_failed_write_leaves_the_old_file_and_no_temporary_one() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = Idx { shape: vec![1 << 20], elements: Elements::U8(vec![0; 7]) };
    for name in ["x", "x.gz"] {
        let path = dir.path().join(name);
        fs::write(&path, b"what was there before").unwrap();
        wrong.write(&path).expect_err("a wrong shape");
        assert_eq!(fs::read(&path).unwrap(), b"what was there before");
    }
    // Also when much has been written already.
    let path = dir.path().join("x");
    let error = write_atomically(&path, |to| {
        to.write_all(&vec![1; 1 << 20])?;
        assert_eq!(files_of(dir.path()).len(), 3, "it is written beside its place");
        assert_eq!(fs::read(&path)?, b"what was there before", "its place is not touched before it is whole");
        Err(std::io::Error::other("the disk is full"))
    });
    assert_eq!(
        error.unwrap_err().to_string(),
        format!("{}: the disk is full; check the path and what may be done there", path.display())
    );
    assert_eq!(fs::read(&path).unwrap(), b"what was there before");
    assert_eq!(files_of(dir.path()), ["x", "x.gz"]);
}

#[test]
fn a_write_replaces_the_whole_old_file_and_leaves_no_temporary_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    fs::write(&path, vec![9; 100_000]).unwrap();
    let idx = Idx { shape: vec![1], elements: Elements::U8(vec![3]) };
    idx.write(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), idx.to_bytes().unwrap());
    assert_eq!(files_of(dir.path()), ["x"]);
}

#[test]
fn a_write_that_the_system_refuses_names_the_place_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let idx = Idx { shape: vec![1], elements: Elements::U8(vec![3]) };
    // A folder stands in the file's place.
    let taken = dir.path().join("taken");
    fs::create_dir_all(taken.join("inside")).unwrap();
    let error = idx.write(&taken).expect_err("a folder is there");
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("taken"), "{error}");
    // A file stands in its folder's place.
    fs::write(dir.path().join("file"), b"").unwrap();
    let error = idx.write(&dir.path().join("file").join("x")).expect_err("a file is no folder");
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("file"), "{error}");
    assert_eq!(files_of(dir.path()), ["file", "taken"]);
    assert_eq!(files_of(&taken), ["inside"]);
}

#[cfg(unix)]
#[test]
fn a_write_to_a_link_writes_the_file_it_leads_to_and_leaves_the_link() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("far")).unwrap();
    fs::write(at("far/old"), b"what was there before").unwrap();
    // Links to a file, to a link, and to a file that is not there yet, whose folder is not there either.
    for (link, target) in [("one", "far/old"), ("two", "one"), ("none", "new/file"), ("to none", "none")] {
        symlink(target, at(link)).unwrap();
    }
    for (link, file) in [("one", "far/old"), ("two", "far/old"), ("to none", "new/file"), ("none", "new/file")] {
        check_writable(&at(link)).unwrap();
        write_atomically(&at(link), |to| to.write_all(link.as_bytes())).unwrap();
        assert_eq!(fs::read(at(file)).unwrap(), link.as_bytes(), "{link}");
        assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link} is a link no more");
    }
    assert_eq!(files_of(dir.path()), ["far", "new", "none", "one", "to none", "two"]);
    assert_eq!((files_of(&at("far")), files_of(&at("new"))), (vec!["old".to_owned()], vec!["file".to_owned()]));
    // One that leads back to itself leads nowhere.
    symlink("loop", at("loop")).unwrap();
    for error in [check_writable(&at("loop")), write_atomically(&at("loop"), |_| Ok(()))] {
        let error = error.expect_err("a loop").to_string();
        assert!(error.starts_with(&format!("{}: ", at("loop").display())), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_write_never_replaces_what_is_no_file() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let (socket, link) = (dir.path().join("socket"), dir.path().join("link"));
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    symlink("socket", &link).unwrap();
    for path in [&socket, &link] {
        for error in [check_writable(path), write_atomically(path, |to| to.write_all(b"x"))] {
            let error = error.expect_err("a socket").to_string();
            assert!(error.starts_with(&format!("{}: a device, a pipe or a socket", path.display())), "{error}");
        }
    }
    assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket(), "a file has replaced the socket");
    assert_eq!(files_of(dir.path()), ["link", "socket"]);
}

#[test]
fn a_file_that_is_not_there_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let error = Idx::read(&dir.path().join("nowhere.gz")).expect_err("there is no such file");
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("nowhere.gz"), "{error}");
}

#[test]
fn a_fault_says_how_much_was_expected_and_how_much_there_was() {
    let good = Idx { shape: vec![20], elements: Elements::I32(vec![-7; 20]) }.to_bytes().unwrap();
    assert_eq!(Idx::from_bytes(&good[..3]), Err(Fault::Truncated { expected: 4, found: 3 }));
    assert_eq!(Idx::from_bytes(&good[..6]), Err(Fault::Truncated { expected: 8, found: 6 }));
    assert_eq!(Idx::from_bytes(&good[..85]), Err(Fault::Truncated { expected: 88, found: 85 }));
    assert_eq!(Idx::from_bytes(&good[..70]), Err(Fault::Oversized { shape: vec![20], held: 70 }));
    let longer = [&good[..], &[0; 5]].concat();
    assert_eq!(Idx::from_bytes(&longer), Err(Fault::Trailing { expected: 88, extra: 5 }));
    assert_eq!(Idx::from_bytes(&zipped(&longer)), Err(Fault::Trailing { expected: 88, extra: 5 }));
    assert_eq!(Idx::from_bytes(&zipped(&good[..70])), Err(Fault::Truncated { expected: 88, found: 70 }));
    assert_eq!(Idx::from_bytes(b"GIF89a"), Err(Fault::Magic { found: *b"GIF8" }));
    // A damaged plain file is read before a good .gz beside it: to get that again does not help while it is there.
    for damaged in [&good[..85], &good[..70], &longer, &zipped(&good)[..30]] {
        let message = Idx::from_bytes(damaged).expect_err("damaged").to_string();
        assert!(message.ends_with("; delete the file and get it again"), "{message}");
    }
}
