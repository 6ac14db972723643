//! The block formats of ggml, turned into f32 with the same operations in the same order as
//! `ggml-quants.c`, so that every value has the same bits.
//!
//! A block of 32 values (256 for the K formats) shares f16 scales. `d` is the scale, `m` the minimum.

use half::{bf16, f16};

/// The stored type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub(crate) enum StoredType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

use StoredType::*;

impl StoredType {
    /// ggml's `enum ggml_type`.
    pub(crate) fn from_ggml(code: u32) -> Option<Self> {
        Some(match code {
            0 => F32,
            1 => F16,
            2 => Q4_0,
            3 => Q4_1,
            6 => Q5_0,
            7 => Q5_1,
            8 => Q8_0,
            12 => Q4_K,
            13 => Q5_K,
            14 => Q6_K,
            30 => BF16,
            _ => return None,
        })
    }

    /// Values in a block and bytes that hold them.
    pub(crate) fn block(self) -> (usize, usize) {
        match self {
            F32 => (1, 4),
            F16 | BF16 => (1, 2),
            Q4_0 => (32, 2 + 16),
            Q4_1 => (32, 4 + 16),
            Q5_0 => (32, 2 + 4 + 16),
            Q5_1 => (32, 4 + 4 + 16),
            Q8_0 => (32, 2 + 32),
            Q4_K => (256, 4 + 12 + 128),
            Q5_K => (256, 4 + 12 + 32 + 128),
            Q6_K => (256, 128 + 64 + 16 + 2),
        }
    }

    /// Decodes whole blocks. `bytes` and `out` hold the same number of them.
    pub(crate) fn decode(self, bytes: &[u8], out: &mut [f32]) {
        let (values, size) = self.block();
        debug_assert_eq!(bytes.len() / size * values, out.len());
        let block = match self {
            F32 => {
                |b: &[u8], out: &mut [f32]| out[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]])
            }
            F16 => |b: &[u8], out: &mut [f32]| out[0] = half(b, 0),
            BF16 => |b: &[u8], out: &mut [f32]| out[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32(),
            Q4_0 => q4_0,
            Q4_1 => q4_1,
            Q5_0 => q5_0,
            Q5_1 => q5_1,
            Q8_0 => q8_0,
            Q4_K => q4_k,
            Q5_K => q5_k,
            Q6_K => q6_k,
        };
        for (bytes, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(values)) {
            block(bytes, out);
        }
    }
}

fn half(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

fn q4_0(b: &[u8], out: &mut [f32]) {
    let d = half(b, 0);
    for (i, &q) in b[2..].iter().enumerate() {
        out[i] = (i32::from(q & 15) - 8) as f32 * d;
        out[i + 16] = (i32::from(q >> 4) - 8) as f32 * d;
    }
}

fn q4_1(b: &[u8], out: &mut [f32]) {
    let (d, m) = (half(b, 0), half(b, 2));
    for (i, &q) in b[4..].iter().enumerate() {
        out[i] = f32::from(q & 15) * d + m;
        out[i + 16] = f32::from(q >> 4) * d + m;
    }
}

/// The fifth bits of 32 values.
fn fifth_bits(b: &[u8]) -> u32 {
    u32::from_le_bytes([b[0], b[1], b[2], b[3]])
}

fn q5_0(b: &[u8], out: &mut [f32]) {
    let d = half(b, 0);
    let high = fifth_bits(&b[2..]);
    for (i, &q) in b[6..].iter().enumerate() {
        let low_value = u32::from(q & 15) | (high >> i & 1) << 4;
        let high_value = u32::from(q >> 4) | (high >> (i + 16) & 1) << 4;
        out[i] = (low_value as i32 - 16) as f32 * d;
        out[i + 16] = (high_value as i32 - 16) as f32 * d;
    }
}

fn q5_1(b: &[u8], out: &mut [f32]) {
    let (d, m) = (half(b, 0), half(b, 2));
    let high = fifth_bits(&b[4..]);
    for (i, &q) in b[8..].iter().enumerate() {
        let low_value = u32::from(q & 15) | (high >> i & 1) << 4;
        let high_value = u32::from(q >> 4) | (high >> (i + 16) & 1) << 4;
        out[i] = low_value as f32 * d + m;
        out[i + 16] = high_value as f32 * d + m;
    }
}

fn q8_0(b: &[u8], out: &mut [f32]) {
    let d = half(b, 0);
    for (out, &q) in out.iter_mut().zip(&b[2..]) {
        *out = f32::from(q as i8) * d;
    }
}

/// The 6-bit scale and minimum of sub-block `j` of 8, packed into 12 bytes.
fn scale_and_min(j: usize, packed: &[u8]) -> (f32, f32) {
    let (scale, min) = if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        (
            packed[j + 4] & 15 | packed[j - 4] >> 6 << 4,
            packed[j + 4] >> 4 | packed[j] >> 6 << 4,
        )
    };
    (f32::from(scale), f32::from(min))
}

