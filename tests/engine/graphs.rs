//! Decoding by graphs: the same bits as launch by launch, in fewer calls of the driver.

use crate::common::driver;
use crate::{thinking, tiny};
use lrem::bench::{Decode, Lengths, Work};
use lrem::device::Real;
use lrem::device::cuda::{Calls, Cuda, kernels};
use lrem::embed::{ModelFolder, NewTokens};
use lrem::ops::linear::WeightFormat;
use lrem::reason::{Drafts, Reasoner, Thought};
use std::sync::Arc;
use tempfile::{TempDir, tempdir};

/// A device of its own, so that counts are.
pub fn anew<T: Real>() -> Option<Arc<Cuda<T>>> {
    (!kernels().is_empty()).then(|| Arc::new(Cuda::new(driver()).unwrap()))
}

/// The same, where buffers come again at the same addresses; they do not where each is the driver's.
pub fn anew_with_cached_memory<T: Real>() -> Option<Arc<Cuda<T>>> {
    anew().filter(|_| std::env::var_os("LREM_EXACT_ALLOCATIONS").is_none())
}

fn open(seed: u64) -> (TempDir, ModelFolder) {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), seed);
    let opened = ModelFolder::open(folder.path(), &NewTokens::default()).unwrap();
    (folder, opened)
}

/// What two thoughts each about five questions are, and what they took.
fn thoughts<T: Real>(graphs: bool, drafts: bool) -> Option<(Vec<Vec<Thought>>, Calls)> {
    let device = anew::<T>()?;
    device.context().use_graphs(graphs);
    let (_folder, opened) = open(23);
    let model = opened.load(device.clone(), None, 256).unwrap();
    let model = model.sampler().unwrap();
    let prompts = opened.prompts().unwrap();
    let reasoner = Reasoner::new(&model, &prompts, 400).unwrap();
    let mut reasoner = reasoner.with_drafts(drafts.then(Drafts::default));
    let mut options = thinking::options(8, 2, 4);
    options.direct = true;
    let before = device.context().calls();
    let thoughts = reasoner.think(&thinking::questions(5), &options);
    Some((thoughts.unwrap(), device.context().calls().since(&before)))
}

fn think_alike<T: Real>() {
    for drafts in [false, true] {
        let Some((plain, one_by_one)) = thoughts::<T>(false, drafts) else {
            return;
        };
        let (recorded, together) = thoughts::<T>(true, drafts).unwrap();
        for (got, want) in recorded.iter().flatten().zip(plain.iter().flatten()) {
            assert_eq!(thinking::all_bits(got), thinking::all_bits(want));
        }
        assert_eq!((one_by_one.graphs, one_by_one.graph_launches), (0, 0));
        assert!(
            together.graph_launches > 2 * together.graphs,
            "{together:?}"
        );
        assert_eq!(together.copies, one_by_one.copies);
        let launches = together.launches + together.graph_launches;
        assert!(
            5 * launches < one_by_one.launches,
            "{together:?} is not a fifth of {one_by_one:?}"
        );
    }
}

#[test]
fn a_thought_has_the_same_bits_with_and_without_graphs() {
    think_alike::<f32>();
    think_alike::<half::bf16>();
}

/// After a first run that makes the graph, a token is one graph, whose nodes are told nothing new, besides
/// logits and sampling; lists go up once for all layers.
#[test]
fn a_token_is_one_launch_of_a_graph() {
    let Some(device) = anew_with_cached_memory::<f32>() else {
        return;
    };
    let (_folder, opened) = open(7);
    let format = Some(WeightFormat::F32);
    let model = opened.load(device.clone(), format, 256).unwrap();
    let lengths = Lengths {
        context: 8,
        decoded: 12,
    };
    // Graphs made in the first run, their launches, and what their nodes are told then: other rows take the same
    // kernels, so that their first token takes the graph that is there, and the second makes their own.
    for (sequences, at_first) in [(1, (1, 11, 0)), (3, (1, 12, 29)), (1, (0, 12, 29))] {
        let mut decode = Decode::new(&model, sequences, lengths).unwrap();
        let mut run = || {
            decode.prepare().unwrap();
            let before = device.context().calls();
            decode.run().unwrap();
            device.context().calls().since(&before)
        };
        let first = run();
        let counts = (first.graphs, first.graph_launches, first.node_updates);
        assert_eq!(counts, at_first, "{first:?}");
        let expected = Calls {
            launches: 2 * 12,
            graph_launches: 12,
            graphs: 0,
            node_updates: 0,
            // Ids, positions, slots where they are not the positions, attention's two lists, what is sampled by,
            // and the tokens back.
            copies: (6 + usize::from(sequences > 1)) * 12,
        };
        assert_eq!(run(), expected);
        // Three layers of nine launches, the lookup, the first norm, logits and sampling.
        device.context().use_graphs(false);
        assert_eq!(run().launches, (3 * 9 + 4) * 12);
        device.context().use_graphs(true);
    }
}
