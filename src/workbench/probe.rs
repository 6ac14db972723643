//! Buffers around an op: what goes in must stay as it is, what comes out must be written.

use super::Call;
use crate::device::{Activation, Buffer, Memory, Real, Result};
use std::rc::Rc;

/// An output, as it came and as it should have.
#[derive(Clone, Debug)]
pub struct Output {
    pub name: String,
    pub got: Vec<f32>,
    pub want: Vec<f64>,
    /// How far off each number may be.
    pub tolerance: Vec<f64>,
    /// What the buffer held before.
    pub before: Before,
}

impl Output {
    /// Whether number `at` is there and within its tolerance.
    pub fn is_near(&self, at: usize) -> bool {
        let got = self.got.get(at);
        got.is_some_and(|&got| near(got, self.want[at], self.tolerance[at]))
    }
}

/// Whether a number is within its tolerance: a NaN where one is wanted, the infinity that is wanted, or any
/// infinity of its sign beyond f32's range.
pub(super) fn near(got: f32, want: f64, tolerance: f64) -> bool {
    if want.is_nan() {
        return got.is_nan();
    }
    if want.abs() > f64::from(f32::MAX) {
        return got.is_infinite() && f64::from(got).signum() == want.signum();
    }
    // A bound that is none, as of a sum that an infinity is part of.
    !tolerance.is_finite() || (f64::from(got) - want).abs() <= tolerance
}

/// What an output's buffer held before the op.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Before {
    /// Everywhere this number, which is no result.
    Poison(f32),
    /// Numbers that the op adds to.
    Sum,
}

/// An input that was read after the op.
#[derive(Clone, Debug)]
pub struct Input {
    pub name: String,
    pub given: Vec<f32>,
    pub after: Vec<f32>,
}

type Kept<T> = Vec<(String, Vec<f32>, Rc<T>)>;

/// The buffers of one run of an op.
pub struct Probe<'d, D: Memory> {
    pub device: &'d D,
    poison: f32,
    reals: Kept<Activation<D>>,
    floats: Kept<D::Buffer<f32>>,
    outputs: Vec<Output>,
    calls: Vec<Call>,
}

impl<'d, D: Memory> Probe<'d, D> {
    /// A probe whose outputs hold `poison` before the op.
    pub fn new(device: &'d D, poison: f32) -> Self {
        Probe {
            device,
            poison,
            reals: Vec::new(),
            floats: Vec::new(),
            outputs: Vec::new(),
            calls: Vec::new(),
        }
    }

