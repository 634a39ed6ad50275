//! A warm network allocates nothing: every allocation of this thread is counted.

use layers::{Activation, Architecture, BatchNormForm, DropoutForm, Init, Network, Pass};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tensor::isa::AnyIsa;
use tensor::matmul::{Lhs, Zeros, update};
use tensor::vec::ByteRows;
use tensor::{Exec, Gemm, Tensor, View, ViewMut};
use testkit::rng::Rng;

/// The system's allocator, counting.
struct Counting;

thread_local! {
    /// Of this thread alone: the test harness allocates on its own, whenever it likes. A constant without a destructor,
    /// so that reaching it does not allocate.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

fn count_one() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is handed to `System` unchanged, which keeps the contract; counting neither allocates nor
// panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: the caller's duties are those of `System`, which made `at`.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties are those of `System`, which made `at`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(work: impl FnOnce()) -> usize {
    let before = allocations();
    work();
    allocations() - before
}

/// A network, its largest batch and its name.
fn every_network() -> Vec<(String, Architecture, usize)> {
    let small = Architecture {
        inputs: 70,
        hidden: vec![64, 33],
        classes: 10,
        activation: Activation::Relu,
        init: Init::He,
        batch_norm: None,
        dropout: None,
    };
    let mut all = Vec::new();
    for activation in Activation::ALL {
        for batch_norm in [None, Some(BatchNormForm::Book), Some(BatchNormForm::Torch)] {
            for dropout in [None, Some((0.3, DropoutForm::Book)), Some((0.3, DropoutForm::Torch))] {
                let name = format!("{activation:?}, {batch_norm:?}, {dropout:?}");
                all.push((name, Architecture { activation, batch_norm, dropout, ..small.clone() }, 30));
            }
        }
    }
    // 10 million multiplications are where the matrix product begins to copy its operand.
    let large = Architecture { inputs: 784, hidden: vec![100], ..small };
    all.push(("a product large enough to be packed".to_owned(), large, 150));
    all
}

#[test]
fn a_warm_step_and_a_warm_inference_allocate_nothing_whatever_the_network() {
    let mut found = Vec::new();
    let mut seen = 0;
    for isa in AnyIsa::available() {
        let exec = Exec::with_isa(isa, 1);
        for (name, architecture, batch) in every_network() {
            let mut rng = Rng::new(1);
            let x =
                Tensor::from_slice(&rng.vec_f32(batch * architecture.inputs), [batch, architecture.inputs]).unwrap();
            let labels: Vec<u8> = (0..batch).map(|i| (i % 10) as u8).collect();
            // The thread's buffers are warmed by another network of the kind; this one has reserved its own.
            let mut other = Network::new(exec, architecture.clone(), 1, batch);
            other.loss_and_gradients(exec, 0, x.view(), &labels).unwrap();
            let mut made = None;
            let allocated = count(|| made = Some(Network::new(exec, architecture, 1, batch)));
            assert!(allocated > 10, "the counter counts: {allocated} allocations of a new network");
            let mut network = made.unwrap();

            let mut check = |work: &str, allocations| {
                seen += 1;
                if allocations != 0 {
                    found.push(format!("{name} on {}: {allocations} in {work}", isa.name()));
                }
            };
            // Its first step, a short last batch, and a full one after it.
            for rows in [batch, batch / 2 + 1, 1, batch] {
                let (x, labels) = (x.head(rows), &labels[..rows]);
                let mut loss = f32::NAN;
                let step = count(|| loss = network.loss_and_gradients(exec, 1, x, labels).unwrap());
                check(&format!("a step of {rows} rows"), step);
                assert!(loss.is_finite(), "{name}: loss {loss}");
                let predict = count(|| loss = network.forward(exec, Pass::Inference, x).unwrap()[[0, 0]]);
                check(&format!("inference of {rows} rows"), predict);
                assert!(loss.is_finite(), "{name}: logit {loss}");
                let evaluate = count(|| loss = network.loss(exec, labels).unwrap());
                check(&format!("the loss of {rows} rows"), evaluate);
                let visit = count(|| {
                    network.parameters(&mut |_, parameter| loss += parameter.gradient[0]);
                    network.statistics(&mut |_, statistic| loss += statistic.value[0]);
                });
                check("a visit to the parameters", visit);
                assert!(loss.is_finite(), "{name}: {loss}");
            }
        }
    }
    assert!(found.is_empty(), "{} of {seen} calls allocate:\n{}", found.len(), found.join("\n"));
    assert!(seen >= 16 * 28, "only {seen} calls were counted");
}

