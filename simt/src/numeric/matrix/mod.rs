//! Matrix instructions of a warp and of a warpgroup: layouts and products.

pub mod descriptor;
pub mod element;
pub mod fragment;
pub mod ldmatrix;
pub mod mma;
pub mod product;
pub mod wgmma;
