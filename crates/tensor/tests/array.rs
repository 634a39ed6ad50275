//! The strided array against plain index arithmetic, and its refusals.

use std::panic::catch_unwind;
use tensor::array::{ALIGNMENT, contiguous_strides};
use tensor::{ShapeError, Tensor, View, ViewMut};
use testkit::panics::message;
use testkit::rng::Rng;

/// Elements that are their own offsets.
fn offsets(len: usize) -> Vec<u32> {
    (0..len as u32).collect()
}

/// The plain model of an array of rank 3: where each element lies, in row-major order of the indices.
#[derive(Clone, Debug)]
struct Model {
    shape: [usize; 3],
    offsets: Vec<u32>,
}

impl Model {
    fn new(shape: [usize; 3]) -> Self {
        Self { shape, offsets: offsets(shape.iter().product()) }
    }

    /// Every index of `shape`, in row-major order.
    fn indices([a, b, c]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
        (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| [i, j, k])))
    }

    fn at(&self, [i, j, k]: [usize; 3]) -> u32 {
        self.offsets[(i * self.shape[1] + j) * self.shape[2] + k]
    }

    /// The array of `shape` whose element at an index is this one's at `source(index)`.
    fn gather(&self, shape: [usize; 3], source: impl Fn([usize; 3]) -> [usize; 3]) -> Self {
        Self { shape, offsets: Self::indices(shape).map(|index| self.at(source(index))).collect() }
    }

    fn apply(&self, step: &Step) -> Self {
        let mut shape = self.shape;
        match *step {
            Step::Slice(axis, start, end) => {
                shape[axis] = end - start;
                self.gather(shape, |mut index| {
                    index[axis] += start;
                    index
                })
            }
            Step::Permute(axes) => self.gather(axes.map(|axis| self.shape[axis]), |index| {
                let mut source = [0; 3];
                for (axis, i) in axes.into_iter().zip(index) {
                    source[axis] = i;
                }
                source
            }),
            Step::Broadcast(axis, count) => {
                shape[axis] = count;
                self.gather(shape, |mut index| {
                    index[axis] = 0;
                    index
                })
            }
        }
    }
}

#[derive(Debug)]
enum Step {
    Slice(usize, usize, usize),
    Permute([usize; 3]),
    Broadcast(usize, usize),
}

impl Step {
    /// A step that is allowed on `shape`.
    fn random(rng: &mut Rng, shape: [usize; 3], broadcast: bool) -> Self {
        let axis = rng.usize_in(0..3);
        if broadcast && shape[axis] == 1 {
            return Self::Broadcast(axis, rng.usize_in(0..4));
        }
        if rng.usize_in(0..2) == 0 {
            let start = rng.usize_in(0..shape[axis] + 1);
            return Self::Slice(axis, start, rng.usize_in(start..shape[axis] + 1));
        }
        const PERMUTATIONS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        Self::Permute(PERMUTATIONS[rng.usize_in(0..6)])
    }

    fn on_view<'a>(&self, view: View<'a, u32, 3>) -> View<'a, u32, 3> {
        match *self {
            Self::Slice(axis, start, end) => view.slice(axis, start..end),
            Self::Permute(axes) => view.permute(axes),
            Self::Broadcast(axis, count) => view.broadcast(axis, count),
        }
        .expect("the step is allowed")
    }

    fn on_view_mut<'a>(&self, view: ViewMut<'a, u32, 3>) -> ViewMut<'a, u32, 3> {
        match *self {
            Self::Slice(axis, start, end) => view.slice(axis, start..end),
            Self::Permute(axes) => view.permute(axes),
            Self::Broadcast(..) => unreachable!("a mutable view has no broadcast"),
        }
        .expect("the step is allowed")
    }
}

fn random_shape(rng: &mut Rng) -> [usize; 3] {
    std::array::from_fn(|_| rng.usize_in(1..6))
}

