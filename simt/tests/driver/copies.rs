//! Copies of rectangles and boxes, fills, host memory, what is known of addresses.

use super::support::{Random, stream};
use super::{blank_copy, ok};
use cudarc::driver::sys::{self, CUmemorytype, CUresult};
use std::ffi::c_void;

const HOST: CUmemorytype = CUmemorytype::CU_MEMORYTYPE_HOST;
const DEVICE: CUmemorytype = CUmemorytype::CU_MEMORYTYPE_DEVICE;
const UNIFIED: CUmemorytype = CUmemorytype::CU_MEMORYTYPE_UNIFIED;

fn bytes(random: &mut Random, count: usize) -> Vec<u8> {
    (0..count).map(|_| random.bits() as u8).collect()
}

fn allocate(count: usize) -> u64 {
    let mut at = 0;
    // SAFETY: a context is current.
    ok(unsafe { sys::cuMemAlloc_v2(&mut at, count) });
    at
}

fn read(at: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; count];
    // SAFETY: as many bytes as the vector has.
    ok(unsafe { sys::cuMemcpyDtoH_v2(bytes.as_mut_ptr().cast(), at, count) });
    bytes
}

/// The layout of one end of a copy.
#[derive(Debug, Clone, Copy)]
struct Layout {
    x: usize,
    y: usize,
    z: usize,
    pitch: usize,
    height: usize,
}

impl Layout {
    fn random(random: &mut Random, [w, h, _]: [usize; 3]) -> Layout {
        let [x, y, z] = [5, 4, 3].map(|n| random.below(n) as usize);
        let pitch = x + w + random.below(9) as usize;
        Layout {
            x,
            y,
            z,
            pitch,
            height: y + h + random.below(4) as usize,
        }
    }

    fn bytes(&self, [_, _, d]: [usize; 3]) -> usize {
        (self.z + d) * self.height * self.pitch
    }

    fn at(&self, x: usize, y: usize, z: usize) -> usize {
        ((self.z + z) * self.height + self.y + y) * self.pitch + self.x + x
    }
}

#[test]
fn boxes_of_any_layout_arrive_where_they_should() {
    let stream = stream();
    let mut random = Random::new();
    for round in 0..200 {
        let extent = [
            1 + random.below(40),
            1 + random.below(7),
            1 + random.below(5),
        ]
        .map(|n| n as usize);
        let (from, to) = (
            Layout::random(&mut random, extent),
            Layout::random(&mut random, extent),
        );
        let source = bytes(&mut random, from.bytes(extent));
        let before = bytes(&mut random, to.bytes(extent));
        let (on_device, out) = (allocate(source.len()), allocate(before.len()));
        let mut host = before.clone();
        // SAFETY: ranges are as long as the layouts say.
        let copy = unsafe {
            ok(sys::cuMemcpyHtoD_v2(
                on_device,
                source.as_ptr().cast(),
                source.len(),
            ));
            ok(sys::cuMemcpyHtoD_v2(
                out,
                before.as_ptr().cast(),
                before.len(),
            ));
            let mut copy = blank_copy();
            (copy.srcXInBytes, copy.srcY, copy.srcZ) = (from.x, from.y, from.z);
            (copy.dstXInBytes, copy.dstY, copy.dstZ) = (to.x, to.y, to.z);
            (copy.srcPitch, copy.srcHeight) = (from.pitch, from.height);
            (copy.dstPitch, copy.dstHeight) = (to.pitch, to.height);
            [copy.WidthInBytes, copy.Height, copy.Depth] = extent;
            copy.srcMemoryType = [HOST, DEVICE, UNIFIED][round % 3];
            copy.dstMemoryType = [HOST, DEVICE, UNIFIED][round / 3 % 3];
            (copy.srcHost, copy.srcDevice) = (source.as_ptr().cast(), on_device);
            (copy.dstHost, copy.dstDevice) = (host.as_mut_ptr().cast(), out);
            copy
        };
        // SAFETY: as above.
        unsafe {
            match round % 2 {
                0 => ok(sys::cuMemcpy3D_v2(&copy)),
                _ => ok(sys::cuMemcpy3DAsync_v2(&copy, stream.cu_stream())),
            }
        }
        let mut expected = before;
        for z in 0..extent[2] {
            for y in 0..extent[1] {
                for x in 0..extent[0] {
                    expected[to.at(x, y, z)] = source[from.at(x, y, z)];
                }
            }
        }
        let found = if copy.dstMemoryType == HOST {
            host
        } else {
            read(out, expected.len())
        };
        assert!(found == expected, "{extent:?} {from:?} {to:?}");
        // SAFETY: nobody uses it any more.
        unsafe {
            ok(sys::cuMemFree_v2(on_device));
            ok(sys::cuMemFree_v2(out));
        }
    }
}