    /// One call of the op, a range of the device's profiler, which cannot do without `bytes` ([`Call`]).
    ///
    /// # Errors
    /// Where the device fails.
    pub fn call<R>(
        &mut self,
        name: impl Into<String>,
        bytes: usize,
        op: impl FnOnce(&'d D) -> Result<R>,
    ) -> Result<R> {
        self.calls.push(Call {
            name: name.into(),
            bytes: bytes as u64,
        });
        let device = self.device;
        device.profiled(|| op(device))
    }

    /// The calls so far, in their order.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Activations that the op reads.
    pub fn reals(&mut self, name: impl Into<String>, x: &[f32]) -> Result<Rc<Activation<D>>> {
        let buffer = Rc::new(self.device.upload(&stored::<D::Real>(x))?);
        self.reals
            .push((name.into(), rounded::<D::Real>(x), buffer.clone()));
        Ok(buffer)
    }

    /// f32 numbers that the op reads.
    pub fn floats(&mut self, name: impl Into<String>, x: &[f32]) -> Result<Rc<D::Buffer<f32>>> {
        let buffer = Rc::new(self.device.upload(x)?);
        self.floats.push((name.into(), x.to_vec(), buffer.clone()));
        Ok(buffer)
    }

    /// Activations that the op writes.
    pub fn new_reals(&self, len: usize) -> Result<Activation<D>> {
        self.device
            .upload(&vec![D::Real::from_f32(self.poison); len])
    }

    /// f32 numbers that the op writes.
    pub fn new_floats(&self, len: usize) -> Result<D::Buffer<f32>> {
        self.device.upload(&vec![self.poison; len])
    }

    /// Activations that the op adds to.
    pub fn sum_reals(&self, x: &[f32]) -> Result<Activation<D>> {
        self.device.upload(&stored::<D::Real>(x))
    }

    /// f32 numbers that the op adds to.
    pub fn sum_floats(&self, x: &[f32]) -> Result<D::Buffer<f32>> {
        self.device.upload(x)
    }

    /// Hands over activations that the op wrote: within `tolerance` of `want` before they were rounded to
    /// the device's type.
    pub fn take_reals(
        &mut self,
        name: impl Into<String>,
        buffer: &Activation<D>,
        want: Vec<f64>,
        tolerance: Vec<f64>,
    ) -> Result<()> {
        let got = self.device.download(buffer, buffer.len())?;
        let got = got.iter().map(|v: &D::Real| v.to_f32()).collect();
        let rounding = |(&t, w): (&f64, &f64)| t + D::Real::rounding(w.abs() + t);
        let tolerance = tolerance.iter().zip(&want).map(rounding).collect();
        self.take(name, got, want, tolerance);
        Ok(())
    }

    /// Hands over f32 numbers that the op wrote, within `tolerance` of `want`.
    pub fn take_floats(
        &mut self,
        name: impl Into<String>,
        buffer: &D::Buffer<f32>,
        want: Vec<f64>,
        tolerance: Vec<f64>,
    ) -> Result<()> {
        let got = self.device.download(buffer, buffer.len())?;
        self.take(name, got, want, tolerance);
        Ok(())
    }

    /// Hands over numbers that the op gave back, within `tolerance` of `want`.
    pub fn take_host(
        &mut self,
        name: impl Into<String>,
        got: Vec<f32>,
        want: Vec<f64>,
        tolerance: Vec<f64>,
    ) {
        self.take(name, got, want, tolerance);
        self.summed();
    }

    /// Hands over a number that the op gave back.
    pub fn take_number(&mut self, name: impl Into<String>, got: f64, want: f64, tolerance: f64) {
        // In f32 as all outputs, so a rounding of it on top.
        let tolerance = tolerance + f64::from(f32::EPSILON) * want.abs();
        self.take(name, vec![got as f32], vec![want], vec![tolerance]);
        self.summed();
    }

    /// Says of the output that was taken last that the op added to what was there.
    pub fn summed(&mut self) {
        if let Some(output) = self.outputs.last_mut() {
            output.before = Before::Sum;
        }
    }

    fn take(
        &mut self,
        name: impl Into<String>,
        got: Vec<f32>,
        want: Vec<f64>,
        tolerance: Vec<f64>,
    ) {
        self.outputs.push(Output {
            name: name.into(),
            got,
            want,
            tolerance,
            before: Before::Poison(self.poison),
        });
    }

    /// The inputs as they are now, and the outputs.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn finish(self) -> Result<(Vec<Input>, Vec<Output>)> {
        let mut inputs = Vec::new();
        for (name, given, buffer) in self.reals {
            let after = self.device.download(&*buffer, given.len())?;
            let after = after.iter().map(|v: &D::Real| v.to_f32()).collect();
            inputs.push(Input { name, given, after });
        }
        for (name, given, buffer) in self.floats {
            let after = self.device.download(&*buffer, given.len())?;
            inputs.push(Input { name, given, after });
        }
        Ok((inputs, self.outputs))
    }
}

fn stored<T: Real>(x: &[f32]) -> Vec<T> {
    x.iter().map(|&v| T::from_f32(v)).collect()
}

fn rounded<T: Real>(x: &[f32]) -> Vec<f32> {
    x.iter().map(|&v| T::from_f32(v).to_f32()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::{Cpu, Multiply};

    #[test]
    fn calls_are_kept_in_their_order_and_give_what_the_op_gives() {
        let device = Cpu::new(Multiply::F32);
        let mut probe = Probe::new(&device, f32::NAN);
        let sums = [1, 2].map(|n| probe.call(format!("sum of {n}"), 4 * n, |_| Ok(n)).unwrap());
        assert_eq!(sums, [1, 2]);
        let calls = probe.calls().iter().map(|c| (c.name.as_str(), c.bytes));
        assert_eq!(
            calls.collect::<Vec<_>>(),
            [("sum of 1", 4), ("sum of 2", 8)]
        );
    }
}
