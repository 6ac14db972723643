//! Tensor maps, and the boxes that `cp.async.bulk.tensor` moves (CUDA Driver API, "Tensor Map Object
//! Management"; PTX ISA, "Tensors").
//!
//! A map is 128 opaque bytes that only this driver writes and only this file reads.

use super::fault::Fault;
use super::reduction::{OPERATIONS, Reduction};
use crate::memory::Allocations;
use crate::numeric::matrix::descriptor::Swizzle;
use crate::ptx::types::{Space, Type};
use bytemuck::{Pod, Zeroable};

/// Begins every tensor map, so that other bytes are noticed.
const MAGIC: u64 = 0x7061_6d2d_746d_6973;

/// A tiled tensor of up to five dimensions, the innermost first, as it lies in the 128 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct TensorMap {
    magic: u64,
    pub address: u64,
    /// Bytes from one index of dimension 1, 2, … to the next.
    pub strides: [u64; 4],
    /// Elements less one, since 2^32 are allowed.
    pub last: [u32; 5],
    /// Elements of a box, before element strides.
    pub extent: [u16; 5],
    pub element_strides: [u8; 5],
    pub rank: u8,
    /// Bytes of an element; its type by number; the bytes that a swizzle's pattern spans by number; what
    /// is out of bounds reads as NaN.
    pub element: u8,
    pub ty: u8,
    pub swizzle: u8,
    pub fills_with_nan: u8,
    _pad: [u64; 5],
}

const _: () = assert!(size_of::<TensorMap>() == 128);

/// Element types of tensor maps, by the driver's numbers.
pub const TYPES: [Type; 13] = [
    Type::U8,
    Type::U16,
    Type::U32,
    Type::S32,
    Type::U64,
    Type::S64,
    Type::F16,
    Type::F32,
    Type::F64,
    Type::Bf16,
    Type::F32,
    Type::Tf32,
    Type::Tf32,
];

impl TensorMap {
    /// A map without dimensions; whoever fills it has checked what the driver's interface demands.
    pub fn new(address: u64) -> TensorMap {
        TensorMap {
            magic: MAGIC,
            address,
            ..TensorMap::zeroed()
        }
    }

    /// The map that 128 bytes hold.
    ///
    /// # Errors
    /// No map of this driver.
    ///
    /// # Safety
    /// The bytes are there.
    pub unsafe fn read(at: *const u8) -> Result<TensorMap, Fault> {
        // SAFETY: the caller's promise; any bits are a value.
        let map = unsafe { at.cast::<TensorMap>().read_unaligned() };
        let mut bytes = std::iter::once(map.address).chain(map.strides);
        let whole = map.magic == MAGIC
            && bytes.all(|bytes| bytes.is_multiple_of(16))
            && usize::from(map.ty) < TYPES.len()
            && u32::from(map.element) == TYPES[usize::from(map.ty)].bytes();
        if !whole {
            return Err(Fault::Operand("what is there is no tensor map"));
        }
        Ok(map)
    }

    /// How its boxes lie in shared memory.
    pub fn swizzle(&self) -> Swizzle {
        match self.swizzle {
            1 => Swizzle::B32,
            2 => Swizzle::B64,
            3 => Swizzle::B128,
            _ => Swizzle::None,
        }
    }

    /// Elements of a box that are moved, by dimension.
    fn moved(&self) -> [usize; 5] {
        let mut moved = [1; 5];
        for axis in 0..usize::from(self.rank) {
            let stride = if axis == 0 {
                1
            } else {
                self.element_strides[axis]
            };
            moved[axis] = usize::from(self.extent[axis]).div_ceil(usize::from(stride.max(1)));
        }
        moved
    }

    /// Bytes of a box.
    pub fn box_bytes(&self) -> usize {
        self.moved().iter().product::<usize>() * usize::from(self.element)
    }

    /// The operation of that number in [`OPERATIONS`] on its elements.
    ///
    /// # Errors
    /// PTX has none such.
    pub fn reduction(&self, operation: usize) -> Result<Reduction, Fault> {
        let ty = TYPES[usize::from(self.ty)];
        let known = operation < OPERATIONS.len();
        known
            .then(|| Reduction::find(operation, ty))
            .flatten()
            .ok_or(Fault::Operand(
                "a reduction that the tensor's type does not have",
            ))
    }
}

