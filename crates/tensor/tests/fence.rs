//! No kernel of the matrix product reads or writes beyond its operands: here each ends where an unreadable page begins,
//! or begins where one ends, so that a single float too many is a crash of this test program. (NaN around an operand
//! shows a wrong use of what was read too far, but not a read into lanes that nobody uses.)

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

use tensor::isa::{AnyIsa, Isa, LANES, Op};
use tensor::machine::Caches;
use tensor::matmul::{Lhs, Zeros, update};
use tensor::vec::ByteRows;
use tensor::{Epilogue, Exec, Gemm, View, ViewMut};
use testkit::compare::assert_bits;
use testkit::rng::Rng;

unsafe extern "C" {
    fn mmap(at: *mut u8, bytes: usize, protection: i32, flags: i32, file: i32, offset: i64) -> *mut u8;
    fn mprotect(at: *mut u8, bytes: usize, protection: i32) -> i32;
    fn munmap(at: *mut u8, bytes: usize) -> i32;
}

const PAGE: usize = 1 << 16; // a multiple of every page size in use
const NOTHING: i32 = 0;
const READ_WRITE: i32 = 3;
const PRIVATE_ANONYMOUS: i32 = 0x22;

/// Numbers between two unreadable pages, touching one of them.
struct Fenced<T> {
    start: *mut u8,
    bytes: usize,
    data: *mut T,
    len: usize,
}

impl<T: Copy> Fenced<T> {
    /// A copy of `data` that ends at a fence, or else begins at one.
    fn new(data: &[T], at_the_end: bool) -> Self {
        let body = size_of_val(data).next_multiple_of(PAGE);
        let bytes = body + 2 * PAGE;
        // SAFETY: new private memory, of which the first and the last page are then closed; the copy goes between them.
        unsafe {
            let start = mmap(std::ptr::null_mut(), bytes, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0);
            assert!(start.addr() != usize::MAX, "no memory");
            assert_eq!(mprotect(start, PAGE, NOTHING), 0);
            assert_eq!(mprotect(start.add(PAGE + body), PAGE, NOTHING), 0);
            let offset = if at_the_end { PAGE + body - size_of_val(data) } else { PAGE };
            let copy = start.add(offset).cast::<T>();
            copy.copy_from_nonoverlapping(data.as_ptr(), data.len());
            Self { start, bytes, data: copy, len: data.len() }
        }
    }

    fn get(&self) -> &[T] {
        // SAFETY: `new` has written them; they live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }

    fn get_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `get`, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.len) }
    }
}

impl<T> Drop for Fenced<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nobody holds the data any more.
        unsafe { munmap(self.start, self.bytes) };
    }
}

/// A matrix of these sizes, or its transpose seen as one.
fn view(data: &[f32], [rows, columns]: [usize; 2], transposed: bool) -> View<'_, f32, 2> {
    if transposed {
        View::new(data, [columns, rows]).expect("fits").t()
    } else {
        View::new(data, [rows, columns]).expect("fits")
    }
}

#[test]
fn no_product_reads_or_writes_beyond_its_operands() {
    let caches = [
        Caches::of_this_machine(),
        Caches { l1: 512, l2: 4 << 10, l3: 0 },
        Caches { l1: 4 << 10, l2: 64 << 10, l3: 0 },
    ];
    let mut rng = Rng::new(1);
    for case in 0..1500 {
        let [m, k, n] = [rng.usize_in(1..50), rng.usize_in(1..40), rng.usize_in(1..240)];
        let transposed = [rng.usize_in(0..2) == 1, rng.usize_in(0..2) == 1];
        let (at_the_end, bias, relu) = (rng.usize_in(0..3) > 0, rng.usize_in(0..2) == 1, rng.usize_in(0..2) == 1);
        let (threads, caches) = (rng.usize_in(1..4), caches[rng.usize_in(0..3)]);
        let (mut a, b, biases) = (rng.vec_f32(m * k), rng.vec_f32(k * n), rng.vec_f32(n));
        if rng.usize_in(0..2) == 1 {
            // Steps of k are skipped.
            a.iter_mut().for_each(|x| *x = if *x < 0.6 { 0.0 } else { *x });
        }
        let multiply = |isa, a: &[f32], b: &[f32], biases: &[f32], c: &mut [f32]| {
            let epilogue = match (bias, relu) {
                (false, _) => Epilogue::None,
                (true, false) => Epilogue::Bias(biases),
                (true, true) => Epilogue::BiasRelu(biases),
            };
            let c = ViewMut::new(c, [m, n]).expect("fits");
            Gemm::new(view(a, [m, k], transposed[0]), view(b, [k, n], transposed[1]), c)
                .epilogue(epilogue)
                .run(Exec::with_isa(isa, threads).in_session().with_caches(caches))
                .expect("the shapes go together");
        };
        let fenced = |data: &[f32]| Fenced::new(data, at_the_end);
        let (fenced_a, fenced_b, fenced_biases) = (fenced(&a), fenced(&b), fenced(&biases));
        for isa in AnyIsa::available() {
            let (mut want, mut c) = (vec![f32::NAN; m * n], fenced(&vec![f32::NAN; m * n]));
            multiply(isa, &a, &b, &biases, &mut want);
            multiply(isa, fenced_a.get(), fenced_b.get(), fenced_biases.get(), c.get_mut());
            assert_bits(&format!("case {case}: {m}x{k}x{n} {transposed:?} on {}", isa.name()), c.get(), &want);
        }
    }
}

