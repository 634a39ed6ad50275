//! A warm product allocates nothing, on any geometry of caches: scratch is sized by bounds of the shape, which are
//! monotone, and never by a plan.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tensor::isa::AnyIsa;
use tensor::machine::Caches;
use tensor::matmul::{Lhs, Zeros, update};
use tensor::vec::ByteRows;
use tensor::{Exec, Gemm, Tensor, View, ViewMut};
use testkit::rng::Rng;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is left to the system's allocator; the counter is this thread's own and needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CACHES: [Caches; 6] = [
    Caches { l1: 512, l2: 4 << 10, l3: 0 },
    Caches { l1: 32 << 10, l2: 256 << 10, l3: 4 << 20 },
    Caches { l1: 32 << 10, l2: 1 << 20, l3: 32 << 20 },
    Caches { l1: 48 << 10, l2: 2 << 20, l3: 0 },
    Caches { l1: 64 << 10, l2: 512 << 10, l3: 0 },
    Caches { l1: 128 << 10, l2: 12 << 20, l3: 12 << 20 },
];

/// The least number of allocations of some calls.
fn allocations(mut call: impl FnMut()) -> usize {
    let before = ALLOCATIONS.get();
    call();
    ALLOCATIONS.get() - before
}

/// All products of up to m×k×n, of an A and of bytes with such a share of elements that are not 0.
fn products(exec: Exec, density: f64, [m, k, n]: [usize; 3], rng: &mut Rng) -> impl FnMut([usize; 3]) -> usize {
    let element = |rng: &mut Rng| if rng.unit() < density { rng.f32_in(0.1, 1.0) } else { 0.0 };
    let a: Vec<f32> = (0..m * k).map(|_| element(rng)).collect();
    let bytes: Vec<u8> = a.iter().map(|&x| (255.0 * x) as u8).collect();
    let (b, rows, mut c) = (rng.vec_f32(k * n), vec![0; m.max(k)], vec![0.0; m * n]);
    move |[m, k, n]| {
        let (by_rows, by_columns) = (View::new(&a, [m, k]).expect("fits"), View::new(&a, [k, m]).expect("fits").t());
        let (x, xt) = (ByteRows::new(&bytes, k, &rows[..m]), Lhs::from(ByteRows::new(&bytes, m, &rows[..k])).t());
        let b_rows = View::new(&b, [k, n]).expect("fits");
        let b_columns = View::new(&b, [n, k]).expect("fits").t();
        allocations(|| {
            for (a, b) in [by_rows.into(), by_columns.into(), x.into(), xt]
                .into_iter()
                .flat_map(|a: Lhs<'_>| [(a, b_rows), (a, b_columns)])
            {
                let to = ViewMut::new(&mut c, [m, n]).expect("fits");
                Gemm::new(a, b, to).run(exec).expect("the shapes go together");
                let target = &mut c[..m * n];
                update(exec, a, b, Zeros::Ask, [target], &|_, g, [c]: [&mut [f32]; 1]| c.copy_from_slice(g))
                    .expect("the shapes go together");
            }
        })
    }
}

#[test]
fn a_warm_product_allocates_nothing_for_any_smaller_shape_on_any_geometry() {
    let mut rng = Rng::new(1);
    let isa = AnyIsa::available().last().expect("portable is always there");
    for (caches, density) in CACHES.into_iter().flat_map(|caches| [(caches, 1.0), (caches, 0.3)]) {
        let exec = Exec::with_isa(isa, 1).with_caches(caches);
        let mut run = products(exec, density, [200, 400, 130], &mut rng);
        run([200, 400, 130]);
        for size in (1..400).step_by(7) {
            for shape in [[200, size, 130], [size.min(200), 400, 130], [150, 150, size.min(130)]] {
                assert_eq!(run(shape), 0, "{shape:?} after 200x400x130, {density} not 0, {caches:?}");
            }
        }
    }
}

#[test]
fn a_product_that_needs_more_than_any_before_it_does_allocate() {
    // Else the test above would count nothing.
    let (a, b, mut c) =
        (Tensor::<f32, 2>::zeros([64, 700]), Tensor::<f32, 2>::zeros([600, 700]), Tensor::zeros([64, 600]));
    let exec = Exec::serial();
    let mut run = || Gemm::new(a.view(), b.view().t(), c.view_mut()).run(exec).expect("the shapes go together");
    assert!(allocations(&mut run) > 0);
    assert_eq!(allocations(run), 0);
}
