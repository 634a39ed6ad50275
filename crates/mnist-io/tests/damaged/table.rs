//! The damages: what is done to which of four small files, and what is to be said of it.

use flate2::Compression;
use flate2::write::GzEncoder;
use mnist_io::dataset::below;
use mnist_io::idx::{Elements, Idx};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::BTreeSet;
use std::io::Write;

pub const TRAIN_IMAGES: usize = 0;
pub const TRAIN_LABELS: usize = 1;
const TEST_IMAGES: usize = 2;
const TEST_LABELS: usize = 3;

// How a fault begins or what is typical of it.
const TRUNCATED: &[&str] = &["truncated: "];
const TRAILING: &[&str] = &["bytes too many after the"];
const MAGIC: &[&str] = &["not an IDX file: it starts with"];
const OVERSIZED: &[&str] = &["the header announces shape ["];
const GZIP: &[&str] = &["damaged gzip data ("];
const KIND: &[&str] = &["is needed here"];
pub const ONE_EACH: &[&str] = &["there must be one each"];
const NONE: &[&str] = &["there must be some"];
const MISSING: &[&str] = &["(.gz); name a folder with the four MNIST files (--data or MNIST_DIR), or run"];
const OTHER_SIZE: &[&str] = &["but those of the training set have"];
/// Where a flipped bit may be any of these.
const ANY: &[&str] = &[TRUNCATED[0], TRAILING[0], MAGIC[0], OVERSIZED[0], GZIP[0], KIND[0], ONE_EACH[0]];

/// A damaged file and what is to be said of it.
pub struct Case {
    pub name: String,
    /// Which of the four files it stands for.
    pub place: usize,
    /// Whether it is called `.gz`, whatever it holds.
    pub gz: bool,
    /// Its bytes; none is a folder.
    pub bytes: Option<Vec<u8>>,
    pub faults: &'static [&'static str],
}

/// The damages, and the four files they are made from.
pub struct Table {
    pub good: [Vec<u8>; 4],
    pub cases: Vec<Case>,
}

pub fn images(count: u32, side: u32, rng: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let pixels = (0..count * side * side).map(|_| below(rng, 512).saturating_sub(256) as u8).collect();
    Idx { shape: vec![count, side, side], elements: Elements::U8(pixels) }.to_bytes().unwrap()
}

pub fn labels(labels: &[u8]) -> Vec<u8> {
    Idx { shape: vec![labels.len() as u32], elements: Elements::U8(labels.to_vec()) }.to_bytes().unwrap()
}

/// A header, and so many bytes of data.
pub fn idx(code: u8, shape: &[u32], data: usize) -> Vec<u8> {
    let mut bytes = vec![0, 0, code, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|len| len.to_be_bytes()));
    bytes.resize(bytes.len() + data, 1);
    bytes
}

