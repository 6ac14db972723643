//! Graphs node by node.

use super::support::{Random, stream};
use super::{AddArguments, WORDS, Words, blank_copy, function, image, module, ok};
use cudarc::driver::sys::{self, CUresult};
use std::ffi::c_void;
use std::ptr::{null, null_mut};

fn kernel_node(
    name: &str,
    module: sys::CUmodule,
    params: *mut *mut c_void,
) -> sys::CUDA_KERNEL_NODE_PARAMS {
    // SAFETY: zeros are a valid value of the structure.
    let mut node: sys::CUDA_KERNEL_NODE_PARAMS = unsafe { std::mem::zeroed() };
    node.func = function(module, name);
    (node.gridDimX, node.gridDimY, node.gridDimZ) = (4, 1, 1);
    (node.blockDimX, node.blockDimY, node.blockDimZ) = (32, 1, 1);
    node.kernelParams = params;
    node
}

unsafe extern "C" fn count(data: *mut c_void) {
    // SAFETY: the graph was given the address of a counter.
    unsafe { *data.cast::<u32>() += 1 };
}

fn nodes_of(graph: sys::CUgraph) -> usize {
    let mut count = 0;
    // SAFETY: without a list only the number is written.
    ok(unsafe { sys::cuGraphGetNodes(graph, null_mut(), &mut count) });
    count
}

