//! Blocks of a cluster: their ranks, their barrier and each other's shared memory.

use super::run::{module, run};
use super::support::{kernel, stream};
use cudarc::driver::sys::{self, CUresult};
use cudarc::driver::{CudaFunction, DevicePtrMut};
use std::ptr::null_mut;

#[test]
fn ranks_and_neighbours() {
    // Every block writes its rank into the next block's shared memory by a generic address, adds to that of
    // the one after by a shared address, and tells what others left in its own.
    let body = "mov.u32 %r1, %cluster_ctarank;
        mov.u32 %r2, %cluster_nctarank;
        mov.u32 %r3, cell;
        setp.ne.u32 %p1, %t, 0;
        @!%p1 st.shared.v2.u32 [cell], {1000, 2000};
        barrier.cluster.arrive.release.aligned;
        barrier.cluster.wait.acquire.aligned;
        @%p1 bra DONE;
        add.u32 %r4, %r1, 1;
        rem.u32 %r4, %r4, %r2;
        mov.u64 %d1, cell;
        cvta.shared.u64 %d1, %d1;
        mapa.u64 %d2, %d1, %r4;
        add.u32 %r5, %r1, 10;
        st.u32 [%d2], %r5;
        add.u32 %r6, %r4, 1;
        rem.u32 %r6, %r6, %r2;
        mapa.shared::cluster.u32 %r7, %r3, %r6;
        atom.shared::cluster.add.u32 %r8, [%r7+4], %r5;
        getctarank.shared::cluster.u32 %r9, %r7;
        DONE:
        barrier.cluster.arrive;
        barrier.cluster.wait;
        @%p1 ret;
        ld.shared.v2.u32 {%r10, %r11}, [cell];
        mov.u32 %r12, %ctaid.x;
        mul.wide.u32 %d3, %r12, 24;
        add.u64 %d3, %d3, %out;
        st.global.u32 [%d3], %r1;
        st.global.u32 [%d3+4], %r10;
        st.global.u32 [%d3+8], %r11;
        st.global.u32 [%d3+12], %r8;
        st.global.u32 [%d3+16], %r9;
        mov.u32 %r13, %clusterid.x;
        st.global.u32 [%d3+20], %r13;";
    let shared = ".shared .align 8 .b32 cell[2];";
    let text = module(".reqnctapercluster 4", shared, body);
    let out = run(&text, 8, 64, &[0], 48);
    for block in 0..8u32 {
        let rank = block % 4;
        let words = &out[block as usize * 6..][..6];
        let from = (rank + 3) % 4 + 10;
        let added = 2000 + (rank + 2) % 4 + 10;
        let expected = [rank, from, added, 2000, (rank + 2) % 4, block / 4];
        assert_eq!(words, expected, "block {block}");
    }
}

#[test]
fn values_sent_to_another_block() {
    // Each block sends two words and adds to a third in the other, whose barrier counts the bytes.
    let body = "mov.u32 %r1, %cluster_ctarank;
        xor.b32 %r2, %r1, 1;
        setp.ne.u32 %p1, %t, 0;
        @%p1 bra READY;
        mbarrier.init.shared.b64 [bar], 1;
        st.shared.v4.u32 [cell], {0, 0, 5, 0};
        mbarrier.arrive.expect_tx.shared.b64 _, [bar], 12;
        READY:
        barrier.cluster.arrive.release;
        barrier.cluster.wait.acquire;
        @%p1 bra SENT;
        mov.u32 %r3, cell;
        mov.u32 %r4, bar;
        mapa.shared::cluster.u32 %r5, %r3, %r2;
        mapa.shared::cluster.u32 %r6, %r4, %r2;
        add.u32 %r7, %r1, 100;
        add.u32 %r8, %r1, 200;
        st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%r5], {%r7, %r8}, [%r6];
        red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%r5+8], %r7, [%r6];
        SENT:
        mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p2, [bar], 0;
        @!%p2 bra SENT;
        @%p1 bra END;
        ld.shared.v4.u32 {%r9, %r10, %r11, %r12}, [cell];
        mul.wide.u32 %d1, %r1, 16;
        add.u64 %d1, %d1, %out;
        st.global.v4.u32 [%d1], {%r9, %r10, %r11, %r12};
        END:
        barrier.cluster.arrive;
        barrier.cluster.wait;";
    let shared = ".shared .align 16 .b32 cell[4];\n.shared .align 8 .b64 bar;";
    let text = module(".reqnctapercluster 2, 1, 1", shared, body);
    assert_eq!(
        run(&text, 2, 64, &[0], 8),
        [101, 201, 106, 0, 100, 200, 105, 0]
    );
}