#[test]
fn chains_of_slices_permutations_and_broadcasts_reach_the_elements_of_the_plain_model() {
    let mut rng = Rng::new(1);
    let (mut empty, mut contiguous, mut strided) = (0, 0, 0);
    for _ in 0..4000 {
        let mut model = Model::new(random_shape(&mut rng));
        let data = model.offsets.clone();
        let mut view = View::new(&data, model.shape).expect("the shape fits");
        let mut steps = Vec::new();
        for _ in 0..rng.usize_in(1..6) {
            let step = Step::random(&mut rng, model.shape, true);
            (view, model) = (step.on_view(view), model.apply(&step));
            steps.push(step);
        }
        assert_eq!(view.shape(), model.shape, "{steps:?}");
        assert_eq!(view.len(), model.offsets.len(), "{steps:?}");
        assert_eq!(view.is_empty(), model.offsets.is_empty(), "{steps:?}");
        assert_eq!(view.iter().copied().collect::<Vec<_>>(), model.offsets, "iter after {steps:?}");
        assert_eq!(view.to_tensor().as_slice(), model.offsets, "to_tensor after {steps:?}");
        for index in Model::indices(model.shape) {
            assert_eq!(view[index], model.at(index), "{index:?} after {steps:?}");
        }
        for axis in 0..3 {
            let mut outside = [0; 3];
            outside[axis] = model.shape[axis];
            assert_eq!(view.get(outside), None, "{outside:?} after {steps:?}");
        }
        // Whether neighbours lie next to each other, asked of the model: it is what `as_slice` and `reshape` need.
        let adjacent = model.offsets.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        assert_eq!(view.is_contiguous(), adjacent, "{steps:?}");
        assert_eq!(view.as_slice(), adjacent.then_some(&model.offsets[..]), "{steps:?}");
        assert_eq!(view.reshape([model.offsets.len()]).is_ok(), adjacent, "{steps:?}");
        *match (view.is_empty(), adjacent) {
            (true, _) => &mut empty,
            (false, true) => &mut contiguous,
            (false, false) => &mut strided,
        } += 1;
    }
    assert!(empty > 200 && contiguous > 200 && strided > 200, "{empty} {contiguous} {strided}");
}

#[test]
fn writes_through_chains_of_mutable_views_reach_the_elements_of_the_plain_model_and_no_others() {
    const MARK: u32 = 1_000_000;
    let mut rng = Rng::new(2);
    for round in 0..3000 {
        let mut model = Model::new(random_shape(&mut rng));
        let mut data = model.offsets.clone();
        let mut view = ViewMut::new(&mut data, model.shape).expect("the shape fits");
        for _ in 0..rng.usize_in(1..6) {
            let step = Step::random(&mut rng, model.shape, false);
            (view, model) = (step.on_view_mut(view), model.apply(&step));
        }
        assert_eq!(view.shape(), model.shape);
        assert_eq!(view.len(), model.offsets.len());
        assert_eq!(view.view().iter().copied().collect::<Vec<_>>(), model.offsets);
        // Element number n of the view becomes MARK + n (or MARK, from fill), in four ways.
        let marks: Vec<u32> = (MARK..).take(model.offsets.len()).collect();
        let expected = |number: usize| if round % 4 == 0 { MARK } else { MARK + number as u32 };
        match round % 4 {
            0 => view.reborrow().fill(MARK),
            1 => view.copy_from(View::new(&marks, model.shape).expect("fits")).expect("the shapes are equal"),
            2 => {
                // From a source that is itself strided: every axis reversed.
                let [a, b, c] = model.shape;
                let reversed = Tensor::from_fn([c, b, a], |[k, j, i]| MARK + ((i * b + j) * c + k) as u32);
                let source = reversed.view().permute([2, 1, 0]).expect("a permutation");
                view.copy_from(source).expect("the shapes are equal");
            }
            _ => {
                for (number, index) in Model::indices(model.shape).enumerate() {
                    view[index] = MARK + number as u32;
                    assert_eq!(view.get_mut(index), Some(&mut (MARK + number as u32)));
                }
            }
        }
        let adjacent = model.offsets.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        let slice = view.as_mut_slice();
        assert_eq!(slice.is_some(), adjacent);
        assert!(slice.is_none_or(|slice| slice.len() == model.offsets.len()));
        let mut want = offsets(data.len());
        for (number, &offset) in model.offsets.iter().enumerate() {
            want[offset as usize] = expected(number);
        }
        assert_eq!(data, want, "round {round}");
    }
}

