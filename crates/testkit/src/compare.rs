//! Comparators that refuse wrong answers.
//!
//! A comparison that cannot fail is worse than none. So these judge the bound before they judge the numbers. They
//! refuse a bound that is NaN, negative or infinite. They refuse a bound without **power**, one so wide that zeros
//! would be accepted where numbers were expected. They never fold errors with `max`, which drops NaN: an element is
//! accepted by a comparison that is false for NaN, or refused.

use crate::ulp::ulp;
use std::error::Error;
use std::fmt;

/// How far an element may be from what is wanted.
#[derive(Clone, Copy, Debug)]
pub enum Bound<'a> {
    /// The wanted number rounded to `f32`, and nothing else. The two zeros are equal; see [`check_bits`] where their
    /// sign matters.
    Exact,
    /// At most this number of units in the last place of an `f32`, measured at the expected number.
    Ulp(u32),
    /// At most `atol + rtol·|want|`.
    Allclose {
        /// Relative part.
        rtol: f64,
        /// Absolute part, in the unit of the data.
        atol: f64,
    },
    /// At most the number with the same index.
    PerElement(&'a [f64]),
}

impl Bound<'_> {
    /// The largest accepted |got − want| of element `index`.
    fn tolerance(&self, index: usize, want: f64) -> f64 {
        match *self {
            Bound::Exact => 0.0,
            Bound::Ulp(units) => f64::from(units) * ulp(want),
            Bound::Allclose { rtol, atol } => atol + rtol * want.abs(),
            Bound::PerElement(bounds) => bounds[index],
        }
    }

    /// Refuses a bound that is no bound: NaN, negative, infinite, or of the wrong length.
    fn validate(&self, len: usize) -> Result<(), Mismatch> {
        let invalid = |bound: &f64| !(bound.is_finite() && *bound >= 0.0);
        match *self {
            Bound::Exact | Bound::Ulp(_) => Ok(()),
            Bound::Allclose { rtol, atol } => match [rtol, atol].into_iter().find(invalid) {
                Some(bound) => Err(Mismatch::InvalidBound { index: None, bound }),
                None => Ok(()),
            },
            Bound::PerElement(bounds) if bounds.len() != len => {
                Err(Mismatch::BoundLength { bound: bounds.len(), want: len })
            }
            Bound::PerElement(bounds) => match bounds.iter().position(invalid) {
                Some(index) => Err(Mismatch::InvalidBound { index: Some(index), bound: bounds[index] }),
                None => Ok(()),
            },
        }
    }
}

/// Why two arrays were not accepted as equal.
#[derive(Clone, Debug, PartialEq)]
pub enum Mismatch {
    /// The arrays differ in length.
    Length {
        /// Elements computed.
        got: usize,
        /// Elements wanted.
        want: usize,
    },
    /// A bound per element, but not one for each element.
    BoundLength {
        /// Bounds given.
        bound: usize,
        /// Elements wanted.
        want: usize,
    },
    /// A bound that is NaN, negative or infinite.
    InvalidBound {
        /// Its element, or `None` when it belongs to all of them.
        index: Option<usize>,
        /// The bound.
        bound: f64,
    },
    /// The bound has no power: for most of the wanted non-zero elements it would accept a zero or the double as well.
    NoPower {
        /// The first element without power.
        index: usize,
        /// What is wanted there.
        want: f64,
        /// The bound there, at least |want|.
        bound: f64,
        /// Elements without power.
        powerless: usize,
        /// Finite elements that do not round to zero.
        nonzero: usize,
    },
    /// Elements out of bounds.
    Elements {
        /// The first of them.
        index: usize,
        /// What was computed there.
        got: f64,
        /// What is wanted there.
        want: f64,
        /// The largest |got − want| that would have been accepted there.
        bound: f64,
        /// How many elements are out of bounds.
        offending: usize,
        /// Out of this number.
        len: usize,
    },
    /// Elements with other bits.
    Bits {
        /// The first of them.
        index: usize,
        /// What was computed there.
        got: f32,
        /// What is wanted there.
        want: f32,
        /// How many elements differ.
        offending: usize,
        /// Out of this number.
        len: usize,
    },
    /// A numeric gradient with an element that is NaN or infinite (see [`gradcheck`](crate::gradcheck)).
    NotFinite {
        /// The first such element.
        index: usize,
        /// Its value.
        want: f64,
    },
    /// Gradients too close to zero to prove anything (see [`gradcheck`](crate::gradcheck)).
    Vanishing {
        /// The largest magnitude.
        max: f64,
        /// Elements that are clearly not zero.
        alive: usize,
        /// Out of this number.
        len: usize,
        /// How many were required.
        required: usize,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Mismatch::Length { got, want } => write!(f, "got {got} elements, want {want}"),
            Mismatch::BoundLength { bound, want } => write!(f, "got {bound} bounds for {want} elements"),
            Mismatch::InvalidBound { index: Some(index), bound } => {
                write!(f, "the bound of element {index} is {bound}, want it finite and not negative")
            }
            Mismatch::InvalidBound { index: None, bound } => {
                write!(f, "the bound is {bound}, want it finite and not negative")
            }
            Mismatch::NoPower { index, want, bound, powerless, nonzero } => write!(
                f,
                "the bound has no power: it accepts 0 for {powerless} of {nonzero} non-zero elements, first at index \
                 {index}: want {want:e}, bound {bound:e}"
            ),
            Mismatch::Elements { index, got, want, bound, offending, len } => write!(
                f,
                "{offending} of {len} elements are out of bounds, first at index {index}: got {got:e}, want {want:e}, \
                 off by {:e}, bound {bound:e}",
                (got - want).abs()
            ),
            Mismatch::Bits { index, got, want, offending, len } => write!(
                f,
                "{offending} of {len} elements have other bits, first at index {index}: got {got:e} ({:#010x}), want \
                 {want:e} ({:#010x}), bound 0",
                got.to_bits(),
                want.to_bits()
            ),
            Mismatch::NotFinite { index, want } => {
                write!(f, "the numeric gradient proves nothing: element {index} is {want}, want it finite")
            }
            Mismatch::Vanishing { max, alive, len, required } => write!(
                f,
                "the gradient proves nothing: {alive} of {len} elements are clearly not zero, want {required}; the \
                 largest magnitude is {max:e}"
            ),
        }
    }
}

