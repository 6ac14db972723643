//! Launch of the cache write, `kernels/kv_store.cu`.

use super::memory::CudaBuffer;
use super::{Cuda, Packs};
use crate::device::{Buffer, Real, Result};
use crate::ops::attention::Heads;
use crate::ops::kv_store::*;

impl<T: Real> KvStore for Cuda<T> {
    fn kv_store(
        &self,
        heads: &Heads,
        qkv: &CudaBuffer<T>,
        slots: &[u32],
        keys: &mut CudaBuffer<T>,
        values: &mut CudaBuffer<T>,
    ) -> Result<()> {
        check(heads, slots, qkv.len(), [keys.len(), values.len()])?;
        let (q_width, width, tokens) = (heads.q_dim(), heads.kv_dim(), slots.len());
        let packs = Packs::of::<T>(&[width, q_width]);
        let units = Packs::split(tokens * 2 * packs.count);
        let slots = self.list(slots)?;
        let kernel = self.kernel("kv_store")?.input(qkv).input(&slots);
        let kernel = kernel.output(keys).output(values).int(tokens)?;
        let kernel = kernel.int(q_width)?.int(width)?;
        // SAFETY: a thread stays in its pack of a row of `qkv`, which has `tokens`, and the caches have
        // the rows that the slots name.
        unsafe { kernel.launch([units.blocks, 1, 1], units.threads) }
    }
}
