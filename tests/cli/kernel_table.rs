//! `lrem kernel table`: what kernels cost, and which miss the bars.

use super::kernel::{built, kernel};
use serde_json::Value;

fn table(arguments: &[&str]) -> String {
    let output = kernel(&["table"]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What is said of RMSNorm by a kernel file with this text.
fn table_of(text: &str, options: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.cu");
    std::fs::write(&file, text).unwrap();
    let arguments = [file.to_str().unwrap(), "--op", "rms_norm"];
    table(&[&arguments, options].concat())
}

#[test]
fn the_projects_norms_have_a_row_each_and_miss_no_bar() {
    if !built() {
        return;
    }
    let text = table(&["--op", "rms_norm", "--op", "swiglu"]);
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(
        lines[0],
        "| kernel | workload | HBM | sectors | wavefronts | registers | local | tensor | A100 | H100 | H200 | B200 | limit |"
    );
    for name in [
        "rms_norm_bf16",
        "add_rms_norm_bf16",
        "rms_norm_backward_bf16",
        "swiglu_bf16",
        "swiglu_backward_bf16",
    ] {
        let row = lines
            .iter()
            .find(|line| line.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("{name} is missing: {text}"));
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let number = |at: usize| cells[at].parse::<f64>().unwrap_or_else(|_| panic!("{row}"));
        for ratio in [3, 4, 5] {
            assert!((0.999..=1.05).contains(&number(ratio)), "{row}");
        }
        assert!(number(6) >= 16.0 && number(7) == 0.0, "{row}");
        assert_eq!(cells[8], "", "{row}");
        // Microseconds: each chip is faster than the one before, or as fast; behind one load at least.
        let times = [9, 10, 11, 12].map(number);
        assert!(times.is_sorted_by(|a, b| a >= b), "{row}");
        assert!(times.iter().all(|us| (0.24..10.0).contains(us)), "{row}");
        assert!(
            ["latency", "HBM bandwidth", "instruction issue"].contains(&cells[13]),
            "{row}"
        );
    }
    let calls = lines.iter().position(|l| l.starts_with("| op call |"));
    let (kernels, calls) = lines.split_at(calls.unwrap_or_else(|| panic!("no calls: {text}")));
    assert_eq!(kernels.len(), 2 + 5, "f32 is left out: {text}");
    assert_eq!(
        calls[0],
        "| op call | activations | workload | chip | launches | HBM bytes | compulsory | HBM over compulsory |"
    );
    assert_eq!(calls.len(), 2 + 5, "{text}");
    for row in &calls[2..] {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!((cells[2], cells[5]), ("bf16", "1"), "{row}");
        let ratio: f64 = cells[8].parse().unwrap();
        assert!((0.999..=1.05).contains(&ratio), "{row}");
    }
    assert!(text.contains("Every kernel keeps to every bar."), "{text}");
}

/// A warp a row, a lane its own stretch of it, with an array that is indexed at run time and a column of shared
/// memory that lies in one bank.
const BAD: &str = "// instance: rms_norm_f32 = rms_norm<float>
template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    __shared__ float column[32 * 32];
    if (threadIdx.x >= 32) return;
    x += static_cast<size_t>(blockIdx.x) * dim;
    y += static_cast<size_t>(blockIdx.x) * dim;
    const int each = (dim + 31) / 32, first = threadIdx.x * each, last = min(dim, first + each);
    float parts[64] = {}, squares = 0.0f;
    for (int i = first; i < last; ++i) parts[static_cast<int>(w[i] * 8.0f) & 63] += x[i] * x[i];
    for (int i = 0; i < 64; ++i) squares += parts[i];
    column[threadIdx.x * 32] = squares;
    __syncwarp();
    float sum = 0.0f;
    for (int lane = 0; lane < 32; ++lane) sum += column[lane * 32];
    const float r = 1.0f / sqrtf(sum / dim + eps);
    for (int i = first; i < last; ++i) y[i] = x[i] * r * w[i];
}
";

#[test]
fn a_kernel_that_is_not_lean_is_listed_under_each_bar_that_it_misses() {
    if !built() {
        return;
    }
    let report: Value = serde_json::from_str(&table_of(BAD, &["--json"])).unwrap();
    let misses = report["misses"].as_array().unwrap();
    let bars: Vec<&str> = misses.iter().map(|m| m["bar"].as_str().unwrap()).collect();
    assert_eq!(bars, ["sectors", "wavefronts", "local"], "{report:#}");
    for miss in misses {
        assert_eq!(miss["of"], "rms_norm_f32");
        assert_eq!(miss["workload"], "smollm2-135m-64-rows");
        assert!(miss["is"].as_f64() > miss["bound"].as_f64(), "{miss}");
    }
    let text = table_of(BAD, &[]);
    for bar in ["global sectors", "shared wavefronts", "no spills"] {
        let line = text.lines().find(|l| l.starts_with(&format!("- {bar}")));
        let line = line.unwrap_or_else(|| panic!("no {bar} in {text}"));
        assert!(line.contains("missed by: `rms_norm_f32` "), "{line}");
    }
}

/// RMSNorm that leaves its squares where nobody reads them, so that the call moves half as much again as its interface
/// forces.
const WASTEFUL: &str = "// instance: rms_norm_f32 = rms_norm<float>
__device__ float squared[64 * 576];
template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    __shared__ float squares;
    if (threadIdx.x == 0) squares = 0.0f;
    __syncthreads();
    x += static_cast<size_t>(blockIdx.x) * dim;
    y += static_cast<size_t>(blockIdx.x) * dim;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        squared[blockIdx.x * dim + i] = x[i] * x[i];
        atomicAdd(&squares, x[i] * x[i]);
    }
    __syncthreads();
    const float r = 1.0f / sqrtf(squares / dim + eps);
    for (int i = threadIdx.x; i < dim; i += blockDim.x) y[i] = x[i] * r * w[i];
}
";

