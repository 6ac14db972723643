//! Which instance of a product kernel runs, and what it is launched with (`kernels/product.cuh`).
//!
//! An element of a product is one chain along the depth in every instance, so this choice changes time
//! and no bit.

use super::weight::Quantisation;

/// The tile of a block, its steps along the depth and its threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    /// As instances are called by it.
    pub name: &'static str,
    pub m: usize,
    pub n: usize,
    pub depth: usize,
    stages: usize,
    pub threads: usize,
}

/// For many rows and columns.
const LARGE: Tiling = tiling("large", 128, 128, 32, 4, 128);
/// For a weight's rows alone.
const BROAD: Tiling = tiling("broad", 128, 96, 32, 4, 128);
const TALL: Tiling = tiling("tall", 128, 64, 64, 3, 128);
const MEDIUM: Tiling = tiling("medium", 64, 64, 64, 3, 128);
/// The same on Hopper, by warpgroups and one warp that fetches (`kernels/linear.sm_90a.cu`).
const WARPGROUPS: Tiling = tiling("warpgroups", 128, 128, 64, 3, 288);
const WARPGROUP: Tiling = tiling("warpgroup", 64, 64, 64, 4, 160);
/// For decoding.
const SKINNY: Tiling = tiling("skinny", 16, 16, 64, 8, 32);
/// For a row or few by quantised weights, whose columns take a warp more instructions: fewer of them for each.
const NARROW: Tiling = tiling("narrow", 8, 8, 64, 8, 32);
/// The same of eight gates and their ups.
const GATED_NARROW: Tiling = tiling("narrow", 8, 16, 64, 8, 32);
/// For rows that do not start at multiples of 16 bytes.
const ANY: Tiling = tiling("any", 64, 64, 64, 3, 128);

/// Of f32, for so few rows and columns that larger tiles leave most of a GPU idle.
const FEW_COSINES: Tiling = tiling("few", 8, 8, 64, 4, 32);
/// For few rows by the whole vocabulary, in bf16 and in f32. The columns of a thread are those of the largest
/// tile's.
const FEW_LOGITS: Tiling = tiling("few", 32, 128, 64, 3, 64);
const FEW_LOGITS_F32: Tiling = tiling("few", 16, 64, 32, 3, 64);

/// Rows up to which a product is bound by its weights.
const SKINNY_ROWS: usize = 64;
/// Of an A100 and of an H100. Not a matter of the GPU at hand: on others another choice may be a little better.
pub(super) const MULTIPROCESSORS: usize = 108;
const HOPPER_MULTIPROCESSORS: usize = 132;
/// Blocks of large tiles below which a GPU is not filled.
const LARGE_BLOCKS: usize = 64;

const fn tiling(
    name: &'static str,
    m: usize,
    n: usize,
    depth: usize,
    stages: usize,
    threads: usize,
) -> Tiling {
    Tiling {
        name,
        m,
        n,
        depth,
        stages,
        threads,
    }
}

/// The tile whose waves of blocks take least for a product `[m, n]`, of some with the cycles of a block each.
fn shortest(tiles: &[(Tiling, usize)], multiprocessors: usize, m: usize, n: usize) -> Tiling {
    let time =
        |(tile, cycles): &&(Tiling, usize)| tile.blocks(m, n).div_ceil(multiprocessors) * cycles;
    tiles
        .iter()
        .min_by_key(time)
        .map_or(MEDIUM, |(tile, _)| *tile)
}

impl Tiling {
    /// For a product `[m, n]` of elements of `size` bytes. `wide`: rows start at multiples of 16 bytes.
    /// Of bf16 there are all instances, of f32 one in two widths.
    ///
    /// Of all instances, the one whose waves of blocks take least: 16 steps of a block keep an A100's tensor cores
    /// busy for 256 cycles with the large tile, its shared memory for 144 and 96 with the smaller ones.
    pub fn new(size: usize, wide: bool, m: usize, n: usize) -> Tiling {
        match (size, wide) {
            (2, true) => {
                let tiles = [(LARGE, 256), (TALL, 144), (MEDIUM, 96)];
                shortest(&tiles, MULTIPROCESSORS, m, n)
            }
            (2, false) => ANY,
            (_, true) => Tiling {
                depth: 32,
                ..MEDIUM
            },
            (_, false) => Tiling { depth: 32, ..ANY },
        }
    }

