//! The instructions that Hopper brought: barriers that count bytes, bulk copies by tensor maps, clusters,
//! products of a warpgroup.

#[path = "../support/mod.rs"]
mod support;

mod bulk_copies;
mod clusters;
mod fragments;
pub mod maps;
mod mbarriers;
mod run;
mod tensor_maps;
mod tensor_memory;
mod triton;
mod warpgroup;