#[test]
fn nodes_run_in_the_order_of_their_edges() {
    let stream = stream();
    let module = module(&image(WORDS)).unwrap();
    let mut random = Random::new();
    let host: Vec<u32> = (0..100).map(|_| random.bits() as u32).collect();
    let (words, copy) = (Words::new(&[!0; 100]), Words::new(&[!0; 100]));
    let mut add = AddArguments::new(&words, 11);
    let mut add_pointers = add.pointers();
    let mut twice_pointers = [add_pointers[0], add_pointers[1]];
    let mut calls = 0u32;
    // SAFETY: all structures are whole and the addresses live until the graph is gone.
    unsafe {
        let mut graph = null_mut();
        ok(sys::cuGraphCreate(&mut graph, 0));
        // Made in the wrong order: the edges say copy in, add, twice, copy out.
        let mut twice = null_mut();
        let params = kernel_node("twice", module, twice_pointers.as_mut_ptr());
        ok(sys::cuGraphAddKernelNode_v2(
            &mut twice,
            graph,
            null(),
            0,
            &params,
        ));
        let mut adding = null_mut();
        let params = kernel_node("add", module, add_pointers.as_mut_ptr());
        ok(sys::cuGraphAddKernelNode_v2(
            &mut adding,
            graph,
            null(),
            0,
            &params,
        ));
        let mut filled = null_mut();
        let mut fill: sys::CUDA_MEMSET_NODE_PARAMS = std::mem::zeroed();
        (
            fill.dst,
            fill.value,
            fill.elementSize,
            fill.width,
            fill.height,
        ) = (copy.0, 5, 4, 100, 1);
        ok(sys::cuGraphAddMemsetNode(
            &mut filled,
            graph,
            null(),
            0,
            &fill,
            null_mut(),
        ));
        let mut into = null_mut();
        let mut transfer = blank_copy();
        transfer.srcMemoryType = sys::CUmemorytype::CU_MEMORYTYPE_HOST;
        transfer.srcHost = host.as_ptr().cast();
        transfer.dstMemoryType = sys::CUmemorytype::CU_MEMORYTYPE_DEVICE;
        transfer.dstDevice = words.0;
        (transfer.WidthInBytes, transfer.Height, transfer.Depth) = (400, 1, 1);
        ok(sys::cuGraphAddMemcpyNode(
            &mut into,
            graph,
            null(),
            0,
            &transfer,
            null_mut(),
        ));
        let mut counted = null_mut();
        let call = sys::CUDA_HOST_NODE_PARAMS {
            fn_: Some(count),
            userData: (&raw mut calls).cast(),
        };
        ok(sys::cuGraphAddHostNode(
            &mut counted,
            graph,
            &twice,
            1,
            &call,
        ));
        ok(sys::cuGraphAddDependencies(
            graph,
            [into, adding].as_ptr(),
            [adding, twice].as_ptr(),
            2,
        ));
        // The arguments have been taken when the node was made.
        add_pointers[2].cast::<u32>().write(999);

        let mut exec = null_mut();
        ok(sys::cuGraphInstantiateWithFlags(&mut exec, graph, 0));
        assert_eq!(nodes_of(graph), 5);
        let cu_stream = stream.cu_stream();
        for run in 1..=3 {
            ok(sys::cuGraphLaunch(exec, cu_stream));
            let expected: Vec<u32> = host.iter().map(|w| w.wrapping_add(11) << 1).collect();
            assert_eq!(words.read(), expected);
            assert_eq!((copy.read(), calls), (vec![5; 100], run));
        }

        // Other arguments, and a node switched off.
        add_pointers[2].cast::<u32>().write(4);
        let params = kernel_node("add", module, add_pointers.as_mut_ptr());
        ok(sys::cuGraphExecKernelNodeSetParams_v2(
            exec, adding, &params,
        ));
        ok(sys::cuGraphNodeSetEnabled(exec, twice, 0));
        ok(sys::cuGraphLaunch(exec, cu_stream));
        let expected: Vec<u32> = host.iter().map(|w| w.wrapping_add(4)).collect();
        assert_eq!(words.read(), expected);

        // A node's parameters as they were set.
        let mut read: sys::CUDA_KERNEL_NODE_PARAMS = std::mem::zeroed();
        ok(sys::cuGraphKernelNodeGetParams_v2(adding, &mut read));
        assert_eq!(read.gridDimX, 4);
        assert_eq!(*(*read.kernelParams.add(2)).cast::<u32>(), 11);

        // A ring cannot run.
        ok(sys::cuGraphAddDependencies(graph, &twice, &into, 1));
        let mut ring = null_mut();
        let result = sys::cuGraphInstantiateWithFlags(&mut ring, graph, 0);
        assert_eq!(result, CUresult::CUDA_ERROR_INVALID_VALUE);
        ok(sys::cuGraphRemoveDependencies(graph, &twice, &into, 1));

        // A clone has nodes of its own; the graph in the graph too.
        let mut clone = null_mut();
        ok(sys::cuGraphClone(&mut clone, graph));
        let mut found = null_mut();
        ok(sys::cuGraphNodeFindInClone(&mut found, adding, clone));
        assert_ne!(found, adding);
        let (mut outer, mut child) = (null_mut(), null_mut());
        ok(sys::cuGraphCreate(&mut outer, 0));
        ok(sys::cuGraphAddChildGraphNode(
            &mut child,
            outer,
            null(),
            0,
            clone,
        ));
        ok(sys::cuGraphDestroy(clone));
        ok(sys::cuGraphDestroy(graph));
        let mut outer_exec = null_mut();
        ok(sys::cuGraphInstantiateWithFlags(&mut outer_exec, outer, 0));
        ok(sys::cuGraphLaunch(outer_exec, cu_stream));
        let expected: Vec<u32> = host.iter().map(|w| w.wrapping_add(11) << 1).collect();
        assert_eq!(words.read(), expected);
        // The first one still runs, without its graph.
        ok(sys::cuGraphLaunch(exec, cu_stream));
        ok(sys::cuGraphExecDestroy(exec));
        assert_eq!(
            sys::cuGraphLaunch(exec, cu_stream),
            CUresult::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            sys::cuGraphDestroy(graph),
            CUresult::CUDA_ERROR_INVALID_HANDLE
        );
        ok(sys::cuGraphDestroy(outer));
    }
}

