//! The comparators against wrong answers. Every tolerance of every test in the workspace rests on these.

use testkit::compare::{Bound, Mismatch, assert_close, check_bits, check_close, check_close_f64};
use testkit::gemm::{Epilogue, Gemm};
use testkit::rng::Rng;
use testkit::vector::widen;

const ROWS: usize = 40;
const COLS: usize = 50;
const DEPTH: usize = 60;

/// A product that is not symmetric in any way, the same in f32, and the bound of each element.
fn product() -> (Vec<f32>, Vec<f64>, Vec<f64>) {
    let mut rng = Rng::new(9);
    let (a, b) = (rng.vec_f32(ROWS * DEPTH), rng.vec_f32(DEPTH * COLS));
    let problem = Gemm::product(ROWS, COLS, DEPTH, &a, &b);
    let reference = problem.reference();
    let bounds = reference.bounds();
    (problem.chain(Epilogue::default()), reference.values, bounds)
}

/// The wrong results a broken kernel gives, made from the right one.
fn wrong_results(right: &[f32]) -> Vec<(&'static str, Vec<f32>)> {
    let changed = |change: &dyn Fn(&mut Vec<f32>)| {
        let mut wrong = right.to_vec();
        change(&mut wrong);
        wrong
    };
    let middle = right.len() / 2;
    let transposed = (0..ROWS * COLS).map(|i| right[i % ROWS * COLS + i / ROWS]).collect();
    vec![
        ("zeros", vec![0.0; right.len()]),
        ("doubled", changed(&|w| w.iter_mut().for_each(|x| *x *= 2.0))),
        ("sign-flipped", changed(&|w| w.iter_mut().for_each(|x| *x = -*x))),
        ("one NaN", changed(&|w| w[middle] = f32::NAN)),
        ("last element NaN", changed(&|w| *w.last_mut().unwrap() = f32::NAN)),
        ("all NaN", vec![f32::NAN; right.len()]),
        ("one infinity", changed(&|w| w[middle] = f32::INFINITY)),
        ("all infinite", changed(&|w| w.iter_mut().for_each(|x| *x = f32::INFINITY.copysign(*x)))),
        ("transposed", transposed),
        ("shifted by six rows", changed(&|w| w.rotate_right(6 * COLS))),
        ("shifted by sixteen columns", changed(&|w| w.chunks_mut(COLS).for_each(|row| row.rotate_right(16)))),
        ("shifted by one element", changed(&|w| w.rotate_left(1))),
        ("one element off", changed(&|w| w[middle] += 0.01)),
        ("one element zero", changed(&|w| w[middle] = 0.0)),
        (
            "one tile missing",
            changed(&|w| w[6 * COLS..12 * COLS].chunks_mut(COLS).for_each(|row| row[16..32].fill(0.0))),
        ),
        ("constant", vec![right[0]; right.len()]),
        ("truncated", right[..right.len() - 1].to_vec()),
        ("one too many", changed(&|w| w.push(0.0))),
        ("empty", Vec::new()),
    ]
}

#[test]
fn every_bound_refuses_every_wrong_result_and_accepts_the_right_one() {
    let (got, want, bounds) = product();
    let rounded: Vec<f32> = want.iter().map(|&x| x as f32).collect();
    let bounds = [
        Bound::Exact,
        Bound::Ulp(1),
        Bound::Ulp(100),
        Bound::Allclose { rtol: 1e-5, atol: 1e-5 },
        Bound::PerElement(&bounds),
    ];
    for bound in bounds {
        assert_close("rounded", &rounded, &want, bound);
        for (name, wrong) in wrong_results(&rounded) {
            assert!(check_close(&wrong, &want, bound).is_err(), "{bound:?} accepted a result that is {name}");
            assert!(check_close_f64(&widen(&wrong), &want, bound).is_err(), "f64: {bound:?} accepted {name}");
        }
    }
    assert_close("chain", &got, &want, bounds[4]);
}

#[test]
fn bits_refuse_every_wrong_result_and_one_unit() {
    let (right, _, _) = product();
    assert_eq!(check_bits(&right, &right), Ok(()));
    for (name, wrong) in wrong_results(&right) {
        assert!(check_bits(&wrong, &right).is_err(), "accepted a result that is {name}");
    }
    assert!(check_bits(&[1.0f32.next_up()], &[1.0]).is_err());
    assert!(check_bits(&[-0.0], &[0.0]).is_err());
    assert!(check_bits(&[1.0], &[f32::NAN]).is_err() && check_bits(&[f32::NAN], &[1.0]).is_err());
    assert_eq!(check_bits(&[f32::from_bits(0xffc0_1234)], &[f32::NAN]), Ok(()));
}

#[test]
fn a_bound_without_power_is_refused_even_for_the_right_result() {
    let (_, want, _) = product();
    let rounded: Vec<f32> = want.iter().map(|&x| x as f32).collect();
    let magnitudes: Vec<f64> = want.iter().map(|x| x.abs()).collect();
    let powerless = [
        Bound::Allclose { rtol: 1.0, atol: 1e-6 },
        Bound::Allclose { rtol: 1.0, atol: 0.0 },
        Bound::Allclose { rtol: 0.0, atol: 1e3 },
        Bound::Ulp(1 << 24),
        Bound::Ulp(u32::MAX),
        Bound::PerElement(&magnitudes),
    ];
    for bound in powerless {
        assert!(matches!(check_close(&rounded, &want, bound), Err(Mismatch::NoPower { .. })), "{bound:?}");
    }
}

