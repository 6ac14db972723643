//! Weights as product kernels read them: rows in f32, bf16, int8 or int4.

use super::Cuda;
use super::memory::CudaBuffer;
use crate::device::{Buffer, DeviceError, Memory, Real, Result, at_least};
use crate::ops::linear::{LinearShape, Weight, WeightFormat};
use cudarc::driver::sys::CUdeviceptr;
use half::bf16;

/// Weights that share a scale in int8 and int4.
const GROUP: usize = 32;

/// A weight matrix `[n, k]` on the GPU, for inference.
pub struct CudaWeight {
    n: usize,
    k: usize,
    pub(super) data: Rows,
}

/// Row-major weights in one of the formats.
pub(super) enum Rows {
    F32(CudaBuffer<f32>),
    Bf16(CudaBuffer<bf16>),
    Quantised(QuantisedRows),
}

/// Rows of bytes, each of whole groups, and the scales `[groups][scale_columns]`, in int8 an f32, in int4 two
/// bf16 each. The first `n` of a row of scales belong to the groups of the `n` rows (`kernels/quantised.cuh`).
pub(super) struct QuantisedRows {
    pub form: Quantisation,
    pub bytes: CudaBuffer<u8>,
    pub scales: CudaBuffer<u32>,
    pub scale_columns: usize,
    /// Of a table the same scales by row, `[n][groups]`: a lookup of a row reads those of all its groups.
    scales_by_row: Option<CudaBuffer<u32>>,
}

impl QuantisedRows {
    /// The scales as a lookup of rows `[_, k]` reads them: where they are, and how far apart those of two groups and
    /// those of two rows.
    pub fn scales_of_rows(&self, k: usize) -> (CUdeviceptr, usize, usize) {
        match &self.scales_by_row {
            Some(scales) => (scales.address(0), 1, k.div_ceil(GROUP)),
            None => (self.scales.address(0), self.scale_columns, 1),
        }
    }
}

/// A format of groups with a scale each.
#[derive(Clone, Copy)]
pub(super) struct Quantisation {
    format: WeightFormat,
    /// As instances are called by it.
    pub name: &'static str,
    bits: usize,
}

const INT8: Quantisation = Quantisation {
    format: WeightFormat::Int8,
    name: "int8",
    bits: 8,
};
const INT4: Quantisation = Quantisation {
    format: WeightFormat::Int4,
    name: "int4",
    bits: 4,
};

impl Quantisation {
    /// Bytes of `weights`, whole groups.
    fn bytes(&self, weights: usize) -> usize {
        weights * self.bits / 8
    }

    /// Bytes of a tile of `weights` and its scales in shared memory.
    pub fn tile_bytes(&self, weights: usize) -> usize {
        self.bytes(weights) + (weights / GROUP * size_of::<u32>()).next_multiple_of(128)
    }
}

impl CudaWeight {
    /// Rows.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Columns.
    pub fn k(&self) -> usize {
        self.k
    }

    /// What a weight is kept in.
    pub fn format(&self) -> WeightFormat {
        match &self.data {
            Rows::F32(_) => WeightFormat::F32,
            Rows::Bf16(_) => WeightFormat::Bf16,
            Rows::Quantised(rows) => rows.form.format,
        }
    }

    /// An error unless the weight has the shape's rows and columns.
    pub(super) fn check(&self, op: &'static str, shape: LinearShape) -> Result<()> {
        shape.check_packed(op, self.n, self.k)
    }

    /// Where the weight's elements are, which `op` takes in a type of so many bytes, f32's or bf16's.
    pub(super) fn elements(&self, op: &'static str, size: usize) -> Result<CUdeviceptr> {
        match (&self.data, size) {
            (Rows::F32(rows), 4) => Ok(rows.address(0)),
            (Rows::Bf16(rows), 2) => Ok(rows.address(0)),
            _ => Err(DeviceError::Argument {
                op,
                message: format!(
                    "a weight packed in {:?}, expected elements of {size} bytes",
                    self.format()
                ),
            }),
        }
    }
}

/// A weight as the device multiplies it with activations in training: where its elements are, and the copy that
/// was made for it, if one was.
pub(super) struct Rounded<T> {
    pub address: CUdeviceptr,
    _copy: Option<CudaBuffer<T>>,
}