#[test]
fn a_call_that_moves_too_much_is_judged_and_its_kernel_not_twice() {
    if !built() {
        return;
    }
    let report: Value = serde_json::from_str(&table_of(WASTEFUL, &["--json"])).unwrap();
    let misses = report["misses"].as_array().unwrap();
    let memory: Vec<&Value> = misses.iter().filter(|m| m["bar"] == "memory").collect();
    let [miss] = memory[..] else {
        panic!("{report:#}");
    };
    assert_eq!(miss["of"], "rms_norm", "{report:#}");
    let is = miss["is"].as_f64().unwrap();
    assert!((1.45..1.55).contains(&is), "{miss}");
    let calls = report["calls"].as_array().unwrap();
    assert!(calls.iter().any(|call| call["call"] == "rms_norm"
        && call["hbm_over_compulsory"] == miss["is"]
        && call["launches"][0] == "rms_norm_f32"));
}

/// Kernels of one call hand partial sums on: each by itself moves them, the call writes them back at most.
#[test]
fn what_kernels_of_a_call_hand_on_is_no_traffic_of_the_call() {
    if !built() {
        return;
    }
    let report: Value = serde_json::from_str(&table(&["--op", "qk_norm", "--json"])).unwrap();
    let calls = report["calls"].as_array().unwrap();
    let call = calls.iter().find(|c| c["call"] == "qk_norm_backward");
    let call = call.unwrap_or_else(|| panic!("{report:#}"));
    let launches = call["launches"].as_array().unwrap();
    assert_eq!(launches.len(), 3, "{call:#}");
    assert_eq!(launches[2], "column_sums");
    assert_eq!(call["complete"], true);
    let number = |name: &str| call[name].as_u64().unwrap();
    assert_eq!(
        number("hbm_bytes"),
        number("read_bytes") + number("written_bytes")
    );
    // Nothing that it writes for its own is read again: it reads its inputs once, in whole sectors.
    let rows = report["rows"].as_array().unwrap();
    let kernel = rows
        .iter()
        .find(|r| r["instance"] == "qk_norm_backward_bf16");
    let alone = kernel.unwrap()["hbm_bytes"].as_u64().unwrap();
    assert!(
        number("hbm_bytes") >= number("compulsory_bytes"),
        "{call:#}"
    );
    assert!(number("hbm_bytes") < alone + alone / 20, "{call:#}");
}

#[test]
fn an_unknown_op_is_an_error() {
    let output = kernel(&["table", "--op", "rms"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("op `rms` has no contract"), "{said}");
}
