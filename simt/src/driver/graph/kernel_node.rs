//! Kernel nodes: their parameters and attributes as the interface says them.

use crate::driver::launch::{CLUSTER_DIMENSION, COOPERATIVE, Kernel, prepare};
use crate::driver::stream::AttributeValue;
use crate::driver::{Error, Result, put, state};
use crate::exec::grid::Shape;
use std::ffi::{c_uint, c_void};

/// `CUDA_KERNEL_NODE_PARAMS`; its first version ends before `kernel`.
#[repr(C)]
pub struct KernelParams {
    function: usize,
    grid: [c_uint; 3],
    block: [c_uint; 3],
    shared: c_uint,
    params: *const *const u8,
    extra: *const *const c_void,
    kernel: usize,
    context: usize,
}

impl Kernel {
    /// An attribute of a node.
    pub fn attribute(&self, attribute: c_uint) -> AttributeValue {
        let mut value = AttributeValue::default();
        match attribute {
            COOPERATIVE => value[0] = self.shape.cooperative.into(),
            CLUSTER_DIMENSION => {
                let [x, y, z] = self.shape.cluster.unwrap_or([0; 3]).map(u64::from);
                (value[0], value[1]) = (x | y << 32, z);
            }
            _ => {}
        }
        value
    }

    /// Sets an attribute of a node.
    pub fn set_attribute(&mut self, attribute: c_uint, value: AttributeValue) -> Result<()> {
        let mut shape = self.shape.clone();
        match attribute {
            COOPERATIVE => shape.cooperative = value[0] as u32 != 0,
            CLUSTER_DIMENSION => {
                let extent = [value[0] as u32, (value[0] >> 32) as u32, value[1] as u32];
                shape.cluster = (extent != [0; 3]).then_some(extent);
            }
            _ => return Ok(()),
        }
        self.reshape(shape)
    }
}

/// The launch that a node's parameters say.
///
/// # Safety
/// The pointer is null or valid, with `kernel` and `context` where `is_whole`.
pub unsafe fn of_node(params: *const KernelParams, is_whole: bool) -> Result<Kernel> {
    if params.is_null() {
        return Err(Error::InvalidValue);
    }
    // SAFETY: the caller's promise.
    unsafe {
        let function = match (&raw const (*params).function).read() {
            0 if is_whole => (&raw const (*params).kernel).read(),
            function => function,
        };
        let shape = Shape {
            grid: (&raw const (*params).grid).read(),
            block: (&raw const (*params).block).read(),
            cluster: None,
            cooperative: false,
            dynamic_shared: (&raw const (*params).shared).read(),
        };
        let (values, extra) = (
            (&raw const (*params).params).read(),
            (&raw const (*params).extra).read(),
        );
        prepare(function, shape, values, extra)
    }
}

/// Writes a launch as a node's parameters.
///
/// # Safety
/// As for [`of_node`].
pub unsafe fn show(kernel: &Kernel, params: *mut KernelParams, is_whole: bool) -> Result<()> {
    if params.is_null() {
        return Err(Error::InvalidValue);
    }
    // SAFETY: the caller's promise.
    unsafe {
        (&raw mut (*params).function).write(kernel.function);
        (&raw mut (*params).grid).write(kernel.shape.grid);
        (&raw mut (*params).block).write(kernel.shape.block);
        (&raw mut (*params).shared).write(kernel.shape.dynamic_shared);
        (&raw mut (*params).params).write(kernel.pointers.as_ptr().cast());
        (&raw mut (*params).extra).write(std::ptr::null());
        if is_whole {
            (&raw mut (*params).kernel).write(0);
            put(&raw mut (*params).context, state::current_handle())?;
        }
    }
    Ok(())
}
