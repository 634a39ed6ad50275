//! Every operation of every ISA against plain scalar code, bit for bit.

use std::panic::catch_unwind;
use std::process::Command;
use tensor::isa::{AnyIsa, ISA_NAMES, Isa, IsaError, LANES, Op, VARIABLE};
use testkit::compare::{assert_bits, check_bits};
use testkit::poison::{POISON, Poisoned};
use testkit::rng::Rng;

type Floats = [f32; LANES];
type Words = [u32; LANES];
/// A plain twin of an operation on three operands.
type Twin<T> = fn(T, T, T) -> T;

/// The floats where something happens: zeros, subnormals and their neighbours, ties, limits, infinities, NaNs.
const SPECIAL: [u32; 28] = [
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x00000002, 0x00400000, 0x007fffff, 0x807fffff, 0x00800000,
    0x80800000, 0x00800001, 0x1fffffff, 0x20000000, 0x3f7fffff, 0x3f800000, 0xbf800000, 0x3f800001, 0x40400000,
    0x4b000001, 0x4b800000, 0xcb800001, 0x7f000000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
    0xff800001,
];

/// A float of any kind: any bits, a special one, one near 1, or a subnormal.
fn any_bits(rng: &mut Rng) -> u32 {
    let bits = rng.next_u64() as u32;
    match rng.usize_in(0..4) {
        0 => bits,
        1 => SPECIAL[rng.usize_in(0..SPECIAL.len())],
        2 => (bits & 0x807f_ffff) | (rng.usize_in(125..130) as u32) << 23,
        _ => bits & 0x807f_ffff,
    }
}

fn any_words(rng: &mut Rng) -> Words {
    std::array::from_fn(|_| any_bits(rng))
}

/// Operands of three: all triples of special floats, then random ones, some of them equal or nearly cancelling.
fn triples() -> Vec<[Floats; 3]> {
    let mut all = Vec::new();
    for a in SPECIAL {
        for b in SPECIAL {
            for c in SPECIAL {
                all.push([a, b, c].map(f32::from_bits));
            }
        }
    }
    let mut rng = Rng::new(1);
    for _ in 0..40_000 {
        let [mut a, mut b, mut c] = [(); 3].map(|()| f32::from_bits(any_bits(&mut rng)));
        match rng.usize_in(0..6) {
            0 => b = a,
            1 => c = -(a * b),
            2 => (a, c) = (f32::from_bits(a.to_bits() & !1), f32::from_bits(a.to_bits() | 1)),
            _ => {}
        }
        all.push([a, b, c]);
    }
    let vectors = all.as_chunks::<LANES>().0;
    vectors.iter().map(|lanes| std::array::from_fn(|which| lanes.map(|triple| triple[which]))).collect()
}

/// `a·b + c` rounded once, by f64 alone: the product is exact there, and the sum is rounded to odd, so that the
/// rounding to f32 sees on which side of a tie the exact sum lies.
fn fused(a: f32, b: f32, c: f32) -> f32 {
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    let back = sum - product;
    let error = (product - (sum - back)) + (c - back);
    if !sum.is_finite() || error == 0.0 || sum.to_bits() & 1 == 1 {
        return sum as f32;
    }
    let away = (error > 0.0) == (sum > 0.0);
    f64::from_bits(if away { sum.to_bits() + 1 } else { sum.to_bits() - 1 }) as f32
}

/// The plain twins of the operations on floats, in the order of [`FloatOps`].
const FLOAT_TWINS: [(&str, Twin<f32>); 11] = [
    ("add", |a, b, _| a + b),
    ("sub", |a, b, _| a - b),
    ("mul", |a, b, _| a * b),
    ("div", |a, b, _| a / b),
    ("sqrt", |a, _, _| a.sqrt()),
    ("fma", fused),
    ("fnma", |a, b, c| fused(-a, b, c)),
    ("min", |a, b, _| if a < b { a } else { b }),
    ("max", |a, b, _| if a > b { a } else { b }),
    ("fma as the library has it", f32::mul_add),
    ("fnma as the library has it", |a, b, c| (-a).mul_add(b, c)),
];

