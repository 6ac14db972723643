//! What an op's contract says of it.

use super::Probe;
use crate::device::{Device, Result};
use crate::ops::philox::PhiloxStream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The kind of a drawn case: what is particular about its shape or its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// The shape of a model, as large as counts need it.
    Counted,
    /// The shape of a model with few rows, ordinary numbers.
    Model,
    /// The smallest shape that there is.
    Smallest,
    /// Any shape, odd ones included.
    Any,
    /// A shape that kernels for many rows are launched at; any shape where there are none.
    Many,
    /// Numbers whose squares leave half precision's range.
    Large,
    /// Infinities and NaNs among the numbers.
    NotFinite,
}

impl Draw {
    /// The cases of a check, in their order.
    pub const CHECKED: [Draw; 9] = [
        Draw::Model,
        Draw::Smallest,
        Draw::Any,
        Draw::Any,
        Draw::Any,
        Draw::Any,
        Draw::Many,
        Draw::Large,
        Draw::NotFinite,
    ];

    /// The same, with ordinary numbers in place of infinities and NaNs.
    pub fn finite(self) -> Draw {
        match self {
            Draw::NotFinite => Draw::Any,
            draw => draw,
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Draw::Counted | Draw::Model => "a model's shape",
            Draw::Smallest => "the smallest shape",
            Draw::Any => "a drawn shape",
            Draw::Many => "many rows",
            Draw::Large => "large numbers",
            Draw::NotFinite => "infinities and NaNs",
        }
    }
}

/// An op's contract as the workbench runs it.
pub trait Contract {
    /// Sizes and options of a case, without its numbers.
    type Shape: Clone + std::fmt::Debug + Serialize + DeserializeOwned;

    /// Name of the op and of its file in `kernels/`.
    const OP: &'static str;

    /// Whether its kernels work on activations, and so are checked in each of their types.
    const TYPED: bool = true;

    /// Draws a shape.
    fn shape(draw: Draw, random: &mut PhiloxStream) -> Self::Shape;

    /// Whether a shape is one that the op can have and a check can hold.
    ///
    /// # Errors
    /// Names the size that is not.
    fn limits(shape: &Self::Shape) -> std::result::Result<(), String>;

    /// What the kernels cannot do without at this shape, with inputs that `seed` draws and activations of
    /// `real` bytes, each at its first launch of a run.
    fn costs(shape: &Self::Shape, seed: u64, real: usize) -> Vec<Cost>;

    /// Draws inputs from `seed`, runs the op's kernels and hands what they wrote to the probe.
    ///
    /// # Errors
    /// Where the device fails.
    fn run<D: Device>(
        shape: &Self::Shape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()>;
}

/// What a kernel cannot do without.
///
/// Of what another kernel of the op leaves for it or takes from it, such as sums over parts, this is as much as
/// there would be without the parts: how many there are is the launch's choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// An instance, or what the names of several begin with, such as `rms_norm`.
    pub kernel: String,
    /// Every element of the inputs that is needed once, and every one of the results; twice what is added to.
    pub bytes: u64,
    /// Sums, products, and functions such as an exponential, one each.
    pub flops: u64,
}

impl Cost {
    pub(super) fn new(kernel: impl Into<String>, bytes: usize, flops: usize) -> Cost {
        Cost {
            kernel: kernel.into(),
            bytes: bytes as u64,
            flops: flops as u64,
        }
    }

    /// That of an instance: of the costs whose kernel it is, or continues with `_…`, the one that says most of
    /// its name.
    pub fn of<'c>(instance: &str, costs: &'c [Cost]) -> Option<&'c Cost> {
        let named = costs.iter().filter(|cost| {
            let rest = instance.strip_prefix(cost.kernel.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        });
        named.max_by_key(|cost| cost.kernel.len())
    }

    /// Bytes of an instance, which is all that a call of the op launches; 0 where it has no cost.
    pub(super) fn bytes_of(instance: &str, costs: &[Cost]) -> usize {
        Cost::of(instance, costs).map_or(0, |cost| cost.bytes as usize)
    }
}

/// A call of an op, whose kernels hand results to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub name: String,
    /// Bytes that the op's interface forces across the memory's pins: every element of the inputs that is needed once,
    /// lists that the host hands over among them, and every one of the results; twice what is added to. What its
    /// kernels leave for one another is nothing of it.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::Cost;

    #[test]
    fn a_cost_is_of_the_instances_that_continue_its_name() {
        let costs = [
            "pool",
            "linear_nt",
            "linear_nt_f32_by_bf16",
            "linear_nn_f32_any",
        ];
        let costs = costs.map(|kernel| Cost::new(kernel, 0, 0));
        for (instance, kernel) in [
            ("pool", Some("pool")),
            ("pool_f32_bf16", Some("pool")),
            ("pools_f32", None),
            ("linear_nt_f32_medium", Some("linear_nt")),
            ("linear_nt_f32_by_bf16_any", Some("linear_nt_f32_by_bf16")),
            ("linear_nn_f32_any", Some("linear_nn_f32_any")),
            ("linear_nn_f32", None),
        ] {
            let found = Cost::of(instance, &costs).map(|cost| cost.kernel.as_str());
            assert_eq!(found, kernel, "{instance}");
        }
    }
}
