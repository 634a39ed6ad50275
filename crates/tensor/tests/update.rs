//! A product that is fed to an update, row panel by row panel: each element once, beside its targets, with the bits of the
//! stored product.

#[path = "support/batches.rs"]
mod batches;
#[path = "support/sessions.rs"]
mod sessions;

use batches::{Batch, LAYOUTS, Operand, in_pools_and_sessions, isas, stored};
use tensor::isa::AnyIsa;
use tensor::matmul::{Lhs, Zeros, update, update_pays};
use tensor::vec::ByteRows;
use tensor::{Epilogue, Exec, ShapeError, Tensor};
use testkit::compare::assert_bits;
use testkit::poison::Poisoned;
use testkit::rng::Rng;

/// Takes a piece that is fed to the update: notes which elements it is of, and keeps it.
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

/// For what must not be fed to the update.
fn nothing<const S: usize>(_: Exec, gradient: &[f32], _: [&mut [f32]; S]) {
    panic!("{} elements of nothing", gradient.len());
}

/// Checks that each element is fed to the update once, beside its own targets, with the bits of the stored product.
fn check_fed(name: &str, want: &[f32], feed: impl FnOnce([&mut [f32]; 4]) -> Result<(), ShapeError>) {
    let mut index: Vec<f32> = (0..want.len()).map(|i| i as f32).collect();
    let mut visits = vec![0.0_f32; want.len()];
    let mut kept = Poisoned::vector(want.len(), 16);
    let targets: [&mut [f32]; 4] = [index.as_mut_slice(), visits.as_mut_slice(), kept.as_mut_slice(), &mut []];
    feed(targets).expect("the shapes go together");
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
    transposed: Tensor<f32, 2>,
    dy: [Operand; 3],
    want: Vec<f32>,
}

impl Gradient {
    fn new(rng: &mut Rng, shape: [usize; 3]) -> Self {
        let [m, k, n] = shape;
        let (batch, dy) = (Batch::new(rng, [k, m]), rng.vec_f32(k * n));
        let x = batch.floats();
        let transposed = x.view().t().to_tensor();
        let dy = LAYOUTS.map(|layout| Operand::new(&dy, [k, n], layout));
        let want = stored(x.view().t(), dy[0].view(), Epilogue::None);
        Self { shape, batch, x, transposed, dy, want }
    }

