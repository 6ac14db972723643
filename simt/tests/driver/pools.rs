//! Memory pools as objects, and words that streams write and wait for.

use super::ok;
use super::support::stream;
use cudarc::driver::sys::{self, CUmemPool_attribute, CUresult};

fn attribute(pool: sys::CUmemoryPool, which: CUmemPool_attribute) -> u64 {
    let mut value = 0u64;
    // SAFETY: the attributes asked for have 64 bits.
    ok(unsafe { sys::cuMemPoolGetAttribute(pool, which, (&raw mut value).cast()) });
    value
}

#[test]
fn pools_count_and_limit() {
    use CUmemPool_attribute as A;
    let stream = stream();
    let cu = stream.cu_stream();
    // SAFETY: structures are whole, handles live.
    unsafe {
        let mut props: sys::CUmemPoolProps = std::mem::zeroed();
        props.allocType = sys::CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED;
        props.location.type_ = sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
        props.maxSize = 1 << 20;
        let mut pool = std::ptr::null_mut();
        ok(sys::cuMemPoolCreate(&mut pool, &props));
        let (mut one, mut two, mut three) = (0, 0, 0);
        ok(sys::cuMemAllocFromPoolAsync(&mut one, 1000, pool, cu));
        ok(sys::cuMemAllocFromPoolAsync(&mut two, 500_000, pool, cu));
        assert_eq!(
            attribute(pool, A::CU_MEMPOOL_ATTR_USED_MEM_CURRENT),
            501_000
        );
        let full = sys::cuMemAllocFromPoolAsync(&mut three, 600_000, pool, cu);
        assert_eq!(full, CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        ok(sys::cuMemFreeAsync(two, cu));
        assert_eq!(attribute(pool, A::CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 1000);
        assert_eq!(attribute(pool, A::CU_MEMPOOL_ATTR_USED_MEM_HIGH), 501_000);
        let mut zero = 0u64;
        ok(sys::cuMemPoolSetAttribute(
            pool,
            A::CU_MEMPOOL_ATTR_USED_MEM_HIGH,
            (&raw mut zero).cast(),
        ));
        assert_eq!(attribute(pool, A::CU_MEMPOOL_ATTR_USED_MEM_HIGH), 1000);
        let mut keep = 12_345u64;
        let threshold = A::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        ok(sys::cuMemPoolSetAttribute(
            pool,
            threshold,
            (&raw mut keep).cast(),
        ));
        assert_eq!(attribute(pool, threshold), 12_345);
        ok(sys::cuMemPoolTrimTo(pool, 0));

        let (mut default, mut current) = (std::ptr::null_mut(), std::ptr::null_mut());
        ok(sys::cuDeviceGetDefaultMemPool(&mut default, 0));
        ok(sys::cuDeviceSetMemPool(0, pool));
        ok(sys::cuDeviceGetMemPool(&mut current, 0));
        assert_eq!(current, pool);
        ok(sys::cuMemAllocAsync(&mut two, 24, cu));
        assert_eq!(attribute(pool, A::CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 1024);
        ok(sys::cuMemFree_v2(two));
        assert_eq!(attribute(pool, A::CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 1000);
        ok(sys::cuMemPoolDestroy(pool));
        ok(sys::cuDeviceGetMemPool(&mut current, 0));
        assert_eq!(current, default);
        assert_eq!(
            sys::cuMemPoolDestroy(default),
            CUresult::CUDA_ERROR_INVALID_VALUE
        );
        assert_eq!(
            sys::cuMemPoolTrimTo(pool, 0),
            CUresult::CUDA_ERROR_INVALID_HANDLE
        );
        // What was taken from it lives on.
        ok(sys::cuMemsetD8_v2(one, 1, 1000));
        ok(sys::cuMemFree_v2(one));
    }
}

#[test]
fn words_are_written_and_waited_for() {
    let stream = stream();
    let cu = stream.cu_stream();
    let mut at = 0;
    // SAFETY: the word is on the device; another thread writes it through the driver.
    unsafe {
        ok(sys::cuMemAlloc_v2(&mut at, 16));
        ok(sys::cuMemsetD8_v2(at, 0, 16));
        ok(sys::cuStreamWriteValue32_v2(cu, at, 0xdead_beef, 0));
        ok(sys::cuStreamWriteValue64_v2(cu, at + 8, 1 << 40, 0));
        let mut words = [0u64; 2];
        ok(sys::cuMemcpyDtoH_v2(words.as_mut_ptr().cast(), at, 16));
        assert_eq!(words, [0xdead_beef, 1 << 40]);
        // Equal; at least; some bit.
        ok(sys::cuStreamWaitValue32_v2(cu, at, 0xdead_beef, 1));
        ok(sys::cuStreamWaitValue64_v2(cu, at + 8, 5, 0));
        ok(sys::cuStreamWaitValue32_v2(cu, at, 0x8000_0001, 2));
        assert_eq!(
            sys::cuStreamWaitValue64_v2(cu, at + 4, 0, 0),
            CUresult::CUDA_ERROR_INVALID_VALUE
        );
        let context = stream.context().clone();
        let other = std::thread::spawn(move || {
            context.bind_to_thread().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(30));
            ok(sys::cuMemsetD32_v2(at, 7, 1));
        });
        ok(sys::cuStreamWaitValue32_v2(cu, at, 7, 1));
        other.join().unwrap();
        ok(sys::cuMemFree_v2(at));
    }
}
