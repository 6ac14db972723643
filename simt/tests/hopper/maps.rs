//! Tensor maps as a host program makes them.

use cudarc::driver::DeviceRepr;
use cudarc::driver::sys::{self, CUresult};

/// A tensor map as a kernel's parameter.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Map(pub sys::CUtensorMap);

// SAFETY: 128 bytes without pointers of the host.
unsafe impl DeviceRepr for Map {}

/// What `cuTensorMapEncodeTiled` is given.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub ty: sys::CUtensorMapDataType,
    pub address: u64,
    pub extent: Vec<u64>,
    /// Bytes, of all dimensions but the innermost.
    pub strides: Vec<u64>,
    pub extent_of_box: Vec<u32>,
    pub element_strides: Vec<u32>,
    pub interleave: u32,
    pub swizzle: u32,
    pub fill: u32,
}

impl Tensor {
    /// A matrix by rows, moved in boxes, elements of `bytes` each.
    pub fn matrix(
        ty: sys::CUtensorMapDataType,
        bytes: u64,
        address: u64,
        [rows, columns, pitch]: [usize; 3],
        [box_rows, box_columns]: [usize; 2],
        swizzle: u32,
    ) -> Tensor {
        Tensor {
            ty,
            address,
            extent: vec![columns as u64, rows as u64],
            strides: vec![pitch as u64 * bytes],
            extent_of_box: vec![box_columns as u32, box_rows as u32],
            element_strides: vec![1; 2],
            interleave: 0,
            swizzle,
            fill: 0,
        }
    }

    pub fn try_map(&self) -> Result<Map, CUresult> {
        let mut map = Map(sys::CUtensorMap_st { opaque: [!0; 16] });
        // SAFETY: all arrays are as long as the rank says; the numbers are those of the enums.
        let result = unsafe {
            sys::cuTensorMapEncodeTiled(
                &mut map.0,
                self.ty,
                self.extent.len() as u32,
                self.address as *mut _,
                self.extent.as_ptr(),
                self.strides.as_ptr(),
                self.extent_of_box.as_ptr(),
                self.element_strides.as_ptr(),
                std::mem::transmute::<u32, sys::CUtensorMapInterleave>(self.interleave),
                std::mem::transmute::<u32, sys::CUtensorMapSwizzle>(self.swizzle),
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                std::mem::transmute::<u32, sys::CUtensorMapFloatOOBfill>(self.fill),
            )
        };
        match result {
            CUresult::CUDA_SUCCESS => Ok(map),
            error => Err(error),
        }
    }

    pub fn map(&self) -> Map {
        self.try_map().expect("a tensor map")
    }
}
