//! What a lean kernel keeps to, and where one does not.

use super::calls::CountedCall;
use super::counted::Counted;
use serde::Serialize;

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// Bytes across HBM's pins by the model of the L2 cache, over what the op cannot do without: of a call of the op,
    /// of a kernel by itself where no call is counted that launches it.
    Memory,
    /// Sectors of global memory over what the same accesses need at best.
    Sectors,
    /// Wavefronts of shared memory, likewise.
    Wavefronts,
    /// Loads and stores of local memory in the machine code.
    Local,
    /// The share of tensor-core instructions in the main loop.
    Tensor,
}

impl Bar {
    pub const ALL: [Bar; 5] = [
        Bar::Memory,
        Bar::Sectors,
        Bar::Wavefronts,
        Bar::Local,
        Bar::Tensor,
    ];

    /// What the bar asks for, in words.
    pub fn name(self) -> &'static str {
        match self {
            Bar::Memory => "HBM bytes at most 1.05 x compulsory, of products and attention 1.2 x",
            Bar::Sectors => "global sectors at most 1.02 x ideal",
            Bar::Wavefronts => "shared wavefronts at most 1.02 x ideal",
            Bar::Local => "no spills and no local memory",
            Bar::Tensor => {
                "tensor-core instructions in the main loop as in those of CuTe and FlashAttention-2"
            }
        }
    }
}

/// A bar that a kernel misses, or a call of an op.
#[derive(Debug, PartialEq, Serialize)]
pub struct Miss {
    pub bar: Bar,
    /// The kernel or the call.
    pub of: String,
    pub workload: String,
    /// What a call ran on: other chips may do it with other kernels.
    pub chip: Option<String>,
    pub is: f64,
    /// The most that it may be, of a share the least.
    pub bound: f64,
}

/// Ops that are products, whose operands several blocks read.
const PRODUCTS: [&str; 8] = [
    "attention",
    "attention_combine",
    "info_nce",
    "linear",
    "linear_cross_entropy",
    "linear_int4",
    "linear_int8",
    "top_k",
];

/// What sectors and wavefronts may be of the ideal.
const EXCESS: f64 = 1.02;

/// The share of tensor-core instructions in the main loops of others, for sm_80, counted as ours are
/// (`benches/peers/kernels/main_loops.py`): what a kernel's name holds, how it ends, and the share.
///
/// FlashAttention-2 2.5.7 for causal rows of any length, as compiled in xformers 0.0.27, by the elements of a head, its
/// kernel that splits keys where there is one for warps of 32 rows beside;
/// CuTe's tutorial product in tiles of 16 x 64, 64 x 64, 128 x 64 and 128 x 128 (`benches/peers/kernels/products.py`,
/// `simt/tests/ptx/cute_sm80_gemm.cu`) for tiles whose warps have parts of the same size; Marlin for a row and for 64
/// of them by weights in int8 and int4 (`benches/peers/kernels/marlin.py`).
const TENSOR: [(&str, &str, f64); 17] = [
    ("attention_backward", "_64", 320.0 / 1303.0),
    ("attention_backward", "", 320.0 / 983.0),
    ("attention_few", "_64", 256.0 / 1299.0),
    ("attention", "_64", 256.0 / 1118.0),
    ("attention", "", 256.0 / 884.0),
    ("_int8", "_narrow", 32.0 / 1211.0),
    ("_int4", "_narrow", 32.0 / 1211.0),
    ("_int8", "_skinny", 32.0 / 1211.0),
    ("_int4", "_skinny", 32.0 / 1211.0),
    ("_int8", "", 256.0 / 2235.0),
    ("_int4", "", 256.0 / 2235.0),
    ("", "_skinny", 8.0 / 74.0),
    ("", "_any", 32.0 / 120.0),
    ("", "_medium", 32.0 / 120.0),
    ("", "_tall", 64.0 / 173.0),
    ("", "_few", 64.0 / 173.0),
    ("", "", 64.0 / 129.0),
];

/// What bytes across HBM's pins may be of what `op` cannot do without.
fn most_bytes(op: &str) -> f64 {
    match PRODUCTS.contains(&op) {
        true => 1.2,
        false => 1.05,
    }
}

/// The bar that a call of `op` misses.
pub fn call_misses(op: &str, workload: &str, call: &CountedCall) -> Option<Miss> {
    let (is, bound) = (call.hbm_over_compulsory, most_bytes(op));
    (is > bound).then(|| Miss {
        bar: Bar::Memory,
        of: call.call.clone(),
        workload: workload.into(),
        chip: Some(call.chip.clone()),
        is,
        bound,
    })
}

/// The bars that `kernel` misses at a workload of `op`; bytes are looked at where it is `alone`, in no call that has
/// been counted.
pub fn misses(op: &str, workload: &str, kernel: &Counted, alone: bool) -> Vec<Miss> {
    let bytes = kernel.hbm_over_compulsory.filter(|_| alone);
    let counts = &kernel.counts;
    let code = kernel.machine_code.as_ref();
    let above = [
        (Bar::Memory, bytes.unwrap_or(1.0), most_bytes(op)),
        (Bar::Sectors, counts.sectors_over_ideal, EXCESS),
        (Bar::Wavefronts, counts.wavefronts_over_ideal, EXCESS),
        (Bar::Local, code.map_or(0.0, |c| f64::from(c.local)), 0.0),
    ];
    let above = above.into_iter().filter(|(_, is, most)| is > most);
    let share = code.and_then(|code| code.tensor_share());
    let below = share.zip(tensor_share(&kernel.instance));
    let below = below.filter(|(is, least)| is < least);
    let below = below.map(|(is, least)| (Bar::Tensor, is, least));
    let miss = |(bar, is, bound)| Miss {
        bar,
        of: kernel.instance.clone(),
        workload: workload.to_string(),
        chip: None,
        is,
        bound,
    };
    above.chain(below).map(miss).collect()
}

/// That of a kernel as others write it.
fn tensor_share(instance: &str) -> Option<f64> {
    let alike =
        |(begin, end, _): &&(&str, &str, f64)| instance.contains(begin) && instance.ends_with(end);
    TENSOR.iter().find(alike).map(|(_, _, share)| *share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(hbm_over_compulsory: f64) -> CountedCall {
        CountedCall {
            call: "c".into(),
            activations: "bf16".into(),
            chip: "A".into(),
            launches: vec!["k".into()],
            hbm_bytes: 0,
            read_bytes: 0,
            written_bytes: 0,
            complete: true,
            compulsory_bytes: 0,
            hbm_over_compulsory,
        }
    }

    #[test]
    fn a_call_may_move_a_little_more_than_it_must_and_of_a_product_more() {
        for (op, most) in [("rms_norm", 1.05), ("attention", 1.2)] {
            assert_eq!(call_misses(op, "w", &call(most)), None);
            let miss = call_misses(op, "w", &call(most + 0.01)).unwrap();
            assert_eq!((miss.bar, miss.of.as_str()), (Bar::Memory, "c"));
            assert_eq!(miss.bound, most);
        }
    }
}
