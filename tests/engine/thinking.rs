//! The decode loop against one-shot forwards, and against itself in other company.

use crate::common::bits;
use crate::{hidden, relative_error, tiny};
use lrem::device::DeviceError;
use lrem::device::cpu::Cpu;
use lrem::model::Model;
use lrem::ops::forest::Forest;
use lrem::ops::linear::WeightFormat;
use lrem::ops::philox::PhiloxStream;
use lrem::ops::sample::Sampling;
use lrem::reason::{Drafts, Ending, Question, Reasoner, ThinkOptions, Thought};
use lrem::text::Prompts;
use tempfile::tempdir;

pub fn questions(count: usize) -> Vec<Question> {
    let mut random = PhiloxStream::new(5, 5);
    (0..count)
        .map(|i| Question {
            ids: (0..1 + random.below(9))
                .map(|_| random.below(256) as u32)
                .collect(),
            key: 100 * i as u64,
        })
        .collect()
}

pub fn options(budget: usize, rollouts: usize, batch: usize) -> ThinkOptions {
    ThinkOptions {
        budget,
        // Hot enough that the tiny model closes some thoughts and breaks others.
        sampling: Sampling {
            temperature: 2.0,
            seed: 3,
            ..Sampling::GREEDY
        },
        rollouts,
        direct: false,
        settled: None,
        batch,
    }
}

fn think(
    model: &Model<Cpu>,
    prompts: &Prompts,
    questions: &[Question],
    options: &ThinkOptions,
) -> Vec<Vec<Thought>> {
    let mut reasoner = Reasoner::new(model, prompts, 600).unwrap();
    reasoner.think(questions, options).unwrap()
}

/// Everything of a thought, floats as bits.
pub fn all_bits(t: &Thought) -> (Vec<u32>, Vec<u32>, u32, Ending, Vec<u32>) {
    let (scores, embedding) = (bits(&t.log_probabilities), bits(&t.embedding));
    (
        t.tokens.clone(),
        scores,
        t.entropy.to_bits(),
        t.ending,
        embedding,
    )
}

#[test]
fn embeddings_and_log_probabilities_are_those_of_one_forward() {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), 6);
    let (opened, model) = tiny::open(folder.path());
    let prompts = opened.prompts().unwrap();
    let (width, vocab) = (model.config.hidden_size, model.config.vocab_size);
    let questions = questions(6);
    let mut endings = Vec::new();
    for (question, thoughts) in
        questions
            .iter()
            .zip(think(&model, &prompts, &questions, &options(12, 9, 20)))
    {
        assert_eq!(thoughts.len(), 9);
        for t in thoughts {
            let branch = prompts.branch(&t.tokens);
            let ids = [prompts.query_prefix.as_slice(), &question.ids, &branch].concat();
            let rows = hidden(&model, &ids, &Forest::packed(&[(ids.len(), None)]));
            let error = relative_error(&t.embedding, &rows[rows.len() - width..]);
            assert!(error < 2e-5, "{error:e}");

            let first = ids.len() - branch.len();
            let scored = t.tokens.len() + usize::from(t.ending == Ending::Closed);
            let expected = scored + usize::from(t.ending == Ending::Broken);
            assert_eq!(t.log_probabilities.len(), expected);
            let mut logits = vec![0.0; ids.len() * vocab];
            model.logits(ids.len(), &rows, &mut logits).unwrap();
            for (i, score) in t.log_probabilities[..scored].iter().enumerate() {
                let row = &logits[(first + i) * vocab..][..vocab];
                let sum: f64 = row.iter().map(|&l| f64::from(l).exp()).sum();
                let want = f64::from(row[branch[i + 1] as usize]) - sum.ln();
                assert!(
                    (f64::from(*score) - want).abs() < 1e-4,
                    "{score} is not {want}"
                );
            }
            assert!(t.tokens.len() <= 12);
            assert!(t.ending != Ending::Budget || t.tokens.len() == 12);
            endings.push(t.ending);
        }
    }
    for ending in [Ending::Closed, Ending::Budget, Ending::Broken] {
        assert!(endings.contains(&ending), "no thought ended {ending:?}");
    }
}

