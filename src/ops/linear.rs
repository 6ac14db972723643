//! Linear: `y[m,n] = x[m,k] · w[n,k]ᵀ (+ bias[n])`, with weights as Hugging Face stores them.

use crate::device::{Buffer, DeviceError, Memory, Result, at_least};
use serde::{Deserialize, Serialize};

/// In what a packed inference weight is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightFormat {
    /// 4 bytes a weight.
    F32,
    /// 2 bytes a weight, rounded to nearest even.
    Bf16,
    /// 1 byte a weight, symmetric, one scale per output row and group of 32 inputs.
    Int8,
    /// Half a byte a weight, one scale and shift per output row and group of 32 inputs, in bf16: 16 numbers from
    /// the group's lowest weight to its highest (Q4_1 of GGML).
    Int4,
}

impl WeightFormat {
    /// All formats, from the widest.
    pub const ALL: [WeightFormat; 4] = [
        WeightFormat::F32,
        WeightFormat::Bf16,
        WeightFormat::Int8,
        WeightFormat::Int4,
    ];
}

/// A weight matrix `[n, k]` as an op's argument.
pub enum Weight<'a, D: Linear + ?Sized> {
    /// Row-major f32, as trained.
    Master(&'a D::Buffer<f32>),
    /// Laid out by [`Linear::pack`] for inference.
    Packed(&'a D::Packed),
}

impl<'a, D: Linear + ?Sized> Weight<'a, D> {
    /// The master weight of a shape, for `op`.
    ///
    /// # Errors
    /// Where the weight is packed, and where it is too short.
    pub fn master(self, op: &'static str, shape: LinearShape) -> Result<&'a D::Buffer<f32>> {
        match self {
            Weight::Master(w) => shape.check_weight(op, w.len()).map(|()| w),
            Weight::Packed(_) => Err(DeviceError::Argument {
                op,
                message: "a packed weight, expected a master weight".into(),
            }),
        }
    }
}

impl<D: Linear + ?Sized> Clone for Weight<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<D: Linear + ?Sized> Copy for Weight<'_, D> {}

/// Sizes of a product: `m` rows of `x`, `n` rows and `k` columns of `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinearShape {
    pub m: usize,
    pub n: usize,
    pub k: usize,
}

impl LinearShape {
    /// A weight's sizes alone, without rows to multiply.
    pub fn of_weight(n: usize, k: usize) -> Self {
        LinearShape { m: 0, n, k }
    }

    /// The product of gates and ups whose halves [`Linear::linear_swiglu`] joins to columns.
    pub fn gate_up(self) -> Self {
        LinearShape {
            n: 2 * self.n,
            ..self
        }
    }

    /// Checks the lengths of `x`, of a bias and of `y` that [`Linear::linear_swiglu`] is given.
    pub fn check_swiglu(self, x: usize, bias: Option<usize>, y: usize) -> Result<()> {
        const OP: &str = "linear_swiglu";
        at_least(OP, "x", x, self.m * self.k)?;
        at_least(OP, "y", y, self.m * self.n)?;
        bias.map_or(Ok(()), |bias| at_least(OP, "bias", bias, 2 * self.n))
    }

    /// Checks the lengths of `x`, of a bias and of `y` for `op`.
    pub fn check(self, op: &'static str, x: usize, bias: Option<usize>, y: usize) -> Result<()> {
        at_least(op, "x", x, self.m * self.k)?;
        at_least(op, "y", y, self.m * self.n)?;
        bias.map_or(Ok(()), |bias| at_least(op, "bias", bias, self.n))
    }

    /// Checks the length of a row-major weight for `op`.
    pub fn check_weight(self, op: &'static str, w: usize) -> Result<()> {
        at_least(op, "weight", w, self.n * self.k)
    }

    /// Checks a packed weight's rows and columns for `op`.
    pub fn check_packed(self, op: &'static str, rows: usize, columns: usize) -> Result<()> {
        if (rows, columns) == (self.n, self.k) {
            return Ok(());
        }
        let (n, k) = (self.n, self.k);
        Err(DeviceError::Argument {
            op,
            message: format!("a weight of {rows} × {columns}, expected {n} × {k}"),
        })
    }

    /// Checks the lengths of `dy` and `dx` that [`Linear::linear_backward_input`] is given.
    pub fn check_backward_input(self, dy: usize, dx: usize) -> Result<()> {
        const OP: &str = "linear_backward_input";
        at_least(OP, "dy", dy, self.m * self.n)?;
        at_least(OP, "dx", dx, self.m * self.k)
    }

    /// Checks the lengths that [`Linear::linear_backward_weight`] is given.
    pub fn check_backward_weight(
        self,
        dy: usize,
        x: usize,
        dw: usize,
        dbias: Option<usize>,
    ) -> Result<()> {
        const OP: &str = "linear_backward_weight";
        at_least(OP, "dy", dy, self.m * self.n)?;
        at_least(OP, "x", x, self.m * self.k)?;
        at_least(OP, "dw", dw, self.n * self.k)?;
        dbias.map_or(Ok(()), |dbias| at_least(OP, "dbias", dbias, self.n))
    }
}

/// The linear op. 2·m·n·k flops forward, twice that backward.
pub trait Linear: Memory {
    /// A weight laid out for this device's fastest inference product.
    type Packed: Send + Sync;

    /// The format whose inference products round as this device's training products do.
    fn training_format(&self) -> WeightFormat;

    /// Lays out the row-major matrix `w` `[n, k]` in `format`.
    fn pack(&self, w: &[f32], n: usize, k: usize, format: WeightFormat) -> Result<Self::Packed>;

    /// Lays out other values, `w` `[n, k]` on the device, in the place of `packed`, whose shape and format
    /// stay: for training that decodes with its own weights between updates.
    fn repack(&self, w: &Self::Buffer<f32>, packed: &mut Self::Packed) -> Result<()>;

    /// Room for a copy of a master weight `[n, k]` that training's products read in its place, where this device
    /// has them read one: where they would round the master anew each time.
    /// [`AdamW::adamw`](super::adamw::AdamW::adamw) keeps it in step. What is computed has the same bits with it.
    fn training_copy(&self, _n: usize, _k: usize) -> Result<Option<Self::Packed>> {
        Ok(None)
    }

    /// `y = x · wᵀ + bias`, or `y += x · wᵀ + bias` with `accumulate`.
    ///
    /// A row of `y` has the same bits whatever `m` is and whatever the other rows hold.
    #[allow(clippy::too_many_arguments)]
    fn linear(
        &self,
        shape: LinearShape,
        x: &Self::Buffer<Self::Real>,
        w: Weight<'_, Self>,
        bias: Option<&Self::Buffer<f32>>,
        y: &mut Self::Buffer<Self::Real>,
        accumulate: bool,
    ) -> Result<()>;

    /// `y[m,n] = silu(g) ⊙ u` (Shazeer, arXiv 2002.05202), the rows of `w` `[2n, k]` and the elements of the
    /// bias `[2n]` being those of the gates `g`, then those of the ups `u`: `g` and `u` are the halves of the rows of
    /// `x · wᵀ + bias`.
    ///
    /// The bits are those of [`Linear::linear`] and then [`SwiGlu::swiglu`](super::swiglu::SwiGlu::swiglu): `g` and
    /// `u`, summed in f32, are rounded to the type of activations, and what is made of them in f32 is rounded to it
    /// once. But neither need be in memory, of which that saves `4·m·n` elements of reading and writing.
    ///
    /// # Errors
    /// A buffer that is too short, and a packed weight of another shape.
    fn linear_swiglu(
        &self,
        shape: LinearShape,
        x: &Self::Buffer<Self::Real>,
        w: Weight<'_, Self>,
        bias: Option<&Self::Buffer<f32>>,
        y: &mut Self::Buffer<Self::Real>,
    ) -> Result<()>;

    /// Logits of an output head, `logits[m,n] = x · wᵀ`: in f32 on every device, as sampling compares
    /// them. Bits as in [`Linear::linear`].
    fn logits(
        &self,
        shape: LinearShape,
        x: &Self::Buffer<Self::Real>,
        w: Weight<'_, Self>,
        logits: &mut Self::Buffer<f32>,
    ) -> Result<()>;

    /// `dx = dy · w` (or `dx += dy · w` with `accumulate`): `[m, k]`.
    ///
    /// # Errors
    /// A buffer that is too short, and a packed weight that is not a [training copy](Linear::training_copy).
    fn linear_backward_input(
        &self,
        shape: LinearShape,
        dy: &Self::Buffer<Self::Real>,
        w: Weight<'_, Self>,
        dx: &mut Self::Buffer<Self::Real>,
        accumulate: bool,
    ) -> Result<()>;

    /// `dw = dyᵀ · x` `[n, k]` and, where there is a bias, `dbias = Σ_rows dy` `[n]`, or both added to what is there
    /// with `accumulate`.
    fn linear_backward_weight(
        &self,
        shape: LinearShape,
        dy: &Self::Buffer<Self::Real>,
        x: &Self::Buffer<Self::Real>,
        dw: &mut Self::Buffer<f32>,
        dbias: Option<&mut Self::Buffer<f32>>,
        accumulate: bool,
    ) -> Result<()>;
}

/// Plain f64 implementation.
pub mod reference {
    use super::LinearShape;
    use crate::ops::swiglu::reference::swiglu;

    /// `x[m,k] · w[n,k]ᵀ + bias[n]`.
    pub fn linear(s: LinearShape, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
        let mut y = vec![0.0; s.m * s.n];
        for i in 0..s.m {
            for j in 0..s.n {
                let dot: f64 = (0..s.k).map(|l| x[i * s.k + l] * w[j * s.k + l]).sum();
                y[i * s.n + j] = dot + bias.map_or(0.0, |b| b[j]);
            }
        }
        y
    }

    /// `silu(x · gᵀ) ⊙ (x · uᵀ)` `[m, n]`, with `w` `[2n, k]` and a bias `[2n]` of both.
    pub fn linear_swiglu(s: LinearShape, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
        swiglu(s.n, &linear(s.gate_up(), x, w, bias))
    }

    /// `(dx[m,k], dw[n,k], dbias[n])` of [`linear`].
    pub fn linear_backward(
        s: LinearShape,
        x: &[f64],
        w: &[f64],
        dy: &[f64],
    ) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let (mut dx, mut dw, mut db) = (vec![0.0; s.m * s.k], vec![0.0; s.n * s.k], vec![0.0; s.n]);
        for i in 0..s.m {
            for j in 0..s.n {
                let g = dy[i * s.n + j];
                db[j] += g;
                for l in 0..s.k {
                    dx[i * s.k + l] += g * w[j * s.k + l];
                    dw[j * s.k + l] += g * x[i * s.k + l];
                }
            }
        }
        (dx, dw, db)
    }
}