impl<T: Real> Cuda<T> {
    /// The weight `[n, k]` in the type of the activations.
    pub(super) fn rounded(
        &self,
        op: &'static str,
        shape: LinearShape,
        w: Weight<'_, Self>,
    ) -> Result<Rounded<T>> {
        self.check_weight(op, shape, w)?;
        let there = |address| Rounded {
            address,
            _copy: None,
        };
        let w = match w {
            Weight::Packed(packed) => return packed.elements(op, size_of::<T>()).map(there),
            Weight::Master(w) if size_of::<T>() == size_of::<f32>() => {
                return Ok(there(w.address(0)));
            }
            Weight::Master(w) => w,
        };
        let len = shape.n * shape.k;
        let mut copy = self.scratch::<T>(len)?;
        self.round(w, len, &mut copy)?;
        Ok(Rounded {
            address: copy.address(0),
            _copy: Some(copy),
        })
    }

    /// An error unless the weight is one of the shape.
    pub(super) fn check_weight(
        &self,
        op: &'static str,
        shape: LinearShape,
        w: Weight<'_, Self>,
    ) -> Result<()> {
        match w {
            Weight::Master(w) => shape.check_weight(op, w.len()),
            Weight::Packed(packed) => packed.check(op, shape),
        }
    }

    /// Rounds `len` elements, which both buffers hold, to bf16.
    fn round<E>(&self, from: &CudaBuffer<f32>, len: usize, to: &mut CudaBuffer<E>) -> Result<()> {
        let kernel = self.context.kernel("round_bf16")?.input(from).output(to);
        // SAFETY: threads stay below `len`, which both buffers hold; `to` is of 2-byte elements where
        // this is called.
        unsafe {
            kernel
                .value(len as u64)
                .launch([len.div_ceil(1024), 1, 1], 256)
        }
    }

    /// Room for a weight in `format`, of which rows are looked up if it is a table.
    pub(super) fn empty_weight(
        &self,
        n: usize,
        k: usize,
        format: WeightFormat,
        table: bool,
    ) -> Result<CudaWeight> {
        let data = match format {
            WeightFormat::F32 => Rows::F32(self.scratch(n * k)?),
            WeightFormat::Bf16 => Rows::Bf16(self.scratch(n * k)?),
            WeightFormat::Int8 => Rows::Quantised(self.empty_rows(INT8, n, k, table)?),
            WeightFormat::Int4 => Rows::Quantised(self.empty_rows(INT4, n, k, table)?),
        };
        Ok(CudaWeight { n, k, data })
    }

    fn empty_rows(
        &self,
        form: Quantisation,
        n: usize,
        k: usize,
        table: bool,
    ) -> Result<QuantisedRows> {
        let groups = k.div_ceil(GROUP);
        // Rows of scales are fetched in pieces of 16 bytes.
        let scale_columns = n.next_multiple_of(16 / size_of::<u32>());
        let scales_by_row = table.then(|| self.scratch(n * groups)).transpose()?;
        Ok(QuantisedRows {
            form,
            bytes: self.scratch(form.bytes(n * groups * GROUP))?,
            scales: self.zeros(groups * scale_columns)?,
            scale_columns,
            scales_by_row,
        })
    }

    /// A weight `[n, k]` with these values, of which rows are looked up if it is a table.
    pub(super) fn packed_weight(
        &self,
        w: &[f32],
        n: usize,
        k: usize,
        format: WeightFormat,
        table: bool,
    ) -> Result<CudaWeight> {
        at_least("pack", "weight", w.len(), n * k)?;
        let mut weight = self.empty_weight(n, k, format, table)?;
        self.fill_weight(&self.upload(&w[..n * k])?, &mut weight)?;
        Ok(weight)
    }

    /// Writes `w` `[n, k]` into a weight in the weight's format.
    pub(super) fn fill_weight(&self, w: &CudaBuffer<f32>, weight: &mut CudaWeight) -> Result<()> {
        let (n, k) = (weight.n, weight.k);
        at_least("repack", "weight", w.len(), n * k)?;
        match &mut weight.data {
            Rows::F32(rows) => self.copy(w, 0, rows, 0, n * k),
            Rows::Bf16(rows) => self.round(w, n * k, rows),
            Rows::Quantised(rows) => {
                let name = format!("quantise_{}", rows.form.name);
                let kernel = self.context.kernel(&name)?.input(w);
                let kernel = kernel.output(&mut rows.bytes).output(&mut rows.scales);
                let by_row = rows.scales_by_row.as_ref().map_or(0, |s| s.address(0));
                let kernel = kernel
                    .value(by_row)
                    .int(n)?
                    .int(k)?
                    .int(rows.scale_columns)?;
                // SAFETY: a warp a group of a row; bytes and all scales have room for all groups of all rows.
                unsafe { kernel.launch([(n * k.div_ceil(GROUP)).div_ceil(8), 1, 1], 256) }
            }
        }
    }
}