#[test]
fn a_tensor_is_row_major_aligned_and_equal_to_its_parts() {
    let tensor = Tensor::from_fn([2, 3, 4], |[i, j, k]| (100 * i + 10 * j + k) as u32);
    assert_eq!(tensor.as_slice()[..5], [0, 1, 2, 3, 10]);
    assert_eq!((tensor[[1, 2, 3]], tensor.len(), tensor.is_empty()), (123, 24, false));
    assert_eq!(tensor.as_slice().as_ptr().addr() % ALIGNMENT, 0);
    assert_eq!(contiguous_strides([2, 3, 4]), [12, 4, 1]);
    assert_eq!(tensor.view().strides(), [12, 4, 1]);
    assert_eq!(Tensor::from_slice(tensor.as_slice(), [2, 3, 4]).expect("24 elements"), tensor);
    let mut other = tensor.clone();
    assert_eq!(other, tensor);
    other[[1, 0, 2]] = 7;
    assert_ne!(other, tensor, "one element differs");
    assert_eq!(tensor[[1, 0, 2]], 102, "a clone is a copy");
    let flat = tensor.clone().reshape([4, 6]).expect("24 elements");
    assert_eq!((flat.shape(), flat.as_slice()), ([4, 6], tensor.as_slice()));
    assert_eq!(Tensor::<f32, 2>::zeros([3, 2]).as_slice(), [0.0; 6]);
    assert_ne!(Tensor::<f32, 2>::zeros([3, 2]), Tensor::zeros([2, 3]), "another shape");
}

#[test]
fn a_transpose_swaps_the_two_indices_and_twice_is_none() {
    let tensor = Tensor::from_fn([3, 5], |[i, j]| (10 * i + j) as u32);
    let t = tensor.view().t();
    assert_eq!((t.rows(), t.cols(), t.strides()), (5, 3, [1, 5]));
    assert_eq!(t.to_tensor(), Tensor::from_fn([5, 3], |[j, i]| (10 * i + j) as u32));
    assert_eq!(t.t().to_tensor(), tensor);
    let mut copy = tensor.clone();
    let mut t = copy.view_mut().t();
    assert_eq!((t.rows(), t.cols(), t.strides()), (5, 3, [1, 5]));
    t[[4, 1]] = 99;
    assert_eq!(copy, Tensor::from_fn([3, 5], |[i, j]| if [i, j] == [1, 4] { 99 } else { (10 * i + j) as u32 }));
}

#[test]
fn rows_come_in_order_and_without_the_gaps() {
    let data = offsets(3 * 7);
    let padded = View::with_strides(&data, [3, 4], [7, 1]).expect("fits");
    let rows: Vec<&[u32]> = padded.row_iter().collect();
    assert_eq!(rows, [[0, 1, 2, 3], [7, 8, 9, 10], [14, 15, 16, 17]]);
    assert_eq!((padded.row(1), padded.row_iter().len()), (rows[1], 3));
    let repeated = padded.slice(0, 1..2).and_then(|row| row.broadcast(0, 2)).expect("one row");
    assert_eq!(repeated.row_iter().collect::<Vec<_>>(), [rows[1], rows[1]]);
    let column = padded.slice(1, 2..3).expect("in range");
    assert_eq!(column.row_iter().collect::<Vec<_>>(), [[2], [9], [16]]);

    // The last row ends with the data: there is no gap after it.
    let mut data = offsets(2 * 7 + 4);
    let mut padded = ViewMut::with_strides(&mut data, [3, 4], [7, 1]).expect("fits");
    padded.row_mut(2)[3] = 40;
    let rows = padded.into_row_iter();
    assert_eq!(rows.len(), 3);
    for (i, row) in rows.enumerate() {
        assert_eq!(row.len(), 4);
        row[0] = 100 + i as u32;
    }
    assert_eq!(data, [100, 1, 2, 3, 4, 5, 6, 101, 8, 9, 10, 11, 12, 13, 102, 15, 16, 40]);
}

#[test]
fn the_head_of_a_tensor_is_its_first_rows() {
    let mut tensor = Tensor::from_fn([4, 3], |[i, j]| (10 * i + j) as u32);
    assert_eq!(tensor.head(2).to_tensor().as_slice(), [0, 1, 2, 10, 11, 12]);
    assert!(tensor.head(0).is_empty());
    tensor.head_mut(1).fill(7);
    assert_eq!(tensor.as_slice(), [7, 7, 7, 10, 11, 12, 20, 21, 22, 30, 31, 32]);
    assert!(catch_unwind(|| tensor.head(5).len()).is_err(), "there are four rows");
}

