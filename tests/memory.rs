//! Buffers of every device: copies, clearing, and what the GPU's allocator does.

mod common;

use common::*;
use lrem::device::{Buffer, DeviceError, Memory};
use lrem::ops::philox::PhiloxStream;
use proptest::prelude::*;

fn words(seed: u64, stream: u64, len: usize) -> Vec<u32> {
    let mut random = PhiloxStream::new(seed, stream);
    (0..len).map(|_| random.next_u32()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn ranges_are_copied_and_nothing_else(
        (len, other) in (1usize..3000, 1usize..3000), cut in any::<[prop::sample::Index; 3]>(), seed: u64,
    ) {
        let (from, to) = (words(seed, 0, len), words(seed, 1, other));
        let (src_at, dst_at) = (cut[0].index(len), cut[1].index(other));
        let count = cut[2].index((len - src_at).min(other - dst_at) + 1);
        let mut want = to.clone();
        want[dst_at..dst_at + count].copy_from_slice(&from[src_at..src_at + count]);
        let cleared = cut[0].index(other + 1);
        on_every_device!(|device| {
            let (src, mut dst) = (device.upload(&from).unwrap(), device.upload(&to).unwrap());
            device.copy(&src, src_at, &mut dst, dst_at, count).unwrap();
            assert_eq!(device.download(&dst, other).unwrap(), want);
            device.clear(&mut dst, cleared).unwrap();
            let got = device.download(&dst, other).unwrap();
            assert!(got[..cleared].iter().all(|&x| x == 0));
            assert_eq!(got[cleared..], want[cleared..]);
            assert_eq!(device.download(&src, len).unwrap(), from);
            assert_eq!(device.download(&device.zeros::<u32>(len).unwrap(), len).unwrap(), vec![0; len]);
        });
    }
}

#[test]
fn uploads_keep_their_values_however_many_follow() {
    let mut random = PhiloxStream::new(4, 4);
    let mut sizes: Vec<usize> = (0..200).map(|_| random.below(60_000)).collect();
    sizes.extend([0, 1, 1 << 19, (1 << 19) + 1, 3 << 20]);
    on_gpus!(|device| {
        let sent: Vec<(Vec<u32>, _)> = sizes
            .iter()
            .enumerate()
            .map(|(i, &len)| {
                let mut data = words(9, i as u64, len);
                let buffer = device.upload(&data).unwrap();
                let kept = data.clone();
                // What was sent may change at once.
                data.fill(0);
                (kept, buffer)
            })
            .collect();
        for (data, buffer) in &sent {
            assert_eq!(buffer.len(), data.len());
            assert!(device.download(buffer, data.len()).unwrap() == *data);
        }
    });
}

/// Started while what they copy is about to be overwritten, some never finished, of any size.
#[test]
fn downloads_that_are_waited_for_later_have_what_was_there() {
    let sizes = [0, 1, 300, 16_384, 16_385, 700_000, 5];
    on_every_device!(|device| {
        for round in 0..3 {
            let started = sizes.map(|len| {
                let data = words(6, len as u64 + round, len);
                let mut buffer = device.upload(&data).unwrap();
                let download = device.start_download(&buffer, len).unwrap();
                device.clear(&mut buffer, len).unwrap();
                drop(buffer);
                drop(device.upload(&words(7, 0, len)).unwrap());
                drop(device.start_download(&device.zeros::<u32>(len).unwrap(), len));
                (data, download)
            });
            for (data, download) in started {
                assert!(device.finish_download(download).unwrap() == data);
            }
        }
    });
}

#[test]
fn memory_given_back_is_used_again() {
    on_gpus!(|device| {
        let device = anew(device);
        let fill = || [1000, 70_000, 5].map(|len| device.upload(&words(1, 1, len)).unwrap());
        let first = fill();
        let usage = device.context().usage();
        assert!(usage.used >= 4 * 71_005 && usage.used <= usage.held);
        drop(first);
        assert_eq!(device.context().usage().used, 0);
        for _ in 0..5 {
            drop(fill());
        }
        assert_eq!(device.context().usage().allocations, usage.allocations);
        assert_eq!(device.context().usage().peak, usage.peak);
    });
}

/// Another device of the same type, with nothing allocated.
fn anew<T: lrem::device::Real>(_: &lrem::device::cuda::Cuda<T>) -> lrem::device::cuda::Cuda<T> {
    lrem::device::cuda::Cuda::new(driver()).unwrap()
}

#[test]
fn more_than_there_is_says_how_much_was_needed() {
    on_gpus!(|device| {
        let error = device.zeros::<u32>(1 << 45).err().unwrap();
        let DeviceError::OutOfMemory { needed, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(needed, 1 << 47);
        let line = error.to_string();
        assert!(line.starts_with("out of memory on "), "{line}");
        assert!(
            line.ends_with(": 140737488355328 bytes were needed"),
            "{line}"
        );
        // And the device works on.
        assert_eq!(
            device
                .download(&device.zeros::<u32>(3).unwrap(), 3)
                .unwrap(),
            [0; 3]
        );
    });
}

#[test]
fn what_does_not_fit_is_an_error() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: Memory>(device: &D) {
    let (a, mut b) = (device.upload(&[1u32, 2]).unwrap(), device.zeros(3).unwrap());
    let mut copy = |from, to, len| message(device.copy(&a, from, &mut b, to, len));
    assert_eq!(copy(1, 2, 1), "");
    assert_eq!(copy(1, 0, 2), "copy: source has 2, expected 3");
    assert_eq!(copy(0, 2, 2), "copy: destination has 3, expected 4");
    assert_eq!(
        message(device.clear(&mut b, 4)),
        "clear: buffer has 3, expected 4"
    );
    assert_eq!(
        message(device.download(&b, 4)),
        "download: buffer has 3, expected 4"
    );
    assert_eq!(
        message(device.start_download(&b, 4)),
        "download: buffer has 3, expected 4"
    );
    assert_eq!(device.download(&b, 3).unwrap(), [0, 0, 2]);
}
