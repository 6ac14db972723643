//! A kernel's launch as the driver is told it.

use super::context::failed;
use crate::device::Result;
use cudarc::driver::{result, sys};
use std::ffi::c_void;

/// A kernel, its grid, and the arguments that it gets, in their order.
pub(super) struct KernelCall {
    /// Its name, for what is said about it.
    pub instance: String,
    pub function: sys::CUfunction,
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: u32,
    /// Bytes of dynamic shared memory of a block.
    pub shared: u32,
    /// All arguments, each from a multiple of 8 bytes on, and where each begins.
    words: Vec<u64>,
    starts: Vec<usize>,
}

impl KernelCall {
    /// Without arguments and, so far, without a grid.
    pub fn new(instance: &str, function: sys::CUfunction) -> KernelCall {
        KernelCall {
            instance: instance.to_owned(),
            function,
            grid: [0; 3],
            block: 0,
            shared: 0,
            words: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// One more argument.
    pub fn push(&mut self, bytes: &[u8]) {
        self.starts.push(self.words.len());
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.words.push(u64::from_ne_bytes(word));
        }
    }

    /// Whether both do the same.
    pub fn same(&self, other: &KernelCall) -> bool {
        let extent = |call: &KernelCall| (call.function, call.grid, call.block, call.shared);
        extent(self) == extent(other) && self.words == other.words && self.starts == other.starts
    }

    /// Where each argument lies, as the driver reads them.
    fn arguments(&mut self) -> Vec<*mut c_void> {
        let words = self.words.as_mut_ptr();
        // SAFETY: every start lies within `words`.
        let at = |&start: &usize| unsafe { words.add(start).cast::<c_void>() };
        self.starts.iter().map(at).collect()
    }

    /// Launches it. The context has to be current.
    ///
    /// # Safety
    /// The arguments are those of the kernel in number, order and type, and with this grid it stays inside
    /// memory that it may read or write when the stream comes to it.
    pub unsafe fn send(&mut self, stream: sys::CUstream) -> Result<()> {
        let (x, y, z) = self.grid.into();
        let mut arguments = self.arguments();
        // SAFETY: the caller's promise; the arguments outlive the call.
        unsafe {
            result::launch_kernel(
                self.function,
                (x, y, z),
                (self.block, 1, 1),
                self.shared,
                stream,
                &mut arguments,
            )
        }
        .map_err(failed(&format!("launch {}", self.instance)))
    }

    /// Gives it to `take` as a node of a graph.
    pub fn with_node<R>(&mut self, take: impl FnOnce(&sys::CUDA_KERNEL_NODE_PARAMS) -> R) -> R {
        let [x, y, z] = self.grid;
        let (function, block, shared) = (self.function, self.block, self.shared);
        let mut arguments = self.arguments();
        take(&sys::CUDA_KERNEL_NODE_PARAMS {
            func: function,
            gridDimX: x,
            gridDimY: y,
            gridDimZ: z,
            blockDimX: block,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: shared,
            kernelParams: arguments.as_mut_ptr(),
            extra: std::ptr::null_mut(),
            kern: std::ptr::null_mut(),
            ctx: std::ptr::null_mut(),
        })
    }
}