#[test]
fn a_reshape_keeps_the_order_and_refuses_what_needs_a_copy() {
    let data = offsets(24);
    let view = View::new(&data, [2, 3, 4]).expect("fits");
    let flat = view.reshape([6, 4]).expect("contiguous");
    assert_eq!((flat.shape(), flat[[4, 1]]), ([6, 4], 17));
    assert!(view.slice(0, 1..2).expect("in range").reshape([12]).is_ok(), "whole rows are contiguous");
    let transposed = view.permute([2, 0, 1]).expect("a permutation");
    assert!(matches!(transposed.reshape([24]), Err(ShapeError::Reshape { .. })));
    assert!(matches!(view.slice(2, 0..3).expect("in range").reshape([18]), Err(ShapeError::Reshape { .. })), "gaps");
    assert!(matches!(view.reshape([5, 5]), Err(ShapeError::Reshape { .. })), "another count");
    let mut data = offsets(6);
    let mut matrix = ViewMut::new(&mut data, [6]).and_then(|view| view.reshape([2, 3])).expect("contiguous");
    matrix[[1, 0]] = 30;
    assert!(matrix.t().reshape([6]).is_err(), "transposed");
    assert_eq!(data, [0, 1, 2, 30, 4, 5]);
    assert!(Tensor::<u32, 2>::zeros([2, 3]).reshape([7]).is_err(), "another count");
}

#[test]
fn only_an_axis_of_length_one_is_broadcast() {
    let data = offsets(3);
    let row = View::new(&data, [1, 3]).expect("fits");
    let repeated = row.broadcast(0, 4).expect("length 1");
    assert_eq!((repeated.shape(), repeated.strides()), ([4, 3], [0, 1]));
    assert_eq!(repeated.to_tensor().as_slice(), [0, 1, 2].repeat(4));
    assert!(row.broadcast(0, 0).expect("length 1").is_empty());
    assert_eq!(row.broadcast(1, 4).unwrap_err(), ShapeError::Broadcast { axis: 1, len: 3 });
    assert_eq!(row.broadcast(2, 4).unwrap_err(), ShapeError::Axis { axis: 2, rank: 2 });
    assert!(row.broadcast(0, 0).and_then(|view| view.broadcast(0, 2)).is_err(), "length 0 is not 1");
}

#[test]
fn a_view_never_reaches_past_its_data() {
    let mut data = offsets(24);
    for (shape, strides) in [([2, 3, 4], [12, 4, 1]), ([4, 3, 2], [1, 4, 12]), ([2, 2, 2], [18, 4, 1])] {
        let needed: usize = 1 + shape.iter().zip(strides).map(|(n, stride)| (n - 1) * stride).sum::<usize>();
        assert_eq!(needed, 24, "the case is at the edge");
        assert!(View::with_strides(&data, shape, strides).is_ok());
        assert!(ViewMut::with_strides(&mut data, shape, strides).is_ok());
        let want = ShapeError::OutOfData { shape: shape.into(), strides: strides.into(), needed, len: 23 };
        assert_eq!(View::with_strides(&data[..23], shape, strides).unwrap_err(), want);
        assert_eq!(ViewMut::with_strides(&mut data[..23], shape, strides).unwrap_err(), want);
    }
    assert!(View::new(&data, [5, 4]).is_ok(), "the data may be longer");
    assert!(matches!(View::new(&data, [5, 5]), Err(ShapeError::OutOfData { needed: 25, len: 24, .. })));
    assert!(matches!(ViewMut::new(&mut data, [5, 5]), Err(ShapeError::OutOfData { needed: 25, len: 24, .. })));
    assert!(matches!(Tensor::from_slice(&data, [5, 4]), Err(ShapeError::Length { needed: 20, len: 24, .. })));
    assert!(View::<u32, 0>::new(&[], []).is_err(), "a scalar is one element");
    assert_eq!(View::new(&data[3..], []).expect("one element")[[]], 3);
}

