//! What asynchronous reductions do to memory (PTX ISA, `cp.reduce.async.bulk`, `red.async`).

use crate::numeric::half::Half;
use crate::numeric::rounding::Rounding;
use crate::numeric::{double, single};
use crate::ptx::types::Type::{self, *};
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::SeqCst};

/// Operations by name, in the order of their numbers.
pub const OPERATIONS: [&str; 8] = ["add", "min", "max", "inc", "dec", "and", "or", "xor"];

/// An operation on words of 2, 4 or 8 bytes in the low bits of 64.
#[derive(Debug, Clone, Copy)]
pub struct Reduction {
    bytes: usize,
    f: fn(u64, u64) -> u64,
}

impl Reduction {
    /// The operation of a number in [`OPERATIONS`] on a type; `None`: PTX has none such.
    pub fn find(operation: usize, ty: Type) -> Option<Reduction> {
        use Half::{Bf16 as B, F16 as H};
        macro_rules! half {
            ($half:ident.$operation:ident) => {
                |a, b| {
                    $half
                        .$operation(Default::default(), a as u16, b as u16)
                        .into()
                }
            };
        }
        let f: fn(u64, u64) -> u64 = match (*OPERATIONS.get(operation)?, ty) {
            ("add", F16) => half!(H.add),
            ("min", F16) => half!(H.min),
            ("max", F16) => half!(H.max),
            ("add", Bf16) => half!(B.add),
            ("min", Bf16) => half!(B.min),
            ("max", Bf16) => half!(B.max),
            ("add", U32 | S32) => |a, b| (a as u32).wrapping_add(b as u32).into(),
            ("add", U64 | S64) => u64::wrapping_add,
            ("add", F32) => |a, b| {
                let [a, b] = [a, b].map(|x| f32::from_bits(x as u32));
                single::add(Rounding::Rn, a, b).to_bits().into()
            },
            ("add", F64) => {
                |a, b| double::add(Rounding::Rn, f64::from_bits(a), f64::from_bits(b)).to_bits()
            }
            ("min", U32 | U64) => u64::min,
            ("max", U32 | U64) => u64::max,
            ("min", S32) => |a, b| (a as i32).min(b as i32) as u32 as u64,
            ("max", S32) => |a, b| (a as i32).max(b as i32) as u32 as u64,
            ("min", S64) => |a, b| (a as i64).min(b as i64) as u64,
            ("max", S64) => |a, b| (a as i64).max(b as i64) as u64,
            ("inc", U32) => |a, b| if a >= b { 0 } else { a + 1 },
            ("dec", U32) => |a, b| if a == 0 || a > b { b } else { a - 1 },
            ("and", B32 | B64 | U32 | U64 | S32 | S64) => |a, b| a & b,
            ("or", B32 | B64 | U32 | U64 | S32 | S64) => |a, b| a | b,
            ("xor", B32 | B64 | U32 | U64 | S32 | S64) => |a, b| a ^ b,
            _ => return None,
        };
        let bytes = ty.bytes() as usize;
        Some(Reduction { bytes, f })
    }

    /// Applies it to a word, atomically, and gives what was there.
    ///
    /// # Safety
    /// A word is at `to`, aligned.
    pub unsafe fn exchange(self, to: *mut u8, operand: u64) -> u64 {
        macro_rules! update {
            ($atomic:ty, $word:ty) => {{
                let change = |old: $word| Some((self.f)(old.into(), operand) as $word);
                // SAFETY: the caller's promise.
                let word = unsafe { <$atomic>::from_ptr(to.cast()) };
                match word.fetch_update(SeqCst, SeqCst, change) {
                    Ok(old) | Err(old) => old.into(),
                }
            }};
        }
        match self.bytes {
            2 => update!(AtomicU16, u16),
            4 => update!(AtomicU32, u32),
            _ => update!(AtomicU64, u64),
        }
    }

    /// Applies it to words that lie together, each atomically.
    ///
    /// # Safety
    /// As many bytes as in `data` are at `to`, which is aligned to a word.
    pub unsafe fn apply(self, to: *mut u8, data: &[u8]) {
        for (at, word) in data.chunks_exact(self.bytes).enumerate() {
            let mut wide = [0; 8];
            wide[..self.bytes].copy_from_slice(word);
            // SAFETY: the caller's promise.
            unsafe { self.exchange(to.add(at * self.bytes), u64::from_le_bytes(wide)) };
        }
    }
}