#[test]
fn no_product_of_images_reads_beyond_the_images() {
    let mut rng = Rng::new(3);
    // Blocks of which the last, or the only one, is shorter than the sixty-four bytes that are looked at together, as
    // long, and longer.
    for width in [1, 31, 33, 40, 60, 63, 64, 65, 111, 112, 113, 127, 175, 176, 177, 240, 784] {
        for n in [20, 100, 120, 144, 160, 176, 192, 208, 230] {
            let (images, rows) = (40, rng.usize_in(33..80));
            let byte = |_| if rng.unit() < 0.8 { 0 } else { rng.usize_in(0..256) as u8 };
            let bytes: Vec<u8> = (0..images * width).map(byte).collect();
            // The first and the last are among them.
            let mut indices: Vec<usize> = (0..rows).map(|_| rng.usize_in(0..images)).collect();
            [indices[rows / 2], indices[rows - 1]] = [0, images - 1];
            let (b, dy) = (rng.vec_f32(width * n), rng.vec_f32(rows * n));
            let products = |exec, bytes: &[u8], indices: &[usize]| {
                let (mut c, mut dw) = (vec![f32::NAN; rows * n], vec![f32::NAN; width * n]);
                let x = ByteRows::new(bytes, width, indices);
                let to = ViewMut::new(&mut c, [rows, n]).expect("fits");
                Gemm::new(x, view(&b, [width, n], false), to).run(exec).expect("fits");
                let keep = |_: Exec, piece: &[f32], [to]: [&mut [f32]; 1]| to.copy_from_slice(piece);
                let (a, dy) = (Lhs::from(x).t(), view(&dy, [rows, n], false));
                update(exec, a, dy, Zeros::Ask, [&mut dw], &keep).expect("fits");
                [c, dw]
            };
            let isas = || AnyIsa::available().filter(|isa| isa.name() != "portable" || width * n < 4000);
            let want = products(Exec::with_isa(isas().last().expect("there is one"), 1), &bytes, &indices);
            for (isa, at_the_end) in isas().flat_map(|isa| [(isa, false), (isa, true)]) {
                let (bytes, indices) = (Fenced::new(&bytes, at_the_end), Fenced::new(&indices, at_the_end));
                let got = products(Exec::with_isa(isa, 1), bytes.get(), indices.get());
                for (got, want) in got.iter().zip(&want) {
                    assert_bits(&format!("{rows} of width {width}, {n} columns on {}", isa.name()), got, want);
                }
            }
        }
    }
}

#[test]
fn a_masked_load_or_store_touches_no_memory_past_its_count() {
    struct Part<'a>(&'a [f32], &'a mut [f32]);
    impl Op for Part<'_> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            let count = self.0.len();
            // SAFETY: both slices are `count` floats long, at most sixteen.
            unsafe { isa.store_ptr_part(isa.load_ptr_part(self.0.as_ptr(), count), self.1.as_mut_ptr(), count) };
            if count <= LANES / 2 {
                // SAFETY: as above, at most eight.
                unsafe {
                    isa.half_store_ptr_part(isa.half_load_ptr_part(self.0.as_ptr(), count), self.1.as_mut_ptr(), count)
                };
            }
        }
    }
    let mut rng = Rng::new(2);
    for count in 0..=LANES {
        let data = rng.vec_f32(count);
        for isa in AnyIsa::available() {
            let (from, mut to) = (Fenced::new(&data, true), Fenced::new(&vec![0.0; count], true));
            isa.run(Part(from.get(), to.get_mut()));
            assert_bits(isa.name(), to.get(), &data);
        }
    }
}
