//! Reals as SQL text that gives the same bits wherever it is read: here, in current SQLite, and in the sqlite3 shell of
//! x86-64 and ARM64 machines from 3.40 on. Pure.
//!
//! Before 3.43, SQLite computes a literal as its digits (an integer of at most 63 bits) times or divided by a power of ten,
//! in a long double of 64 bits or more, which it then rounds to 53. Mostly that gives the nearest double. It does not
//! - when the first rounding ends exactly between two doubles, so that the second goes astray;
//! - when the power of ten is none that 64 bits hold (beyond 10^27), and the literal lies close to between two doubles:
//!   17 digits are at least 0.049 units of the last place away from there, and its error stays below 0.01;
//! - below 10^-291, where it rounds a third time.
//!
//! So the shortest digits are written where they are read rightly, else 17, and for the tiniest a product that is exact.

/// The largest power of ten, and of five, that 64 bits hold exactly.
const EXACT: i32 = 27;

/// Values below have digits times a power of ten below 10^-307.
const TINY: f64 = 1e-291;

/// Tiny values are written as 2^512 times the value, times 2^-512: both products are exact.
const SHIFT: i32 = 512;

/// Appends the literal of `value`.
pub(super) fn put_real(out: &mut Vec<u8>, value: f64) {
    if let Some(hundredths) = hundredths(value) {
        put_hundredths(out, hundredths);
    } else if value.is_finite() {
        // Always with a point or an exponent, so that it stays a REAL.
        let mut buffer = ryu::Buffer::new();
        let shortest = buffer.format_finite(value);
        if is_read_rightly(shortest.as_bytes()) {
            out.extend_from_slice(shortest.as_bytes());
        } else if value.abs() >= TINY {
            put_17_digits(out, value);
        } else {
            out.push(b'(');
            put_17_digits(out, value * 2_f64.powi(SHIFT));
            out.push(b'*');
            put_17_digits(out, 2_f64.powi(-SHIFT));
            out.push(b')');
        }
    } else if value.is_nan() {
        // SQLite stores no NaN; a damaged record that holds one reads as NULL.
        out.extend_from_slice(b"NULL");
    } else {
        out.extend_from_slice(if value > 0.0 { b"9.0e+999" } else { b"-9.0e+999" });
    }
}

fn put_17_digits(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(format!("{value:.16e}").as_bytes());
}

/// Whether older versions read the literal, which stands for the double nearest to it, as that double.
fn is_read_rightly(literal: &[u8]) -> bool {
    let (mut digits, mut exponent) = decimal(literal);
    while exponent < 0 && digits.is_multiple_of(10) && digits > 0 {
        (digits, exponent) = (digits / 10, exponent + 1);
    }
    while exponent > 0 && digits < i64::MAX as u64 / 10 {
        (digits, exponent) = (digits * 10, exponent - 1);
    }
    // Up to five^4 = 625 no quotient comes so near to the middle of two doubles.
    if digits == 0 || (-4..=0).contains(&exponent) {
        return true;
    }
    if exponent.abs() > EXACT {
        return false;
    }
    let fives = 5_u64.pow(exponent.unsigned_abs()).into();
    if exponent > 0 {
        return rounds_once(u128::from(digits) * fives, false);
    }
    // A quotient of at least 65 bits, and whether something is left over.
    let shift = 65 + bits(fives) - bits(digits.into());
    let shifted = u128::from(digits) << shift;
    rounds_once(shifted / fives, !shifted.is_multiple_of(fives))
}

/// The digits of a literal as one number, and the power of ten that it is to be multiplied with.
fn decimal(literal: &[u8]) -> (u64, i32) {
    let mut parts = literal.split(|byte| *byte == b'e');
    let (mut digits, mut after_point, mut places) = (0_u64, false, 0);
    for byte in parts.next().unwrap_or_default() {
        match byte {
            b'0'..=b'9' => {
                digits = digits * 10 + u64::from(byte - b'0');
                places += i32::from(after_point);
            }
            b'.' => after_point = true,
            _ => {}
        }
    }
    let exponent = parts.next().and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or(0);
    (digits, exponent - places)
}

