//! Running a contract in the ways in which a wrong kernel gives itself away.

use super::probe::{Input, Output};
use super::{Contract, Draw, Probe};
use crate::device::{Device, DeviceError};
use crate::ops::philox::PhiloxStream;

/// What outputs hold before a run: no result of any op, and a number that could be one.
const POISONS: [f32; 2] = [f32::NAN, -7.25];

/// One run of a case: what went in and what came out, or why the device failed.
pub type Ran = Result<(Vec<Input>, Vec<Output>), DeviceError>;

/// A case and its runs.
#[derive(Debug)]
pub struct Checked {
    pub draw: Draw,
    /// The shape, as it prints.
    pub shape: String,
    /// With the first inputs over each poison, with other inputs of the same shape, and the first again; less
    /// of it where less was asked for.
    pub runs: Vec<Ran>,
}

/// How often a case is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// As often as it takes to tell how a kernel is wrong; cases of many rows, the slow ones, over both poisons
    /// alone.
    All,
    /// Once, for what comes out.
    Once,
}

/// Runs the cases of a contract that `seed` draws. A device that has failed once is not asked again, as
/// CUDA's errors stay.
pub fn check<C: Contract, D: Device>(device: &D, seed: u64, runs: Runs) -> Vec<Checked> {
    let most = |draw: Draw| match (runs, draw) {
        (Runs::Once, _) => 1,
        (Runs::All, Draw::Many) => POISONS.len(),
        (Runs::All, _) => usize::MAX,
    };
    let mut checked = Vec::new();
    for (index, draw) in Draw::CHECKED.into_iter().enumerate() {
        let mut random = PhiloxStream::new(seed, index as u64);
        let shape = C::shape(draw, &mut random);
        let mut runs = Vec::new();
        let [first, other] = [0, 1].map(|_| u64::from(random.next_u32()) << 8);
        let [nan, number] = POISONS;
        let plan = [(first, nan), (first, number), (other, nan), (first, nan)];
        for (inputs, poison) in plan.into_iter().take(most(draw)) {
            let ran = run::<C, D>(device, &shape, draw, inputs, poison);
            let failed = ran.is_err();
            runs.push(ran);
            if failed {
                break;
            }
        }
        let failed = runs.iter().any(Result::is_err);
        let shape = format!("{shape:?}");
        checked.push(Checked { draw, shape, runs });
        if failed {
            break;
        }
    }
    checked
}

fn run<C: Contract, D: Device>(
    device: &D,
    shape: &C::Shape,
    draw: Draw,
    seed: u64,
    poison: f32,
) -> Ran {
    let mut probe = Probe::new(device, poison);
    C::run(shape, draw, seed, &mut probe)?;
    probe.finish()
}
