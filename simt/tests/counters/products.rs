//! A kernel that CuTe has written, whose layouts are known to be free of bank conflicts.

use crate::machine::{Machine, Setup};

#[test]
fn product_of_cute() {
    let (m, n, k) = (256u64, 128u64, 96u64);
    let mut machine = Machine::new();
    let mut params = Vec::new();
    for bytes in [2 * m * k, 2 * n * k, 4 * m * n] {
        let at = machine.allocate(bytes);
        // SAFETY: the machine has just given these bytes.
        unsafe { (at as *mut u8).write_bytes(0, bytes as usize) };
        params.extend(at.to_le_bytes());
    }
    for extent in [m, n, k] {
        params.extend((extent as u32).to_le_bytes());
    }
    let setup = Setup {
        grid: [(m / 128) as u32, (n / 128) as u32, 1],
        block: 128,
        shared: 0,
        params: &params,
    };
    let ptx = include_str!("../ptx/cute_sm80_gemm.ptx");
    let record = machine.launch(ptx, "gemm_tn", &setup);
    assert_eq!(record.flops.tensor, 2 * m * n * k);
    // Each of the two blocks copies its own 128 rows of A and all 128 of B.
    let copied = 2 * (2 * 128 * k + 2 * 128 * k);
    let loads = &record.global.loads;
    assert_eq!((loads.bytes, loads.sectors), (copied, copied / 32));
    assert_eq!(loads.ideal_sectors, copied / 32);
    assert_eq!(record.shared.stores.bytes, copied);
    assert_eq!(record.unique.read_bytes, 2 * m * k + 2 * n * k);
    assert_eq!(record.unique.written_bytes, 4 * m * n);
    // Its swizzles are there so that neither side has conflicts.
    let shared = &record.shared;
    assert!(shared.loads.requests > 0);
    assert_eq!(shared.loads.wavefronts, shared.loads.ideal_wavefronts);
    assert_eq!(shared.stores.wavefronts, shared.stores.ideal_wavefronts);
    assert_eq!(record.l2.memory_read_bytes, 2 * m * k + 2 * n * k);
    assert_eq!(record.l2.memory_written_bytes, 4 * m * n);
}
