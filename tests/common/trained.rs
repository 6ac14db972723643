//! A weight as training's products read it.

use super::{bits, floats};
use lrem::ops::linear::{Linear, Weight};

/// A master weight, and the copy that the device has its products read, where it keeps one.
pub struct Trained<D: Linear> {
    master: D::Buffer<f32>,
    copy: Option<D::Packed>,
}

impl<D: Linear> Trained<D> {
    /// The weight `w` `[n, k]`.
    pub fn new(device: &D, (n, k): (usize, usize), w: &[f32]) -> Self {
        let (master, mut copy) = (floats(device, w), device.training_copy(n, k).unwrap());
        if let Some(copy) = &mut copy {
            device.repack(&master, copy).unwrap();
        }
        Trained { master, copy }
    }

    /// What `of` computes with the master: the same to the last bit as with the copy.
    pub fn each<const N: usize>(
        &self,
        of: impl Fn(Weight<'_, D>) -> [Vec<f32>; N],
    ) -> [Vec<f32>; N] {
        let got = of(Weight::Master(&self.master));
        if let Some(copy) = &self.copy {
            let by_copy = of(Weight::Packed(copy));
            assert_eq!(by_copy.map(|x| bits(&x)), got.each_ref().map(|x| bits(x)));
        }
        got
    }
}