#[test]
fn rectangles_and_pitched_rows() {
    let _stream = stream();
    let mut random = Random::new();
    let (mut at, mut pitch) = (0, 0);
    let (width, height) = (77usize, 9usize);
    let source = bytes(&mut random, width * height);
    // SAFETY: structures are whole and ranges as long as they say.
    unsafe {
        ok(sys::cuMemAllocPitch_v2(
            &mut at, &mut pitch, width, height, 4,
        ));
        assert!(pitch >= width && pitch % 32 == 0);
        let mut copy = sys::CUDA_MEMCPY2D {
            srcXInBytes: 0,
            srcY: 0,
            srcMemoryType: HOST,
            srcHost: source.as_ptr().cast(),
            srcDevice: 0,
            srcArray: std::ptr::null_mut(),
            srcPitch: width,
            dstXInBytes: 0,
            dstY: 0,
            dstMemoryType: DEVICE,
            dstHost: std::ptr::null_mut(),
            dstDevice: at,
            dstArray: std::ptr::null_mut(),
            dstPitch: pitch,
            WidthInBytes: width,
            Height: height,
        };
        ok(sys::cuMemcpy2D_v2(&copy));
        for row in 0..height {
            let found = read(at + (row * pitch) as u64, width);
            assert_eq!(found, source[row * width..][..width]);
        }
        // Rows that overlap, and rows beyond the allocation.
        copy.dstPitch = width - 1;
        assert_eq!(
            sys::cuMemcpy2D_v2(&copy),
            CUresult::CUDA_ERROR_INVALID_VALUE
        );
        copy.dstPitch = pitch * 2;
        assert_eq!(
            sys::cuMemcpy2DUnaligned_v2(&copy),
            CUresult::CUDA_ERROR_INVALID_VALUE
        );
        copy.dstMemoryType = CUmemorytype::CU_MEMORYTYPE_ARRAY;
        assert_eq!(
            sys::cuMemcpy2D_v2(&copy),
            CUresult::CUDA_ERROR_NOT_SUPPORTED
        );
        ok(sys::cuMemFree_v2(at));
    }
}

#[test]
fn fills_of_every_width() {
    let stream = stream();
    let cu = stream.cu_stream();
    let mut random = Random::new();
    let at = allocate(4096);
    for _ in 0..50 {
        let before = bytes(&mut random, 4096);
        let value = random.bits() as u32;
        let (width, height) = (1 + random.below(20) as usize, 1 + random.below(9) as usize);
        let pitch = 4 * (width + random.below(5) as usize);
        let size = [1usize, 2, 4][random.below(3) as usize];
        let is_async = random.below(2) == 0;
        let is_line = random.below(3) == 0;
        let first = at + 4 * u64::from(random.below(30));
        // SAFETY: the last row ends before byte 4096.
        unsafe {
            ok(sys::cuMemcpyHtoD_v2(at, before.as_ptr().cast(), 4096));
            let (half, byte) = (value as u16, value as u8);
            ok(match (size, is_line, is_async) {
                (1, true, false) => sys::cuMemsetD8_v2(first, byte, width),
                (2, true, false) => sys::cuMemsetD16_v2(first, half, width),
                (4, true, false) => sys::cuMemsetD32_v2(first, value, width),
                (1, true, true) => sys::cuMemsetD8Async(first, byte, width, cu),
                (2, true, true) => sys::cuMemsetD16Async(first, half, width, cu),
                (4, true, true) => sys::cuMemsetD32Async(first, value, width, cu),
                (1, false, false) => sys::cuMemsetD2D8_v2(first, pitch, byte, width, height),
                (2, false, false) => sys::cuMemsetD2D16_v2(first, pitch, half, width, height),
                (4, false, false) => sys::cuMemsetD2D32_v2(first, pitch, value, width, height),
                (1, false, true) => sys::cuMemsetD2D8Async(first, pitch, byte, width, height, cu),
                (2, false, true) => sys::cuMemsetD2D16Async(first, pitch, half, width, height, cu),
                _ => sys::cuMemsetD2D32Async(first, pitch, value, width, height, cu),
            });
        }
        let mut expected = before;
        for row in 0..if is_line { 1 } else { height } {
            let start = (first - at) as usize + row * pitch;
            for (index, byte) in expected[start..][..width * size].iter_mut().enumerate() {
                *byte = value.to_le_bytes()[index % size];
            }
        }
        assert!(
            read(at, 4096) == expected,
            "{size} bytes, {width} × {height}, pitch {pitch}"
        );
    }
    // SAFETY: refused before anything is written.
    unsafe {
        assert_eq!(
            sys::cuMemsetD32_v2(at + 2, 0, 1),
            CUresult::CUDA_ERROR_INVALID_VALUE
        );
        assert_eq!(
            sys::cuMemsetD8_v2(at, 0, 5000),
            CUresult::CUDA_ERROR_INVALID_VALUE
        );
        ok(sys::cuMemFree_v2(at));
    }
}