struct FloatOps([Floats; 3]);
impl Op for FloatOps {
    type Output = [Floats; 11];
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let [a, b, c] = self.0.map(|x| isa.load(&x));
        let (fma, fnma) = (isa.fma(a, b, c), isa.fnma(a, b, c));
        [
            isa.add(a, b),
            isa.sub(a, b),
            isa.mul(a, b),
            isa.div(a, b),
            isa.sqrt(a),
            fma,
            fnma,
            isa.min(a, b),
            isa.max(a, b),
            fma,
            fnma,
        ]
        .map(|lanes| isa.to_array(lanes))
    }
}

#[test]
fn arithmetic_is_rounded_as_plain_floats_are_with_zeros_subnormals_and_infinities() {
    let triples = triples();
    for isa in AnyIsa::available() {
        for &operands in &triples {
            let got = isa.run(FloatOps(operands));
            let [a, b, c] = operands;
            for ((name, twin), got) in FLOAT_TWINS.iter().zip(got) {
                let want: Floats = std::array::from_fn(|i| twin(a[i], b[i], c[i]));
                if let Err(mismatch) = check_bits(&got, &want) {
                    panic!("{name} on {} of {a:?}, {b:?}, {c:?}: {mismatch}", isa.name());
                }
            }
        }
    }
}

#[test]
fn min_and_max_give_the_second_operand_of_nan_and_of_two_zeros() {
    const NAN: f32 = f32::NAN;
    let cases = [
        // a, b, min, max
        [NAN, 1.0, 1.0, 1.0],
        [1.0, NAN, NAN, NAN],
        [0.0, -0.0, -0.0, -0.0],
        [-0.0, 0.0, 0.0, 0.0],
        [NAN, -0.0, -0.0, -0.0],
        [f32::NEG_INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY],
        [-1.0, -2.0, -2.0, -1.0],
    ];
    for isa in AnyIsa::available() {
        for [a, b, min, max] in cases {
            let got = isa.run(FloatOps([[a; LANES], [b; LANES], [0.0; LANES]]));
            let (at_min, at_max) = (7, 8);
            assert_eq!([FLOAT_TWINS[at_min].0, FLOAT_TWINS[at_max].0], ["min", "max"]);
            assert_bits(&format!("min({a}, {b}) on {}", isa.name()), &got[at_min], &[min; LANES]);
            assert_bits(&format!("max({a}, {b}) on {}", isa.name()), &got[at_max], &[max; LANES]);
        }
    }
}

/// The operations that move or change bits and round nothing: these keep the payload of a NaN.
const WORD_TWINS: [(&str, Twin<u32>); 17] = [
    ("abs", |a, _, _| a & 0x7fff_ffff),
    ("neg", |a, _, _| a ^ 0x8000_0000),
    ("lt and select", |a, b, c| if f32::from_bits(a) < f32::from_bits(b) { c } else { a }),
    ("le and select", |a, b, c| if f32::from_bits(a) <= f32::from_bits(b) { c } else { b }),
    ("ne and select", |a, b, c| if f32::from_bits(a) != f32::from_bits(b) { c } else { a }),
    ("is_nan and select", |a, b, c| if f32::from_bits(a).is_nan() { b } else { c }),
    ("load and store", |a, _, _| a),
    ("as_bits and as_floats", |a, _, _| a),
    ("load_u", |_, b, _| b),
    ("splat", |_, _, _| 0xc2f6_e979),
    ("splat_u", |_, _, _| 0x7fa0_1234),
    ("add_u", |a, b, _| a.wrapping_add(b)),
    ("sub_u", |a, b, _| a.wrapping_sub(b)),
    ("mul_u", |a, b, _| a.wrapping_mul(b)),
    ("and", |a, b, _| a & b),
    ("xor", |a, b, _| a ^ b),
    ("to_float", |a, _, _| (a.cast_signed() as f32).to_bits()),
];

struct WordOps([Words; 3]);
impl Op for WordOps {
    type Output = [Words; 17];
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let [a, b, c] = self.0.map(|x| isa.load(&x.map(f32::from_bits)));
        let [u, v, _] = self.0.map(|x| isa.load_u(&x));
        [
            isa.abs(a),
            isa.neg(a),
            isa.select(isa.lt(a, b), c, a),
            isa.select(isa.le(a, b), c, b),
            isa.select(isa.ne(a, b), c, a),
            isa.select(isa.is_nan(a), b, c),
            a,
            isa.as_floats(isa.as_bits(a)),
            isa.as_floats(v),
            isa.splat(f32::from_bits(0xc2f6_e979)),
            isa.as_floats(isa.splat_u(0x7fa0_1234)),
            isa.as_floats(isa.add_u(u, v)),
            isa.as_floats(isa.sub_u(u, v)),
            isa.as_floats(isa.mul_u(u, v)),
            isa.as_floats(isa.and(u, v)),
            isa.as_floats(isa.xor(u, v)),
            isa.to_float(u),
        ]
        .map(|lanes| isa.to_array(lanes).map(f32::to_bits))
    }
}

