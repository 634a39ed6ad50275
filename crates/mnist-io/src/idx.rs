//! The IDX format of the MNIST files (described at the end of the MNIST home page).
//!
//! ```text
//! byte 0, 1   0
//! byte 2      element type: 08 u8, 09 i8, 0b i16, 0c i32, 0d f32, 0e f64
//! byte 3      rank
//! 4·rank      length of each axis, u32, big-endian
//! then        the elements, row-major, big-endian
//! ```
//!
//! A reader must not believe the header, which may announce terabytes. A plain file must be exactly as long as its
//! header says. A gzip file may announce at most 1032 times its own length, the most that deflate can expand. In both
//! cases the buffer grows only as bytes arrive.

use crate::error::{Error, Fault, io_error};
use crate::file::write_atomically;
use byteorder::{BigEndian, ByteOrder, WriteBytesExt};
use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use std::io::{self, Read, Write};
use std::path::Path;

/// The elements of an IDX file.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Type 08.
    U8(Vec<u8>),
    /// Type 09.
    I8(Vec<i8>),
    /// Type 0b.
    I16(Vec<i16>),
    /// Type 0c.
    I32(Vec<i32>),
    /// Type 0d.
    F32(Vec<f32>),
    /// Type 0e.
    F64(Vec<f64>),
}

impl Elements {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(x) => x.len(),
            Self::I8(x) => x.len(),
            Self::I16(x) => x.len(),
            Self::I32(x) => x.len(),
            Self::F32(x) => x.len(),
            Self::F64(x) => x.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type's byte in the header.
    fn code(&self) -> u8 {
        match self {
            Self::U8(_) => 0x08,
            Self::I8(_) => 0x09,
            Self::I16(_) => 0x0b,
            Self::I32(_) => 0x0c,
            Self::F32(_) => 0x0d,
            Self::F64(_) => 0x0e,
        }
    }

    /// The type's name.
    pub fn type_name(&self) -> &'static str {
        type_name_and_size(self.code()).map_or("", |(name, _)| name)
    }

    fn from_bytes(code: u8, bytes: Vec<u8>) -> Self {
        fn each<const N: usize, T>(bytes: &[u8], read: impl Fn(&[u8]) -> T) -> Vec<T> {
            bytes.chunks_exact(N).map(read).collect()
        }
        match code {
            0x08 => Self::U8(bytes),
            0x09 => Self::I8(bytes.into_iter().map(u8::cast_signed).collect()),
            0x0b => Self::I16(each::<2, _>(&bytes, BigEndian::read_i16)),
            0x0c => Self::I32(each::<4, _>(&bytes, BigEndian::read_i32)),
            0x0d => Self::F32(each::<4, _>(&bytes, BigEndian::read_f32)),
            _ => Self::F64(each::<8, _>(&bytes, BigEndian::read_f64)),
        }
    }

    fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::U8(x) => to.write_all(x),
            Self::I8(x) => x.iter().try_for_each(|&x| to.write_i8(x)),
            Self::I16(x) => x.iter().try_for_each(|&x| to.write_i16::<BigEndian>(x)),
            Self::I32(x) => x.iter().try_for_each(|&x| to.write_i32::<BigEndian>(x)),
            Self::F32(x) => x.iter().try_for_each(|&x| to.write_f32::<BigEndian>(x)),
            Self::F64(x) => x.iter().try_for_each(|&x| to.write_f64::<BigEndian>(x)),
        }
    }
}

fn type_name_and_size(code: u8) -> Option<(&'static str, u64)> {
    Some(match code {
        0x08 => ("u8", 1),
        0x09 => ("i8", 1),
        0x0b => ("i16", 2),
        0x0c => ("i32", 4),
        0x0d => ("f32", 4),
        0x0e => ("f64", 8),
        _ => return None,
    })
}

/// An array as an IDX file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Idx {
    /// Length of each axis; rank 0 is one element.
    pub shape: Vec<u32>,
    /// The elements, row-major.
    pub elements: Elements,
}

/// The most that deflate can expand, a match of 258 bytes in two bits: about 1032.
const MAX_EXPANSION: u64 = 1032;