/// 8 sub-blocks of 32: a pair shares 32 bytes, its first in the low halves.
fn q4_k(b: &[u8], out: &mut [f32]) {
    let (d, dmin) = (half(b, 0), half(b, 2));
    let (packed, qs) = b[4..].split_at(12);
    for (j, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, min) = scale_and_min(j, packed);
        let (d, m) = (d * scale, dmin * min);
        let qs = &qs[j / 2 * 32..][..32];
        for (out, q) in out.iter_mut().zip(qs) {
            *out = d * f32::from(q >> (j % 2 * 4) & 15) - m;
        }
    }
}

/// As `q4_k`, with bit `j` of a byte of `high` as the fifth bit of sub-block `j`.
fn q5_k(b: &[u8], out: &mut [f32]) {
    let (d, dmin) = (half(b, 0), half(b, 2));
    let (packed, rest) = b[4..].split_at(12);
    let (high, qs) = rest.split_at(32);
    for (j, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, min) = scale_and_min(j, packed);
        let (d, m) = (d * scale, dmin * min);
        let qs = &qs[j / 2 * 32..][..32];
        for ((out, q), high) in out.iter_mut().zip(qs).zip(high) {
            *out = d * f32::from((q >> (j % 2 * 4) & 15) | (high >> j & 1) << 4) - m;
        }
    }
}

/// Two halves of 128 values; in each, quarter `k` of 32 takes four low bits from `low` and bits
/// `2k, 2k+1` of `high`. Every 16 values have an 8-bit scale.
fn q6_k(b: &[u8], out: &mut [f32]) {
    let (low, rest) = b.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, d) = rest.split_at(16);
    let d = half(d, 0);
    for (j, out) in out.chunks_exact_mut(32).enumerate() {
        let (half, quarter) = (j / 4, j % 4);
        let low = &low[half * 64 + quarter % 2 * 32..][..32];
        let high = &high[half * 32..][..32];
        for (i, out) in out.iter_mut().enumerate() {
            let low = low[i] >> (quarter / 2 * 4) & 15;
            let high = high[i] >> (quarter * 2) & 3;
            let scale = d * f32::from(scales[j * 2 + i / 16] as i8);
            *out = scale * (i32::from(low | high << 4) - 32) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::safetensors::SafeTensors;

    /// The same bits as the gguf package, for every block type.
    #[test]
    fn blocks_decode_as_the_gguf_package_decodes_them() {
        let golden = include_bytes!("../../tests/golden/quantised.safetensors");
        let golden = SafeTensors::deserialize(golden).unwrap();
        for stored in [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K] {
            let tensor = |part: &str| golden.tensor(&format!("{stored:?}.{part}")).unwrap();
            let (bytes, values) = (tensor("bytes"), tensor("values"));
            let mut decoded = vec![f32::NAN; values.shape()[0]];
            stored.decode(bytes.data(), &mut decoded);
            let decoded: Vec<u8> = decoded
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            assert!(decoded == values.data(), "{stored:?} differs");
        }
    }

    #[test]
    fn short_floats_widen_exactly() {
        for value in [0.0f32, -0.0, 1.0, -1.5, 65504.0, 6.1035156e-5, 5.9604645e-8] {
            let mut out = [f32::NAN];
            F16.decode(&f16::from_f32(value).to_le_bytes(), &mut out);
            assert_eq!(out[0].to_bits(), value.to_bits(), "f16 {value}");
        }
        for value in [0.0f32, -0.0, 1.0, -1.5, 3.3895314e38, 1e-40] {
            let stored = bf16::from_f32(value);
            let mut out = [f32::NAN];
            BF16.decode(&stored.to_le_bytes(), &mut out);
            assert_eq!(
                out[0].to_bits(),
                u32::from(stored.to_bits()) << 16,
                "bf16 {value}"
            );
        }
    }
}
