//! `cuTensorMapEncodeTiled`, and boxes of up to five dimensions against plain loops.

use super::maps::Tensor;
use super::support::{Random, kernel, stream};
use cudarc::driver::sys::{CUresult, CUtensorMapDataType as Type};
use cudarc::driver::{DevicePtr, LaunchConfig, PushKernelArg};

/// A map that is right, for one wrong thing at a time.
fn good(address: u64) -> Tensor {
    Tensor {
        ty: Type::CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
        address,
        extent: vec![100, 50, 7],
        strides: vec![400, 20_000],
        extent_of_box: vec![32, 8, 2],
        element_strides: vec![1, 2, 1],
        interleave: 0,
        swizzle: 3,
        fill: 1,
    }
}

#[test]
fn what_the_documentation_forbids() {
    let stream = stream();
    let memory = stream.clone_htod(&[0u8; 64]).unwrap();
    let address = memory.device_ptr(&stream).0;
    let right = good(address);
    assert!(right.try_map().is_ok());
    let wrong = |change: fn(&mut Tensor)| {
        let mut tensor = right.clone();
        change(&mut tensor);
        tensor.try_map().err()
    };
    let invalid = Some(CUresult::CUDA_ERROR_INVALID_VALUE);
    let changes: [fn(&mut Tensor); 13] = [
        |t| t.address += 8,
        |t| t.extent[0] = 0,
        |t| t.extent[1] = (1 << 32) + 1,
        |t| t.strides[0] = 404,
        |t| t.strides[1] = 1 << 40,
        |t| t.extent_of_box[1] = 0,
        |t| t.extent_of_box[2] = 257,
        // 132 bytes are more than the swizzle's line, and 28 no multiple of 16.
        |t| t.extent_of_box[0] = 33,
        |t| t.extent_of_box[0] = 7,
        |t| t.element_strides[1] = 9,
        |t| t.element_strides[0] = 0,
        |t| t.ty = Type::CU_TENSOR_MAP_DATA_TYPE_INT32,
        |t| t.extent.truncate(0),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        assert_eq!(wrong(change), invalid, "{at}");
    }
    // Right, but not here.
    let interleaved = wrong(|t| (t.interleave, t.swizzle) = (1, 0));
    assert_eq!(interleaved, Some(CUresult::CUDA_ERROR_NOT_SUPPORTED));
}

/// Loads a box at `%c` into shared memory and writes it out as it lies there.
fn text(dimensions: usize, words: usize) -> String {
    let coordinates: String = (0..dimensions)
        .map(|axis| format!("ld.global.u32 %c{axis}, [%d0+{}];\n", 4 * axis))
        .collect();
    let names: Vec<String> = (0..dimensions).map(|axis| format!("%c{axis}")).collect();
    let names = names.join(", ");
    format!(
        ".version 8.6\n.target sm_90a\n.address_size 64\n\
        .visible .entry k(.param .align 64 .b8 map[128], .param .u64 at, .param .u64 out) {{
        .reg .pred %p<4>;\n.reg .b32 %r<8>, %c<5>;\n.reg .b64 %d<8>;
        .shared .align 1024 .b32 buffer[{words}];\n.shared .align 8 .b64 bar;
        ld.param.u64 %d0, [at];\nld.param.u64 %d1, [out];\n{coordinates}
        mov.u64 %d2, map;\ncvta.param.u64 %d2, %d2;\nprefetch.tensormap [%d2];
        mbarrier.init.shared.b64 [bar], 1;
        mbarrier.arrive.expect_tx.shared.b64 _, [bar], {bytes};
        cp.async.bulk.prefetch.tensor.{dimensions}d.L2.global.tile [%d2, {{{names}}}];
        cp.async.bulk.tensor.{dimensions}d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [buffer], [%d2, {{{names}}}], [bar];
        WAIT:\nmbarrier.try_wait.parity.shared.b64 %p1, [bar], 0;\n@!%p1 bra WAIT;
        mov.u32 %r1, buffer;\nmov.u32 %r2, 0;
        COPY:\nld.shared.u32 %r3, [%r1];\nst.global.u32 [%d1], %r3;
        add.u32 %r1, %r1, 4;\nadd.u64 %d1, %d1, 4;\nadd.u32 %r2, %r2, 1;
        setp.lt.u32 %p2, %r2, {words};\n@%p2 bra COPY;\nret;\n}}\n",
        bytes = 4 * words
    )
}