impl Error for Mismatch {}

/// Checks every element of `got` against `want`.
///
/// - Lengths must agree.
/// - A NaN is accepted where a NaN is wanted, and required there.
/// - An infinity is accepted where that infinity is wanted, or a finite number that rounds to it; an infinity wanted is
///   required.
/// - The bound must be finite and not negative.
/// - The bound must have power. Of the finite elements of `want` that do not round to zero, at least half must be
///   larger than their own bound. There zero, the double and the opposite are all refused.
///
/// # Errors
/// The first [`Mismatch`] met, in the order length, bound, power, elements.
pub fn check_close(got: &[f32], want: &[f64], bound: Bound) -> Result<(), Mismatch> {
    check_elements(got.len(), |i| f64::from(got[i]), want, bound)
}

/// [`check_close`] for numbers that are `f64` themselves, such as one reference against another. `Exact` still asks for
/// the wanted number rounded to `f32`, and `Ulp` still counts units of `f32`.
///
/// # Errors
/// As [`check_close`].
pub fn check_close_f64(got: &[f64], want: &[f64], bound: Bound) -> Result<(), Mismatch> {
    check_elements(got.len(), |i| got[i], want, bound)
}

/// [`check_close`], or a panic that says `name` and what was wrong.
///
/// # Panics
/// If the check fails.
#[track_caller]
pub fn assert_close(name: &str, got: &[f32], want: &[f64], bound: Bound) {
    if let Err(mismatch) = check_close(got, want, bound) {
        panic!("{name}: {mismatch}");
    }
}

/// [`check_close_f64`], or a panic that says `name` and what was wrong.
///
/// # Panics
/// If the check fails.
#[track_caller]
pub fn assert_close_f64(name: &str, got: &[f64], want: &[f64], bound: Bound) {
    if let Err(mismatch) = check_close_f64(got, want, bound) {
        panic!("{name}: {mismatch}");
    }
}

/// Checks that `got` and `want` have the same bits. All NaNs count as the same; +0 and −0 do not.
///
/// # Errors
/// [`Mismatch::Length`] or [`Mismatch::Bits`].
pub fn check_bits(got: &[f32], want: &[f32]) -> Result<(), Mismatch> {
    if got.len() != want.len() {
        return Err(Mismatch::Length { got: got.len(), want: want.len() });
    }
    let differs = |i: &usize| got[*i].to_bits() != want[*i].to_bits() && !(got[*i].is_nan() && want[*i].is_nan());
    let offenders = || (0..got.len()).filter(differs);
    match offenders().next() {
        Some(index) => Err(Mismatch::Bits {
            index,
            got: got[index],
            want: want[index],
            offending: offenders().count(),
            len: got.len(),
        }),
        None => Ok(()),
    }
}

/// [`check_bits`], or a panic that says `name` and what was wrong.
///
/// # Panics
/// If the check fails.
#[track_caller]
pub fn assert_bits(name: &str, got: &[f32], want: &[f32]) {
    if let Err(mismatch) = check_bits(got, want) {
        panic!("{name}: {mismatch}");
    }
}

/// The check behind both widths of `got`.
fn check_elements(len: usize, got: impl Fn(usize) -> f64, want: &[f64], bound: Bound) -> Result<(), Mismatch> {
    if len != want.len() {
        return Err(Mismatch::Length { got: len, want: want.len() });
    }
    bound.validate(len)?;
    check_power(want, bound)?;
    let offenders = || (0..len).filter(|&i| !accepts(got(i), want[i], bound, i));
    match offenders().next() {
        Some(index) => Err(Mismatch::Elements {
            index,
            got: got(index),
            want: want[index],
            bound: bound.tolerance(index, want[index]),
            offending: offenders().count(),
            len,
        }),
        None => Ok(()),
    }
}

/// Whether one element is within its bound.
fn accepts(got: f64, want: f64, bound: Bound, index: usize) -> bool {
    if want.is_nan() || got.is_nan() {
        return want.is_nan() && got.is_nan();
    }
    if want.is_infinite() || got.is_infinite() || matches!(bound, Bound::Exact) {
        return got == f64::from(want as f32);
    }
    (got - want).abs() <= bound.tolerance(index, want)
}

/// Refuses a bound that would accept zero for more than half of the elements that are not zero.
///
/// Where |want| > bound, zero and the double are both off by |want| and the opposite by twice that, so all are refused.
/// An element that rounds to zero in `f32` says nothing: there, zero is the right answer.
fn check_power(want: &[f64], bound: Bound) -> Result<(), Mismatch> {
    let (mut nonzero, mut powerless, mut first) = (0, 0, None);
    for (index, &value) in want.iter().enumerate() {
        if value.is_finite() && value as f32 != 0.0 {
            nonzero += 1;
            let tolerance = bound.tolerance(index, value);
            if value.abs() <= tolerance {
                powerless += 1;
                first = first.or(Some((index, value, tolerance)));
            }
        }
    }
    match first {
        Some((index, want, bound)) if 2 * powerless > nonzero => {
            Err(Mismatch::NoPower { index, want, bound, powerless, nonzero })
        }
        _ => Ok(()),
    }
}