pub fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gzip file with a comment, which makes it longer than what is in it.
fn zipped_with_comment(bytes: &[u8], comment: usize) -> Vec<u8> {
    let encoder = flate2::GzBuilder::new().comment(vec![b'x'; comment]);
    let mut encoder = encoder.write(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn with_bit_flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

impl Table {
    pub fn of_damages() -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(6);
        let good = [
            images(12, 28, &mut rng),
            labels(&[5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5]),
            images(8, 28, &mut rng),
            labels(&[7, 2, 1, 0, 4, 1, 4, 9]),
        ];
        let mut table = Self { good, cases: Vec::new() };
        table.cut();
        table.headers();
        table.wrong_but_whole();
        table.not_idx(&mut rng);
        table.gzip();
        table.gzip_that_lies();
        table.bits();
        table
    }

    fn plain(&mut self, name: impl Into<String>, place: usize, bytes: Vec<u8>, faults: &'static [&'static str]) {
        self.cases.push(Case { name: name.into(), place, gz: false, bytes: Some(bytes), faults });
    }

    fn gz(&mut self, name: impl Into<String>, place: usize, bytes: Vec<u8>, faults: &'static [&'static str]) {
        self.cases.push(Case { name: name.into(), place, gz: true, bytes: Some(bytes), faults });
    }

    /// Cut short: at every byte of the header, and in the data; plain, packed afterwards, and packed before.
    fn cut(&mut self) {
        for (place, header) in [(TRAIN_IMAGES, 16), (TRAIN_LABELS, 8), (TEST_IMAGES, 16), (TEST_LABELS, 8)] {
            let good = self.good[place].clone();
            for at in 0..header {
                self.plain(format!("{place}: cut at byte {at} of the header"), place, good[..at].to_vec(), TRUNCATED);
                self.gz(format!("{place}: header cut at {at}, packed"), place, zipped(&good[..at]), TRUNCATED);
            }
            let end = good.len();
            let places = [header, header + 1, header + (end - header) / 2, end - header - 1, end - header, end - 1];
            for at in BTreeSet::from(places).split_off(&header) {
                // A plain file that is a header short or more cannot hold what it announces, before it is read.
                let faults = if at < end - header { OVERSIZED } else { TRUNCATED };
                self.plain(format!("{place}: data cut at byte {at}"), place, good[..at].to_vec(), faults);
                self.gz(format!("{place}: data cut at {at}, packed"), place, zipped(&good[..at]), TRUNCATED);
            }
            let packed = zipped(&good);
            let end = packed.len();
            let places = (0..12).chain([end / 3, end / 2]).chain(end - 9..end);
            for at in places.collect::<BTreeSet<_>>() {
                // With less than gzip's two first bytes it cannot be told to be one.
                let faults = if at < 2 { TRUNCATED } else { GZIP };
                self.gz(format!("{place}: gzip cut at {at}"), place, packed[..at].to_vec(), faults);
            }
        }
    }

    /// Headers that say what is not so.
    fn headers(&mut self) {
        let good = self.good[TRAIN_IMAGES].clone();
        for code in [0x00, 0x01, 0x07, 0x0a, 0x0f, 0x10, 0x80, 0xff] {
            let name = format!("element type {code:02x}");
            self.plain(name, TRAIN_IMAGES, joined(&[&[0, 0, code], &good[3..]]), MAGIC);
        }
        for code in [0x0b, 0x0c, 0x0d, 0x0e] {
            let name = format!("bytes called elements of type {code:02x}");
            self.plain(name, TRAIN_IMAGES, joined(&[&[0, 0, code], &good[3..]]), OVERSIZED);
        }
        self.plain("little-endian magic", TRAIN_IMAGES, joined(&[&[3, 8, 0, 0], &good[4..]]), MAGIC);
        let swapped = joined(&[&[0, 0, 8, 3, 12, 0, 0, 0, 28, 0, 0, 0, 28, 0, 0, 0], &good[16..]]);
        self.plain("little-endian axes", TRAIN_IMAGES, swapped, OVERSIZED);
        self.plain("rank one too few", TRAIN_IMAGES, joined(&[&[0, 0, 8, 2], &good[4..]]), TRAILING);
        self.plain("rank one too many", TRAIN_IMAGES, joined(&[&[0, 0, 8, 4], &good[4..]]), OVERSIZED);
        self.plain("rank 255, axes missing", TRAIN_LABELS, idx(8, &[1; 255], 1)[..500].to_vec(), TRUNCATED);
        self.plain("rank 255, one element", TRAIN_LABELS, idx(8, &[1; 255], 1), KIND);
        self.plain("rank 255, no element", TRAIN_IMAGES, idx(8, &[0; 255], 0), KIND);
        self.plain("rank 255, 2^255 elements", TRAIN_IMAGES, idx(8, &[2; 255], 1), OVERSIZED);
        self.plain("rank 255, longest axes", TRAIN_IMAGES, idx(14, &[u32::MAX; 255], 900), OVERSIZED);
        self.plain("rank 0", TEST_LABELS, idx(8, &[], 1), KIND);
        self.plain("rank 0 without its element", TEST_LABELS, idx(8, &[], 0), TRUNCATED);
        let enormous: [(&str, u8, &[u32]); 8] = [
            ("4 TB of u8", 8, &[u32::MAX, 32, 32]),
            ("terabytes of f64", 14, &[1 << 20, 1 << 10, 1 << 10]),
            ("4 GB of labels", 8, &[u32::MAX]),
            ("u64::MAX / 2 bytes", 8, &[1 << 31, 1 << 31, 2]),
            ("2^64 u8: 0 if it wraps", 8, &[1 << 31, 1 << 31, 4]),
            ("2^64 bytes of f64: 0 if it wraps", 14, &[1 << 31, 1 << 30]),
            ("2^96 bytes", 8, &[u32::MAX; 3]),
            ("10 images of 65536 x 65536", 8, &[10, 1 << 16, 1 << 16]),
        ];
        for (name, code, shape) in enormous {
            for data in [0, 16, 700] {
                let bytes = idx(code, shape, data);
                self.gz(format!("{name}, {data} held, packed"), TEST_IMAGES, zipped(&bytes), OVERSIZED);
                self.plain(format!("{name}, {data} held"), TEST_IMAGES, bytes, OVERSIZED);
            }
        }
        for (place, extra) in [(TRAIN_IMAGES, 1), (TRAIN_LABELS, 1), (TEST_IMAGES, 5000), (TEST_LABELS, 784)] {
            let longer = joined(&[&self.good[place], &vec![0; extra]]);
            self.gz(format!("{place}: {extra} bytes too many, packed"), place, zipped(&longer), TRAILING);
            self.plain(format!("{place}: {extra} bytes too many"), place, longer, TRAILING);
        }
    }

    /// Whole IDX files that are not the ones wanted.
    fn wrong_but_whole(&mut self) {
        for (name, shape) in [("no image", [0, 28, 28]), ("no image, of a long row", [0, 1, u32::MAX])] {
            self.plain(name, TRAIN_IMAGES, idx(8, &shape, 0), ONE_EACH);
            self.plain(format!("{name}, and data"), TRAIN_IMAGES, idx(8, &shape, 784), TRAILING);
        }
        self.plain("no row", TRAIN_IMAGES, idx(8, &[12, 0, 28], 0), NONE);
        self.plain("no column", TEST_IMAGES, idx(8, &[8, 28, 0], 0), NONE);
        self.plain("no pixel, longest axes", TEST_IMAGES, idx(8, &[u32::MAX, 0, u32::MAX], 0), NONE);
        self.plain("an image too few", TRAIN_IMAGES, idx(8, &[11, 28, 28], 11 * 784), ONE_EACH);
        self.plain("an image too many", TEST_IMAGES, idx(8, &[9, 28, 28], 9 * 784), ONE_EACH);
        self.gz("many images too many, packed", TEST_IMAGES, zipped(&idx(8, &[2700, 28, 28], 2700 * 784)), ONE_EACH);
        self.plain("images of another size than in training", TEST_IMAGES, idx(8, &[8, 14, 14], 8 * 196), OTHER_SIZE);
        self.plain("test images in place of training images", TRAIN_IMAGES, self.good[TEST_IMAGES].clone(), ONE_EACH);
        self.plain("images in place of labels", TRAIN_LABELS, self.good[TRAIN_IMAGES].clone(), KIND);
        self.gz("images in place of labels, packed", TEST_LABELS, zipped(&self.good[TEST_IMAGES]), KIND);
        self.plain("labels in place of images", TEST_IMAGES, self.good[TEST_LABELS].clone(), KIND);
        self.gz("labels in place of images, packed", TRAIN_IMAGES, zipped(&self.good[TRAIN_LABELS]), KIND);
        self.plain("images in one row", TRAIN_IMAGES, idx(8, &[12 * 784], 12 * 784), KIND);
        self.plain("images as rows of pixels", TRAIN_IMAGES, idx(8, &[12, 784], 12 * 784), KIND);
        self.plain("images with a channel axis", TRAIN_IMAGES, idx(8, &[12, 1, 28, 28], 12 * 784), KIND);
        self.plain("labels as a column", TRAIN_LABELS, idx(8, &[12, 1], 12), KIND);
        for (code, size) in [(9, 1), (11, 2), (12, 4), (13, 4), (14, 8)] {
            self.plain(format!("labels of type {code:02x}"), TRAIN_LABELS, idx(code, &[12], 12 * size), KIND);
            let bytes = idx(code, &[8, 28, 28], 8 * 784 * size);
            self.gz(format!("images of type {code:02x}"), TEST_IMAGES, zipped(&bytes), KIND);
        }
        self.plain(
            "first label 10",
            TRAIN_LABELS,
            labels(&[10, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5]),
            &["label 10 at sample 0;"],
        );
        self.plain("last label 255", TEST_LABELS, labels(&[7, 2, 1, 0, 4, 1, 4, 255]), &["label 255 at sample 7;"]);
        self.gz(
            "label 10, packed",
            TEST_LABELS,
            zipped(&labels(&[7, 2, 1, 10, 4, 1, 4, 9])),
            &["label 10 at sample 3;"],
        );
        for place in [TRAIN_IMAGES, TEST_LABELS] {
            for gz in [false, true] {
                let name = format!("{place}: a folder in its place, gz {gz}");
                self.cases.push(Case { name, place, gz, bytes: None, faults: MISSING });
            }
        }
    }

    /// Files that were never IDX, or no longer are.
    fn not_idx(&mut self, rng: &mut Xoshiro256PlusPlus) {
        let page = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head>\n<body>\n</body></html>\n";
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:440fcabf\nsize 9912422\n";
        let strangers: [(&str, &[u8]); 13] = [
            ("an HTML error page", page),
            ("an XML error page", b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>"),
            ("a Git LFS pointer", pointer),
            ("a zip archive", b"PK\x03\x04\x14\x00\x00\x00\x08\x00"),
            ("a zlib stream", b"\x78\x9c\x63\x60\xe0\x60\x06\x00"),
            ("a bzip2 file", b"BZh91AY&SY"),
            ("a zstd file", b"\x28\xb5\x2f\xfd\x04\x00"),
            ("an npy file", b"\x93NUMPY\x01\x00v\x00"),
            ("a PNG image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            ("base64 of gzip", b"H4sIAAAAAAAA/2Ng4GBmYGBgAAA="),
            ("one line feed", b"\n\n\n\n"),
            ("zeros", &[0; 9424]),
            ("ones", &[0xff; 9424]),
        ];
        for (name, bytes) in strangers {
            self.plain(name, TRAIN_LABELS, bytes.to_vec(), MAGIC);
            self.gz(format!("{name} saved as .gz"), TRAIN_IMAGES, bytes.to_vec(), MAGIC);
            self.gz(format!("{name}, packed"), TEST_LABELS, zipped(bytes), MAGIC);
        }
        let good = self.good[TRAIN_IMAGES].clone();
        self.plain("a byte order mark in front", TRAIN_IMAGES, joined(&[b"\xef\xbb\xbf", &good]), MAGIC);
        self.plain("a byte missing in front", TRAIN_IMAGES, good[1..].to_vec(), MAGIC);
        let text_mode = good.iter().flat_map(|&byte| [13, byte].into_iter().skip(usize::from(byte != 10))).collect();
        self.plain("sent in text mode, LF as CR LF", TRAIN_IMAGES, text_mode, TRAILING);
        let decoded = String::from_utf8_lossy(&good).into_owned().into_bytes();
        self.plain("decoded as UTF-8 and encoded again", TRAIN_IMAGES, decoded, TRAILING);
        let decoded = String::from_utf8_lossy(&zipped(&good)).into_owned().into_bytes();
        self.gz("gzip decoded as UTF-8 and encoded again", TRAIN_IMAGES, decoded, MAGIC);
        for number in 0..30 {
            let mut bytes = vec![0; 40 + below(rng, 5000)];
            rng.fill_bytes(&mut bytes);
            self.plain(format!("random bytes {number}"), number % 4, bytes.clone(), MAGIC);
            bytes[..4].copy_from_slice(&[0, 0, 8, 1 + (number % 4) as u8]);
            self.plain(format!("random bytes {number} after the magic"), number % 4, bytes.clone(), OVERSIZED);
            self.gz(format!("random bytes {number} after the magic, packed"), number % 4, zipped(&bytes), OVERSIZED);
            bytes.splice(..4, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
            self.gz(format!("random bytes {number} after a gzip header"), number % 4, bytes, ANY);
        }
    }

    /// Damaged containers of good files.
    fn gzip(&mut self) {
        for place in [TRAIN_IMAGES, TEST_LABELS] {
            let good = self.good[place].clone();
            let packed = zipped(&good);
            let (deflated, trailer) = packed[10..].split_at(packed.len() - 18);
            let (crc, len) = trailer.split_at(4);
            let mut add =
                |what: &str, bytes: Vec<u8>, faults| self.gz(format!("{place}: {what}"), place, bytes, faults);
            let header = &packed[..10];
            let not_crc = [!crc[0], crc[1], crc[2], crc[3]];
            add("wrong CRC", joined(&[header, deflated, &not_crc, len]), GZIP);
            add("CRC 0", joined(&[header, deflated, &[0; 4], len]), GZIP);
            add("wrong length", joined(&[header, deflated, crc, &(good.len() as u32 + 1).to_le_bytes()]), GZIP);
            add("length 0", joined(&[header, deflated, crc, &[0; 4]]), GZIP);
            add("length 4 GB", joined(&[header, deflated, crc, &[0xff; 4]]), GZIP);
            add("CRC and length exchanged", joined(&[header, deflated, len, crc]), GZIP);
            add("a zero after it", joined(&[&packed, &[0]]), GZIP);
            add("garbage after it", joined(&[&packed, b"garbage after the end of the file"]), GZIP);
            add("twice in a row", joined(&[&packed, &packed]), GZIP);
            add("an empty gzip after it", joined(&[&packed, &zipped(b"")]), GZIP);
            add("an empty gzip before it", joined(&[&zipped(b""), &packed]), TRUNCATED);
            add("gzip in gzip", zipped(&packed), MAGIC);
            add("gzip in gzip in gzip", zipped(&zipped(&packed)), MAGIC);
            add("gzip of nothing", zipped(b""), TRUNCATED);
            add("no deflate data", joined(&[header, trailer]), ANY);
            add("header alone", header.to_vec(), GZIP);
            add("header twice", joined(&[header, &packed]), GZIP);
            add("unknown method", joined(&[&[0x1f, 0x8b, 7], &packed[3..]]), GZIP);
            add("reserved flags", joined(&[&[0x1f, 0x8b, 8, 0xe0], &packed[4..]]), GZIP);
            add("header CRC missing", joined(&[&[0x1f, 0x8b, 8, 2], &packed[4..]]), GZIP);
            add("header CRC wrong", joined(&[&[0x1f, 0x8b, 8, 2], &packed[4..10], &[0, 0], &packed[10..]]), GZIP);
            add("extra field beyond the end", joined(&[&[0x1f, 0x8b, 8, 4], &packed[4..10], &[0xff; 900]]), GZIP);
            add("name without an end", joined(&[&[0x1f, 0x8b, 8, 8], &packed[4..10], &[b'n'; 900]]), GZIP);
            add("comment without an end", joined(&[&[0x1f, 0x8b, 8, 16], &packed[4..10], &[b'c'; 900]]), GZIP);
            add(
                "name of 200 kB without an end",
                joined(&[&[0x1f, 0x8b, 8, 8], &packed[4..10], &[b'n'; 200_000]]),
                GZIP,
            );
            add("deflate block of no kind", joined(&[header, &[7], &deflated[1..], trailer]), GZIP);
            add("a zlib stream in it", joined(&[header, b"\x78\x9c", deflated, trailer]), GZIP);
            let middle = deflated.len() / 2;
            add("a byte lost", joined(&[header, &deflated[..middle], &deflated[middle + 1..], trailer]), ANY);
            let doubled = joined(&[header, &deflated[..=middle], &deflated[middle..], trailer]);
            add("a byte doubled", doubled, ANY);
        }
    }

    /// Gzip whose content announces more, or holds more, than it should.
    fn gzip_that_lies(&mut self) {
        for (name, shape) in [("4 GB", [5_478_274, 28, 28]), ("40 MB", [51_021, 28, 28])] {
            // A gzip file of 100 bytes cannot hold them, and that is known before unpacking.
            self.gz(format!("{name} announced by a small gzip"), TRAIN_IMAGES, zipped(&idx(8, &shape, 784)), OVERSIZED);
        }
        // With a comment of 60 kB, 60 MB would be possible: only unpacking shows that they are not there.
        let announced = idx(8, &[51_021, 28, 28], 784);
        self.gz("40 MB announced by a gzip padded", TRAIN_IMAGES, zipped_with_comment(&announced, 60_000), TRUNCATED);
        let doubles = idx(14, &[5_000_000], 800);
        self.gz(
            "40 MB of f64 announced by a gzip padded",
            TEST_LABELS,
            zipped_with_comment(&doubles, 60_000),
            TRUNCATED,
        );
        self.gz("2 MB after 12 labels", TRAIN_LABELS, zipped(&idx(8, &[12], 2 << 20)), TRAILING);
        self.gz("2 MB, and then 20 kB missing", TRAIN_IMAGES, zipped(&idx(8, &[2700, 28, 28], 2 << 20)), TRUNCATED);
        let bad = |mut bytes: Vec<u8>| {
            let end = bytes.len();
            bytes[end - 8] ^= 1;
            bytes
        };
        self.gz("2 MB and a wrong CRC", TRAIN_IMAGES, bad(zipped(&idx(8, &[2675, 28, 28], 2675 * 784))), GZIP);
    }

    /// Single bits flipped in the header, plain and packed, and in a gzip file's header, data and trailer.
    fn bits(&mut self) {
        for (place, header) in [(TRAIN_IMAGES, 16), (TRAIN_LABELS, 8)] {
            let good = self.good[place].clone();
            for bit in 0..header * 8 {
                let flipped = with_bit_flipped(&good, bit);
                // What lies between labels and images is told apart only beside its partner, hence `KIND`, `ONE_EACH`.
                self.gz(format!("{place}: bit {bit} flipped, packed"), place, zipped(&flipped), ANY);
                self.plain(format!("{place}: bit {bit} flipped"), place, flipped, ANY);
            }
            let packed = zipped(&good);
            let end = packed.len();
            // Bytes 0 to 3 of a gzip file are what it goes by; bit 0 of byte 3 says that it is text and may be either.
            for bit in (0..32).filter(|&bit| bit != 24) {
                self.gz(format!("{place}: bit {bit} of gzip flipped"), place, with_bit_flipped(&packed, bit), ANY);
            }
            // The last byte of the deflate data may end in bits that mean nothing.
            for bit in (80..(end - 9) * 8).step_by(end * 8 / 60 + 1) {
                self.gz(format!("{place}: bit {bit} of gzip flipped"), place, with_bit_flipped(&packed, bit), ANY);
            }
            for bit in (end - 8) * 8..end * 8 {
                self.gz(format!("{place}: bit {bit} of gzip flipped"), place, with_bit_flipped(&packed, bit), GZIP);
            }
        }
    }
}
