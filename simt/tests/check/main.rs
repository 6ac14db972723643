//! The sanitizer: every fault is found, at its line, block and thread, and programs without one are clean.
//!
//! A check belongs to the whole process, so each case runs in a process of its own: this program again,
//! with the case's name in its environment. What it found it leaves as lines of JSON.

// The tests that are run again bring their own.
#![allow(clippy::duplicate_mod)]

#[path = "../support/mod.rs"]
mod support;

mod bulk;
mod bulk_cases;
mod cases;
mod discards;
mod faults;
mod host;
mod paths;
mod process;
mod programs;
mod speed;

// The tests of what the machine computes, to be run under the checks as well.
#[path = "../hopper/main.rs"]
mod hopper;
#[path = "../kernels.rs"]
mod kernels;
#[path = "../matrix_products.rs"]
mod matrix_products;
