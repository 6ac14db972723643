//! Products of the warpgroup on their way: their operands are read and their results written when a
//! thread waits for their group, so that a program that forgets to wait sees old accumulators, and one
//! that overwrites operands too early wrong ones.

use super::fault::Fault;
use super::matrix_operand::{BF16_STEPS, bf16_operands, operands};
use super::program::Inst;
use super::warp::Warp;
use super::warpgroup::{ROWS, Shape};
use crate::numeric::half::Half;
use crate::numeric::matrix::element::Element;
use crate::numeric::matrix::fragment;
use crate::numeric::matrix::product;

/// Most columns, and most steps along k, of a product.
const COLUMNS: usize = 256;
const STEPS: usize = 32;

/// Where A comes from.
#[derive(Debug, Clone)]
pub enum Source {
    Descriptor(u64),
    /// Four registers of every lane, as they were when the product began.
    Registers(Box<[[u32; 32]; 4]>),
}

/// A product that has begun.
#[derive(Debug, Clone)]
pub struct Product {
    pub inst: Inst,
    /// The frame that its accumulators are in.
    pub frame_base: u32,
    pub lanes: u32,
    pub a: Source,
    pub b: u64,
    /// D is added to, not overwritten.
    pub accumulates: bool,
}

/// The products of a warp that have begun.
#[derive(Debug, Default)]
pub struct Products {
    pending: Vec<(u32, Product)>,
    group: u32,
    /// Room for an operand.
    strips: Vec<[[f32; 8]; BF16_STEPS]>,
}

impl Products {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.group = 0;
    }

    /// Adds a product to the group that is being filled.
    pub fn start(&mut self, product: Product) {
        self.pending.push((self.group, product));
    }

    /// Ends that group.
    pub fn commit(&mut self) {
        self.group += 1;
    }
}

impl Warp {
    /// Completes all but the `keep` latest groups of products.
    ///
    /// # Errors
    /// An operand lies outside of shared memory.
    pub fn finish_products(&mut self, keep: u32) -> Result<(), Fault> {
        let group = self.products.group;
        let waited =
            |(number, _): &(u32, Product)| u64::from(*number) + u64::from(keep) < group.into();
        let count = self
            .products
            .pending
            .iter()
            .take_while(|p| waited(p))
            .count();
        if count == 0 {
            return Ok(());
        }
        let done: Vec<_> = self.products.pending.drain(..count).collect();
        done.iter()
            .try_for_each(|(_, product)| self.finish_product(product))
    }

    /// Computes one product.
    ///
    /// # Errors
    /// An operand lies outside of shared memory.
    pub fn finish_product(&mut self, product: &Product) -> Result<(), Fault> {
        let shape = Shape::unpack(product.inst.aux);
        self.in_frame(product.frame_base, |w| {
            // SAFETY: the decoder made a list that begins with the accumulators, of the shape's widths,
            // and kept their places until here.
            unsafe {
                match shape.a {
                    Element::Bf16 if !shape.negative => brain_floats(w, product, &shape),
                    Element::S8 | Element::U8 | Element::B1 => integers(w, product, &shape),
                    _ => floats(w, product, &shape),
                }
            }
        })
    }
}

/// Row and column of element `at` of D in a lane.
fn place_of(lane: usize, at: usize) -> (usize, usize) {
    let (row, column) = fragment::c(lane, at % 4);
    (row, column + 8 * (at / 4))
}

unsafe fn floats(w: &mut Warp, p: &Product, shape: &Shape) -> Result<(), Fault> {
    let n = shape.n;
    let steps = 256 / shape.a.bits();
    let mut a_tile = [0f32; ROWS * STEPS];
    let mut b_tile = [0f32; STEPS * COLUMNS];
    let mut d_tile = [0f32; ROWS * COLUMNS];
    let sign = if shape.negative { -1.0 } else { 1.0 };
    let (a_type, b_type) = (shape.a, shape.b);
    operands(
        w,
        p,
        shape,
        a_type.bits(),
        |r, k, word, at| a_tile[r * steps + k] = sign * a_type.float(word, at),
        |c, k, word, at| b_tile[k * n + c] = b_type.float(word, at),
    )?;
    // SAFETY: the caller's promise.
    unsafe {
        let d = w.list(&p.inst, shape.accumulators());
        for (at, place) in d.iter().enumerate().filter(|_| p.accumulates) {
            for lane in 0..32 {
                let mut put = |at, value| {
                    let (row, column) = place_of(lane, at);
                    d_tile[row * n + column] = value;
                };
                if shape.packs {
                    let pair = w.row::<u32>(*place)[lane];
                    put(2 * at, Half::F16.to_f32(pair as u16));
                    put(2 * at + 1, Half::F16.to_f32((pair >> 16) as u16));
                } else {
                    put(at, w.row::<f32>(*place)[lane]);
                }
            }
        }
        product::accumulate(ROWS, n, steps, &a_tile, &b_tile, &mut d_tile);
        let get = |lane, at| {
            let (row, column) = place_of(lane, at);
            d_tile[row * n + column]
        };
        for (at, place) in d.iter().enumerate() {
            if shape.packs {
                let pair = |lane| {
                    let [low, high] = [0, 1].map(|k| Half::F16.from_f32(get(lane, 2 * at + k)));
                    u32::from(low) | u32::from(high) << 16
                };
                w.put(*place, p.lanes, &std::array::from_fn::<u32, 32, _>(pair));
            } else {
                let out: [f32; 32] = std::array::from_fn(|lane| get(lane, at));
                w.put(*place, p.lanes, &out);
            }
        }
    }
    Ok(())
}

