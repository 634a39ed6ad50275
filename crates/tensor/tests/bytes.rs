//! A mini-batch of bytes against the floats it stands for, gathered, multiplied and handed over: on every ISA, in a
//! pool and in a session.

#[path = "support/sessions.rs"]
mod sessions;

use sessions::{can_have_workers, worker_came};
use tensor::gemm::{Blocking, block_of_nonzero, consume, consume_bytes, consume_pays, multiply_bytes};
use tensor::isa::AnyIsa;
use tensor::threads::session;
use tensor::vec::{BlockForm, ByteRows, NonzeroBlocks, NonzeroBytes};
use tensor::{Epilogue, Exec, Gemm, ShapeError, Tensor, View, ViewMut};
use testkit::compare::assert_bits;
use testkit::gemm as reference;
use testkit::panics::message;
use testkit::poison::Poisoned;
use testkit::rng::Rng;

/// The best ISA there is.
fn best() -> AnyIsa {
    AnyIsa::available().last().expect("portable is always there")
}

/// The ISAs that a product of so many multiply-adds is tried on: portable Rust may call the library for each of them.
fn isas(work: usize) -> impl Iterator<Item = AnyIsa> {
    AnyIsa::available().filter(move |isa| isa.name() != "portable" || work <= 100_000)
}

/// Calls `check` with 1, 2, 3 and 8 threads: in a pool, and in a session of it whose workers have come.
fn in_pools_and_sessions(check: impl Fn(Exec, &str) + Sync) {
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("so many threads can be had");
        let exec = Exec::with_isa(best(), threads);
        pool.install(|| {
            check(exec, "in a pool");
            session(exec, |exec| {
                assert!(threads == 1 || !can_have_workers() || worker_came(), "no worker came");
                check(exec, "in a session");
            });
        });
    }
}

/// Rows of bytes, picked at random, some of them more than once and some not at all.
struct Batch {
    bytes: Vec<u8>,
    width: usize,
    indices: Vec<usize>,
    nonzero: Option<NonzeroBytes>,
}

impl Batch {
    fn new(rng: &mut Rng, [rows, width]: [usize; 2]) -> Self {
        // One batch in three has hardly a zero, one is as black as MNIST, with columns that are black in all rows, and
        // one is nearly all black.
        let black = [0.0, 0.7, 0.99][rng.usize_in(0..3)];
        Self::as_black(rng, [rows, width], black)
    }

    fn as_black(rng: &mut Rng, [rows, width]: [usize; 2], black: f64) -> Self {
        let all = rows + 3;
        let columns: Vec<bool> = (0..width).map(|_| black > 0.0 && rng.unit() < 0.3).collect();
        let byte = |at: usize| {
            let byte = rng.usize_in(0..256) as u8;
            if columns[at % width] || rng.unit() < black { 0 } else { byte }
        };
        let bytes: Vec<u8> = (0..all * width).map(byte).collect();
        let nonzero = NonzeroBytes::of(Exec::with_isa(best(), 1), &bytes, width);
        Self { bytes, width, indices: (0..rows).map(|_| rng.usize_in(0..all)).collect(), nonzero }
    }

    /// The rows, and the same with what was found of them, unless hardly a byte is 0.
    fn ways(&self) -> impl Iterator<Item = (&'static str, ByteRows<'_>)> {
        let found = self.nonzero.iter().map(|nonzero| ("found before", self.x().with_nonzero(nonzero)));
        std::iter::once(("as they are", self.x())).chain(found)
    }

    /// What was found of them in the blocks of a product with so many columns.
    fn blocks(&self, n: usize) -> Option<NonzeroBlocks> {
        let block = block_of_nonzero(Exec::with_isa(best(), 1), [self.width, n]);
        self.nonzero.as_ref().zip(block).map(|(nonzero, block)| NonzeroBlocks::of(nonzero, &self.indices, block))
    }

    fn x(&self) -> ByteRows<'_> {
        ByteRows::new(&self.bytes, self.width, &self.indices)
    }

    /// The plain version.
    fn floats(&self) -> Tensor<f32, 2> {
        Tensor::from_fn([self.indices.len(), self.width], |[r, j]| {
            f32::from(self.bytes[self.indices[r] * self.width + j]) / 255.0
        })
    }
}

