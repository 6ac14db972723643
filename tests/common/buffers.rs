//! Buffers of a device under test: longer than needed, with poison behind what is theirs.

use lrem::device::{Activation, Buffer, Memory, Real};

/// Elements behind every buffer's own.
const BEHIND: usize = 3;

/// Numbers as the device keeps activations.
pub fn stored<D: Memory>(_: &D, x: &[f32]) -> Vec<f32> {
    x.iter().map(|&v| D::Real::from_f32(v).to_f32()).collect()
}

/// Activations on the device.
pub fn reals<D: Memory>(device: &D, x: &[f32]) -> Activation<D> {
    upload::<D::Real, D>(device, x)
}

/// f32 numbers on the device.
pub fn floats<D: Memory>(device: &D, x: &[f32]) -> D::Buffer<f32> {
    upload::<f32, D>(device, x)
}

/// Activations to be written, wrong wherever they are not.
pub fn poisoned_reals<D: Memory>(device: &D, len: usize) -> Activation<D> {
    reals(device, &vec![f32::NAN; len])
}

/// f32 numbers to be written, wrong wherever they are not.
pub fn poisoned_floats<D: Memory>(device: &D, len: usize) -> D::Buffer<f32> {
    floats(device, &vec![f32::NAN; len])
}

/// The first `len` activations, after asserting that nothing behind them was written.
#[track_caller]
pub fn read_reals<D: Memory>(device: &D, what: &str, x: &Activation<D>, len: usize) -> Vec<f32> {
    read::<D::Real, D>(device, what, x, len)
}

/// The first `len` numbers, after asserting that nothing behind them was written.
#[track_caller]
pub fn read_floats<D: Memory>(device: &D, what: &str, x: &D::Buffer<f32>, len: usize) -> Vec<f32> {
    read::<f32, D>(device, what, x, len)
}

fn upload<T: Real, D: Memory>(device: &D, x: &[f32]) -> D::Buffer<T> {
    let poison = [f32::NAN; BEHIND];
    let all = x.iter().chain(&poison).map(|&v| T::from_f32(v));
    device.upload(&all.collect::<Vec<T>>()).unwrap()
}

#[track_caller]
fn read<T: Real, D: Memory>(device: &D, what: &str, x: &D::Buffer<T>, len: usize) -> Vec<f32> {
    let all = device.download(x, x.len()).unwrap();
    let mut all: Vec<f32> = all.iter().map(|v| v.to_f32()).collect();
    super::assert_untouched(what, &all, len);
    all.truncate(len);
    all
}

/// As [`super::assert_close`] for activations: within `tolerance(i)` of `want` before they were rounded
/// to the device's type.
#[track_caller]
pub fn assert_close_reals<D: Memory>(
    _: &D,
    what: &str,
    got: &[f32],
    want: &[f64],
    tolerance: impl Fn(usize) -> f64,
) {
    super::assert_close(what, got, want, |i| {
        let exact = tolerance(i);
        exact + D::Real::rounding(want[i].abs() + exact)
    });
}
