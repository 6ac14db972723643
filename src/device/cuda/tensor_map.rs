//! Matrices as the tensor maps that Hopper copies by (CUDA driver API, "Tensor Map Object Management").

use super::context::failed;
use crate::device::Result;
use bytemuck::{Pod, Zeroable};
use cudarc::driver::sys::{
    self, CUdeviceptr, CUtensorMapDataType, CUtensorMapFloatOOBfill, CUtensorMapInterleave,
    CUtensorMapL2promotion, CUtensorMapSwizzle,
};

/// Elements of a box along memory: with 128 bytes of swizzle a row of a box is one line of it.
const BOX: u32 = 64;

/// A bf16 matrix `[rows, columns]`, rows at multiples of 16 bytes, of which a kernel copies boxes of 64 columns by
/// `box_rows` rows (`kernels/hopper.cuh`).
pub(super) struct Boxes {
    pub data: CUdeviceptr,
    pub rows: usize,
    pub columns: usize,
    /// Elements from the start of a row to that of the next.
    pub stride: usize,
    pub box_rows: usize,
}

/// A tensor map as a kernel takes it by value.
#[derive(Clone, Copy, Zeroable, Pod)]
#[repr(C, align(64))]
pub(super) struct TensorMap([u64; 16]);

impl Boxes {
    /// The tensor map. What lies outside of the matrix is read as zero.
    ///
    /// # Errors
    /// What the driver refuses: an empty matrix, a row or a start that is not at 16 bytes.
    pub fn map(&self) -> Result<TensorMap> {
        let mut map = TensorMap([0; 16]);
        let extent = [self.columns as u64, self.rows as u64];
        let pitch = [self.stride as u64 * 2];
        let boxes = [BOX, self.box_rows as u32];
        let steps = [1u32; 2];
        // SAFETY: the map has the size and alignment that the driver asks for; the arrays are as long as the rank
        // of 2 says.
        let result = unsafe {
            sys::cuTensorMapEncodeTiled(
                (&raw mut map).cast(),
                CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                2,
                self.data as *mut _,
                extent.as_ptr(),
                pitch.as_ptr(),
                boxes.as_ptr(),
                steps.as_ptr(),
                CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        };
        result
            .result()
            .map_err(failed("make a tensor map of a matrix"))?;
        Ok(map)
    }
}
