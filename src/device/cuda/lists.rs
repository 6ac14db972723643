//! Short lists that every layer of a model asks for again, such as its tokens' positions.

use super::Cuda;
use super::memory::CudaBuffer;
use crate::device::{Memory, Real, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lists that are kept: positions and cache rows of a pass, and of another thread's.
const MOST: usize = 4;

/// The lists that were uploaded last.
#[derive(Default)]
pub(super) struct Lists(Mutex<Vec<List>>);

struct List {
    values: Vec<u32>,
    buffer: Arc<CudaBuffer<u32>>,
}

impl Lists {
    /// Forgets all, so that they lie at the same addresses when a next pass uploads its own.
    pub fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<List>> {
        // What the lock guards is whole also where a holder panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Real> Cuda<T> {
    /// A list on the GPU, which is uploaded where it is not one of the last.
    pub(super) fn list(&self, values: &[u32]) -> Result<Arc<CudaBuffer<u32>>> {
        let mut lists = self.lists.lock();
        if let Some(list) = lists.iter().find(|list| list.values == values) {
            return Ok(list.buffer.clone());
        }
        let buffer = Arc::new(self.upload(values)?);
        if lists.len() == MOST {
            lists.remove(0);
        }
        lists.push(List {
            values: values.to_vec(),
            buffer: buffer.clone(),
        });
        Ok(buffer)
    }
}
