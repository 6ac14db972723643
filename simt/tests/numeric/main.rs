//! `simt::numeric` against references that do not use it: big integers, exact f64, the PTX ISA's
//! prose and formulas written out naively.

mod approx;
mod arithmetic;
mod bits;
mod descriptor;
mod formats;
mod fragments;
mod halves;
mod inputs;
mod integer_arithmetic;
mod integers;
mod minmax;
mod mma;
mod mma_integer;
mod mma_quad;
mod operation;
mod reference;
mod sections;