#[test]
fn mutable_views_refuse_every_stride_that_shares_an_element() {
    let mut rng = Rng::new(3);
    let (mut shared, mut accepted) = (0, 0);
    for _ in 0..20_000 {
        let shape: [usize; 3] = std::array::from_fn(|_| rng.usize_in(0..4));
        let strides: [usize; 3] = std::array::from_fn(|_| rng.usize_in(0..13));
        let mut seen = [false; 128];
        let reaches = |[i, j, k]: [usize; 3]| i * strides[0] + j * strides[1] + k * strides[2];
        let shares = Model::indices(shape).any(|index| std::mem::replace(&mut seen[reaches(index)], true));
        let mut data = [0_u32; 128];
        let view = ViewMut::with_strides(&mut data, shape, strides);
        if shares {
            let want = ShapeError::Overlap { shape: shape.into(), strides: strides.into() };
            assert_eq!(view.unwrap_err(), want);
            shared += 1;
        } else {
            accepted += usize::from(view.is_ok());
        }
    }
    assert!(shared > 1000 && accepted > 1000, "{shared} share, {accepted} accepted");
    // Whatever slicing and permuting a contiguous array gives is accepted; the chains above walk it.
    assert!(ViewMut::with_strides(&mut [0; 3], [1, 3], [0, 1]).is_ok(), "the stride of one row is never taken");
}

#[test]
fn shapes_that_overflow_are_refused_without_a_panic() {
    const MAX: usize = usize::MAX;
    let mut data = offsets(8);
    for shape in [[MAX, 2], [2, MAX], [MAX, MAX], [1 << (usize::BITS / 2); 2], [MAX / 2 + 1, 2]] {
        assert!(matches!(View::new(&data, shape), Err(ShapeError::Overflow { .. })), "{shape:?}");
        assert!(matches!(ViewMut::new(&mut data, shape), Err(ShapeError::Overflow { .. })), "{shape:?}");
        assert!(matches!(Tensor::from_slice(&data, shape), Err(ShapeError::Overflow { .. })), "{shape:?}");
        assert!(View::new(&data, [8]).and_then(|view| view.reshape(shape)).is_err(), "{shape:?}");
        assert!(catch_unwind(|| Tensor::<u32, 2>::zeros(shape)).is_err(), "{shape:?}");
    }
    for (shape, strides) in [([2, 2], [MAX, MAX]), ([2, 2], [MAX - 1, 1]), ([3, 1], [MAX / 2 + 1, 0])] {
        let want = ShapeError::Overflow { shape: shape.into(), strides: strides.into() };
        assert_eq!(View::with_strides(&data, shape, strides).unwrap_err(), want);
        assert_eq!(ViewMut::with_strides(&mut data, shape, strides).unwrap_err(), want);
    }
    assert!(matches!(View::new(&data, [MAX]), Err(ShapeError::OutOfData { needed: MAX, len: 8, .. })));
    assert!(catch_unwind(|| Tensor::<f64, 1>::zeros([MAX / 8])).is_err(), "more bytes than the address space has");
}

#[test]
fn an_array_without_elements_is_fine_however_long_its_other_axes() {
    const MAX: usize = usize::MAX;
    for shape in [[0, MAX, MAX], [MAX, 0, 2], [MAX, 2, 0], [0, 0, 0], [3, 0, 5]] {
        let view = View::<f32, 3>::new(&[], shape).expect("no element, no data");
        assert_eq!((view.len(), view.is_empty(), view.iter().count()), (0, true, 0), "{shape:?}");
        assert_eq!(view.as_slice(), Some(&[][..]), "{shape:?}");
        assert_eq!(view.get([0; 3]), None, "{shape:?}");
        let reversed = view.permute([2, 1, 0]).expect("a permutation");
        assert_eq!((reversed.len(), reversed.to_tensor().len()), (0, 0), "{shape:?}");
        assert!(view.reshape([0]).is_ok() && view.reshape([1]).is_err(), "{shape:?}");
        for axis in 0..3 {
            let last = view.slice(axis, shape[axis].saturating_sub(1)..shape[axis]).expect("in range");
            assert_eq!(last.len(), 0, "{shape:?}");
        }
        let mut view = ViewMut::<f32, 3>::new(&mut [], shape).expect("no element, no data");
        view.fill(1.0);
        view.copy_from(View::new(&[], shape).expect("no element, no data")).expect("the shapes are equal");
        assert_eq!((view.len(), view.as_mut_slice().map(|slice| slice.len())), (0, Some(0)), "{shape:?}");
        let tensor = Tensor::<f32, 3>::zeros(shape);
        assert_eq!((tensor.len(), tensor.shape()), (0, shape));
    }
    let data = offsets(6);
    let past_the_end = View::new(&data, [2, 3]).and_then(|view| view.slice(0, 2..2)).expect("in range");
    assert_eq!((past_the_end.len(), past_the_end.row_iter().count()), (0, 0));
}

