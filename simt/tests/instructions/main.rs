//! Instructions as text, through the driver, against what the PTX ISA says of them: that each mnemonic with
//! its types and modifiers does what it is called. `tests/numeric` has the arithmetic itself.

mod atomics;
mod bits;
mod comparisons;
mod conversions;
mod floats;
mod halves;
mod harness;
mod integers;
#[path = "../numeric/operation.rs"]
#[allow(dead_code)]
mod operation;
#[path = "../numeric/reference.rs"]
#[allow(dead_code)]
mod reference;
#[path = "../support/mod.rs"]
mod support;