#[test]
fn one_large_element_lends_no_power_to_the_others() {
    let bound = Bound::Allclose { rtol: 0.0, atol: 0.01 };
    let got = check_close(&[1000.0, 0.0, 0.0], &[1000.0, 1e-3, 1e-3], bound);
    assert!(matches!(got, Err(Mismatch::NoPower { index: 1, powerless: 2, nonzero: 3, .. })), "{got:?}");
    // What rounds to zero in f32 has zero for its right answer, and needs no power.
    assert_eq!(check_close(&[1.0, 0.0, 0.0], &[1.0, 1e-60, 0.0], bound), Ok(()));
}

#[test]
fn a_bound_that_is_no_number_is_refused() {
    for bad in [f64::NAN, -1e-9, f64::INFINITY, f64::NEG_INFINITY] {
        let per_element = [1e-6, bad];
        let bounds = [
            Bound::Allclose { rtol: bad, atol: 1e-6 },
            Bound::Allclose { rtol: 1e-6, atol: bad },
            Bound::PerElement(&per_element),
        ];
        for bound in bounds {
            for want in [[1.0, 2.0], [0.0, 0.0]] {
                let got = check_close(&want.map(|x| x as f32), &want, bound);
                assert!(matches!(got, Err(Mismatch::InvalidBound { .. })), "{bound:?} gave {got:?}");
            }
        }
    }
    for bounds in [&[1e-6; 1][..], &[1e-6; 3]] {
        let got = check_close(&[1.0, 2.0], &[1.0, 2.0], Bound::PerElement(bounds));
        assert_eq!(got, Err(Mismatch::BoundLength { bound: bounds.len(), want: 2 }));
    }
}

#[test]
fn nan_and_infinity_are_wanted_or_refused() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for bound in [Bound::Exact, Bound::Ulp(4), Bound::Allclose { rtol: 1e-3, atol: 1e-3 }, Bound::PerElement(&[1e-3])] {
        let accepts = |got: f32, want: f64| check_close(&[got], &[want], bound).is_ok();
        assert!(accepts(f32::NAN, nan) && accepts(f32::INFINITY, inf) && accepts(f32::NEG_INFINITY, -inf));
        assert!(accepts(f32::INFINITY, 1e39) && accepts(f32::NEG_INFINITY, -1e39), "the rounded result is infinite");
        for (got, want) in [
            (f32::NAN, 1.0),
            (f32::NAN, inf),
            (1.0, nan),
            (f32::INFINITY, nan),
            (f32::INFINITY, -inf),
            (f32::MAX, inf),
            (f32::INFINITY, 3.4e38),
            (f32::NEG_INFINITY, 1e39),
            (f32::MAX, 1e39),
        ] {
            assert!(!accepts(got, want), "{bound:?} accepted {got} for {want}");
        }
    }
}

#[test]
fn bounds_end_where_they_say() {
    let judge = |got: f32, want: f64, bound: Bound| check_close(&[got], &[want], bound).is_ok();
    let e = f64::from(f32::EPSILON);
    assert!(judge(1.0f32.next_up(), 1.0, Bound::Ulp(1)) && !judge(1.0f32.next_up(), 1.0 - e, Bound::Ulp(3)));
    assert!(judge(1.0, 1.0 + e / 4.0, Bound::Exact) && !judge(1.0, 1.0 + e, Bound::Exact));
    assert!(judge(1.0, 1.0 + e / 4.0, Bound::Ulp(1)) && !judge(1.0, 1.0 + e / 4.0, Bound::Ulp(0)));
    let close = Bound::Allclose { rtol: 0.25, atol: 0.5 };
    assert!(judge(5.5, 4.0, close) && !judge(5.5f32.next_up(), 4.0, close), "0.5 + 0.25·4 = 1.5 away");
    assert!(judge(2.5, 4.0, close) && !judge(2.5f32.next_down(), 4.0, close));
    assert!(judge(1.0, 1.5, Bound::PerElement(&[0.5])) && !judge(1.0f32.next_down(), 1.5, Bound::PerElement(&[0.5])));
    assert!(judge(0.0, 0.0, Bound::Exact) && judge(-0.0, 0.0, Bound::Exact));
    assert_eq!(check_close(&[], &[], Bound::Exact), Ok(()));
}

#[test]
fn messages_name_index_values_bound_and_count() {
    let bound = Bound::Allclose { rtol: 0.0, atol: 0.25 };
    let mismatch = check_close(&[1.0, 5.0, 3.0, 9.0], &[1.0, 2.0, 3.0, 4.0], bound).unwrap_err();
    assert_eq!(
        mismatch.to_string(),
        "2 of 4 elements are out of bounds, first at index 1: got 5e0, want 2e0, off by 3e0, bound 2.5e-1"
    );
    let mismatch = check_bits(&[1.0, 0.0], &[1.0, -0.0]).unwrap_err();
    assert_eq!(
        mismatch.to_string(),
        "1 of 2 elements have other bits, first at index 1: got 0e0 (0x00000000), want -0e0 (0x80000000), bound 0"
    );
    let mismatch = check_close(&[2.0], &[2.0], Bound::Allclose { rtol: 1.0, atol: 0.0 }).unwrap_err();
    assert!(mismatch.to_string().starts_with("the bound has no power"), "{mismatch}");
}

#[test]
#[should_panic(expected = "sgemm 6x16: 1 of 1 elements are out of bounds, first at index 0: got NaN")]
fn the_panic_names_the_kernel() {
    assert_close("sgemm 6x16", &[f32::NAN], &[1.0], Bound::Ulp(1));
}