#[test]
fn comparisons_choices_and_integer_operations_keep_every_bit() {
    let triples = triples();
    for isa in AnyIsa::available() {
        for &operands in &triples {
            let operands = operands.map(|lanes| lanes.map(f32::to_bits));
            let [a, b, c] = operands;
            for ((name, twin), got) in WORD_TWINS.iter().zip(isa.run(WordOps(operands))) {
                let want: Words = std::array::from_fn(|i| twin(a[i], b[i], c[i]));
                assert_eq!(got, want, "{name} on {} of {a:x?}, {b:x?}, {c:x?}", isa.name());
            }
        }
    }
}

#[test]
fn integers_become_floats_as_signed_numbers_rounded_to_even() {
    // 2²⁴ + 1 and + 3 lie between two floats each: the one to 2²⁴, the other to 2²⁴ + 4.
    let cases: [(i32, f32); 8] = [
        (0, 0.0),
        (-1, -1.0),
        ((1 << 24) + 1, 16_777_216.0),
        ((1 << 24) + 3, 16_777_220.0),
        (-((1 << 24) + 1), -16_777_216.0),
        (i32::MAX, 2_147_483_648.0),
        (i32::MIN, -2_147_483_648.0),
        (0x7fff_ffbf, 2_147_483_520.0),
    ];
    let words: Words = std::array::from_fn(|i| cases[i % 8].0.cast_unsigned());
    let want: Words = std::array::from_fn(|i| cases[i % 8].1.to_bits());
    for isa in AnyIsa::available() {
        assert_eq!(isa.run(WordOps([words; 3])).last(), Some(&want), "{}", isa.name());
    }
}

struct Shifts(Words);
impl Op for Shifts {
    type Output = [(u32, [Words; 3]); 12];
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        #[inline(always)]
        fn by<I: Isa, const N: u32>(isa: I, u: I::U) -> (u32, [Words; 3]) {
            let words = |u| isa.to_array(isa.as_floats(u)).map(f32::to_bits);
            (N, [words(isa.shl::<N>(u)), words(isa.shr::<N>(u)), words(isa.sar::<N>(u))])
        }
        let u = isa.load_u(&self.0);
        [
            by::<I, 0>(isa, u),
            by::<I, 1>(isa, u),
            by::<I, 2>(isa, u),
            by::<I, 7>(isa, u),
            by::<I, 8>(isa, u),
            by::<I, 15>(isa, u),
            by::<I, 16>(isa, u),
            by::<I, 17>(isa, u),
            by::<I, 23>(isa, u),
            by::<I, 24>(isa, u),
            by::<I, 30>(isa, u),
            by::<I, 31>(isa, u),
        ]
    }
}

#[test]
fn shifts_bring_in_zeros_or_the_sign() {
    let mut rng = Rng::new(2);
    for isa in AnyIsa::available() {
        for _ in 0..500 {
            let words = any_words(&mut rng);
            for (count, [shl, shr, sar]) in isa.run(Shifts(words)) {
                assert_eq!(shl, words.map(|u| u << count), "{words:x?} << {count} on {}", isa.name());
                assert_eq!(shr, words.map(|u| u >> count), "{words:x?} >> {count} on {}", isa.name());
                let signed = words.map(|u| (u.cast_signed() >> count).cast_unsigned());
                assert_eq!(sar, signed, "{words:x?} >> {count} with the sign on {}", isa.name());
            }
        }
    }
}

/// The ways to read and to write; the first two take a part, the others sixteen.
const LOADS: [&str; 4] = ["load_part", "load_ptr_part", "load", "load_ptr"];
const STORES: [&str; 4] = ["store_part", "store_ptr_part", "store", "store_ptr"];