/// The products of a layer of such a shape, by name: of a batch or of its bytes, and of their transposes.
const PRODUCTS: [&str; 5] = ["Y = X·W", "dX = dY·Wᵀ", "dW = Xᵀ·dY", "Y = X·W of bytes", "dW = Xᵀ·dY of bytes"];

/// What a product may be made of: few zeros or many in A, and a B that allows to skip them or does not.
struct Operands {
    a: Tensor<f32, 2>,
    bytes: Vec<u8>,
    b: Tensor<f32, 2>,
}

impl Operands {
    fn new(rng: &mut Rng, [m, k, n]: [usize; 3], not_zero: f32, least: f32) -> Self {
        let mut one = |share: f32| if rng.unit() < f64::from(share) { 0.5 + 0.25 * rng.vec_f32(1)[0] } else { 0.0 };
        let a = Tensor::from_fn([m, k], |_| one(not_zero));
        let bytes = a.as_slice().iter().map(|&x| (255.0 * x) as u8).collect();
        let mut b = Tensor::from_fn([k.max(m), n], |_| one(1.0));
        b[[0, 0]] = least;
        Self { a, bytes, b }
    }

    fn run(&self, exec: Exec, which: usize, indices: &[usize], c: &mut Tensor<f32, 2>) {
        let ([m, k], n) = (self.a.shape(), self.b.view().cols());
        let rows = |count| self.b.view().slice(0, 0..count).expect("B has so many rows");
        let x = ByteRows::new(&self.bytes, k, indices);
        let keep = |_: Exec, piece: &[f32], [to]: [&mut [f32]; 1]| to.copy_from_slice(piece);
        let all = m.max(k) * n;
        let to = &mut c.as_mut_slice()[..all];
        let result = match which {
            0 => Gemm::new(self.a.view(), rows(k), ViewMut::new(&mut to[..m * n], [m, n]).expect("fits")).run(exec),
            1 => {
                let w = View::new(&self.b.as_slice()[..k * n], [n, k]).expect("fits");
                Gemm::new(self.a.view(), w.t(), ViewMut::new(&mut to[..m * n], [m, n]).expect("fits")).run(exec)
            }
            2 => update(exec, self.a.view().t(), rows(m), Zeros::Ask, [&mut to[..k * n]], &keep),
            3 => {
                let c = ViewMut::new(&mut to[..m * n], [m, n]).expect("fits");
                Gemm::new(x, rows(k), c).run(exec)
            }
            _ => update(exec, Lhs::from(x).t(), rows(m), Zeros::Ask, [&mut to[..k * n]], &keep),
        };
        result.expect("the shapes go together");
    }
}

#[test]
fn a_warm_product_allocates_nothing_if_the_next_one_of_its_shape_has_more_zeros_or_fewer_or_may_not_skip_them() {
    // With a large B, whose product with every step done packs it, and with a small one.
    for shape in [[128, 100, 100], [100, 784, 100], [64, 300, 520]] {
        let mut rng = Rng::new(11);
        let mut operands = |not_zero, least| Operands::new(&mut rng, shape, not_zero, least);
        let all = [operands(1.0, 1.0), operands(0.2, 1.0), operands(0.2, 1e-38)];
        // Portable Rust may call the library for each multiply-add.
        for isa in AnyIsa::available().filter(|isa| isa.name() != "portable") {
            for (which, name) in PRODUCTS.into_iter().enumerate() {
                for first in 0..all.len() {
                    // Every thread has buffers of its own: none yet.
                    let all = &all;
                    let counts = std::thread::scope(|scope| {
                        let counted = scope.spawn(move || {
                            let exec = Exec::with_isa(isa, 1);
                            let [m, k, n] = shape;
                            let (indices, mut c) = ((0..m).collect::<Vec<_>>(), Tensor::zeros([m.max(k), n]));
                            all[first].run(exec, which, &indices, &mut c);
                            let mut run = |next: &Operands| count(|| next.run(exec, which, &indices, &mut c));
                            all.each_ref().map(&mut run)
                        });
                        counted.join().expect("the products are computed")
                    });
                    assert_eq!(counts, [0; 3], "{name} of {shape:?} on {}, the first of them {first}", isa.name());
                }
            }
        }
    }
}