#[test]
fn a_row_does_not_depend_on_what_else_is_in_the_batch() {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), 2);
    let (opened, masters) = tiny::open(folder.path());
    let prompts = opened.prompts().unwrap();
    let questions = questions(9);
    for format in WeightFormat::ALL {
        let model = masters.packed(format).unwrap();
        let together = think(&model, &prompts, &questions, &options(7, 2, 64));
        for batch in [1, 3, 5] {
            let crowded = think(&model, &prompts, &questions, &options(7, 2, batch));
            for (a, b) in together.iter().flatten().zip(crowded.iter().flatten()) {
                assert_eq!(all_bits(a), all_bits(b), "{format:?}, {batch} rows at once");
            }
        }
        for (i, question) in questions.iter().enumerate() {
            let alone = think(
                &model,
                &prompts,
                std::slice::from_ref(question),
                &options(7, 1, 1),
            );
            assert_eq!(
                all_bits(&alone[0][0]),
                all_bits(&together[i][0]),
                "{format:?}"
            );
        }
    }
}

/// Drafts that are right, wrong and learned on the way: the same bits, and right ones in fewer passes.
#[test]
fn drafts_change_no_bit() {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), 8);
    let (opened, model) = tiny::open(folder.path());
    let prompts = opened.prompts().unwrap();
    let questions = questions(5);
    let texts = |thoughts: &[Vec<Thought>]| -> Vec<Vec<u32>> {
        let text = |t: &Thought| [&[prompts.think], &t.tokens[..], &[prompts.end_think]].concat();
        thoughts.iter().flatten().map(text).collect()
    };
    for (budget, rollouts, batch) in [(0, 1, 1), (1, 1, 1), (12, 1, 1), (12, 2, 4), (30, 3, 3)] {
        let options = options(budget, rollouts, batch);
        let run = |drafts: Option<Drafts>| {
            let mut reasoner = Reasoner::new(&model, &prompts, 600)
                .unwrap()
                .with_drafts(drafts);
            let thoughts = reasoner.think(&questions, &options).unwrap();
            (thoughts, reasoner.passes())
        };
        let (plain, passes) = run(None);
        let want: Vec<_> = plain.iter().flatten().map(all_bits).collect();
        let mut right = Drafts::default();
        texts(&plain).iter().for_each(|text| right.learn(text));
        let mut wrong = Drafts::default();
        for text in texts(&plain) {
            let off = |&token: &u32| (token + 1) % 256;
            let text: Vec<u32> = text.iter().flat_map(|token| [*token, off(token)]).collect();
            (0..9).for_each(|_| wrong.learn(&text));
        }
        for (drafts, are_right) in [(right, true), (wrong, false), (Drafts::default(), false)] {
            let (thoughts, drafted) = run(Some(drafts));
            let got: Vec<_> = thoughts.iter().flatten().map(all_bits).collect();
            assert!(
                got == want,
                "budget {budget}, {rollouts} rollouts, {batch} at once"
            );
            assert!(drafted <= passes);
            assert!(
                !are_right || budget < 2 || drafted < passes,
                "{drafted} of {passes}"
            );
        }
    }
}