    /// Feeds it from bytes, from floats and from transposed floats.
    fn check(&self, exec: Exec, place: &str) {
        let ([m, k, n], want) = (self.shape, &self.want[..]);
        for b in &self.dy {
            let (isa, threads) = (exec.isa().name(), exec.threads());
            let name = |a: &str| format!("{m}x{k}x{n} of {a}, B {:?}, {threads} threads {place} on {isa}", b.layout);
            for zeros in [Zeros::Ask, Zeros::Never] {
                let operands: [(&str, Lhs<'_>); 3] = [
                    ("bytes", Lhs::from(self.batch.x()).t()),
                    ("columns", self.x.view().t().into()),
                    ("rows", self.transposed.view().into()),
                ];
                for (a, operand) in operands {
                    check_fed(&name(&format!("{a}, {zeros:?}")), want, |to| {
                        update(exec, operand, b.view(), zeros, to, &take)
                    });
                }
            }
        }
    }
}

#[test]
fn every_element_is_fed_once_beside_its_targets_with_the_bits_of_the_stored_product() {
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
fn a_product_too_long_to_be_one_block_is_fed_too() {
    let mut rng = Rng::new(7);
    for shape in [[5, 2047, 3], [5, 2048, 3], [5, 2049, 3], [17, 2049, 10], [100, 3000, 65]] {
        let gradient = Gradient::new(&mut rng, shape);
        for isa in isas(shape.iter().product()) {
            gradient.check(Exec::with_isa(isa, 1), "alone");
        }
    }
}

#[test]
fn threads_feed_every_element_once_with_the_same_bits() {
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
fn targets_of_another_length_are_refused_by_their_length_and_nothing_is_fed() {
    // 4 examples of 6, and so many that the product would be stored.
    for k in [4, 2100] {
        let batch = Batch::new(&mut Rng::new(9), [k, 6]);
        let (x, dy) = (batch.floats(), Tensor::<f32, 2>::zeros([k, 3]));
        for len in [1, 17, 19, 6, 3, 36] {
            let (mut right, mut wrong) = ([0.0_f32; 18], vec![0.0_f32; len]);
            let exec = Exec::serial();
            let of_bytes = {
                let targets: [&mut [f32]; 3] = [right.as_mut_slice(), &mut [], wrong.as_mut_slice()];
                update(exec, Lhs::from(batch.x()).t(), dy.view(), Zeros::Ask, targets, &nothing::<3>)
            };
            let targets: [&mut [f32]; 3] = [&mut [], wrong.as_mut_slice(), right.as_mut_slice()];
            let of_floats = update(exec, x.view().t(), dy.view(), Zeros::Ask, targets, &nothing::<3>);
            for result in [of_bytes, of_floats] {
                let said = result.expect_err("18 elements").to_string();
                assert!(said.contains(&format!("A·B is [6, 3] but a target is [{len}]")), "{said}");
            }
        }
    }
}

#[test]
fn operands_of_different_batches_are_refused_by_their_shapes_and_nothing_is_fed() {
    for (k, other) in [(4, 5), (4, 3), (2100, 2099), (4, 0)] {
        let batch = Batch::new(&mut Rng::new(10), [k, 6]);
        let (x, dy) = (batch.floats(), Tensor::<f32, 2>::zeros([other, 3]));
        let mut target = [0.0; 18];
        let mut refused =
            |a: Lhs<'_>| update(Exec::serial(), a, dy.view(), Zeros::Ask, [target.as_mut_slice()], &nothing::<1>);
        let (of_bytes, of_floats) = (refused(Lhs::from(batch.x()).t()), refused(x.view().t().into()));
        for result in [of_bytes, of_floats] {
            let said = result.expect_err("batches of another size").to_string();
            assert!(said.contains(&format!("A is [6, {k}] but B is [{other}, 3]")), "{said}");
        }
    }
}

#[test]
fn of_a_product_without_elements_nothing_is_fed() {
    let batch = Batch::new(&mut Rng::new(11), [4, 6]);
    let (x, empty) = (batch.floats(), Tensor::<f32, 2>::zeros([4, 0]));
    update(Exec::serial(), Lhs::from(batch.x()).t(), empty.view(), Zeros::Ask, [&mut []], &nothing::<1>)
        .expect("no columns");
    update(Exec::serial(), x.view().t(), empty.view(), Zeros::Ask, [&mut []], &nothing::<1>).expect("no columns");
    let dy = Tensor::<f32, 2>::zeros([2, 3]);
    let no_width = ByteRows::new(&[], 0, &[0, 0]);
    update(Exec::serial(), Lhs::from(no_width).t(), dy.view(), Zeros::Ask, [&mut []], &nothing::<1>).expect("no rows");
}

#[test]
fn of_no_samples_zeros_are_fed_on_every_isa() {
    for isa in AnyIsa::available() {
        let dy = Tensor::<f32, 2>::zeros([0, 8]);
        let mut kept = [f32::NAN; 64 * 8];
        let keep = |_: Exec, gradient: &[f32], [kept]: [&mut [f32]; 1]| kept.copy_from_slice(gradient);
        let exec = Exec::with_isa(isa, 1);
        update(exec, Lhs::from(ByteRows::new(&[], 64, &[])).t(), dy.view(), Zeros::Ask, [&mut kept], &keep)
            .expect("they go together");
        assert_bits(isa.name(), &kept, &[0.0; 64 * 8]);
    }
}

#[test]
fn a_product_is_fed_to_an_update_as_long_as_it_and_its_targets_stay_in_l2() {
    let exec = Exec::serial();
    let floats = exec.caches().l2 / size_of::<f32>();
    for targets in 1..5 {
        let most = floats / targets;
        assert!(update_pays(exec, most, targets), "{targets} of {most} floats");
        assert!(!update_pays(exec, most + 1, targets), "{targets} of {most} floats and one more");
    }
}
