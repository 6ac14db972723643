//! `cuTensorMap…`: descriptions of tensors for `cp.async.bulk.tensor` (CUDA Driver API, "Tensor Map
//! Object Management", whose demands on the arguments are checked here one by one).

use super::{Error, Result};
use crate::exec::tensor_map::{TYPES, TensorMap};
use std::ffi::{c_uint, c_void};

/// `CUtensorMapInterleave`
const INTERLEAVE_NONE: c_uint = 0;
const INTERLEAVE_32B: c_uint = 2;
/// `CUtensorMapSwizzle`
const SWIZZLE_32B: c_uint = 1;
const SWIZZLE_128B: c_uint = 3;
/// `CUtensorMapL2promotion`, the last
const PROMOTION_256B: c_uint = 3;
/// `CUtensorMapFloatOOBfill`
const FILL_NAN: c_uint = 1;

/// Most dimensions.
const RANK: usize = 5;

/// The arguments of `cuTensorMapEncodeTiled` that say what a tensor is.
pub struct Tiled<'a> {
    pub ty: c_uint,
    pub address: u64,
    pub extent: &'a [u64],
    /// Bytes, of all dimensions but the innermost.
    pub strides: &'a [u64],
    pub extent_of_box: &'a [u32],
    pub element_strides: &'a [u32],
    pub interleave: c_uint,
    pub swizzle: c_uint,
    pub promotion: c_uint,
    pub fill: c_uint,
}

fn demand(holds: bool) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::InvalidValue)
    }
}

/// The map of a tensor.
///
/// # Errors
/// `InvalidValue` where the documentation forbids it, `NotSupported` for interleaved layouts.
pub fn encode(tensor: &Tiled<'_>) -> Result<TensorMap> {
    let rank = tensor.extent.len();
    let ty = TYPES.get(tensor.ty as usize).ok_or(Error::InvalidValue)?;
    let element = u64::from(ty.bytes());
    demand((1..=RANK).contains(&rank))?;
    demand(tensor.interleave <= INTERLEAVE_32B && tensor.swizzle <= SWIZZLE_128B)?;
    demand(tensor.promotion <= PROMOTION_256B && tensor.fill <= FILL_NAN)?;
    let interleaves = tensor.interleave != INTERLEAVE_NONE;
    demand(!interleaves || rank >= 3)?;
    let align = if tensor.interleave == INTERLEAVE_32B {
        32
    } else {
        16
    };
    demand(tensor.address.is_multiple_of(align))?;
    demand(tensor.extent.iter().all(|n| (1..=1 << 32).contains(n)))?;
    let fits = |stride: &u64| stride.is_multiple_of(align) && *stride < 1 << 40;
    demand(tensor.strides.iter().all(fits))?;
    demand(tensor.extent_of_box.iter().all(|n| (1..=256).contains(n)))?;
    demand(tensor.element_strides.iter().all(|n| (1..=8).contains(n)))?;
    let line = u64::from(tensor.extent_of_box[0]) * element;
    if !interleaves {
        demand(line.is_multiple_of(16))?;
        // Lines of 32, 64 or 128 bytes for the swizzles of that order.
        demand(tensor.swizzle == 0 || line <= 16 << tensor.swizzle)?;
    }
    demand(tensor.interleave != INTERLEAVE_32B || tensor.swizzle == SWIZZLE_32B)?;
    demand(tensor.fill != FILL_NAN || ty.is_float())?;
    if interleaves {
        return super::unsupported::note("cuTensorMapEncodeTiled with an interleaved layout");
    }

    let mut map = TensorMap::new(tensor.address);
    map.rank = rank as u8;
    map.ty = tensor.ty as u8;
    map.element = element as u8;
    map.swizzle = tensor.swizzle as u8;
    map.fills_with_nan = tensor.fill as u8;
    map.strides[..rank - 1].copy_from_slice(tensor.strides);
    for axis in 0..rank {
        map.last[axis] = (tensor.extent[axis] - 1) as u32;
        map.extent[axis] = tensor.extent_of_box[axis] as u16;
        map.element_strides[axis] = tensor.element_strides[axis] as u8;
    }
    Ok(map)
}

/// Whether a map may be written there.
fn check_place(to: *mut TensorMap) -> Result<()> {
    demand(!to.is_null() && (to as usize).is_multiple_of(64))
}

super::api! {
    /// Describes a tensor whose boxes are moved as they are.
    fn cuTensorMapEncodeTiled(
        to: *mut TensorMap,
        ty: c_uint,
        rank: c_uint,
        address: *const c_void,
        extent: *const u64,
        strides: *const u64,
        extent_of_box: *const u32,
        element_strides: *const u32,
        interleave: c_uint,
        swizzle: c_uint,
        promotion: c_uint,
        fill: c_uint,
    ) {
        check_place(to)?;
        let rank = rank as usize;
        demand((1..=RANK).contains(&rank) && !address.is_null() && !extent.is_null())?;
        demand(rank == 1 || !strides.is_null())?;
        demand(!extent_of_box.is_null() && !element_strides.is_null())?;
        let strides = if rank == 1 {
            &[]
        } else {
            std::slice::from_raw_parts(strides, rank - 1)
        };
        let map = encode(&Tiled {
            ty,
            address: address as u64,
            extent: std::slice::from_raw_parts(extent, rank),
            strides,
            extent_of_box: std::slice::from_raw_parts(extent_of_box, rank),
            element_strides: std::slice::from_raw_parts(element_strides, rank),
            interleave,
            swizzle,
            promotion,
            fill,
        })?;
        super::put(to, map)
    }
    /// Moves a map to another address.
    fn cuTensorMapReplaceAddress(to: *mut TensorMap, address: *const c_void) {
        check_place(to)?;
        demand(!address.is_null() && (address as u64).is_multiple_of(16))?;
        (*to).address = address as u64;
        Ok(())
    }
}
