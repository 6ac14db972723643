//! What a GPU can do at most, measured on it.

use super::{Peaks, Precision};
use crate::device::cuda::{Cuda, CudaBuffer, Multiplier};
use crate::device::{Memory, Real, Result};

/// How much is measured at once.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Floats of each of the triad's arrays.
    pub floats: usize,
    /// Turns of a thread's chains of products.
    pub turns: usize,
    /// Measurements of each peak, after one that warms up; the fastest counts.
    pub trials: usize,
}

impl Load {
    /// Arrays of 1 GiB, beyond any L2; products of some milliseconds.
    pub const GPU: Load = Load {
        floats: 1 << 28,
        turns: 1 << 14,
        trials: 10,
    };
}

/// Threads with products for each multiprocessor: as many as any holds.
const THREADS: usize = 2048;

impl Peaks {
    /// Measures a GPU's: STREAM's triad, chains of multiply-adds, and of tensor-core products as warps do them
    /// (`mma.sync`, which Hopper's and Blackwell's own instructions for whole warpgroups exceed).
    ///
    /// # Errors
    /// Where the GPU fails or has no memory for the arrays.
    pub fn of_gpu<T: Real>(device: &Cuda<T>, load: Load) -> Result<Peaks> {
        let array = || device.zeros::<f32>(load.floats);
        let (mut a, b, c) = (array()?, array()?, array()?);
        let seconds = fastest(device, load.trials, || device.triad(&mut a, &b, &c, 3.0))?;
        drop((a, b, c));
        let bandwidth = (3 * load.floats * size_of::<f32>()) as f64 / seconds;
        let threads = THREADS * device.context().multiprocessors as usize;
        let mut sums: CudaBuffer<f32> = device.zeros(threads)?;
        let mut flops = Vec::new();
        for (precision, multiplier) in [
            (Precision::F32, Multiplier::F32),
            (Precision::Bf16, Multiplier::Bf16),
        ] {
            let mut done = 0.0;
            let seconds = fastest(device, load.trials, || {
                done = device.products(multiplier, 0.5, load.turns, &mut sums)?;
                Ok(())
            })?;
            flops.push((precision, done / seconds));
        }
        Ok(Peaks {
            of: device.context().name.clone(),
            bandwidth,
            flops,
        })
    }
}

/// Seconds of the fastest of several launches.
fn fastest<T: Real>(
    device: &Cuda<T>,
    trials: usize,
    mut launch: impl FnMut() -> Result<()>,
) -> Result<f64> {
    device.context().time_launches(1);
    for _ in 0..trials {
        launch()?;
    }
    let times = device.context().launch_times()?;
    let seconds = times.iter().map(|(_, time)| time.as_secs_f64());
    Ok(seconds.fold(f64::INFINITY, f64::min))
}
