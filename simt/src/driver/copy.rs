//! `cuMemcpy2D…`, `cuMemcpy3D…`: boxes of bytes.

use super::memory::{anywhere, check, copy};
use super::state::current;
use super::work::{Work, submit};
use super::{Error, Result, unsupported};
use crate::watch::TransferKind;

const HOST: u32 = 1;
const DEVICE: u32 = 2;
const UNIFIED: u32 = 4;

/// One end of a copy: the same in `CUDA_MEMCPY3D` for source and destination.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Bytes.
    x: usize,
    y: usize,
    z: usize,
    level: usize,
    /// `CUmemorytype`
    kind: u32,
    host: u64,
    device: u64,
    array: usize,
    context: usize,
    /// Bytes from row to row.
    pitch: usize,
    /// Rows from slice to slice.
    height: usize,
}

/// `CUDA_MEMCPY3D`, and `CUDA_MEMCPY3D_PEER`, which only says more of its contexts.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy3D {
    from: End,
    to: End,
    /// Bytes of a row.
    width: usize,
    height: usize,
    depth: usize,
}

/// One end of a `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct End2D {
    x: usize,
    y: usize,
    kind: u32,
    host: u64,
    device: u64,
    array: usize,
    pitch: usize,
}

/// `CUDA_MEMCPY2D`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Copy2D {
    from: End2D,
    to: End2D,
    width: usize,
    height: usize,
}

impl End {
    fn line(address: u64) -> End {
        End {
            x: 0,
            y: 0,
            z: 0,
            level: 0,
            kind: UNIFIED,
            host: 0,
            device: address,
            array: 0,
            context: 0,
            pitch: 0,
            height: 0,
        }
    }

    /// Address of a row.
    fn row(&self, y: usize, z: usize) -> Option<u64> {
        let base = if self.kind == HOST {
            self.host
        } else {
            self.device
        };
        let rows = self.z.checked_add(z)?.checked_mul(self.height)?;
        let offset = rows
            .checked_add(self.y)?
            .checked_add(y)?
            .checked_mul(self.pitch)?
            .checked_add(self.x)?;
        base.checked_add(offset as u64)
    }

    fn is_known(&self) -> Result<()> {
        match self.kind {
            HOST | DEVICE | UNIFIED => Ok(()),
            3 => unsupported::note("copies of arrays"),
            _ => Err(Error::InvalidValue),
        }
    }
}

impl From<&End2D> for End {
    fn from(end: &End2D) -> End {
        End {
            x: end.x,
            y: end.y,
            kind: end.kind,
            host: end.host,
            array: end.array,
            pitch: end.pitch,
            ..End::line(end.device)
        }
    }
}

impl From<&Copy2D> for Copy3D {
    fn from(copy: &Copy2D) -> Copy3D {
        Copy3D {
            from: (&copy.from).into(),
            to: (&copy.to).into(),
            width: copy.width,
            height: copy.height,
            depth: 1,
        }
    }
}

impl Copy3D {
    /// `bytes` bytes between any two places.
    pub fn line(to: u64, from: u64, bytes: usize) -> Copy3D {
        Copy3D {
            from: End::line(from),
            to: End::line(to),
            width: bytes,
            height: 1,
            depth: 1,
        }
    }

    /// Checks what does not depend on memory.
    ///
    /// # Errors
    /// Rows that overlap, slices that overlap, arrays.
    pub fn checked(self) -> Result<Copy3D> {
        for end in [&self.from, &self.to] {
            end.is_known()?;
            let short_row = self.height > 1 || self.depth > 1;
            let row = end.x.checked_add(self.width).ok_or(Error::InvalidValue)?;
            if short_row && end.pitch < row {
                return Err(Error::InvalidValue);
            }
            let rows = end.y.checked_add(self.height).ok_or(Error::InvalidValue)?;
            if self.depth > 1 && end.height < rows {
                return Err(Error::InvalidValue);
            }
        }
        Ok(self)
    }