/// How a B lies in memory: with adjacent columns, with adjacent rows (and is packed), or with its rows pages apart (and
/// is packed where there are many rows of A).
#[derive(Clone, Copy, Debug)]
enum Layout {
    Rows,
    Columns,
    Pages,
}

const LAYOUTS: [Layout; 3] = [Layout::Rows, Layout::Columns, Layout::Pages];

/// A matrix in its layout, NaN wherever no element is.
struct Operand {
    memory: Vec<f32>,
    shape: [usize; 2],
    strides: [usize; 2],
    layout: Layout,
}

impl Operand {
    fn new(values: &[f32], [rows, cols]: [usize; 2], layout: Layout) -> Self {
        let strides = match layout {
            Layout::Rows => [cols, 1],
            Layout::Columns => [1, rows],
            Layout::Pages => [cols + 1024, 1],
        };
        let reach = if rows * cols == 0 { 0 } else { (rows - 1) * strides[0] + (cols - 1) * strides[1] + 1 };
        let mut memory = vec![f32::NAN; reach];
        for (at, &value) in values.iter().enumerate() {
            memory[at / cols * strides[0] + at % cols * strides[1]] = value;
        }
        Self { memory, shape: [rows, cols], strides, layout }
    }

    fn view(&self) -> View<'_, f32, 2> {
        View::with_strides(&self.memory, self.shape, self.strides).expect("the memory was made for the shape")
    }
}

/// The product of floats, stored, on one thread of the best ISA.
fn stored(a: View<'_, f32, 2>, b: View<'_, f32, 2>, epilogue: Epilogue<'_>) -> Vec<f32> {
    let mut c = Tensor::zeros([a.rows(), b.cols()]);
    let gemm = Gemm::new(a, b, c.view_mut()).epilogue(epilogue);
    gemm.run(Exec::with_isa(best(), 1)).expect("the shapes go together");
    c.as_slice().to_vec()
}

#[test]
fn every_byte_becomes_itself_over_255_at_every_place_of_a_row() {
    for width in [1, 15, 16, 17, 64, 100, 784] {
        // Every column has all 256 values.
        let bytes: Vec<u8> = (0..256 * width).map(|at| ((at / width + at % width) % 256) as u8).collect();
        // Every row, backwards; then some again, next to each other and apart.
        let indices: Vec<usize> = (0..256).rev().chain([7, 7, 0, 255, 7]).collect();
        let x = ByteRows::new(&bytes, width, &indices);
        assert_eq!(x.shape(), [261, width]);
        let rows = indices.iter().map(|&index| &bytes[index * width..][..width]);
        let want: Vec<f32> = rows.flatten().map(|&byte| f32::from(byte) / 255.0).collect();
        for isa in AnyIsa::available() {
            for threads in [1, 3] {
                let mut to = Poisoned::matrix(261, width, width + 3, 17);
                let view = ViewMut::with_strides(to.as_mut_slice(), [261, width], [width + 3, 1]).expect("fits");
                x.gather(Exec::with_isa(isa, threads), view);
                to.assert_guards_untouched();
                assert_bits(&format!("rows of {width} on {}", isa.name()), &to.values(), &want);
            }
        }
    }
}

#[test]
fn a_row_that_is_not_there_is_refused_by_its_number() {
    // Three rows, and 5 bytes that are none.
    let bytes = [0_u8; 35];
    for index in [3, 4, 1 << 40, usize::MAX] {
        let said = message(|| {
            let _ = ByteRows::new(&bytes, 10, &[0, 2, index, 1]);
        });
        assert_eq!(said, format!("row {index} of 3"));
    }
    assert_eq!(ByteRows::new(&bytes, 10, &[2, 0]).shape(), [2, 10]);
}