#[test]
fn a_repeated_axis_does_not_make_more_elements_than_can_be_counted() {
    let data = offsets(2);
    let row = View::new(&data, [1, 2]).expect("fits");
    assert_eq!(row.broadcast(0, usize::MAX / 2).expect("can be counted").len(), usize::MAX - 1);
    assert!(matches!(row.broadcast(0, usize::MAX), Err(ShapeError::Overflow { .. })));
    let repeated = View::with_strides(&data, [usize::MAX, 2], [0, 1]);
    assert!(matches!(repeated, Err(ShapeError::Overflow { .. })));
}

#[test]
fn rows_without_elements_are_still_rows() {
    let mut tensor = Tensor::<f32, 2>::zeros([3, 0]);
    assert_eq!(tensor.view().row_iter().map(<[f32]>::len).collect::<Vec<_>>(), [0; 3]);
    assert_eq!(tensor.view_mut().row_mut(2).len(), 0);
    assert_eq!(tensor.view_mut().into_row_iter().map(|row| row.len()).collect::<Vec<_>>(), [0; 3]);
}

#[test]
fn every_shape_error_names_its_values() {
    let data = [0_u8; 12];
    let view = View::new(&data, [3, 4]).expect("fits");
    let mut out = [0_u8; 12];
    let overlap = ViewMut::with_strides(&mut out, [5, 6], [1, 1]).unwrap_err();
    let mismatch = Tensor::zeros([5, 6]).view_mut().copy_from(view).unwrap_err();
    let huge = format!("[{}, 2]", usize::MAX);
    let cases: [(ShapeError, &[&str]); 12] = [
        (View::with_strides(&data, [3, 7], [4, 2]).unwrap_err(), &["[3, 7]", "[4, 2]", "element 21", "of 12"]),
        (Tensor::from_slice(&data, [5, 6]).unwrap_err(), &["[5, 6]", "30 elements", "have 12"]),
        (View::new(&data, [usize::MAX, 2]).unwrap_err(), &[&huge, "overflows"]),
        (overlap, &["[5, 6]", "[1, 1]", "share"]),
        (view.t().reshape([2, 6]).unwrap_err(), &["[4, 3]", "[1, 4]", "[2, 6]", "contiguous"]),
        (view.slice(2, 0..1).unwrap_err(), &["axis 2", "rank 2"]),
        (view.slice(1, 3..5).unwrap_err(), &["3..5", "axis 1", "length 4"]),
        #[allow(clippy::reversed_empty_ranges)]
        (view.slice(0, 2..1).unwrap_err(), &["2..1", "axis 0", "length 3"]),
        (view.broadcast(1, 8).unwrap_err(), &["axis 1", "length 4"]),
        (view.permute([1, 1]).unwrap_err(), &["[1, 1]", "permutation", "0..2"]),
        (view.permute([0, 2]).unwrap_err(), &["[0, 2]", "permutation", "0..2"]),
        (mismatch, &["copy", "destination is [5, 6]", "source is [3, 4]", "must be equal"]),
    ];
    for (error, values) in cases {
        let message = error.to_string();
        for value in values {
            assert!(message.contains(value), "{message:?} does not say {value:?}");
        }
    }
}

#[test]
fn an_index_outside_and_a_row_of_distant_elements_panic_with_their_values() {
    type Case = fn() -> u32;
    let cases: [(Case, &str); 7] = [
        (|| Tensor::zeros([2, 3])[[1, 3]], "index [1, 3] outside shape [2, 3]"),
        (|| Tensor::zeros([2, 3]).view()[[2, 0]], "index [2, 0] outside shape [2, 3]"),
        (|| Tensor::zeros([2, 3]).view_mut()[[2, 0]], "index [2, 0] outside shape [2, 3]"),
        (|| Tensor::zeros([2, 3]).view().row(2)[0], "row 2 of 2"),
        (|| Tensor::zeros([2, 3]).view().t().row(0)[0], "the elements of a row are 3 apart"),
        (|| Tensor::zeros([2, 3]).view().t().row_iter().next().map_or(0, |row| row[0]), "3 apart"),
        (|| Tensor::zeros([2, 3]).view_mut().t().into_row_iter().next().map_or(0, |row| row[0]), "3 apart"),
    ];
    for (f, want) in cases {
        let got = message(f);
        assert!(got.contains(want), "{got:?} does not say {want:?}");
    }
}