impl Idx {
    /// Reads a file, plain or gzip (told apart by its first bytes, not by its name).
    ///
    /// # Errors
    /// What the system says, or a [`Fault`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(io_error(path))?;
        Self::from_bytes(&bytes).map_err(|fault| fault.at(path))
    }

    /// Reads the bytes of a file, plain or gzip.
    ///
    /// # Errors
    /// Whatever is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return Self::from_reader(bytes, bytes.len() as u64);
        }
        let mut decoder = GzDecoder::new(bytes);
        // It reads to the end, looking for bytes too many: that makes the decoder check the CRC and the length in the
        // trailer.
        let idx = Self::from_reader(&mut decoder, (bytes.len() as u64).saturating_mul(MAX_EXPANSION))?;
        match decoder.into_inner() {
            [] => Ok(idx),
            rest => Err(Fault::Gzip { what: format!("{} bytes after its end", rest.len()) }),
        }
    }

    /// Reads from a stream that cannot give more than `held` bytes.
    fn from_reader(mut from: impl Read, held: u64) -> Result<Self, Fault> {
        let gzip = |error: io::Error| Fault::Gzip { what: error.to_string() };
        let mut read = |count: u64| -> Result<Vec<u8>, Fault> {
            let mut bytes = Vec::new();
            from.by_ref().take(count).read_to_end(&mut bytes).map_err(gzip)?;
            Ok(bytes)
        };
        let truncated = |expected, found| Fault::Truncated { expected, found };

        let magic = read(4)?;
        let Ok([zero0, zero1, code, rank]) = <[u8; 4]>::try_from(&magic[..]) else {
            return Err(truncated(4, magic.len() as u64));
        };
        let Some((_, size)) = type_name_and_size(code).filter(|_| zero0 == 0 && zero1 == 0) else {
            return Err(Fault::Magic { found: [zero0, zero1, code, rank] });
        };
        let axes = read(4 * u64::from(rank))?;
        let header = 4 + 4 * u64::from(rank);
        if axes.len() as u64 != header - 4 {
            return Err(truncated(header, 4 + axes.len() as u64));
        }
        let shape: Vec<u32> = axes.chunks_exact(4).map(BigEndian::read_u32).collect();

        let announced = if shape.contains(&0) {
            Some(0)
        } else {
            shape.iter().try_fold(size, |bytes, &len| bytes.checked_mul(u64::from(len)))
        };
        let announced = match announced {
            Some(bytes) if bytes <= held => bytes,
            _ => return Err(Fault::Oversized { shape, held }),
        };
        let elements = read(announced)?;
        if (elements.len() as u64) < announced {
            return Err(truncated(header + announced, header + elements.len() as u64));
        }
        let extra = read(1 << 12)?.len() as u64;
        if extra > 0 {
            return Err(Fault::Trailing { expected: header + announced, extra });
        }
        Ok(Self { shape, elements: Elements::from_bytes(code, elements) })
    }

    /// Writes the array to a stream.
    ///
    /// # Errors
    /// What the stream says; or if the shape is not that of the elements, or has more than 255 axes.
    pub fn write_to(&self, to: &mut dyn Write) -> io::Result<()> {
        let count = if self.shape.contains(&0) {
            Some(0)
        } else {
            self.shape.iter().try_fold(1_usize, |count, &len| count.checked_mul(len as usize))
        };
        let rank = u8::try_from(self.shape.len()).ok();
        let (Some(rank), true) = (rank, count == Some(self.elements.len())) else {
            let what = format!("an IDX array of shape {:?} with {} elements", self.shape, self.elements.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        };
        to.write_all(&[0, 0, self.elements.code(), rank])?;
        self.shape.iter().try_for_each(|&len| to.write_u32::<BigEndian>(len))?;
        self.elements.write(to)
    }

    /// The bytes of the plain file.
    ///
    /// # Errors
    /// If the shape is not that of the elements, or has more than 255 axes.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes a file, as gzip if its name ends in `.gz`; never half (see [`write_atomically`]). The same array gives
    /// the same bytes.
    ///
    /// # Errors
    /// What the system says, or as [`Idx::write_to`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        write_atomically(path, |file| {
            if path.extension().is_some_and(|extension| extension == "gz") {
                let mut encoder = GzBuilder::new().mtime(0).write(file, Compression::fast());
                self.write_to(&mut encoder)?;
                encoder.finish().map(drop)
            } else {
                self.write_to(file)
            }
        })
    }
}