#[test]
fn bytes_from_block_to_block() {
    // Rank 0 copies its buffer into rank 1's, whose threads wait for it.
    let body = "mov.u32 %r1, %cluster_ctarank;
        shl.b32 %r2, %t, 2;
        mov.u32 %r3, buffer;
        add.u32 %r4, %r3, %r2;
        mad.lo.u32 %r5, %r1, 1000, %t;
        st.shared.u32 [%r4], %r5;
        setp.eq.u32 %p1, %t, 0;
        @%p1 mbarrier.init.shared.b64 [bar], 1;
        setp.eq.u32 %p2, %r1, 1;
        and.pred %p3, %p1, %p2;
        @%p3 mbarrier.arrive.expect_tx.shared.b64 _, [bar], 128;
        fence.proxy.async.shared::cta;
        barrier.cluster.arrive;
        barrier.cluster.wait;
        @%p2 bra TAKE;
        mov.u32 %r6, bar;
        mapa.shared::cluster.u32 %r7, %r3, 1;
        mapa.shared::cluster.u32 %r8, %r6, 1;
        @%p1 cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r7], [buffer], 128, [%r8];
        bra END;
        TAKE:
        mbarrier.try_wait.parity.shared.b64 %p4, [bar], 0;
        @!%p4 bra TAKE;
        ld.shared.u32 %r9, [%r4];
        cvt.u64.u32 %d1, %r2;
        add.u64 %d1, %d1, %out;
        st.global.u32 [%d1], %r9;
        END:
        barrier.cluster.arrive;
        barrier.cluster.wait;";
    let shared = ".shared .align 16 .b32 buffer[32];\n.shared .align 8 .b64 bar;";
    let text = module(".reqnctapercluster 2, 1, 1", shared, body);
    assert_eq!(run(&text, 2, 32, &[0], 32), (0..32).collect::<Vec<u32>>());
}

/// Launches a module's entry in clusters, as the attribute of `cuLaunchKernelEx` asks for.
fn launch(function: &CudaFunction, blocks: u32, cluster: [u32; 3], out: u64) -> CUresult {
    launch_on(std::ptr::null_mut(), function, blocks, cluster, out)
}

/// As [`launch`], on a stream.
fn launch_on(
    stream: sys::CUstream,
    function: &CudaFunction,
    blocks: u32,
    cluster: [u32; 3],
    out: u64,
) -> CUresult {
    let mut none = 0u64;
    let mut out = out;
    let mut params = [(&raw mut none).cast(), (&raw mut out).cast()];
    let mut value = sys::CUlaunchAttributeValue { pad: [0; 64] };
    let [x, y, z] = cluster;
    value.clusterDim = sys::CUlaunchAttributeValue_union__bindgen_ty_1 { x, y, z };
    let mut attribute = sys::CUlaunchAttribute {
        id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
        pad: [0; 4],
        value,
    };
    let config = sys::CUlaunchConfig {
        gridDimX: blocks,
        gridDimY: 1,
        gridDimZ: 1,
        blockDimX: 32,
        blockDimY: 1,
        blockDimZ: 1,
        sharedMemBytes: 0,
        hStream: stream,
        attrs: &mut attribute,
        numAttrs: 1,
    };
    // SAFETY: the entry takes two addresses; the attribute lives until the call returns.
    unsafe {
        sys::cuLaunchKernelEx(
            &config,
            function.cu_function(),
            params.as_mut_ptr(),
            std::ptr::null_mut(),
        )
    }
}

/// The first thread of each block writes how many blocks its cluster has.
const SIZES: &str = "setp.ne.u32 %p1, %t, 0;
    @%p1 ret;
    mov.u32 %r1, %cluster_nctarank;
    mov.u32 %r2, %ctaid.x;
    mul.wide.u32 %d1, %r2, 4;
    add.u64 %d1, %d1, %out;
    st.global.u32 [%d1], %r1;";