/// The same of bf16. Where lanes hold a pair of accumulators is where eight rows and eight columns of D lie side by
/// side, row by row: no element is looked for.
unsafe fn brain_floats(w: &mut Warp, p: &Product, shape: &Shape) -> Result<(), Fault> {
    let mut a = [[0.0; BF16_STEPS]; ROWS];
    let mut strips = std::mem::take(&mut w.products.strips);
    strips.resize(shape.n / 8, [[0.0; 8]; BF16_STEPS]);
    let found = bf16_operands(w, p, shape, &mut a, &mut strips);
    // SAFETY: the caller's promise.
    let d = unsafe { w.list(&p.inst, shape.accumulators()) };
    for (strip, places) in strips
        .iter()
        .zip(d.chunks_exact(4))
        .filter(|_| found.is_ok())
    {
        for (half, pair) in places.chunks_exact(2).enumerate() {
            let mut block = [0f32; 64];
            if p.accumulates {
                // SAFETY: as above.
                let [even, odd] = [0, 1].map(|i| unsafe { w.row::<f32>(pair[i]) });
                for lane in 0..32 {
                    (block[2 * lane], block[2 * lane + 1]) = (even[lane], odd[lane]);
                }
            }
            let rows = a[8 * half..].first_chunk().expect("two halves");
            product::accumulate_block(rows, strip, &mut block);
            // SAFETY: as above.
            unsafe {
                w.put(
                    pair[0],
                    p.lanes,
                    &std::array::from_fn::<f32, 32, _>(|lane| block[2 * lane]),
                );
                w.put(
                    pair[1],
                    p.lanes,
                    &std::array::from_fn::<f32, 32, _>(|lane| block[2 * lane + 1]),
                );
            }
        }
    }
    w.products.strips = strips;
    found
}

/// Sums of products of bytes, or of bits; both are exact before they are wrapped or clamped to 32 bits.
unsafe fn integers(w: &mut Warp, p: &Product, shape: &Shape) -> Result<(), Fault> {
    let n = shape.n;
    let is_bits = shape.a == Element::B1;
    // 32 single bits are one element here.
    let bits = if is_bits { 32 } else { 8 };
    let steps = 256 / bits;
    let mut a_tile = [0u32; ROWS * STEPS];
    let mut b_tile = [0u32; STEPS * COLUMNS];
    let value = |element: Element, word: u32, at: usize| match element {
        Element::S8 => (word >> (8 * at)) as i8 as i32 as u32,
        Element::U8 => word >> (8 * at) & 0xff,
        _ => word,
    };
    operands(
        w,
        p,
        shape,
        bits,
        |r, k, word, at| a_tile[r * steps + k] = value(shape.a, word, at),
        |c, k, word, at| b_tile[k * n + c] = value(shape.b, word, at),
    )?;
    // SAFETY: the caller's promise.
    unsafe {
        let d = w.list(&p.inst, shape.accumulators());
        for (at, place) in d.iter().enumerate() {
            let old = *w.row::<i32>(*place);
            let out: [i32; 32] = std::array::from_fn(|lane| {
                let (row, column) = place_of(lane, at);
                let mut sum = if p.accumulates {
                    i64::from(old[lane])
                } else {
                    0
                };
                for k in 0..steps {
                    let (a, b) = (a_tile[row * steps + k], b_tile[k * n + column]);
                    sum += if is_bits {
                        i64::from((a & b).count_ones())
                    } else {
                        i64::from(a as i32) * i64::from(b as i32)
                    };
                }
                if shape.saturates {
                    sum.clamp(i32::MIN.into(), i32::MAX.into()) as i32
                } else {
                    sum as i32
                }
            });
            w.put(*place, p.lanes, &out);
        }
    }
    Ok(())
}