#[test]
fn what_was_found_of_other_bytes_is_refused_and_nothing_is_found_where_hardly_a_byte_is_0_or_a_row_is_too_long() {
    let exec = Exec::with_isa(best(), 1);
    let bytes = [0_u8; 30];
    let found = NonzeroBytes::of(exec, &bytes, 10).expect("all are 0");
    assert_eq!(found.shape(), [3, 10]);
    for (bytes, width) in [(&bytes[..20], 10), (&bytes[..], 5), (&bytes[..], 15)] {
        let said = message(|| {
            let _ = ByteRows::new(bytes, width, &[0]).with_nonzero(&found);
        });
        assert!(said.contains("known of these bytes"), "{said}");
    }
    let said = message(|| drop(NonzeroBytes::of(exec, &bytes, 7)));
    assert!(said.contains("30 bytes in rows of 7"), "{said}");
    assert!(NonzeroBytes::of(exec, &[1; 30], 10).is_none(), "no product would leave out one of them");
    let long = vec![0_u8; 65536];
    assert!(NonzeroBytes::of(exec, &long, 65536).is_none() && NonzeroBytes::of(exec, &long, 32768).is_some());
    let empty = NonzeroBytes::of(exec, &[], 10).expect("no row is too long");
    assert_eq!(empty.shape(), [0, 10]);
    for columns in [0, 8, 24, 144] {
        let said = message(|| drop(NonzeroBlocks::of(&found, &[0], BlockForm { columns, rows: 1 })));
        assert!(said.contains(&format!("blocks of {columns} columns")), "{said}");
    }
    for rows in [0, 3] {
        let said = message(|| drop(NonzeroBlocks::of(&found, &[0], BlockForm { columns: 16, rows })));
        assert!(said.contains(&format!("{rows} rows share a list")), "{said}");
    }
    let blocks = NonzeroBlocks::of(&found, &[2, 0], BlockForm { columns: 16, rows: 2 });
    for indices in [&[2][..], &[2, 0, 1]] {
        let said = message(|| {
            let _ = ByteRows::new(&bytes, 10, indices).with_blocks(&blocks);
        });
        assert!(said.contains("known of these rows"), "{said}");
    }
}

#[test]
fn a_place_of_another_shape_or_without_rows_is_refused() {
    let bytes = [0_u8; 30];
    let x = ByteRows::new(&bytes, 10, &[2, 0]);
    for shape in [[3, 10], [2, 9], [2, 11], [10, 2]] {
        let mut to = Tensor::<f32, 2>::zeros(shape);
        let said = message(|| x.gather(Exec::serial(), to.view_mut()));
        assert!(said.contains("one row an index") && said.contains(&format!("{shape:?}")), "{said}");
    }
    let mut columns = Tensor::<f32, 2>::zeros([10, 2]);
    let said = message(|| x.gather(Exec::serial(), columns.view_mut().t()));
    assert!(said.contains("the elements of a row are 2 apart"), "{said}");
}

/// A mini-batch to multiply, and what the epilogues read.
struct Product {
    shape: [usize; 3],
    batch: Batch,
    blocks: Option<NonzeroBlocks>,
    b: Vec<f32>,
    bias: Vec<f32>,
    gate: Vec<f32>,
}

/// Name of the epilogues by number.
const EPILOGUES: [&str; 4] = ["none", "bias", "bias and ReLU", "gate"];

impl Product {
    fn new(rng: &mut Rng, shape: [usize; 3]) -> Self {
        let [m, k, _] = shape;
        let batch = Batch::new(rng, [m, k]);
        Self::of(rng, shape, batch)
    }

    /// Of images most of whose pixels are black.
    fn black(rng: &mut Rng, shape: [usize; 3]) -> Self {
        let [m, k, _] = shape;
        let batch = Batch::as_black(rng, [m, k], 0.7);
        Self::of(rng, shape, batch)
    }

    fn of(rng: &mut Rng, shape: [usize; 3], batch: Batch) -> Self {
        const GATES: [f32; 6] = [-1.0, -0.0, 0.0, 1e-40, 2.5, f32::NAN];
        let [m, k, n] = shape;
        let (b, bias) = (rng.vec_f32(k * n), rng.vec_f32(n));
        let gate = (0..m * n).map(|_| GATES[rng.usize_in(0..GATES.len())]).collect();
        let blocks = batch.blocks(n);
        Self { shape, batch, blocks, b, bias, gate }
    }

