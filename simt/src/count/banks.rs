//! Bank conflicts of shared memory: 32 banks, each of which gives one word of 4 bytes at a time
//! (CUDA C++ Programming Guide, "Shared Memory").
//!
//! A wavefront serves, of each bank, one word to all lanes that want it. Lanes that want 8 bytes each
//! are served in two halves, those that want 16 in four quarters, as `ldmatrix` is, whose rows have 16
//! bytes: eight rows a wavefront.

const BANKS: usize = 32;
const WORD: u64 = 4;

/// What an access costs, and what it would cost without conflicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wavefronts {
    pub needed: u64,
    /// One for each part of the warp that has a lane.
    pub ideal: u64,
}

/// Wavefronts of `bytes` at each lane's offset in shared memory. `is_atomic`: lanes that want the same
/// word take turns as well.
pub fn wavefronts(offsets: &[u64; 32], mask: u32, bytes: u32, is_atomic: bool) -> Wavefronts {
    let lanes_at_once = match bytes {
        0..=4 => 32,
        5..=8 => 16,
        9..=16 => 8,
        _ => 4,
    };
    let mut sum = Wavefronts::default();
    for first in (0..32).step_by(lanes_at_once) {
        let lanes = first..first + lanes_at_once;
        let most = busiest(offsets, mask, lanes, bytes, is_atomic);
        sum.needed += most;
        sum.ideal += u64::from(most > 0);
    }
    sum
}

/// Words that the busiest bank has to give to some lanes, of which there are no more than fill one
/// wavefront.
fn busiest(
    offsets: &[u64; 32],
    mask: u32,
    lanes: std::ops::Range<usize>,
    bytes: u32,
    is_atomic: bool,
) -> u64 {
    // One word more for each lane that begins between two.
    let mut words = [0; 2 * BANKS];
    let mut count = 0;
    for lane in lanes.filter(|lane| mask >> lane & 1 != 0) {
        let first = offsets[lane] / WORD;
        let last = (offsets[lane] + u64::from(bytes.max(1)) - 1) / WORD;
        for word in (first..=last).take(2 * BANKS - count) {
            words[count] = word;
            count += 1;
        }
    }
    let words = &mut words[..count];
    if !is_atomic && is_free(words) {
        return u64::from(count > 0);
    }
    words.sort_unstable();
    let mut counts = [0; BANKS];
    let mut before = None;
    for word in words {
        if is_atomic || before != Some(*word) {
            counts[*word as usize % BANKS] += 1;
        }
        before = Some(*word);
    }
    counts.into_iter().max().unwrap_or(0)
}

/// Whether no bank has to give two different words.
fn is_free(words: &[u64]) -> bool {
    let mut given = [u64::MAX; BANKS];
    for word in words {
        let bank = &mut given[*word as usize % BANKS];
        if *bank != u64::MAX && *bank != *word {
            return false;
        }
        *bank = *word;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(offset: impl Fn(u64) -> u64, bytes: u32) -> (u64, u64) {
        let offsets = std::array::from_fn(|lane| offset(lane as u64));
        let cost = wavefronts(&offsets, !0, bytes, false);
        (cost.needed, cost.ideal)
    }

    #[test]
    fn strides_of_words() {
        for (stride, ways) in [(0, 1), (1, 1), (2, 2), (8, 8), (16, 16), (32, 32), (33, 1)] {
            assert_eq!(cost(|lane| lane * stride * 4, 4), (ways, 1), "{stride}");
        }
    }

    #[test]
    fn wide_accesses_go_in_parts() {
        assert_eq!(cost(|lane| lane * 8, 8), (2, 2));
        assert_eq!(cost(|lane| lane * 16, 16), (4, 4));
        // Every other 8 bytes: lanes 0 and 8 of a half meet in a bank.
        assert_eq!(cost(|lane| lane * 16, 8), (4, 2));
        // Rows of 128 bytes, as `ldmatrix` reads them from an unpadded tile of 64 halves.
        assert_eq!(cost(|lane| lane * 128, 16), (32, 4));
    }

    #[test]
    fn halves_of_a_word_are_one_word() {
        assert_eq!(cost(|lane| lane * 2, 2), (1, 1));
    }

    #[test]
    fn atomics_of_one_word_take_turns() {
        let cost = wavefronts(&[64; 32], !0, 4, true);
        assert_eq!((cost.needed, cost.ideal), (32, 1));
    }
}