#[test]
fn boxes_of_every_number_of_dimensions() {
    let mut random = Random::new();
    let stream = stream();
    for round in 0..40 {
        let dimensions = 1 + round % 5;
        let draw = |random: &mut Random, most: u32| 1 + random.below(most) as usize;
        let extent: Vec<usize> = (0..dimensions).map(|_| draw(&mut random, 9)).collect();
        let mut boxes: Vec<usize> = (0..dimensions).map(|_| draw(&mut random, 4)).collect();
        boxes[0] *= 4;
        let steps: Vec<usize> = (0..dimensions).map(|_| draw(&mut random, 2)).collect();
        // Rows of a multiple of 16 bytes, with a gap behind every dimension.
        let mut strides = vec![4 * extent[0].next_multiple_of(4)];
        for axis in 1..dimensions.max(2) - 1 {
            strides.push(strides[axis - 1] * (extent[axis] + random.below(2) as usize));
        }
        strides.truncate(dimensions - 1);
        let last = dimensions - 1;
        let bytes = if last == 0 {
            4 * extent[0]
        } else {
            strides[last - 1] * extent[last]
        };
        let data: Vec<u32> = (0..bytes / 4).map(|_| random.bits() as u32).collect();
        let there = stream.clone_htod(&data).unwrap();
        let wide = |values: &[usize]| values.iter().map(|v| *v as u64).collect::<Vec<_>>();
        let narrow = |values: &[usize]| values.iter().map(|v| *v as u32).collect::<Vec<_>>();
        let map = Tensor {
            ty: Type::CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
            address: there.device_ptr(&stream).0,
            extent: wide(&extent),
            strides: wide(&strides),
            extent_of_box: narrow(&boxes),
            element_strides: narrow(&steps),
            interleave: 0,
            swizzle: 0,
            fill: (round / 5 % 2) as u32,
        }
        .map();
        // The innermost dimension has no element stride.
        let stride = |axis: usize| if axis == 0 { 1 } else { steps[axis] };
        let counts: Vec<usize> = (0..dimensions)
            .map(|a| boxes[a].div_ceil(stride(a)))
            .collect();
        let words: usize = counts.iter().product();
        let at: Vec<i32> = (0..dimensions)
            .map(|a| random.below(extent[a] as u32 + 4) as i32 - 3)
            .collect();
        let function = kernel(&stream, &text(dimensions, words), "k");
        let at_there = stream.clone_htod(&at).unwrap();
        let mut out = stream.clone_htod(&vec![0xdead_beefu32; words]).unwrap();
        let one = LaunchConfig {
            grid_dim: (1, 1, 1),
            block_dim: (1, 1, 1),
            shared_mem_bytes: 0,
        };
        let mut launch = stream.launch_builder(&function);
        launch.arg(&map).arg(&at_there).arg(&mut out);
        // SAFETY: the arguments are those of the kernel.
        unsafe { launch.launch(one) }.unwrap();
        let out = stream.clone_dtoh(&out).unwrap();
        for (index, found) in out.iter().enumerate() {
            let (mut left, mut byte, mut inside) = (index, 0i64, true);
            for axis in 0..dimensions {
                let place = i64::from(at[axis]) + (left % counts[axis] * stride(axis)) as i64;
                left /= counts[axis];
                inside &= (0..extent[axis] as i64).contains(&place);
                byte += place
                    * if axis == 0 {
                        4
                    } else {
                        strides[axis - 1] as i64
                    };
            }
            if inside {
                assert_eq!(
                    *found,
                    data[byte as usize / 4],
                    "{map:x?} at {at:?}, {index}",
                    map = boxes
                );
            } else if round / 5 % 2 == 0 {
                assert_eq!(*found, 0);
            } else {
                assert!(f32::from_bits(*found).is_nan());
            }
        }
    }
}