struct Load<'a>(&'static str, &'a [f32]);
impl Op for Load<'_> {
    type Output = Words;
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Words {
        let Self(way, from) = self;
        let lanes = match way {
            "load_part" => isa.load_part(from),
            "load_ptr_part" => {
                assert!(from.len() <= LANES);
                // SAFETY: the slice has `len` floats, just checked to be at most sixteen.
                unsafe { isa.load_ptr_part(from.as_ptr(), from.len()) }
            }
            "load" => isa.load(from.try_into().expect("sixteen floats")),
            _ => {
                assert!(from.len() == LANES);
                // SAFETY: the slice was just checked to have sixteen floats.
                unsafe { isa.load_ptr(from.as_ptr()) }
            }
        };
        isa.to_array(lanes).map(f32::to_bits)
    }
}

struct Store<'a>(&'static str, Floats, &'a mut [f32]);
impl Op for Store<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self(way, lanes, to) = self;
        let lanes = isa.load(&lanes);
        match way {
            "store_part" => isa.store_part(lanes, to),
            "store_ptr_part" => {
                assert!(to.len() <= LANES);
                // SAFETY: the slice has `len` floats, just checked to be at most sixteen.
                unsafe { isa.store_ptr_part(lanes, to.as_mut_ptr(), to.len()) }
            }
            "store" => isa.store(lanes, to.try_into().expect("sixteen floats")),
            _ => {
                assert!(to.len() == LANES);
                // SAFETY: the slice was just checked to have sixteen floats.
                unsafe { isa.store_ptr(lanes, to.as_mut_ptr()) }
            }
        }
    }
}

/// Every count, at every place in a cache line, with the ways that take it.
fn parts() -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let ways = |count| if count == LANES { 0..4 } else { 0..2 };
    (0..=LANES).flat_map(move |count| (0..LANES).map(move |place| (count, LANES + place, ways(count))))
}

#[test]
fn loads_read_their_part_at_any_place_and_zeros_for_the_rest() {
    let mut rng = Rng::new(3);
    for isa in AnyIsa::available() {
        for (count, guard, ways) in parts() {
            let words = any_words(&mut rng);
            let memory = Poisoned::vector(count, guard).with_values(&words.map(f32::from_bits)[..count]);
            let want: Words = std::array::from_fn(|i| if i < count { words[i] } else { 0 });
            for way in &LOADS[ways] {
                assert_eq!(isa.run(Load(way, memory.as_slice())), want, "{way} of {count} on {}", isa.name());
            }
            memory.assert_guards_untouched();
        }
    }
}

#[test]
fn stores_write_their_part_at_any_place_and_leave_the_neighbours_alone() {
    let mut rng = Rng::new(4);
    for isa in AnyIsa::available() {
        for (count, guard, ways) in parts() {
            for way in &STORES[ways] {
                let words = any_words(&mut rng);
                assert!(!words.contains(&POISON), "poison written over poison would not show");
                let mut memory = Poisoned::vector(count, guard);
                isa.run(Store(way, words.map(f32::from_bits), memory.as_mut_slice()));
                let got: Vec<u32> = memory.as_slice().iter().map(|x| x.to_bits()).collect();
                assert_eq!(got, words[..count], "{way} of {count} on {}", isa.name());
                memory.assert_guards_untouched();
            }
        }
    }
}

#[test]
fn a_part_of_more_than_sixteen_is_refused_before_memory_is_touched() {
    for isa in AnyIsa::available() {
        for count in [17, 18, 32, 33, 48, 64] {
            let from = vec![1.0; count];
            assert!(catch_unwind(|| isa.run(Load("load_part", &from))).is_err(), "{count} on {}", isa.name());
            let mut to = vec![0.0; count];
            let store = std::panic::AssertUnwindSafe(|| isa.run(Store("store_part", [1.0; LANES], &mut to)));
            assert!(catch_unwind(store).is_err(), "{count} on {}", isa.name());
            assert_eq!(to, vec![0.0; count]);
        }
    }
}

struct LoadU8<'a>(&'a [u8; LANES]);
impl Op for LoadU8<'_> {
    type Output = Floats;
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Floats {
        isa.to_array(isa.load_u8(self.0))
    }
}

#[test]
fn bytes_become_floats_from_0_to_255_in_order() {
    let bytes: Vec<u8> = (0..=255).chain(0..=255).collect();
    for isa in AnyIsa::available() {
        for (first, lanes) in bytes.windows(LANES).enumerate() {
            let got = isa.run(LoadU8(lanes.try_into().expect("sixteen bytes")));
            let want: Floats = std::array::from_fn(|i| ((first + i) % 256) as f32);
            assert_bits(&format!("load_u8 of {lanes:?} on {}", isa.name()), &got, &want);
        }
    }
}

