//! Entry points that programs resolve and that the virtual GPU has nothing for: textures, surfaces, arrays,
//! and what is shared between processes. Whatever the arguments, the answer is `cudaErrorNotSupported`.

use crate::error::{Error, guarded};

macro_rules! unsupported {
    ($($name:ident)*) => {$(
        #[allow(missing_docs)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> crate::error::cudaError_t {
            guarded(|| Err(Error::NOT_SUPPORTED))
        }
    )*};
}

unsupported! {
    cudaMallocArray cudaMalloc3DArray cudaMallocMipmappedArray cudaFreeArray cudaFreeMipmappedArray
    cudaArrayGetInfo cudaGetChannelDesc
    cudaMemcpy2DToArray cudaMemcpy2DToArrayAsync cudaMemcpy2DFromArray cudaMemcpy2DFromArrayAsync
    cudaMemcpy2DArrayToArray
    cudaCreateTextureObject cudaDestroyTextureObject cudaGetTextureObjectResourceDesc
    cudaGetTextureObjectTextureDesc cudaGetTextureObjectResourceViewDesc
    cudaCreateSurfaceObject cudaDestroySurfaceObject cudaGetSurfaceObjectResourceDesc
    cudaIpcGetMemHandle cudaIpcOpenMemHandle cudaIpcCloseMemHandle
    cudaIpcGetEventHandle cudaIpcOpenEventHandle
    cudaImportExternalMemory cudaImportExternalSemaphore
}
