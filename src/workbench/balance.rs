//! How evenly the blocks of a launch load the multiprocessors.

use super::chips::Chip;
use simt::count::record::Share;

/// What multiprocessors have to do on average, of what the busiest has, in a launch of so many `blocks`, of which each
/// multiprocessor holds so many `resident` at once. Where there are no `shares` all do as much.
///
/// Each has whole blocks (NVIDIA, "Matrix Multiplication Background User's Guide", wave quantization). As many as are
/// held at once are dealt out in turn, in the grid's order; each of the others goes to the multiprocessor that has least
/// to do.
pub(super) fn evenness(chip: &Chip, blocks: f64, shares: &[Share], resident: f64) -> f64 {
    let multiprocessors = chip.multiprocessors as usize;
    if shares.len() < 2 {
        return blocks / ((blocks / chip.multiprocessors).ceil() * chip.multiprocessors);
    }
    let blocks = shares.iter().flat_map(|share| {
        let amounts = [
            share.tensor,
            share.f32,
            share.instructions,
            share.wavefronts,
        ];
        let times = chip.busy(amounts.map(|all| all as f64 / share.blocks as f64));
        let each = times
            .iter()
            .map(|(_, seconds)| *seconds)
            .fold(0.0, f64::max);
        std::iter::repeat_n(each, share.blocks as usize)
    });
    let held = multiprocessors * resident.max(1.0) as usize;
    let mut loads = vec![0.0; multiprocessors];
    for (index, seconds) in blocks.enumerate() {
        let to = match index < held {
            true => index % multiprocessors,
            false => least(&loads),
        };
        loads[to] += seconds;
    }
    let busiest = loads.iter().copied().fold(0.0, f64::max);
    match busiest > 0.0 {
        true => loads.iter().sum::<f64>() / (busiest * chip.multiprocessors),
        false => 1.0,
    }
}

/// The first of the smallest.
fn least(loads: &[f64]) -> usize {
    let all = loads.iter().enumerate();
    let least = all.min_by(|a, b| a.1.total_cmp(b.1));
    least.map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::super::chips::CHIPS;
    use super::super::predict::{Work, predict};
    use simt::count::record::Share;

    #[test]
    fn the_busiest_multiprocessor_has_the_longest_block_or_several() {
        let chip = &CHIPS[0];
        // Shares of equal blocks, each with so many times the work of 1 ms of one multiprocessor.
        let of = |shares: &[(u64, u64)], resident: f64| {
            let unit = 312e9 / 108.0;
            let shares = shares.iter().map(|&(blocks, each)| Share {
                blocks,
                tensor: blocks * each * unit as u64,
                ..Share::default()
            });
            let shares: Vec<Share> = shares.collect();
            let work = Work {
                tensor_flops: shares.iter().map(|s| s.tensor).sum::<u64>() as f64,
                blocks: shares.iter().map(|s| s.blocks).sum::<u64>() as f64,
                shares,
                resident,
                ..Work::default()
            };
            (1e4 * predict(chip, &work).work).round() / 10.0
        };
        assert_eq!(of(&[(108, 1)], 1.0), 1.0);
        assert_eq!(of(&[(107, 1), (1, 5)], 1.0), 5.0);
        // Two at once are dealt out in turn: the long one gets a second. One at a time, what is left goes elsewhere.
        assert_eq!(of(&[(1, 5), (107, 1), (1, 2)], 2.0), 7.0);
        assert_eq!(of(&[(1, 5), (107, 1), (1, 2)], 1.0), 5.0);
        assert_eq!(of(&[(1, 5), (430, 1)], 1.0), 5.0);
        assert_eq!(of(&[(2, 0), (1, 0)], 1.0), 0.0);
    }
}
