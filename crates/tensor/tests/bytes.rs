//! A mini-batch of bytes against the floats it stands for, gathered and multiplied: on every ISA, in a pool and in a
//! session.

#[path = "support/batches.rs"]
mod batches;
#[path = "support/sessions.rs"]
mod sessions;

use batches::{Batch, LAYOUTS, Layout, Operand, in_pools_and_sessions, isas, stored};
use tensor::isa::AnyIsa;
use tensor::vec::ByteRows;
use tensor::{Epilogue, Exec, Gemm, Tensor, View, ViewMut};
use testkit::compare::assert_bits;
use testkit::gemm as reference;
use testkit::panics::message;
use testkit::poison::Poisoned;
use testkit::rng::Rng;

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
        Self { shape, batch, b, bias, gate }
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
        let mut c = Poisoned::matrix(m, n, n + 5, 33);
        let view = ViewMut::with_strides(c.as_mut_slice(), [m, n], [n + 5, 1]).expect("fits");
        let gemm = Gemm::new(self.batch.x(), b.view(), view).epilogue(self.epilogue(which));
        gemm.run(exec).expect("the shapes go together");
        c.assert_guards_untouched();
        let layout = b.layout;
        let name = format!("{m}x{k}x{n}, B {layout:?}, epilogue {epilogue}, {threads} threads {place} on {isa}");
        assert_bits(&name, &c.values(), want);
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
        let result = Gemm::new(batch.x(), view(b), to).epilogue(epilogue).run(Exec::serial());
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
fn a_result_whose_columns_are_apart_has_the_same_bits() {
    let mut rng = Rng::new(5);
    for shape @ [m, k, n] in [[4, 6, 3], [40, 100, 104]] {
        let product = Product::new(&mut rng, shape);
        let b = Operand::new(&product.b, [k, n], Layout::Rows);
        for which in 0..EPILOGUES.len() {
            for isa in isas(m * k * n) {
                let mut c = Tensor::<f32, 2>::zeros([n, m]);
                let gemm = Gemm::new(product.batch.x(), b.view(), c.view_mut().t()).epilogue(product.epilogue(which));
                gemm.run(Exec::with_isa(isa, 1)).expect("the shapes go together");
                assert_bits("columns apart", c.view().t().to_tensor().as_slice(), &product.want(which));
            }
        }
    }
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
            let gemm = Gemm::new(ByteRows::new(&[], 0, &[0, 0]), nothing, to).epilogue(epilogue);
            gemm.run(exec).expect("they go together");
            assert_bits(isa.name(), &c, &want);
        }
    }
}