#[test]
fn maps_that_programs_change() {
    // A map of another tensor, in a copy of it changed to one of 20 by 24 words with rows of 32, moved in
    // boxes of 8 by 6.
    let mut random = Random::new();
    let stream = stream();
    let data: Vec<u32> = (0..32 * 20).map(|_| random.bits() as u32).collect();
    let there = stream.clone_htod(&data).unwrap();
    let address = there.device_ptr(&stream).0;
    let other = Tensor::matrix(
        Type::CU_TENSOR_MAP_DATA_TYPE_UINT16,
        2,
        address,
        [4, 8, 8],
        [1, 8],
        1,
    );
    let text = ".version 8.6\n.target sm_90a\n.address_size 64\n\
        .visible .entry k(.param .align 64 .b8 map[128], .param .u64 to, .param .u64 data, .param .u64 out) {
        .reg .pred %p<4>;\n.reg .b32 %r<8>;\n.reg .b64 %d<12>;
        .shared .align 128 .b64 changed[16];\n.shared .align 128 .b32 buffer[48];\n.shared .align 8 .b64 bar;
        ld.param.u64 %d0, [to];\nld.param.u64 %d1, [data];\nld.param.u64 %d2, [out];
        mov.u32 %r0, %tid.x;\nmov.u64 %d3, map;\ncvta.param.u64 %d3, %d3;
        setp.gt.u32 %p0, %r0, 15;\nmul.wide.u32 %d4, %r0, 8;\nadd.u64 %d5, %d3, %d4;
        cvt.u32.u64 %r1, %d4;\nmov.u32 %r2, changed;\nadd.u32 %r2, %r2, %r1;
        @!%p0 ld.b64 %d6, [%d5];\n@!%p0 st.shared.b64 [%r2], %d6;\nbar.warp.sync -1;
        setp.ne.u32 %p1, %r0, 0;\n@%p1 bra CHANGED;
        mov.u32 %r3, 6;
        tensormap.replace.tile.global_address.shared::cta.b1024.b64 [changed], %d1;
        tensormap.replace.tile.elemtype.shared::cta.b1024.b32 [changed], 2;
        tensormap.replace.tile.swizzle_mode.shared::cta.b1024.b32 [changed], 0;
        tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [changed], 0, 24;
        tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [changed], 1, 20;
        tensormap.replace.tile.global_stride.shared::cta.b1024.b64 [changed], 0, 128;
        tensormap.replace.tile.box_dim.shared::cta.b1024.b32 [changed], 1, %r3;
        CHANGED:\nbar.warp.sync -1;
        tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned [%d0], [changed], 128;
        fence.proxy.tensormap::generic.acquire.gpu [%d0], 128;
        @%p1 bra WAIT;
        mbarrier.init.shared.b64 [bar], 1;\nmbarrier.arrive.expect_tx.shared.b64 _, [bar], 192;
        cp.async.bulk.tensor.2d.shared::cta.global.tile.mbarrier::complete_tx::bytes [buffer], [%d0, {20, 16}], [bar];
        WAIT:\nbar.warp.sync -1;
        AGAIN:\nmbarrier.try_wait.parity.shared.b64 %p2, [bar], 0;\n@!%p2 bra AGAIN;
        mov.u32 %r4, buffer;\nCOPY:\nshl.b32 %r5, %r0, 2;\nadd.u32 %r6, %r4, %r5;\nld.shared.u32 %r7, [%r6];
        mul.wide.u32 %d7, %r0, 4;\nadd.u64 %d8, %d2, %d7;\nst.global.u32 [%d8], %r7;
        add.u32 %r0, %r0, 32;\nsetp.lt.u32 %p3, %r0, 48;\n@%p3 bra COPY;\nret;\n}\n";
    let function = kernel(&stream, text, "k");
    let mut to = stream.clone_htod(&[0u64; 16]).unwrap();
    let mut out = stream.clone_htod(&[0xdead_beefu32; 48]).unwrap();
    let config = LaunchConfig {
        grid_dim: (1, 1, 1),
        block_dim: (32, 1, 1),
        shared_mem_bytes: 0,
    };
    let map = other.map();
    let mut launch = stream.launch_builder(&function);
    launch.arg(&map).arg(&mut to).arg(&there).arg(&mut out);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config) }.unwrap();
    let out = stream.clone_dtoh(&out).unwrap();
    for (index, found) in out.iter().enumerate() {
        let (row, column) = (16 + index / 8, 20 + index % 8);
        let inside = row < 20 && column < 24;
        let expected = if inside { data[row * 32 + column] } else { 0 };
        assert_eq!(*found, expected, "row {row}, column {column}");
    }
}