#[test]
fn sizes_of_clusters_are_checked() {
    let stream = stream();
    let function = kernel(&stream, &module("", "", SIZES), "k");
    let mut out = stream.clone_htod(&[0u32; 16]).unwrap();
    let address = out.device_ptr_mut(&stream).0;
    let invalid = CUresult::CUDA_ERROR_INVALID_CLUSTER_SIZE;
    assert_eq!(launch(&function, 16, [3, 1, 1], address), invalid);
    assert_eq!(launch(&function, 16, [0, 1, 1], address), invalid);
    assert_eq!(launch(&function, 16, [16, 1, 1], address), invalid);
    let large = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED;
    function.set_attribute(large, 1).unwrap();
    assert_eq!(
        launch(&function, 16, [16, 1, 1], address),
        CUresult::CUDA_SUCCESS
    );
    assert_eq!(stream.clone_dtoh(&out).unwrap(), [16; 16]);
    assert_eq!(
        launch(&function, 16, [2, 1, 1], address),
        CUresult::CUDA_SUCCESS
    );
    assert_eq!(stream.clone_dtoh(&out).unwrap(), [2; 16]);
}

#[test]
fn graphs_launch_clusters() {
    let ok = |result| assert_eq!(result, CUresult::CUDA_SUCCESS);
    let stream = stream();
    let function = kernel(&stream, &module("", "", SIZES), "k");
    let mut out = stream.clone_htod(&[0u32; 16]).unwrap();
    let mut address = out.device_ptr_mut(&stream).0;
    let mut none = 0u64;
    let mut params = [(&raw mut none).cast(), (&raw mut address).cast()];
    let (mut own, mut graph, mut exec) = (null_mut(), null_mut(), null_mut());
    let (mut node, mut added) = (null_mut(), null_mut());
    // SAFETY: handles are live, and the entry takes two addresses.
    unsafe {
        ok(sys::cuStreamCreate(&mut own, 1));
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        ok(sys::cuStreamBeginCapture_v2(own, mode));
        ok(launch_on(own, &function, 16, [4, 1, 1], address));
        ok(sys::cuStreamEndCapture(own, &mut graph));
        ok(sys::cuGraphInstantiateWithFlags(&mut exec, graph, 0));
        ok(sys::cuGraphLaunch(exec, own));
        assert_eq!(stream.clone_dtoh(&out).unwrap(), [4; 16]);
        ok(sys::cuGraphExecDestroy(exec));

        // A node that is made for itself gets its clusters afterwards.
        let mut count = 1;
        ok(sys::cuGraphGetNodes(graph, &mut node, &mut count));
        let mut kernel: sys::CUDA_KERNEL_NODE_PARAMS = std::mem::zeroed();
        kernel.func = function.cu_function();
        (kernel.gridDimX, kernel.gridDimY, kernel.gridDimZ) = (16, 1, 1);
        (kernel.blockDimX, kernel.blockDimY, kernel.blockDimZ) = (32, 1, 1);
        kernel.kernelParams = params.as_mut_ptr();
        ok(sys::cuGraphAddKernelNode_v2(
            &mut added, graph, &node, 1, &kernel,
        ));
        let id = sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
        let mut value = sys::CUlaunchAttributeValue { pad: [0; 64] };
        for (x, expected) in [
            (3, CUresult::CUDA_ERROR_INVALID_CLUSTER_SIZE),
            (8, CUresult::CUDA_SUCCESS),
        ] {
            value.clusterDim = sys::CUlaunchAttributeValue_union__bindgen_ty_1 { x, y: 1, z: 1 };
            let set = sys::cuGraphKernelNodeSetAttribute(added, id, &value);
            assert_eq!(set, expected);
        }
        ok(sys::cuGraphInstantiateWithFlags(&mut exec, graph, 0));
        ok(sys::cuGraphLaunch(exec, own));
        assert_eq!(stream.clone_dtoh(&out).unwrap(), [8; 16]);
        ok(sys::cuGraphExecDestroy(exec));
        ok(sys::cuGraphDestroy(graph));
        ok(sys::cuStreamDestroy_v2(own));
    }
}