struct Transpose([Words; LANES]);
impl Op for Transpose {
    type Output = [Words; LANES];
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let rows = self.0.map(|row| isa.load(&row.map(f32::from_bits)));
        isa.transpose(rows).map(|row| isa.to_array(row).map(f32::to_bits))
    }
}

#[test]
fn a_transpose_moves_each_of_the_256_elements_to_its_mirror_place() {
    let mut rng = Rng::new(5);
    for isa in AnyIsa::available() {
        // First the element number in every element, which no two share; then any bits.
        let numbers = std::array::from_fn(|i| std::array::from_fn(|j| (LANES * i + j) as u32));
        for rows in std::iter::once(numbers).chain((0..50).map(|_| [(); LANES].map(|()| any_words(&mut rng)))) {
            let want: [Words; LANES] = std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]));
            assert_eq!(isa.run(Transpose(rows)), want, "{}", isa.name());
        }
    }
}

/// The sum of the lanes.
struct Sum(Floats);
impl Op for Sum {
    type Output = f32;
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f32 {
        isa.sum(isa.load(&self.0))
    }
}

#[test]
fn a_sum_of_lanes_is_the_documented_tree() {
    let mut rng = Rng::new(6);
    let mut order_matters = 0;
    for round in 0..3000 {
        let lanes: Floats = match round % 3 {
            0 => std::array::from_fn(|_| rng.f32_in(-1.0, 1.0)),
            1 => std::array::from_fn(|_| rng.f32_in(-1.0, 1.0) * 2_f32.powi(rng.usize_in(0..60) as i32 - 30)),
            _ => any_words(&mut rng).map(f32::from_bits),
        };
        let x = |i: usize| lanes[i];
        let eighth = |i: usize| x(i) + x(i + 8);
        let quarter = |i: usize| eighth(i) + eighth(i + 4);
        let want = (quarter(0) + quarter(2)) + (quarter(1) + quarter(3));
        for isa in AnyIsa::available() {
            let sum = isa.run(Sum(lanes));
            assert_bits(&format!("the sum of {lanes:?} on {}", isa.name()), &[sum], &[want]);
        }
        order_matters += usize::from(round % 3 < 2 && lanes.iter().sum::<f32>() != want);
    }
    assert!(order_matters > 500, "only {order_matters} sums tell the tree from a loop");
}

#[test]
fn an_isa_is_found_by_its_name_or_the_error_says_what_there_is() {
    let available: Vec<&str> = AnyIsa::available().map(AnyIsa::name).collect();
    assert_eq!(available[0], "portable", "always there, and the worst");
    let order = |name: &&str| ISA_NAMES.iter().position(|known| known == name).expect("a known name");
    assert!(available.is_sorted_by_key(order), "{available:?} is not in the order of {ISA_NAMES:?}");
    for name in ISA_NAMES {
        match AnyIsa::from_name(name) {
            Ok(isa) => assert_eq!((isa.name(), available.contains(&name)), (name, true)),
            Err(error) => {
                let has = available.join(", ");
                assert_eq!(error, IsaError::Unavailable { name: name.to_owned(), available: has });
                assert!(!available.contains(&name));
            }
        }
    }
    for name in ["", "AVX2", "avx", "avx2 ", "sse2", "best"] {
        let error = AnyIsa::from_name(name).unwrap_err();
        assert_eq!(error, IsaError::Unknown { name: name.to_owned() });
        let message = error.to_string();
        assert!(message.contains(&format!("{VARIABLE}={name} is not an ISA")), "{message}");
        assert!(ISA_NAMES.iter().all(|known| message.contains(known)), "{message}");
    }
    let unavailable = IsaError::Unavailable { name: "avx512".to_owned(), available: "portable, avx2".to_owned() };
    assert_eq!(unavailable.to_string(), "GROUNDUP_ISA=avx512 is not available on this CPU; it has: portable, avx2");
}