fn attribute<T: Default>(which: sys::CUpointer_attribute, at: u64) -> Result<T, CUresult> {
    let mut value = T::default();
    // SAFETY: the type is that of the attribute.
    match unsafe { sys::cuPointerGetAttribute((&raw mut value).cast::<c_void>(), which, at) } {
        CUresult::CUDA_SUCCESS => Ok(value),
        error => Err(error),
    }
}

#[test]
fn addresses_say_what_they_are() {
    use sys::CUpointer_attribute as A;
    let _stream = stream();
    let at = allocate(1000);
    let (mut pinned, mut managed) = (std::ptr::null_mut(), 0);
    let mut own = vec![0u8; 10_000];
    // SAFETY: handles are live, memory is the caller's own.
    unsafe {
        ok(sys::cuMemHostAlloc(&mut pinned, 500, 0));
        ok(sys::cuMemAllocManaged(&mut managed, 300, 1));
        let registered = own.as_mut_ptr() as u64;
        ok(sys::cuMemHostRegister_v2(
            own.as_mut_ptr().cast(),
            10_000,
            0,
        ));
        let again = sys::cuMemHostRegister_v2(own.as_mut_ptr().add(100).cast(), 10, 0);
        assert_eq!(again, CUresult::CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
        for (address, kind, is_managed, size) in [
            (at, 2, 0, 1000),
            (pinned as u64, 1, 0, 500),
            (managed, 2, 1, 300),
            (registered, 1, 0, 10_000),
        ] {
            let inside = address + 17;
            assert_eq!(
                attribute(A::CU_POINTER_ATTRIBUTE_MEMORY_TYPE, inside),
                Ok(kind)
            );
            assert_eq!(
                attribute(A::CU_POINTER_ATTRIBUTE_IS_MANAGED, inside),
                Ok(is_managed)
            );
            assert_eq!(
                attribute(A::CU_POINTER_ATTRIBUTE_DEVICE_POINTER, inside),
                Ok(inside)
            );
            assert_eq!(
                attribute(A::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, inside),
                Ok(0)
            );
            assert_eq!(
                attribute(A::CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, inside),
                Ok(address)
            );
            assert_eq!(
                attribute(A::CU_POINTER_ATTRIBUTE_RANGE_SIZE, inside),
                Ok(size as usize)
            );
        }
        ok(sys::cuMemHostUnregister(own.as_mut_ptr().cast()));
        let again = sys::cuMemHostUnregister(own.as_mut_ptr().cast());
        assert_eq!(again, CUresult::CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
        let unknown = attribute::<u32>(A::CU_POINTER_ATTRIBUTE_MEMORY_TYPE, registered);
        assert_eq!(unknown, Err(CUresult::CUDA_ERROR_INVALID_VALUE));
        ok(sys::cuMemFreeHost(pinned));
        assert_eq!(
            sys::cuMemFreeHost(pinned),
            CUresult::CUDA_ERROR_INVALID_VALUE
        );
        ok(sys::cuMemFree_v2(managed));
        ok(sys::cuMemFree_v2(at));
        assert_eq!(sys::cuMemFree_v2(at), CUresult::CUDA_ERROR_INVALID_VALUE);
    }
}