    /// Copies, row by row.
    pub fn run(&self) -> Result<()> {
        current()?;
        if self.width == 0 || self.height == 0 || self.depth == 0 {
            return Ok(());
        }
        for end in [&self.from, &self.to] {
            // From the first row to the last: single rows may lie in somebody else's memory.
            let first = end.row(0, 0).ok_or(Error::InvalidValue)?;
            let last = end.row(self.height - 1, self.depth - 1);
            let last = last.ok_or(Error::InvalidValue)?;
            let bytes = (last - first).checked_add(self.width as u64);
            if end.kind == DEVICE {
                check(first, bytes.ok_or(Error::InvalidValue)? as usize)?;
            }
        }
        for z in 0..self.depth {
            for y in 0..self.height {
                let from = self.from.row(y, z).ok_or(Error::InvalidValue)?;
                let to = self.to.row(y, z).ok_or(Error::InvalidValue)?;
                let kind = match (self.from.kind, self.to.kind) {
                    (HOST, DEVICE) => TransferKind::ToDevice,
                    (DEVICE, HOST) => TransferKind::ToHost,
                    (DEVICE, DEVICE) => TransferKind::OnDevice,
                    _ => TransferKind::Anywhere,
                };
                // SAFETY: device memory has been checked, host memory is the caller's.
                unsafe {
                    match (self.from.kind, self.to.kind) {
                        (UNIFIED, _) | (_, UNIFIED) => anywhere(to, from, self.width)?,
                        _ => copy(kind, to, from, self.width)?,
                    }
                }
            }
        }
        Ok(())
    }
}

unsafe fn box_of(copy: *const Copy3D) -> Result<Copy3D> {
    // SAFETY: the entry points give pointers that are null or valid.
    unsafe { copy.as_ref() }
        .ok_or(Error::InvalidValue)?
        .checked()
}

unsafe fn rectangle_of(copy: *const Copy2D) -> Result<Copy3D> {
    // SAFETY: as above.
    Copy3D::from(unsafe { copy.as_ref() }.ok_or(Error::InvalidValue)?).checked()
}

/// The parameters of a node.
///
/// # Safety
/// The pointer is null or valid.
pub unsafe fn of_node(copy: *const Copy3D) -> Result<Copy3D> {
    // SAFETY: the caller's promise.
    unsafe { box_of(copy) }
}

super::api! {
    /// A rectangle of bytes.
    fn cuMemcpy2D_v2(copy: *const Copy2D) { rectangle_of(copy)?.run() }
    /// As `cuMemcpy2D_v2`.
    fn cuMemcpy2DUnaligned_v2(copy: *const Copy2D) { rectangle_of(copy)?.run() }
    /// As `cuMemcpy2D_v2`, in the order of a stream.
    fn cuMemcpy2DAsync_v2(copy: *const Copy2D, stream: usize) {
        submit(stream, Work::Copy(rectangle_of(copy)?))
    }
    /// A box of bytes.
    fn cuMemcpy3D_v2(copy: *const Copy3D) { box_of(copy)?.run() }
    /// As `cuMemcpy3D_v2`, in the order of a stream.
    fn cuMemcpy3DAsync_v2(copy: *const Copy3D, stream: usize) {
        submit(stream, Work::Copy(box_of(copy)?))
    }
    /// Between devices.
    fn cuMemcpy3DPeer(copy: *const Copy3D) { box_of(copy)?.run() }
    /// Between devices, in the order of a stream.
    fn cuMemcpy3DPeerAsync(copy: *const Copy3D, stream: usize) {
        submit(stream, Work::Copy(box_of(copy)?))
    }
    /// Several copies, in any order; what the attributes advise changes nothing.
    fn cuMemcpyBatchAsync(
        to: *const u64,
        from: *const u64,
        bytes: *const usize,
        count: usize,
        _attributes: *const (),
        _indices: *const usize,
        _attribute_count: usize,
        failed: *mut usize,
        stream: usize,
    ) {
        if to.is_null() || from.is_null() || bytes.is_null() {
            return Err(Error::InvalidValue);
        }
        for at in 0..count {
            let copy = Copy3D::line(to.add(at).read(), from.add(at).read(), bytes.add(at).read());
            if let Err(error) = submit(stream, Work::Copy(copy)) {
                if !failed.is_null() {
                    failed.write(at);
                }
                return Err(error);
            }
        }
        Ok(())
    }
}
