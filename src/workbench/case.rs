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

    /// Bytes that the op must move and flops that it must do, at this shape, by kernel instance without
    /// its type's suffix, where an activation takes `real` bytes.
    fn costs(shape: &Self::Shape, real: usize) -> Vec<Cost>;

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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Instance without its type's suffix, such as `rms_norm`.
    pub kernel: String,
    pub bytes: u64,
    pub flops: u64,
}
