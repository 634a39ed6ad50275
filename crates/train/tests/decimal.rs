//! Powers of ten and their inverse over their whole range, and their bits.

use train::decimal::{exp10, log10};

#[test]
fn exp10_is_the_power_of_ten_over_its_whole_range() {
    for i in -3000..=3000 {
        let x = f64::from(i) / 10.0;
        let (got, want) = (exp10(x), 10_f64.powf(x));
        assert!((got / want - 1.0).abs() < 1e-14, "10^{x}: {got:e}, but {want:e}");
    }
    for whole in 0..=22 {
        // 10²² is the last power of ten that is an f64.
        assert_eq!(exp10(f64::from(whole)), format!("1e{whole}").parse::<f64>().unwrap());
        assert_eq!(exp10(f64::from(-whole)), format!("1e-{whole}").parse::<f64>().unwrap());
    }
}

#[test]
fn log10_is_the_inverse_at_both_ends_and_at_every_power() {
    for i in -300..=300 {
        for digit in [1.0, 1.0 + f64::EPSILON, 2.0, 9.999_999_999] {
            let x = digit * 10_f64.powi(i);
            if x <= 1e300 {
                let (got, want) = (log10(x), x.log10());
                assert!((got - want).abs() <= 1e-15 * want.abs().max(10.0), "log10 {x:e}: {got}, but {want}");
            }
        }
    }
}

#[test]
fn both_rise_wherever_their_argument_rises() {
    let mut last = [0.0, f64::NEG_INFINITY];
    for i in -9000..=9000 {
        let x = f64::from(i) / 1000.0;
        let next = [exp10(x), log10(exp10(x))];
        assert!(next[0] > last[0] && next[1] > last[1], "at {x}");
        last = next;
    }
}

#[test]
fn the_bits_are_those_of_every_other_machine() {
    // From the same sums in Python; IEEE 754 knows one result of an addition, a multiplication or a division.
    let bits = [exp10(-4.3), exp10(0.1), exp10(2.77), log10(3.0), log10(1.7e-5)].map(f64::to_bits);
    let want: [u64; 5] = [
        0x3f0a_46d2_38da_54ea,
        0x3ff4_248e_f8fc_2604,
        0x4082_66bf_ce61_0acc,
        0x3fde_8927_964f_d5fc,
        0xc013_1405_32ad_209a,
    ];
    assert_eq!(bits, want);
}
