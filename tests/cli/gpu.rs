//! `--device simt`: the same commands by the kernels, and what is said where they cannot run.

use super::{ITEMS, Shop, failed};
use lrem::data::EmbeddingSet;
use lrem::device::cuda;

#[test]
fn the_virtual_gpu_embeds_and_finds_what_the_cpu_does() {
    if cuda::kernels().is_empty() {
        return;
    }
    let shop = Shop::make();
    let rows = |device: &str| {
        let embed =
            format!("embed model --input catalogue.jsonl --out items.npy --device {device}");
        assert_eq!(
            shop.prints(&embed),
            format!("wrote items.npy [{ITEMS}, 16]\n")
        );
        let set = EmbeddingSet::open(&shop.path("items.npy")).unwrap();
        set.matrix.data().to_vec()
    };
    let (cpu, gpu) = (rows("cpu"), rows("simt"));
    for (a, b) in cpu.chunks(16).zip(gpu.chunks(16)) {
        let cosine: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.9995, "{cosine}");
    }
    shop.prints("index --embeddings items.npy --out shop");
    let search = "search model shop --queries test.jsonl --top 5 --run run --device simt";
    assert_eq!(shop.prints(search), "wrote run: 10 queries\n");
    assert_eq!(shop.text("run").lines().count(), 50);
}

#[test]
fn a_library_that_is_not_there_is_an_error() {
    if cuda::kernels().is_empty() {
        return;
    }
    let shop = Shop::make();
    let line = "embed model --input catalogue.jsonl --out items.npy --device simt";
    let before = shop.names();
    let output = shop.command(line).env("LREM_SIMT", "absent.so").output();
    let message = "no virtual GPU: LREM_SIMT names absent.so, which is no file";
    failed(output.unwrap(), 1, message);
    assert_eq!(shop.names(), before, "what failed left something");
}
