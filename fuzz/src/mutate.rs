//! Changes of bytes and of lines that know nothing of what they mean, but for a list of words.

use super::Dice;

/// Changes `data` in one to four places; `words` are what its language consists of.
pub fn bytes(data: &mut Vec<u8>, words: &[&str], dice: &mut Dice) {
    for _ in 0..=dice.below(4) {
        once(data, words, dice);
    }
}

/// Changes whole lines now and then, and bytes otherwise.
pub fn text(data: &mut Vec<u8>, words: &[&str], dice: &mut Dice) {
    if dice.below(3) > 0 {
        return bytes(data, words, dice);
    }
    let mut lines: Vec<Vec<u8>> = data.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (from, to) = (dice.below(lines.len()), dice.below(lines.len()));
    match dice.below(3) {
        _ if lines.is_empty() => {}
        0 => drop(lines.remove(from)),
        1 => lines.insert(to, lines[from].clone()),
        _ => lines.swap(from, to),
    }
    *data = lines.concat();
}

fn once(data: &mut Vec<u8>, words: &[&str], dice: &mut Dice) {
    let at = dice.below(data.len() + 1);
    let len = dice.length(data.len() - at);
    match dice.below(9) {
        0 => number(data, dice),
        1 if at < data.len() => data[at] ^= 1 << dice.below(8),
        2 if at < data.len() => data[at] = dice.next() as u8,
        3 => drop(data.drain(at..at + len.min(64))),
        4 => {
            let noise: Vec<u8> = (0..dice.length(16)).map(|_| dice.next() as u8).collect();
            data.splice(at..at, noise);
        }
        5 => {
            // A piece once more at another place.
            let piece = data[at..at + len].to_vec();
            let to = dice.below(data.len() + 1);
            data.splice(to..to, piece);
        }
        6 if dice.below(8) == 0 => data.truncate(at),
        _ if !words.is_empty() => {
            let over = if dice.below(2) == 0 { 0 } else { len.min(16) };
            data.splice(at..at + over, dice.pick(words).bytes());
        }
        _ => {}
    }
}

/// Sets or shifts a little-endian number somewhere.
pub fn number(data: &mut [u8], dice: &mut Dice) {
    let width = *dice.pick(&[1, 2, 4, 8]);
    if data.len() >= width {
        let at = dice.below(data.len() - width + 1);
        number_at(&mut data[at..at + width], dice);
    }
}

/// Sets or shifts the little-endian number that fills `field`, of at most 8 bytes.
pub fn number_at(field: &mut [u8], dice: &mut Dice) {
    let mut wide = [0; 8];
    wide[..field.len()].copy_from_slice(field);
    let old = u64::from_le_bytes(wide);
    let new = match dice.below(3) {
        0 => dice.odd_number(),
        1 => old.wrapping_add(1 + dice.length(40) as u64),
        _ => old.wrapping_sub(1 + dice.length(40) as u64),
    };
    field.copy_from_slice(&new.to_le_bytes()[..field.len()]);
}
