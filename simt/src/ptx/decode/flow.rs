//! The control-flow graph of a function and its post-dominators.

use super::emit::Raw;
use super::instr::Flow;
use crate::exec::program::NONE;

/// Basic blocks, in the order of the text. Block `blocks.len()` is the function's exit.
pub struct Graph {
    /// First instruction of each block.
    pub starts: Vec<usize>,
    /// Block of each instruction.
    pub block_of: Vec<usize>,
    pub successors: Vec<Vec<usize>>,
}

impl Graph {
    /// The graph of a function's code; every label is an index into it.
    pub fn new(code: &[Raw], labels: &[usize]) -> Graph {
        let mut leads = vec![false; code.len() + 1];
        leads[0] = true;
        labels.iter().for_each(|at| leads[*at] = true);
        for (index, raw) in code.iter().enumerate() {
            if raw.flow != Flow::Next {
                leads[index + 1] = true;
            }
        }
        let starts: Vec<usize> = (0..code.len()).filter(|at| leads[*at]).collect();
        let mut block_of = vec![0; code.len()];
        for (block, start) in starts.iter().enumerate() {
            let end = starts.get(block + 1).copied().unwrap_or(code.len());
            block_of[*start..end].fill(block);
        }
        let exit = starts.len();
        let at = |index: usize| block_of.get(index).copied().unwrap_or(exit);
        let successors = (0..exit)
            .map(|block| {
                let last = starts.get(block + 1).copied().unwrap_or(code.len()) - 1;
                let raw = &code[last];
                let mut next = match &raw.flow {
                    Flow::Next => vec![at(last + 1)],
                    Flow::Leave => vec![exit],
                    Flow::Branch(label) => vec![at(labels[*label as usize])],
                    Flow::Table(table) => table.iter().map(|l| at(labels[*l as usize])).collect(),
                };
                if raw.guard != NONE && raw.flow != Flow::Next {
                    next.push(at(last + 1));
                }
                next.sort_unstable();
                next.dedup();
                next
            })
            .collect();
        Graph {
            starts,
            block_of,
            successors,
        }
    }

    /// For every instruction at which threads may part: the first instruction that all of them come
    /// to again, if there is one before the exit.
    pub fn meets(&self, code: &[Raw]) -> Vec<Option<usize>> {
        let post = self.post_dominators();
        let exit = self.starts.len();
        code.iter()
            .enumerate()
            .map(|(index, raw)| {
                let block = self.block_of[index];
                let parts = matches!(raw.flow, Flow::Branch(_) | Flow::Table(_))
                    && self.successors[block].len() > 1;
                let meet = post[block].filter(|meet| *meet != exit);
                parts
                    .then_some(meet)
                    .flatten()
                    .map(|meet| self.starts[meet])
            })
            .collect()
    }

    /// The immediate post-dominator of every block that can reach the exit (Cooper, Harvey and
    /// Kennedy, "A Simple, Fast Dominance Algorithm", on the graph turned round).
    fn post_dominators(&self) -> Vec<Option<usize>> {
        let exit = self.starts.len();
        let mut predecessors = vec![Vec::new(); exit + 1];
        for (block, next) in self.successors.iter().enumerate() {
            next.iter().for_each(|n| predecessors[*n].push(block));
        }
        // Post-order of the reversed graph, without recursion.
        let mut order = Vec::with_capacity(exit + 1);
        let mut rank = vec![usize::MAX; exit + 1];
        let mut seen = vec![false; exit + 1];
        let mut stack = vec![(exit, 0)];
        seen[exit] = true;
        while let Some((block, child)) = stack.pop() {
            if let Some(next) = predecessors[block].get(child) {
                stack.push((block, child + 1));
                if !seen[*next] {
                    seen[*next] = true;
                    stack.push((*next, 0));
                }
            } else {
                rank[block] = order.len();
                order.push(block);
            }
        }
        let mut post = vec![None; exit + 1];
        post[exit] = Some(exit);
        let mut changed = true;
        while changed {
            changed = false;
            for &block in order.iter().rev() {
                if block == exit {
                    continue;
                }
                let mut found: Option<usize> = None;
                for &next in &self.successors[block] {
                    if post[next].is_none() {
                        continue;
                    }
                    found = Some(match found {
                        None => next,
                        Some(mut other) => {
                            let mut one = next;
                            while one != other {
                                while rank[one] < rank[other] {
                                    one = post[one].unwrap_or(exit);
                                }
                                while rank[other] < rank[one] {
                                    other = post[other].unwrap_or(exit);
                                }
                            }
                            one
                        }
                    });
                }
                if post[block] != found {
                    post[block] = found;
                    changed = true;
                }
            }
        }
        post
    }
}