#[test]
fn memory_of_a_graph_keeps_its_address() {
    let stream = stream();
    // SAFETY: all structures are whole.
    unsafe {
        let mut graph = null_mut();
        ok(sys::cuGraphCreate(&mut graph, 0));
        let mut params: sys::CUDA_MEM_ALLOC_NODE_PARAMS = std::mem::zeroed();
        params.poolProps.allocType = sys::CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED;
        params.poolProps.location.type_ = sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
        params.bytesize = 64;
        let mut node = null_mut();
        ok(sys::cuGraphAddMemAllocNode(
            &mut node,
            graph,
            null(),
            0,
            &mut params,
        ));
        let mut fill: sys::CUDA_MEMSET_NODE_PARAMS = std::mem::zeroed();
        (
            fill.dst,
            fill.value,
            fill.elementSize,
            fill.width,
            fill.height,
        ) = (params.dptr, 0xab, 1, 64, 1);
        let mut filled = null_mut();
        ok(sys::cuGraphAddMemsetNode(
            &mut filled,
            graph,
            &node,
            1,
            &fill,
            null_mut(),
        ));
        let mut exec = null_mut();
        ok(sys::cuGraphInstantiateWithFlags(&mut exec, graph, 0));
        ok(sys::cuGraphDestroy(graph));
        ok(sys::cuGraphLaunch(exec, stream.cu_stream()));
        let mut bytes = [0u8; 64];
        ok(sys::cuMemcpyDtoH_v2(
            bytes.as_mut_ptr().cast(),
            params.dptr,
            64,
        ));
        assert_eq!(bytes, [0xab; 64]);
        ok(sys::cuGraphExecDestroy(exec));
        let gone = sys::cuMemcpyDtoH_v2(bytes.as_mut_ptr().cast(), params.dptr, 64);
        assert_eq!(gone, CUresult::CUDA_ERROR_INVALID_VALUE);
    }
}

#[test]
fn updates_need_the_same_shape() {
    let _stream = stream();
    let module = module(&image(WORDS)).unwrap();
    let words = Words::new(&[1; 100]);
    let build = |by: u32, more: bool| {
        let mut arguments = AddArguments::new(&words, by);
        let mut graph = null_mut();
        // SAFETY: the arguments live until the node is made.
        unsafe {
            ok(sys::cuGraphCreate(&mut graph, 0));
            let mut node = null_mut();
            let mut pointers = arguments.pointers();
            let params = kernel_node("add", module, pointers.as_mut_ptr());
            ok(sys::cuGraphAddKernelNode_v2(
                &mut node,
                graph,
                null(),
                0,
                &params,
            ));
            if more {
                ok(sys::cuGraphAddEmptyNode(&mut node, graph, &node, 1));
            }
        }
        graph
    };
    // SAFETY: handles are live, structures whole.
    unsafe {
        let (first, second, third) = (build(1, false), build(20, false), build(1, true));
        let mut exec = null_mut();
        ok(sys::cuGraphInstantiateWithFlags(&mut exec, first, 0));
        let mut info: sys::CUgraphExecUpdateResultInfo = std::mem::zeroed();
        ok(sys::cuGraphExecUpdate_v2(exec, second, &mut info));
        ok(sys::cuGraphLaunch(exec, null_mut()));
        assert_eq!(words.read(), [21; 100]);
        let result = sys::cuGraphExecUpdate_v2(exec, third, &mut info);
        assert_eq!(result, CUresult::CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
        assert_eq!(
            info.result,
            sys::CUgraphExecUpdateResult::CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED
        );
    }
}

#[test]
fn objects_of_the_program_live_as_long_as_what_refers_to_them() {
    let _stream = stream();
    let mut ended = 0u32;
    // SAFETY: handles are live; the counter outlives the object.
    unsafe {
        let (mut object, mut graph, mut clone, mut exec) =
            (null_mut(), null_mut(), null_mut(), null_mut());
        let data = (&raw mut ended).cast();
        ok(sys::cuUserObjectCreate(
            &mut object,
            data,
            Some(count),
            2,
            1,
        ));
        ok(sys::cuGraphCreate(&mut graph, 0));
        // One of the program's two references goes over to the graph.
        ok(sys::cuGraphRetainUserObject(graph, object, 1, 1));
        ok(sys::cuUserObjectRelease(object, 1));
        let mut node = null_mut();
        ok(sys::cuGraphAddEmptyNode(&mut node, graph, null(), 0));
        ok(sys::cuGraphClone(&mut clone, graph));
        ok(sys::cuGraphInstantiateWithFlags(&mut exec, graph, 0));
        ok(sys::cuGraphDestroy(graph));
        ok(sys::cuGraphDestroy(clone));
        assert_eq!((&raw const ended).read_volatile(), 0);
        ok(sys::cuGraphExecDestroy(exec));
        assert_eq!((&raw const ended).read_volatile(), 1);
    }
}