/// A box of a tensor.
#[derive(Debug, Clone)]
pub struct Tile {
    pub map: TensorMap,
    /// Coordinates of its first element.
    pub at: [i32; 5],
}

/// A row of a box that lies together: what of it is in the tensor.
pub struct Run {
    /// Bytes into the box.
    pub offset: usize,
    /// Device address, and bytes.
    pub address: u64,
    pub bytes: usize,
}

impl Tile {
    /// Calls `f` with every row, or part of a row, that is in the tensor.
    pub fn runs(&self, mut f: impl FnMut(Run)) {
        let map = &self.map;
        let moved = map.moved();
        let element = usize::from(map.element);
        let row = moved[0] * element;
        // The part of every row that is in bounds.
        let (begin, end) = (
            i64::from(self.at[0]),
            i64::from(self.at[0]) + moved[0] as i64,
        );
        let (first, past) = (begin.max(0), end.min(i64::from(map.last[0]) + 1));
        if first >= past {
            return;
        }
        let lead = (first - begin) as usize * element;
        let bytes = (past - first) as usize * element;
        let rows: usize = moved[1..].iter().product();
        'rows: for index in 0..rows {
            let mut left = index;
            let mut address = map.address.wrapping_add(first as u64 * element as u64);
            for axis in 1..usize::from(map.rank) {
                let step = (left % moved[axis]) as i64;
                left /= moved[axis];
                let stride = i64::from(map.element_strides[axis].max(1));
                let at = i64::from(self.at[axis]) + step * stride;
                if at < 0 || at > i64::from(map.last[axis]) {
                    continue 'rows;
                }
                address = address.wrapping_add((at as u64).wrapping_mul(map.strides[axis - 1]));
            }
            f(Run {
                offset: index * row + lead,
                address,
                bytes,
            });
        }
    }

    /// Whether all of it that is in the tensor is in memory too.
    ///
    /// # Errors
    /// The first row that is not.
    pub fn check(&self, memory: &Allocations) -> Result<(), Fault> {
        let mut result = Ok(());
        let mut known = (1, 0);
        self.runs(|run| {
            let end = run.address.wrapping_add(run.bytes as u64);
            if result.is_ok() && (run.address < known.0 || end > known.1) {
                known = memory.find(run.address).unwrap_or((1, 0));
                if run.address < known.0 || end > known.1 {
                    result = Err(Fault::IllegalAddress {
                        space: Space::Global,
                        address: run.address,
                        bytes: run.bytes as u32,
                    });
                }
            }
        });
        result
    }

    /// Its bytes, with what is out of bounds filled.
    ///
    /// # Safety
    /// [`Tile::check`] found them, and they are still there.
    pub unsafe fn read(&self, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        if self.map.fills_with_nan != 0 {
            self.fill_with_nan(&mut read);
        }
        self.runs(|run| {
            let to = &mut read[run.offset..][..run.bytes];
            // SAFETY: the caller's promise.
            let from = unsafe { std::slice::from_raw_parts(run.address as *const u8, run.bytes) };
            to.copy_from_slice(from);
        });
        read
    }

    /// A quiet NaN of the tensor's type everywhere.
    fn fill_with_nan(&self, to: &mut [u8]) {
        let nan: &[u8] = match TYPES[usize::from(self.map.ty)] {
            Type::F16 | Type::Bf16 => &[0xff, 0x7f],
            Type::F64 => &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            _ => &[0xff, 0xff, 0xff, 0x7f],
        };
        for element in to.chunks_exact_mut(nan.len()) {
            element.copy_from_slice(nan);
        }
    }

    /// Puts a box's bytes where they belong by `put`; what is out of bounds is left out.
    ///
    /// # Safety
    /// As for [`Tile::read`]; `put` writes as many bytes as it is given.
    pub unsafe fn write(&self, data: &[u8], put: impl Fn(*mut u8, &[u8])) {
        self.runs(|run| put(run.address as *mut u8, &data[run.offset..][..run.bytes]));
    }
}
