//! Philox 4x32-10, a counter-based random number generator (Salmon et al., SC 2011).

/// Four random words for a 64-bit key and a 128-bit counter.
pub fn philox(key: u64, counter: [u32; 4]) -> [u32; 4] {
    const M0: u64 = 0xD251_1F53;
    const M1: u64 = 0xCD9E_8D57;
    let (mut k0, mut k1) = (key as u32, (key >> 32) as u32);
    let mut c = counter;
    for _ in 0..10 {
        let p0 = M0 * u64::from(c[0]);
        let p1 = M1 * u64::from(c[2]);
        c = [
            (p1 >> 32) as u32 ^ c[1] ^ k0,
            p1 as u32,
            (p0 >> 32) as u32 ^ c[3] ^ k1,
            p0 as u32,
        ];
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    c
}

/// A uniform number in [0, 1) with 24 bits from one word.
pub fn uniform(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// A uniform number in [0, 1) with 53 bits from two words: fine enough for the rarest token.
pub fn uniform53(high: u32, low: u32) -> f64 {
    let bits = u64::from(high) << 21 | u64::from(low >> 11);
    bits as f64 * (1.0 / (1u64 << 53) as f64)
}

/// A sequence of words for host-side choices (shuffles, mining), keyed by `(seed, stream)`.
#[derive(Clone, Debug)]
pub struct PhiloxStream {
    key: u64,
    stream: u64,
    counter: u64,
    words: [u32; 4],
    used: usize,
}

impl PhiloxStream {
    /// The stream `stream` of `seed`, at its start.
    pub fn new(seed: u64, stream: u64) -> PhiloxStream {
        PhiloxStream {
            key: seed,
            stream,
            counter: 0,
            words: [0; 4],
            used: 4,
        }
    }

    /// The next word.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            let c = [
                self.counter as u32,
                (self.counter >> 32) as u32,
                self.stream as u32,
                (self.stream >> 32) as u32,
            ];
            self.words = philox(self.key, c);
            self.counter += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// A uniform number in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        uniform(self.next_u32())
    }

    /// A uniform index below `n` (bias below 2⁻³² · n).
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.next_u32()) * n as u64) >> 32) as usize
    }

    /// Shuffles in place (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// A standard normal number (Box-Muller).
    pub fn normal(&mut self) -> f32 {
        let u = 1.0 - self.uniform();
        let v = self.uniform();
        (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // Random123's kat_vectors for philox4x32, 10 rounds.
        assert_eq!(
            philox(0, [0; 4]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox(u64::MAX, [u32::MAX; 4]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                0x299f_31d0_a409_3822,
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }
}
