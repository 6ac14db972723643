//! Symbols that are others under another name: forms for the per-thread default stream, which differs
//! from the default stream in nothing where streams run at the call, and older names of what has kept
//! its arguments.

use super::Address;

/// Defines symbols that jump to others, arguments and all.
macro_rules! aliases {
    ($($name:ident = $path:path;)*) => {
        $(
            /// Another name.
            ///
            /// # Safety
            /// As for the function that it names.
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            #[allow(non_snake_case)]
            pub unsafe extern "C" fn $name() {
                #[cfg(target_arch = "x86_64")]
                std::arch::naked_asm!("jmp {}", sym $path);
                #[cfg(target_arch = "aarch64")]
                std::arch::naked_asm!("b {}", sym $path);
            }
        )*

        /// The symbols of this file.
        pub const TABLE: &[(&str, Address)] =
            &[$((stringify!($name), Address($name as *const ()))),*];
    };
}

aliases! {
    cuCtxDestroy = super::context::cuCtxDestroy_v2;
    cuCtxPopCurrent = super::context::cuCtxPopCurrent_v2;
    cuCtxPushCurrent = super::context::cuCtxPushCurrent_v2;
    cuDevicePrimaryCtxReset = super::context::cuDevicePrimaryCtxReset_v2;
    cuDevicePrimaryCtxSetFlags = super::context::cuDevicePrimaryCtxSetFlags_v2;
    cuEventDestroy = super::event::cuEventDestroy_v2;
    cuEventRecordWithFlags_ptsz = super::event::cuEventRecordWithFlags;
    cuEventRecord_ptsz = super::event::cuEventRecord;
    cuGetProcAddress_v2_ptsz = super::proc_address::cuGetProcAddress_v2;
    cuGraphInstantiate = super::graph::exec::cuGraphInstantiate_v2;
    cuGraphInstantiateWithParams_ptsz = super::graph::exec::cuGraphInstantiateWithParams;
    cuGraphLaunch_ptsz = super::graph::exec::cuGraphLaunch;
    cuGraphUpload_ptsz = super::graph::exec::cuGraphUpload;
    cuLaunchCooperativeKernel_ptsz = super::launch::cuLaunchCooperativeKernel;
    cuLaunchHostFunc_ptsz = super::stream::cuLaunchHostFunc;
    cuLaunchKernelEx_ptsz = super::launch::cuLaunchKernelEx;
    cuLaunchKernel_ptsz = super::launch::cuLaunchKernel;
    cuLinkAddData = super::linker::cuLinkAddData_v2;
    cuLinkAddFile = super::linker::cuLinkAddFile_v2;
    cuLinkCreate = super::linker::cuLinkCreate_v2;
    cuMemAllocAsync_ptsz = super::pool::cuMemAllocAsync;
    cuMemAllocFromPoolAsync_ptsz = super::pool::cuMemAllocFromPoolAsync;
    cuMemFreeAsync_ptsz = super::pool::cuMemFreeAsync;
    cuMemHostRegister = super::host_memory::cuMemHostRegister_v2;
    cuMemPrefetchAsync_ptsz = super::memory::cuMemPrefetchAsync;
    cuMemPrefetchAsync_v2_ptsz = super::memory::cuMemPrefetchAsync_v2;
    cuMemcpy2DAsync_v2_ptsz = super::copy::cuMemcpy2DAsync_v2;
    cuMemcpy2DUnaligned_v2_ptds = super::copy::cuMemcpy2DUnaligned_v2;
    cuMemcpy2D_v2_ptds = super::copy::cuMemcpy2D_v2;
    cuMemcpy3DAsync_v2_ptsz = super::copy::cuMemcpy3DAsync_v2;
    cuMemcpy3DPeerAsync_ptsz = super::copy::cuMemcpy3DPeerAsync;
    cuMemcpy3DPeer_ptds = super::copy::cuMemcpy3DPeer;
    cuMemcpy3D_v2_ptds = super::copy::cuMemcpy3D_v2;
    cuMemcpyAsync_ptsz = super::memory::cuMemcpyAsync;
    cuMemcpyBatchAsync_ptsz = super::copy::cuMemcpyBatchAsync;
    cuMemcpyDtoDAsync_v2_ptsz = super::memory::cuMemcpyDtoDAsync_v2;
    cuMemcpyDtoD_v2_ptds = super::memory::cuMemcpyDtoD_v2;
    cuMemcpyDtoHAsync_v2_ptsz = super::memory::cuMemcpyDtoHAsync_v2;
    cuMemcpyDtoH_v2_ptds = super::memory::cuMemcpyDtoH_v2;
    cuMemcpyHtoDAsync_v2_ptsz = super::memory::cuMemcpyHtoDAsync_v2;
    cuMemcpyHtoD_v2_ptds = super::memory::cuMemcpyHtoD_v2;
    cuMemcpyPeerAsync_ptsz = super::memory::cuMemcpyPeerAsync;
    cuMemcpyPeer_ptds = super::memory::cuMemcpyPeer;
    cuMemcpy_ptds = super::memory::cuMemcpy;
    cuMemsetD16Async_ptsz = super::memory::cuMemsetD16Async;
    cuMemsetD16_v2_ptds = super::memory::cuMemsetD16_v2;
    cuMemsetD2D16Async_ptsz = super::memory::cuMemsetD2D16Async;
    cuMemsetD2D16_v2_ptds = super::memory::cuMemsetD2D16_v2;
    cuMemsetD2D32Async_ptsz = super::memory::cuMemsetD2D32Async;
    cuMemsetD2D32_v2_ptds = super::memory::cuMemsetD2D32_v2;
    cuMemsetD2D8Async_ptsz = super::memory::cuMemsetD2D8Async;
    cuMemsetD2D8_v2_ptds = super::memory::cuMemsetD2D8_v2;
    cuMemsetD32Async_ptsz = super::memory::cuMemsetD32Async;
    cuMemsetD32_v2_ptds = super::memory::cuMemsetD32_v2;
    cuMemsetD8Async_ptsz = super::memory::cuMemsetD8Async;
    cuMemsetD8_v2_ptds = super::memory::cuMemsetD8_v2;
    cuStreamAddCallback_ptsz = super::stream::cuStreamAddCallback;
    cuStreamAttachMemAsync_ptsz = super::stream::cuStreamAttachMemAsync;
    cuStreamBatchMemOp = super::wait_value::cuStreamBatchMemOp_v2;
    cuStreamBatchMemOp_ptsz = super::wait_value::cuStreamBatchMemOp_v2;
    cuStreamBatchMemOp_v2_ptsz = super::wait_value::cuStreamBatchMemOp_v2;
    cuStreamBeginCaptureToGraph_ptsz = super::stream_capture::cuStreamBeginCaptureToGraph;
    cuStreamBeginCapture_ptsz = super::stream_capture::cuStreamBeginCapture;
    cuStreamBeginCapture_v2_ptsz = super::stream_capture::cuStreamBeginCapture_v2;
    cuStreamCopyAttributes_ptsz = super::stream::cuStreamCopyAttributes;
    cuStreamDestroy = super::stream::cuStreamDestroy_v2;
    cuStreamEndCapture_ptsz = super::stream_capture::cuStreamEndCapture;
    cuStreamGetAttribute_ptsz = super::stream::cuStreamGetAttribute;
    cuStreamGetCaptureInfo_ptsz = super::stream_capture::cuStreamGetCaptureInfo;
    cuStreamGetCaptureInfo_v2_ptsz = super::stream_capture::cuStreamGetCaptureInfo_v2;
    cuStreamGetCaptureInfo_v3_ptsz = super::stream_capture::cuStreamGetCaptureInfo_v3;
    cuStreamGetCtx_ptsz = super::stream::cuStreamGetCtx;
    cuStreamGetCtx_v2_ptsz = super::stream::cuStreamGetCtx_v2;
    cuStreamGetDevice_ptsz = super::stream::cuStreamGetDevice;
    cuStreamGetFlags_ptsz = super::stream::cuStreamGetFlags;
    cuStreamGetId_ptsz = super::stream::cuStreamGetId;
    cuStreamGetPriority_ptsz = super::stream::cuStreamGetPriority;
    cuStreamIsCapturing_ptsz = super::stream_capture::cuStreamIsCapturing;
    cuStreamQuery_ptsz = super::stream::cuStreamQuery;
    cuStreamSetAttribute_ptsz = super::stream::cuStreamSetAttribute;
    cuStreamSynchronize_ptsz = super::stream::cuStreamSynchronize;
    cuStreamUpdateCaptureDependencies_ptsz = super::stream_capture::cuStreamUpdateCaptureDependencies;
    cuStreamUpdateCaptureDependencies_v2_ptsz = super::stream_capture::cuStreamUpdateCaptureDependencies_v2;
    cuStreamWaitEvent_ptsz = super::stream::cuStreamWaitEvent;
    cuStreamWaitValue32 = super::wait_value::cuStreamWaitValue32_v2;
    cuStreamWaitValue32_ptsz = super::wait_value::cuStreamWaitValue32_v2;
    cuStreamWaitValue32_v2_ptsz = super::wait_value::cuStreamWaitValue32_v2;
    cuStreamWaitValue64 = super::wait_value::cuStreamWaitValue64_v2;
    cuStreamWaitValue64_ptsz = super::wait_value::cuStreamWaitValue64_v2;
    cuStreamWaitValue64_v2_ptsz = super::wait_value::cuStreamWaitValue64_v2;
    cuStreamWriteValue32 = super::wait_value::cuStreamWriteValue32_v2;
    cuStreamWriteValue32_ptsz = super::wait_value::cuStreamWriteValue32_v2;
    cuStreamWriteValue32_v2_ptsz = super::wait_value::cuStreamWriteValue32_v2;
    cuStreamWriteValue64 = super::wait_value::cuStreamWriteValue64_v2;
    cuStreamWriteValue64_ptsz = super::wait_value::cuStreamWriteValue64_v2;
    cuStreamWriteValue64_v2_ptsz = super::wait_value::cuStreamWriteValue64_v2;
}