    fn epilogue(&self, which: usize) -> Epilogue<'_> {
        let [m, _, n] = self.shape;
        match which {
            0 => Epilogue::None,
            1 => Epilogue::Bias(&self.bias),
            2 => Epilogue::BiasRelu(&self.bias),
            _ => Epilogue::Gate(View::new(&self.gate, [m, n]).expect("one gate an element")),
        }
    }

    /// The bits of the product with the gathered A.
    fn want(&self, which: usize) -> Vec<f32> {
        let [_, k, n] = self.shape;
        let b = View::new(&self.b, [k, n]).expect("fits");
        stored(self.batch.floats().view(), b, self.epilogue(which))
    }

    /// Computes it into a C full of NaN, between NaN.
    fn check(&self, exec: Exec, b: &Operand, which: usize, want: &[f32], place: &str) {
        let [m, k, n] = self.shape;
        let (isa, threads, epilogue) = (exec.isa().name(), exec.threads(), EPILOGUES[which]);
        let in_blocks = self.blocks.iter().map(|blocks| ("found in blocks", self.batch.x().with_blocks(blocks)));
        for (way, x) in self.batch.ways().chain(in_blocks) {
            let mut c = Poisoned::matrix(m, n, n + 5, 33);
            let view = ViewMut::with_strides(c.as_mut_slice(), [m, n], [n + 5, 1]).expect("fits");
            multiply_bytes(exec, x, b.view(), None, view, self.epilogue(which)).expect("the shapes go together");
            c.assert_guards_untouched();
            let layout = b.layout;
            let name = format!(
                "{m}x{k}x{n}, bytes {way}, B {layout:?}, epilogue {epilogue}, {threads} threads {place} on {isa}"
            );
            assert_bits(&name, &c.values(), want);
        }
    }
}

#[test]
fn a_product_of_bytes_has_the_bits_of_the_chain_on_every_isa() {
    let mut rng = Rng::new(1);
    for shape in [[1, 1, 1], [7, 16, 10], [13, 50, 33], [37, 48, 65], [2, 784, 17]] {
        let [m, k, n] = shape;
        let product = Product::new(&mut rng, shape);
        let (a, b) = (product.batch.floats(), Operand::new(&product.b, [k, n], Layout::Rows));
        let plain = reference::Gemm::product(m, n, k, a.as_slice(), &product.b);
        for which in 0..3 {
            let bias = (which > 0).then_some(&product.bias[..]);
            let want = plain.chain(reference::Epilogue { bias, relu: which == 2 });
            for isa in AnyIsa::available() {
                product.check(Exec::with_isa(isa, 1), &b, which, &want, "of the chain");
            }
        }
    }
}