#[test]
fn the_variable_forces_an_isa_and_never_falls_back() {
    const WANTED: &str = "ISA_TEST_WANTED";
    // The variable is read once a process: this test runs itself again, once for each value.
    if let Ok(wanted) = std::env::var(WANTED) {
        let selected = AnyIsa::selected().map_or_else(|error| error.to_string(), |isa| isa.name().to_owned());
        assert_eq!(selected, wanted);
        return;
    }
    let select = |value: Option<&str>, wanted: &str| {
        let mut run = Command::new(std::env::current_exe().expect("this test has a path"));
        run.args(["--exact", "the_variable_forces_an_isa_and_never_falls_back"]).env(WANTED, wanted);
        match value {
            Some(value) => run.env(VARIABLE, value),
            None => run.env_remove(VARIABLE),
        };
        let output = run.output().expect("this test runs");
        let text = String::from_utf8_lossy(&output.stdout);
        output.status.success() && text.contains("1 passed")
    };
    for isa in AnyIsa::available() {
        assert!(select(Some(isa.name()), isa.name()), "{}", isa.name());
    }
    let best = AnyIsa::available().last().expect("portable is always there").name();
    assert!(select(None, best), "without the variable it is the best, {best}");
    let error = AnyIsa::from_name("sse9").unwrap_err().to_string();
    assert!(select(Some("sse9"), &error), "an unknown name is an error");
    assert!(!select(Some("portable"), "sse9"), "the test in the child can fail");
}

/// The operations on bits and bytes.
struct BitOps {
    bytes: [u8; 64],
    numbers: [u32; LANES],
}

impl Op for BitOps {
    type Output = (u64, u16);

    fn run<I: Isa>(self, isa: I) -> Self::Output {
        // The first and the last bit: not 0 as a number, whichever of them is set.
        let ends = isa.and(isa.load_u(&self.numbers), isa.splat_u(0x8000_0001));
        let either = isa.lt(isa.splat(0.0), isa.abs(isa.to_float(ends)));
        (isa.nonzero_bytes(&self.bytes), isa.bits(either))
    }
}

#[test]
fn bytes_that_are_not_zero_and_bits_of_truths_are_those_of_plain_loops() {
    let mut rng = Rng::new(5);
    for round in 0..20_000 {
        let density = [0.0, 0.05, 0.5, 0.95, 1.0][round % 5];
        let bytes = std::array::from_fn(|_| if rng.unit() < density { rng.usize_in(1..256) as u8 } else { 0 });
        let nonzero = (0..64).filter(|&i: &usize| bytes[i] != 0).map(|i| 1_u64 << i).sum::<u64>();
        let numbers = std::array::from_fn(|_| any_bits(&mut rng));
        let either: u16 = (0..LANES).filter(|&i| numbers[i] % 2 == 1 || numbers[i] >> 31 == 1).map(|i| 1 << i).sum();
        for isa in AnyIsa::available() {
            let got = isa.run(BitOps { bytes, numbers });
            assert_eq!(got, (nonzero, either), "{} {bytes:?} {numbers:?}", isa.name());
        }
    }
}

/// Rows of bytes, transposed.
struct Bytes<'a> {
    /// The bytes in which the rows lie, and where each begins.
    bytes: &'a [u8],
    rows: [usize; 64],
    column: usize,
    stride: usize,
}

impl Op for Bytes<'_> {
    type Output = Vec<u8>;

    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let mut transposed = vec![7; (LANES - 1) * self.stride + 64];
        let from = self.rows.map(|at| self.bytes[at..at + self.column + LANES].as_ptr());
        // SAFETY: each of the rows has just been found to be there, and there is room for sixteen of such a stride.
        unsafe { isa.transpose_bytes(&from, self.column, transposed.as_mut_ptr(), self.stride) }
        transposed
    }
}

#[test]
fn rows_of_bytes_are_transposed_and_nothing_beside_them_is_written() {
    let mut rng = Rng::new(7);
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..300).map(|_| rng.usize_in(0..256) as u8).collect();
        let column = rng.usize_in(0..100);
        let rows: [usize; 64] = std::array::from_fn(|_| rng.usize_in(0..bytes.len() - column - LANES + 1));
        let stride = rng.usize_in(64..140);
        let mut transposed = vec![7; (LANES - 1) * stride + 64];
        for (j, row) in rows.into_iter().enumerate() {
            for i in 0..LANES {
                transposed[i * stride + j] = bytes[row + column + i];
            }
        }
        let want = transposed;
        for isa in AnyIsa::available() {
            let got = isa.run(Bytes { bytes: &bytes, rows, column, stride });
            assert_eq!(got, want, "{}: rows {rows:?} from {column}, {stride} apart", isa.name());
        }
    }
}
