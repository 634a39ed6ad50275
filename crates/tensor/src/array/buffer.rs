//! A fixed-size heap buffer aligned to a cache line.
//!
//! `Vec<f32>` promises four bytes of alignment; a 64-byte vector load that straddles two cache lines costs two
//! loads. This buffer starts on a line, so row 0 of every tensor does, and so does each row whose length is a
//! multiple of 16 floats.

use super::Element;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Alignment of every buffer, in bytes: one cache line, one AVX-512 vector.
pub const ALIGNMENT: usize = 64;

/// A zero-initialised `[T]` on the heap, aligned to [`ALIGNMENT`]. It never grows; replace it to resize.
pub struct AlignedBuf<T: Element> {
    ptr: NonNull<T>,
    len: usize,
}

// SAFETY: the buffer owns its elements like a `Box<[T]>`, and `Element` requires `Send` and `Sync`.
unsafe impl<T: Element> Send for AlignedBuf<T> {}
// SAFETY: as above; shared access gives only `&[T]`.
unsafe impl<T: Element> Sync for AlignedBuf<T> {}

impl<T: Element> AlignedBuf<T> {
    /// Allocates `len` zeros. Cost: one allocation, `len` elements cleared.
    ///
    /// # Panics
    /// If `len` elements exceed the address space.
    pub fn zeroed(len: usize) -> Self {
        let layout = Self::layout(len);
        if layout.size() == 0 {
            return Self { ptr: NonNull::dangling(), len };
        }
        // SAFETY: the layout's size was just checked to be non-zero.
        let raw = unsafe { alloc_zeroed(layout) };
        let Some(ptr) = NonNull::new(raw.cast::<T>()) else { handle_alloc_error(layout) };
        Self { ptr, len }
    }

    fn layout(len: usize) -> Layout {
        let bytes = len.checked_mul(size_of::<T>()).expect("buffer length overflows the address space");
        Layout::from_size_align(bytes, ALIGNMENT).expect("buffer length overflows the address space")
    }
}

impl<T: Element> Default for AlignedBuf<T> {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl<T: Element> Drop for AlignedBuf<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.len);
        if layout.size() != 0 {
            // SAFETY: `ptr` came from `alloc_zeroed` with this same layout and is freed once, here.
            unsafe { dealloc(self.ptr.as_ptr().cast(), layout) }
        }
    }
}

impl<T: Element> Deref for AlignedBuf<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: `ptr` is valid for `len` elements, all initialised (zeroed, and zero is a value of any `Element`);
        // for an empty buffer it is dangling but aligned for `T`, which a zero-length slice allows.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Element> DerefMut for AlignedBuf<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Element> std::fmt::Debug for AlignedBuf<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBuf of {} elements", self.len)
    }
}

impl<T: Element> Clone for AlignedBuf<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_buffer_starts_on_a_cache_line_and_is_zero() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let buffer = AlignedBuf::<f32>::zeroed(len);
            assert_eq!(buffer.len(), len);
            assert!(buffer.iter().all(|&x| x == 0.0));
            assert!(len == 0 || buffer.as_ptr().addr().is_multiple_of(ALIGNMENT));
        }
    }

    #[test]
    fn a_clone_is_independent_of_its_source() {
        let mut a = AlignedBuf::<u8>::zeroed(3);
        a[1] = 7;
        let b = a.clone();
        a[1] = 9;
        assert_eq!(&b[..], &[0, 7, 0]);
    }
}
