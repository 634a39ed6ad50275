//! The element types an array may hold.

mod sealed {
    pub trait Sealed {}
}

/// A plain number whose all-zero byte pattern is the value zero; this is what lets a buffer be allocated zeroed.
/// Sealed: the list below is the whole list.
pub trait Element: sealed::Sealed + Copy + Default + PartialEq + Send + Sync + std::fmt::Debug + 'static {}

macro_rules! elements {
    ($($t:ty),*) => { $( impl sealed::Sealed for $t {} impl Element for $t {} )* };
}

elements!(f32, f64, u8, i8, u16, i16, u32, i32, u64, i64);