#[test]
fn a_product_of_bytes_has_the_bits_of_that_of_their_floats_at_the_edges_of_tiles_and_pieces() {
    let mut rng = Rng::new(2);
    for m in [1, 5, 6, 7, 35, 36, 37, 72, 73, 128] {
        for k in [1, 16, 48, 100, 784, 1100] {
            for n in [1, 10, 16, 63, 64, 65, 100, 130] {
                let product = Product::new(&mut rng, [m, k, n]);
                let operands = LAYOUTS.map(|layout| Operand::new(&product.b, [k, n], layout));
                for which in 0..EPILOGUES.len() {
                    let want = product.want(which);
                    for isa in isas(m * k * n) {
                        for b in &operands {
                            product.check(Exec::with_isa(isa, 1), b, which, &want, "alone");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn threads_change_no_bit_of_a_product_of_bytes() {
    let mut rng = Rng::new(3);
    let shapes = [
        [128, 784, 100],
        [7, 784, 130],
        [73, 100, 64],
        [37, 1100, 65],
        [128, 100, 100],
        [6, 100, 400],
        [100, 784, 10],
        // Enough to wake threads for outside of a session: by rows, and by columns.
        [300, 784, 100],
        [20, 784, 1600],
        // An odd number, two of which are multiplied at once; and more than one group of them.
        [301, 784, 100],
        [131, 400, 130],
        [1101, 150, 104],
    ];
    let cases: Vec<_> = shapes
        .into_iter()
        .enumerate()
        .map(|(at, shape)| {
            let product = if at < 9 { Product::new(&mut rng, shape) } else { Product::black(&mut rng, shape) };
            let operands = LAYOUTS.map(|layout| Operand::new(&product.b, [shape[1], shape[2]], layout));
            let (which, want) = (at % EPILOGUES.len(), product.want(at % EPILOGUES.len()));
            (product, operands, which, want)
        })
        .collect();
    in_pools_and_sessions(|exec, place| {
        for (product, operands, which, want) in &cases {
            for b in operands {
                product.check(exec, b, *which, want, place);
            }
        }
    });
}

#[test]
fn bytes_that_do_not_go_with_the_other_operands_are_refused_by_their_shapes() {
    let batch = Batch::new(&mut Rng::new(4), [4, 6]);
    let data = [1.0; 64];
    let view = |shape| View::new(&data, shape).expect("fits");
    let multiply = |b, c: [usize; 2], epilogue| {
        let mut memory = [f32::NAN; 64];
        let to = ViewMut::new(&mut memory, c).expect("fits");
        let result = multiply_bytes(Exec::serial(), batch.x(), view(b), None, to, epilogue);
        let error = result.expect_err("they do not go together");
        assert!(memory.iter().all(|c| c.is_nan()), "written in spite of: {error}");
        error.to_string()
    };
    let said = multiply([5, 3], [4, 3], Epilogue::None);
    assert!(said.contains("A is [4, 6] but B is [5, 3]"), "{said}");
    let said = multiply([6, 3], [4, 4], Epilogue::None);
    assert!(said.contains("A·B is [4, 3] but C is [4, 4]"), "{said}");
    for bias in [&data[..2], &data[..4]] {
        for epilogue in [Epilogue::Bias(bias), Epilogue::BiasRelu(bias)] {
            let said = multiply([6, 3], [4, 3], epilogue);
            assert!(said.contains(&format!("C is [4, 3] but the bias is [{}]", bias.len())), "{said}");
        }
    }
    let said = multiply([6, 3], [4, 3], Epilogue::Gate(view([3, 4])));
    assert!(said.contains("C is [4, 3] but the gate is [3, 4]"), "{said}");
}

#[test]
fn a_result_whose_rows_are_not_adjacent_is_refused() {
    let batch = Batch::new(&mut Rng::new(5), [4, 6]);
    let (b, mut c) = (Tensor::<f32, 2>::zeros([6, 3]), Tensor::<f32, 2>::zeros([3, 4]));
    let said = message(|| {
        let _ = multiply_bytes(Exec::serial(), batch.x(), b.view(), None, c.view_mut().t(), Epilogue::None);
    });
    assert!(said.contains("strides of C"), "{said}");
}

#[test]
fn a_product_of_no_bytes_is_its_epilogue() {
    let bias = [1.0, -2.0, 3.0];
    for isa in AnyIsa::available() {
        let exec = Exec::with_isa(isa, 2);
        for (epilogue, want) in [
            (Epilogue::None, [0.0; 6]),
            (Epilogue::Bias(&bias), [1.0, -2.0, 3.0, 1.0, -2.0, 3.0]),
            (Epilogue::BiasRelu(&bias), [1.0, 0.0, 3.0, 1.0, 0.0, 3.0]),
        ] {
            let mut c = [f32::NAN; 6];
            let to = ViewMut::new(&mut c, [2, 3]).expect("fits");
            let nothing = View::new(&[], [0, 3]).expect("no row");
            multiply_bytes(exec, ByteRows::new(&[], 0, &[0, 0]), nothing, None, to, epilogue)
                .expect("they go together");
            assert_bits(isa.name(), &c, &want);
        }
    }
}

/// Takes a piece that is handed over: notes which elements it is of, and keeps it.
fn take(exec: Exec, gradient: &[f32], [index, visits, kept, none]: [&mut [f32]; 4]) {
    assert_eq!(exec.threads(), 1, "a piece is for one thread");
    assert!(!gradient.is_empty() && none.is_empty(), "a piece of something, and of nothing");
    assert_eq!([index.len(), visits.len(), kept.len()], [gradient.len(); 3], "the same elements of all");
    assert!(index.windows(2).all(|pair| pair[1] == pair[0] + 1.0), "adjacent elements");
    for (visits, index) in visits.iter_mut().zip(index) {
        *visits += 1.0 + *index;
    }
    kept.copy_from_slice(gradient);
}

/// For what must not be handed over.
fn nothing<const S: usize>(_: Exec, gradient: &[f32], _: [&mut [f32]; S]) {
    panic!("{} elements of nothing", gradient.len());
}

/// Checks that each element is handed over once, beside its own targets, with the bits of the stored product.
fn check_handed_over(name: &str, want: &[f32], hand_over: impl FnOnce([&mut [f32]; 4]) -> Result<(), ShapeError>) {
    let mut index: Vec<f32> = (0..want.len()).map(|i| i as f32).collect();
    let mut visits = vec![0.0_f32; want.len()];
    let mut kept = Poisoned::vector(want.len(), 16);
    let targets: [&mut [f32]; 4] = [index.as_mut_slice(), visits.as_mut_slice(), kept.as_mut_slice(), &mut []];
    hand_over(targets).expect("the shapes go together");
    let once: Vec<f32> = (0..want.len()).map(|i| (i + 1) as f32).collect();
    assert_bits(&format!("visits of {name}"), &visits, &once);
    assert_bits(name, kept.as_slice(), want);
    kept.assert_guards_untouched();
}

/// Xᵀ·dY, as the gradient of weights is: m inputs, k examples, n outputs.
struct Gradient {
    shape: [usize; 3],
    batch: Batch,
    x: Tensor<f32, 2>,
    /// Xᵀ with adjacent elements in its rows.
    turned: Tensor<f32, 2>,
    dy: [Operand; 3],
    want: Vec<f32>,
}

impl Gradient {
    fn new(rng: &mut Rng, shape: [usize; 3]) -> Self {
        let [m, k, n] = shape;
        let (batch, dy) = (Batch::new(rng, [k, m]), rng.vec_f32(k * n));
        let x = batch.floats();
        let turned = x.view().t().to_tensor();
        let dy = LAYOUTS.map(|layout| Operand::new(&dy, [k, n], layout));
        let want = stored(x.view().t(), dy[0].view(), Epilogue::None);
        Self { shape, batch, x, turned, dy, want }
    }

    /// Hands it over from bytes, from floats and from transposed floats.
    fn check(&self, exec: Exec, place: &str) {
        let ([m, k, n], want) = (self.shape, &self.want[..]);
        for b in &self.dy {
            let (isa, threads) = (exec.isa().name(), exec.threads());
            let name = |a: &str| format!("{m}x{k}x{n} of {a}, B {:?}, {threads} threads {place} on {isa}", b.layout);
            for (way, x) in self.batch.ways() {
                check_handed_over(&name(&format!("bytes {way}")), want, |to| {
                    consume_bytes(exec, x, b.view(), to, &take)
                });
            }
            check_handed_over(&name("columns"), want, |to| consume(exec, self.x.view().t(), b.view(), to, &take));
            check_handed_over(&name("rows"), want, |to| consume(exec, self.turned.view(), b.view(), to, &take));
        }
    }
}

#[test]
fn every_element_is_handed_over_once_beside_its_targets_with_the_bits_of_the_stored_product() {
    let mut rng = Rng::new(6);
    for m in [1, 15, 16, 17, 47, 48, 49, 96, 97, 100, 207, 208, 209, 784] {
        for k in [0, 1, 17, 100, 128] {
            for n in [1, 10, 11, 16, 63, 64, 65, 100, 130] {
                let gradient = Gradient::new(&mut rng, [m, k, n]);
                for isa in isas(m * k * n) {
                    gradient.check(Exec::with_isa(isa, 1), "alone");
                }
            }
        }
    }
}

#[test]
fn a_product_too_long_to_be_one_block_is_handed_over_too() {
    let mut rng = Rng::new(7);
    for shape in [[5, 2047, 3], [5, 2048, 3], [5, 2049, 3], [17, 2049, 10], [100, 3000, 65]] {
        let gradient = Gradient::new(&mut rng, shape);
        for isa in isas(shape.iter().product()) {
            gradient.check(Exec::with_isa(isa, 1), "alone");
        }
    }
}

#[test]
fn threads_hand_over_every_element_once_with_the_same_bits() {
    let mut rng = Rng::new(8);
    let shapes = [
        [784, 100, 100],
        [784, 128, 10],
        [100, 100, 100],
        // Few rows: by columns, so that a piece is a part of each row.
        [17, 128, 410],
        [17, 128, 800],
        [7, 300, 200],
        [500, 1100, 65],
        // Stored after all.
        [100, 2500, 100],
        // Enough to wake threads for outside of a session: by rows, and by columns.
        [784, 300, 100],
        [20, 300, 4100],
    ];
    let gradients = shapes.map(|shape| Gradient::new(&mut rng, shape));
    in_pools_and_sessions(|exec, place| {
        for gradient in &gradients {
            gradient.check(exec, place);
        }
    });
}

#[test]
fn targets_of_another_length_are_refused_by_their_length_and_nothing_is_handed_over() {
    // 4 examples of 6, and so many that the product would be stored.
    for k in [4, 2100] {
        let batch = Batch::new(&mut Rng::new(9), [k, 6]);
        let (x, dy) = (batch.floats(), Tensor::<f32, 2>::zeros([k, 3]));
        for len in [1, 17, 19, 6, 3, 36] {
            let (mut right, mut wrong) = ([0.0_f32; 18], vec![0.0_f32; len]);
            let exec = Exec::serial();
            let of_bytes = {
                let targets: [&mut [f32]; 3] = [right.as_mut_slice(), &mut [], wrong.as_mut_slice()];
                consume_bytes(exec, batch.x(), dy.view(), targets, &nothing::<3>)
            };
            let targets: [&mut [f32]; 3] = [&mut [], wrong.as_mut_slice(), right.as_mut_slice()];
            let of_floats = consume(exec, x.view().t(), dy.view(), targets, &nothing::<3>);
            for result in [of_bytes, of_floats] {
                let said = result.expect_err("18 elements").to_string();
                assert!(said.contains(&format!("A·B is [6, 3] but a target is [{len}]")), "{said}");
            }
        }
    }
}

#[test]
fn operands_of_different_batches_are_refused_by_their_shapes_and_nothing_is_handed_over() {
    for (k, other) in [(4, 5), (4, 3), (2100, 2099), (4, 0)] {
        let batch = Batch::new(&mut Rng::new(10), [k, 6]);
        let (x, dy) = (batch.floats(), Tensor::<f32, 2>::zeros([other, 3]));
        let mut target = [0.0; 18];
        let of_bytes = consume_bytes(Exec::serial(), batch.x(), dy.view(), [target.as_mut_slice()], &nothing::<1>);
        let of_floats = consume(Exec::serial(), x.view().t(), dy.view(), [target.as_mut_slice()], &nothing::<1>);
        for result in [of_bytes, of_floats] {
            let said = result.expect_err("batches of another size").to_string();
            assert!(said.contains(&format!("A is [6, {k}] but B is [{other}, 3]")), "{said}");
        }
    }
}

#[test]
fn of_a_product_without_elements_nothing_is_handed_over() {
    let batch = Batch::new(&mut Rng::new(11), [4, 6]);
    let (x, empty) = (batch.floats(), Tensor::<f32, 2>::zeros([4, 0]));
    consume_bytes(Exec::serial(), batch.x(), empty.view(), [&mut []], &nothing::<1>).expect("no columns");
    consume(Exec::serial(), x.view().t(), empty.view(), [&mut []], &nothing::<1>).expect("no columns");
    let dy = Tensor::<f32, 2>::zeros([2, 3]);
    let no_width = ByteRows::new(&[], 0, &[0, 0]);
    consume_bytes(Exec::serial(), no_width, dy.view(), [&mut []], &nothing::<1>).expect("no rows");
}

#[test]
fn of_no_samples_zeros_are_handed_over_on_every_isa() {
    for isa in AnyIsa::available() {
        let dy = Tensor::<f32, 2>::zeros([0, 8]);
        let mut kept = [f32::NAN; 64 * 8];
        let keep = |_: Exec, gradient: &[f32], [kept]: [&mut [f32]; 1]| kept.copy_from_slice(gradient);
        let exec = Exec::with_isa(isa, 1);
        consume_bytes(exec, ByteRows::new(&[], 64, &[]), dy.view(), [&mut kept], &keep).expect("they go together");
        assert_bits(isa.name(), &kept, &[0.0; 64 * 8]);
    }
}

#[test]
fn a_product_is_handed_over_as_long_as_it_and_its_targets_stay_in_the_far_cache() {
    let floats = 2 * Blocking::default().near_c / size_of::<f32>();
    for targets in 1..5 {
        let most = floats / targets;
        assert!(consume_pays(most, targets), "{targets} of {most} floats");
        assert!(!consume_pays(most + 1, targets), "{targets} of {most} floats and one more");
    }
}