fn bits(value: u128) -> u32 {
    128 - value.leading_zeros()
}

/// Whether rounding `value` (and a little more, if `more`) to 64 bits and then to 53 gives what rounding to 53 gives.
fn rounds_once(value: u128, more: bool) -> bool {
    let Some(excess) = bits(value).checked_sub(64).filter(|excess| *excess > 0) else { return !more };
    let (kept, rest, half) = (value >> excess, value & ((1 << excess) - 1), 1 << (excess - 1));
    let up = rest > half || rest == half && (more || kept & 1 == 1);
    let is_exact = rest == 0 && !more;
    is_exact || (kept + u128::from(up)) & 0x7ff != 0x400
}

/// The value as a whole number of hundredths, if it is the double next to such a number of at most 15 digits. Most
/// reals of a till are amounts, and this costs a fraction of finding the shortest digits of any double.
fn hundredths(value: f64) -> Option<i64> {
    let scaled = value * 100.0;
    // 15 digits tell one double from every other, so no shorter form can exist. Negative zero needs its sign.
    if scaled.abs() >= 1e15 || scaled.is_nan() || value.to_bits() == (-0.0_f64).to_bits() {
        return None;
    }
    let nearest = (scaled + 0.5_f64.copysign(scaled)) as i64;
    (nearest as f64 / 100.0 == value).then_some(nearest)
}

fn put_hundredths(out: &mut Vec<u8>, hundredths: i64) {
    if hundredths < 0 {
        out.push(b'-');
    }
    let (whole, rest) = (hundredths.unsigned_abs() / 100, (hundredths.unsigned_abs() % 100) as u8);
    out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    out.push(b'.');
    out.push(b'0' + rest / 10);
    if !rest.is_multiple_of(10) {
        out.push(b'0' + rest % 10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(value: f64) -> String {
        let mut out = Vec::new();
        put_real(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    /// What the text stands for; a product as it is computed.
    fn read(literal: &str) -> f64 {
        match literal.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')?.split_once('*')) {
            Some((a, b)) => a.parse::<f64>().unwrap() * b.parse::<f64>().unwrap(),
            None => literal.parse().unwrap(),
        }
    }

    fn bits_of_every_kind() -> impl Iterator<Item = f64> {
        let mut seed = 1_u64;
        let values = (0..50_000).flat_map(move |i| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let hundredths = (seed >> 12) as i64 % 10_i64.pow(1 + i % 16) * if i % 3 == 0 { -1 } else { 1 };
            let amount = hundredths as f64 / 100.0;
            let tiny = f64::from_bits(seed >> 12 >> (i % 52));
            let few = amount / 10_f64.powi(i as i32 % 30);
            [amount, amount.next_up(), amount.next_down(), f64::from_bits(seed), -amount, tiny, few]
        });
        values.filter(|value| value.is_finite())
    }

    #[test]
    fn every_literal_stands_for_its_value_and_is_a_real() {
        for value in bits_of_every_kind().chain([5e-324, f64::MAX, f64::MIN_POSITIVE, 1e300, -0.0]) {
            let literal = literal(value);
            assert_eq!(read(&literal).to_bits(), value.to_bits(), "{literal}");
            assert!(literal.contains(['.', 'e']), "{literal}");
        }
    }

    #[test]
    fn the_shortest_digits_are_written_where_every_version_reads_them() {
        for value in bits_of_every_kind() {
            let amount = hundredths(value).is_some();
            if amount || is_read_rightly(ryu::Buffer::new().format_finite(value).as_bytes()) {
                assert_eq!(literal(value), ryu::Buffer::new().format_finite(value));
            }
        }
        for plain in
            ["0.1", "19.99", "1e22", "0.30000000000000004", "-16.798319327731093", "6.02214076e23", "3.141592653589793"]
        {
            assert_eq!(literal(plain.parse().unwrap()), plain);
        }
    }

    #[test]
    fn others_have_17_digits_or_are_a_product() {
        assert_eq!(literal(1e300), "1.0000000000000001e300");
        assert_eq!(literal(5e-324), "(6.6243372842224761e-170*7.4583407312002067e-155)");
        assert!(!is_read_rightly(b"9.64763448177307e297"));
    }
}
