//! Bit and integer instructions.

pub mod carry;
pub mod dot;
pub mod field;
pub mod logic;
pub mod multiply;
pub mod permute;
pub mod shift;
pub mod video;
