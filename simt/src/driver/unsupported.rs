//! Entry points that programs look up and this driver does not have. They say so.

use super::{Error, Result, is_logging};
use std::collections::HashSet;
use std::sync::{Mutex, OnceLock};

/// Refuses, and names what was refused once where `SIMT_LOG` is set.
pub fn note<T>(what: &'static str) -> Result<T> {
    static SAID: OnceLock<Mutex<HashSet<&str>>> = OnceLock::new();
    if is_logging() && super::state::lock(SAID.get_or_init(Mutex::default)).insert(what) {
        eprintln!("simt: not supported: {what}");
    }
    Err(Error::NotSupported)
}

/// Arguments do not matter: none is looked at.
macro_rules! unsupported {
    ($($name:ident)*) => {
        super::api! {$(
            /// Not supported.
            fn $name() { note(stringify!($name)) }
        )*}
    };
}

unsupported! {
    cuArray3DCreate_v2
    cuArrayCreate_v2
    cuArrayDestroy
    cuDestroyExternalMemory
    cuDestroyExternalSemaphore
    cuDeviceGetDefaultMemPool
    cuDeviceGetMemPool
    cuDeviceSetMemPool
    cuExternalMemoryGetMappedBuffer
    cuGraphAddKernelNode_v2
    cuGraphCreate
    cuGraphDestroy
    cuGraphExecDestroy
    cuGraphExecUpdate_v2
    cuGraphInstantiateWithFlags
    cuGraphLaunch
    cuGraphUpload
    cuImportExternalMemory
    cuImportExternalSemaphore
    cuIpcGetMemHandle
    cuIpcOpenMemHandle_v2
    cuLinkAddData_v2
    cuLinkComplete
    cuLinkCreate_v2
    cuLinkDestroy
    cuMemAddressFree
    cuMemAddressReserve
    cuMemAllocFromPoolAsync
    cuMemCreate
    cuMemMap
    cuMemPoolCreate
    cuMemPoolDestroy
    cuMemPoolGetAttribute
    cuMemPoolSetAttribute
    cuMemPoolTrimTo
    cuMemRelease
    cuMemSetAccess
    cuMemUnmap
    cuMemcpy2DAsync_v2
    cuMemcpy2D_v2
    cuMemcpy3DAsync_v2
    cuMemcpy3D_v2
    cuPointerGetAttribute
    cuPointerGetAttributes
    cuProfilerStart
    cuProfilerStop
    cuStreamBeginCapture_v2
    cuStreamEndCapture
    cuTensorMapEncodeIm2col
    cuTexObjectCreate
    cuTexObjectDestroy
}