    /// As [`Tiling::new`] for the rows of a weight, of which there are instances for few rows of activations and, if
    /// the columns are not gated, one that keeps tensor cores busy for 192 cycles.
    pub fn of_weight(size: usize, wide: bool, m: usize, n: usize, gated: bool) -> Tiling {
        match (size, wide) {
            (2, true) if m <= SKINNY_ROWS => SKINNY,
            (2, true) if !gated => {
                let tiles = [(LARGE, 256), (BROAD, 192), (TALL, 144), (MEDIUM, 96)];
                shortest(&tiles, MULTIPROCESSORS, m, n)
            }
            _ => Tiling::new(size, wide, m, n),
        }
    }

    /// What Hopper has in this one's place for a product `[m, n]`, by the same rule: of both, 16 steps of a block
    /// keep an H100's shared memory busy longest, for 160 and 64 cycles.
    pub fn on_hopper(self, m: usize, n: usize) -> Tiling {
        if !["large", "broad", "tall", "medium"].contains(&self.name) {
            return self;
        }
        let tiles = [(WARPGROUPS, 160), (WARPGROUP, 64)];
        shortest(&tiles, HOPPER_MULTIPROCESSORS, m, n)
    }

    /// The largest tile that Hopper has in this one's place.
    pub fn largest_on_hopper(self) -> Tiling {
        match self.name {
            "large" => WARPGROUPS,
            _ => self,
        }
    }

    /// Whether operands come by tensor maps.
    pub fn by_groups(&self) -> bool {
        self.name.starts_with("warpgroup")
    }

    /// The instances of bf16 activations with quantised weights, or of f32 ones: no large tile.
    pub fn quantised(size: usize, wide: bool, m: usize, gated: bool) -> Tiling {
        match (size, wide) {
            (2, true) if m <= NARROW.m && gated => GATED_NARROW,
            (2, true) if m <= NARROW.m => NARROW,
            (2, true) if m <= SKINNY_ROWS => SKINNY,
            (_, true) => MEDIUM,
            (_, false) => ANY,
        }
    }

    /// For elements of `size` bytes, the largest tile that there is.
    pub fn largest(size: usize, wide: bool) -> Tiling {
        match (size, wide) {
            (2, true) => LARGE,
            _ => Tiling::new(size, wide, 0, 0),
        }
    }

    /// For cosines of few rows, which start at multiples of 16 bytes.
    pub fn few_cosines() -> Tiling {
        FEW_COSINES
    }

    /// For the logits of `m` rows over a vocabulary. A row's sums go over the same columns in the same order
    /// whatever `m` is.
    pub fn logits(size: usize, wide: bool, m: usize) -> Tiling {
        match (size, wide) {
            (2, true) if m <= SKINNY_ROWS => FEW_LOGITS,
            (_, true) if m <= SKINNY_ROWS => FEW_LOGITS_F32,
            _ => Tiling::largest(size, wide),
        }
    }

    /// Whether a product `[m, n]` has blocks for most of a GPU.
    pub fn fills(&self, m: usize, n: usize) -> bool {
        self.blocks(m, n) >= LARGE_BLOCKS
    }

    /// Blocks of a product `[m, n]`.
    pub fn blocks(&self, m: usize, n: usize) -> usize {
        m.div_ceil(self.m) * n.div_ceil(self.n)
    }

    /// Steps along a depth of `k`.
    pub fn steps(&self, k: usize) -> usize {
        k.div_ceil(self.depth)
    }

    /// Bytes of shared memory for operands of `a` and `b` bytes an element: the stages, then the tile of
    /// the result in f32, in the same place.
    pub fn shared(&self, a: usize, b: usize) -> usize {
        // A stage of warpgroups has two barriers.
        let barriers = if self.by_groups() { 16 } else { 0 };
        self.shared_of(self.depth * (self.m * a + self.n * b) + barriers)
    }

    /// As [`Tiling::shared`] with quantised weights, whose scales lie behind them.
    pub fn shared_quantised(&self, a: usize, form: Quantisation) -> usize {
        self.shared_of(self.depth * self.m * a + form.tile_bytes(self.depth * self.n))
    }

    fn shared_of(&self, stage: usize) -> usize {
        let tile = self.m * (self.n + 8) * size_of::<f32>();
        (self.stages * stage).max(tile)
    }
}