/// The embeddings that a thought has without tokens, with the first, and so on, each from a forward of its own;
/// the thought stops where two in a row agree.
#[test]
fn a_thought_that_has_settled_is_broken_off() {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), 6);
    let (opened, model) = tiny::open(folder.path());
    let prompts = opened.prompts().unwrap();
    let questions = questions(9);
    let plain = options(12, 2, 5);
    let whole = think(&model, &prompts, &questions, &plain);
    let run = |settled: f32| {
        let options = ThinkOptions {
            settled: Some(settled),
            ..plain
        };
        let mut reasoner = Reasoner::new(&model, &prompts, 600).unwrap();
        // What drafts say does not matter where every token is looked at.
        reasoner = reasoner.with_drafts(Some(Drafts::default()));
        reasoner.think(&questions, &options).unwrap()
    };
    // Looking alone changes nothing.
    for (a, b) in whole.iter().flatten().zip(run(2.0).iter().flatten()) {
        assert_eq!(all_bits(a), all_bits(b));
    }
    let embedding = |question: &Question, tokens: &[u32]| {
        let parts = [
            &prompts.query_prefix[..],
            &question.ids,
            &prompts.branch(tokens),
        ];
        let ids = parts.concat();
        let rows = hidden(&model, &ids, &Forest::packed(&[(ids.len(), None)]));
        rows[rows.len() - model.config.hidden_size..].to_vec()
    };
    let cosine = |a: &[f32], b: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    for settled in [-1.0, 0.5, 0.9, 0.97] {
        let mut endings = Vec::new();
        for ((question, whole), broken) in questions.iter().zip(&whole).zip(run(settled)) {
            for (whole, broken) in whole.iter().zip(broken) {
                let step = |n: usize| {
                    let [before, after] =
                        [n - 1, n].map(|n| embedding(question, &whole.tokens[..n]));
                    cosine(&before, &after)
                };
                let steps: Vec<f32> = (1..=whole.tokens.len()).map(step).collect();
                if steps.iter().any(|cosine| (cosine - settled).abs() < 1e-4) {
                    continue;
                }
                let first = steps.iter().position(|&cosine| cosine >= settled);
                endings.push(broken.ending);
                match first {
                    Some(n) => {
                        assert_eq!(broken.ending, Ending::Settled);
                        assert_eq!(broken.tokens, whole.tokens[..=n]);
                        assert_eq!(broken.drawn, broken.tokens);
                        assert_eq!(broken.log_probabilities.len(), n + 1);
                        let expected = embedding(question, &broken.tokens);
                        assert!(relative_error(&broken.embedding, &expected) < 2e-5);
                    }
                    None => assert_eq!(all_bits(&broken), all_bits(whole)),
                }
            }
        }
        assert!(endings.contains(&Ending::Settled), "{settled}");
        assert!(
            settled < 0.9 || endings.iter().any(|&e| e != Ending::Settled),
            "{settled}"
        );
    }
}

#[test]
fn no_budget_means_an_empty_thought() {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), 4);
    let (opened, model) = tiny::open(folder.path());
    let prompts = opened.prompts().unwrap();
    let questions = questions(3);
    let thoughts = think(&model, &prompts, &questions, &options(0, 1, 8));
    for (question, thought) in questions.iter().zip(&thoughts) {
        let ids = [
            prompts.query_prefix.as_slice(),
            &question.ids,
            &prompts.branch(&[]),
        ]
        .concat();
        let rows = hidden(&model, &ids, &Forest::packed(&[(ids.len(), None)]));
        let last = &rows[rows.len() - model.config.hidden_size..];
        assert!(relative_error(&thought[0].embedding, last) < 2e-5);
        assert!(thought[0].tokens.is_empty());
    }
}

#[test]
fn the_cache_is_given_back_and_its_size_is_checked() {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), 4);
    let (opened, model) = tiny::open(folder.path());
    let prompts = opened.prompts().unwrap();
    let question = Question {
        ids: vec![5; 10],
        key: 0,
    };
    let (trunk, needed) = (prompts.query_prefix.len(), 10 + 2 * (6 + 3));
    let mut reasoner = Reasoner::new(&model, &prompts, trunk + needed).unwrap();
    let six = vec![question.clone(); 6];
    let first = reasoner.think(&six, &options(6, 2, 64)).unwrap();
    let second = reasoner.think(&six, &options(6, 2, 64)).unwrap();
    for (a, b) in first.iter().flatten().zip(second.iter().flatten()) {
        assert_eq!(all_bits(a), all_bits(b));
    }
    let mut small = Reasoner::new(&model, &prompts, trunk + needed - 1).unwrap();
    let error = small.think(&[question], &options(6, 2, 64)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "think: a query and its thoughts take 28 tokens, the cache has room for 27"
    );
}

