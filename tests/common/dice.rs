//! Numbers drawn by a seed, and bytes spoiled by them.

/// A small generator of numbers (xorshift); its seed is the number of what is made with it, and not 0.
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// 0..n
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Numbers that programs stumble over.
#[allow(dead_code, reason = "as below")]
const EDGES: [u64; 10] =
    [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff];

/// Spoils bytes in up to six places: cut off, taken out, overwritten, flipped, repeated, with edge numbers, with pieces of
/// `other`, turned round. At most `longest` are left.
#[allow(dead_code, reason = "not every test that throws dice wants this")]
pub fn splice(bytes: &mut Vec<u8>, other: &[u8], longest: usize, dice: &mut Dice) {
    for _ in 0..1 + dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let most = if dice.below(4) == 0 { 400 } else { 9 };
        let len = 1 + dice.below(most);
        let end = (at + len).min(bytes.len());
        match dice.below(9) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes[at..end].iter_mut().for_each(|b| *b = dice.next() as u8),
            3 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = dice.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            5 | 6 => {
                let edge = EDGES[dice.below(EDGES.len())].wrapping_add(dice.below(3) as u64).wrapping_sub(1);
                let width = [1, 2, 4, 8][dice.below(4)];
                let number = if dice.below(2) == 0 { edge.to_le_bytes() } else { edge.to_be_bytes() };
                let part = if dice.below(2) == 0 { &number[..width] } else { &number[8 - width..] };
                let end = (at + width).min(bytes.len());
                bytes.splice(at..end, part.iter().copied());
            }
            7 => {
                let from = dice.below(other.len() + 1);
                let piece = &other[from..(from + len * 8).min(other.len())];
                bytes.splice(at..end, piece.iter().copied());
            }
            _ => bytes[at..end].reverse(),
        }
        bytes.truncate(longest);
    }
}