#[test]
fn the_embedding_without_a_thought_comes_along() {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), 3);
    let (opened, model) = tiny::open(folder.path());
    let prompts = opened.prompts().unwrap();
    let questions = questions(5);
    let alone = think(&model, &prompts, &questions, &options(6, 3, 64));
    for batch in [4, 64] {
        let both = ThinkOptions {
            direct: true,
            ..options(6, 3, batch)
        };
        let answers = think(&model, &prompts, &questions, &both);
        for ((question, answer), alone) in questions.iter().zip(&answers).zip(&alone) {
            let [thoughts @ .., direct] = answer.as_slice() else {
                panic!("nothing was thought");
            };
            assert_eq!(thoughts.len(), 3);
            for (a, b) in thoughts.iter().zip(alone) {
                assert_eq!(all_bits(a), all_bits(b));
            }
            assert_eq!(direct.ending, Ending::Direct);
            assert!(direct.tokens.is_empty() && direct.drawn.is_empty());
            let ids = [&prompts.query_prefix[..], &question.ids, &[prompts.emb]].concat();
            let rows = hidden(&model, &ids, &Forest::packed(&[(ids.len(), None)]));
            let last = &rows[rows.len() - model.config.hidden_size..];
            assert!(relative_error(&direct.embedding, last) < 2e-5);
            // In company with thoughts it has the bits that it has alone.
            let mut reasoner = Reasoner::new(&model, &prompts, 600).unwrap();
            let ids = [&question.ids[..], &[prompts.emb]].concat();
            let last = ids.len() as u32 - 1;
            let width = model.config.hidden_size;
            let alone = reasoner.direct(&ids, Some(&[last]), |_, acts| {
                Ok(acts.hidden[..width].to_vec())
            });
            let alone = alone.unwrap();
            assert_eq!(bits(&direct.embedding), bits(&alone));
        }
    }
}

#[test]
fn a_gate_spares_thoughts_and_changes_none() {
    let folder = tempdir().unwrap();
    tiny::write(folder.path(), 3);
    let (opened, model) = tiny::open(folder.path());
    let prompts = opened.prompts().unwrap();
    let questions = questions(7);
    let both = |batch| ThinkOptions {
        direct: true,
        ..options(6, 3, batch)
    };
    let all = think(&model, &prompts, &questions, &both(64));
    let width = model.config.hidden_size;
    // Of a full cache, too: where nothing were given back, later queries would not fit.
    let room = prompts.query_prefix.len() + 9 + both(64).rollouts * (6 + 3) + 1;
    for (batch, tokens) in [(4, 600), (64, 600), (64, room)] {
        let mut reasoner = Reasoner::new(&model, &prompts, tokens).unwrap();
        for _ in 0..2 {
            let mut seen = Vec::new();
            let gated = reasoner.think_where(&questions, &both(batch), |asked, rows| {
                seen.extend(
                    asked
                        .iter()
                        .copied()
                        .zip(rows.chunks_exact(width).map(bits)),
                );
                Ok::<_, DeviceError>(asked.iter().map(|q| q.is_multiple_of(2)).collect())
            });
            let gated = gated.unwrap();
            for (q, (gated, all)) in gated.iter().zip(&all).enumerate() {
                let expected = match q.is_multiple_of(2) {
                    true => &all[..],
                    false => &all[3..],
                };
                let bits_of =
                    |thoughts: &[Thought]| thoughts.iter().map(all_bits).collect::<Vec<_>>();
                assert_eq!(
                    bits_of(gated),
                    bits_of(expected),
                    "question {q}, {batch} rows"
                );
                // It was asked about each once, with the embedding that came out.
                assert_eq!(seen[q], (q, bits(&all[3].embedding)));
            }
            assert_eq!(seen.len(), questions.len());
        }
        // A gate that fails leaves the cache as it was.
        let closed = |_: &[usize], _: &[f32]| {
            Err(DeviceError::Argument {
                op: "gate",
                message: "closed".into(),
            })
        };
        let failed = reasoner.think_where(&questions, &both(batch), closed);
        assert_eq!(failed.unwrap_err().to_string(), "gate: closed");
        let again = reasoner.think(&questions, &both(batch)).unwrap();
        for (a, b) in again.iter().flatten().zip(all.iter().flatten()) {
            assert_eq!(all_bits(a), all_bits(b));
        }
    }
}
