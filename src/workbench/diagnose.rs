//! What is wrong with a kernel, from what its runs gave.

use super::Draw;
use super::check::{Checked, Ran};
use super::probe::{Before, Input, Output, near};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a kernel is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It does not compile.
    Compile,
    /// The sanitizer found something.
    Sanitizer,
    /// The device failed: an invalid launch, a trap, an access that faults.
    Failed,
    /// An input is not what it was.
    WritesInput,
    /// A result is that of other inputs, those of the run before.
    Stale,
    /// A result is the same number everywhere.
    Constant,
    /// A result is an input.
    CopiesInput,
    /// Some of an output was never written.
    Unwritten,
    /// A result depends on what the output held before.
    UsesPoison,
    /// Two runs of the same differ.
    Unsteady,
    /// The blocks' order changes a result.
    LaunchOrder,
    /// Wrong where numbers are large.
    Overflow,
    /// Wrong where an infinity or a NaN goes in.
    NotFinite,
    /// Right at a model's shape, and wrong at others.
    ShapeBound,
    /// Further off than the op's error analysis allows.
    Wrong,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub reason: Reason,
    /// What was seen, in a line.
    pub seen: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = serde_json::to_value(self.reason).unwrap_or_default();
        let name = name.as_str().unwrap_or_default().replace('_', " ");
        write!(f, "{name}: {}", self.seen)
    }
}

/// A number that is too far off.
struct Miss<'o> {
    output: &'o Output,
    at: usize,
}

/// Everything that is wrong in the runs of `cases`, each reason once, the most telling first.
pub fn diagnose(cases: &[Checked]) -> Vec<Verdict> {
    let mut found: Vec<Verdict> = Vec::new();
    let mut add = |reason: Reason, seen: String| {
        if !found.iter().any(|v| v.reason == reason) {
            found.push(Verdict { reason, seen });
        }
    };
    // Whether the plain comparison failed, by case.
    let mut wrong: Vec<(Draw, String)> = Vec::new();
    let mut unsure: Option<String> = None;
    for case in cases {
        let place = format!("{} ({})", case.shape, case.draw.name());
        for run in &case.runs {
            match run {
                Err(error) => add(Reason::Failed, format!("{error}, at {place}")),
                Ok((inputs, _)) => {
                    for input in inputs {
                        if let Some(at) = differs(&input.given, &input.after) {
                            let (was, is) = (input.given[at], input.after[at]);
                            let seen =
                                format!("{}[{at}] was {was}, is {is}, at {place}", input.name);
                            add(Reason::WritesInput, seen);
                        }
                    }
                }
            }
        }
        let outputs = |run: usize| {
            case.runs
                .get(run)
                .and_then(|r| r.as_ref().ok())
                .map(|r| &r.1)
        };
        let [Some(first), Some(second), again] = [0, 1, 3].map(outputs) else {
            continue;
        };
        for (i, (a, b)) in first.iter().zip(second).enumerate() {
            if let Some(c) = again.and_then(|again| again.get(i))
                && let Some(at) = differs(&a.got, &c.got)
            {
                let (one, other) = (a.got[at], c.got[at]);
                let seen = format!("{}[{at}] is {one}, then {other}, at {place}", a.name);
                add(Reason::Unsteady, seen);
                continue;
            }
            let (Before::Poison(x), Before::Poison(y)) = (a.before, b.before) else {
                continue;
            };
            match left(a, b, x, y) {
                Left::Used(at) => {
                    let (one, other) = (a.got[at], b.got[at]);
                    let seen = format!("{}[{at}] is {one} over {x} and {other} over {y}", a.name);
                    add(Reason::UsesPoison, format!("{seen}, at {place}"));
                }
                Left::Unwritten(at, more) => {
                    let seen = format!("{}[{at}] and {more} more, at {place}", a.name);
                    add(Reason::Unwritten, seen);
                }
                Left::Unsure(at) => {
                    unsure.get_or_insert(format!("{}[{at}], at {place}", a.name));
                }
                Left::Nothing => {}
            }
        }
        for run in [0, 2] {
            let Some(Ok((inputs, outputs))) = case.runs.get(run) else {
                continue;
            };
            for output in outputs {
                let Some(miss) = miss(output) else { continue };
                let (reason, seen) = explain(&miss, inputs, case.runs.first(), run);
                match reason {
                    Some(reason) => add(reason, format!("{seen}, at {place}")),
                    None => wrong.push((case.draw, format!("{seen}, at {place}"))),
                }
            }
        }
    }
    let of_poison = |v: &Verdict| matches!(v.reason, Reason::Unwritten | Reason::UsesPoison);
    if let Some(seen) = unsure
        && !found.iter().any(of_poison)
    {
        found.push(Verdict {
            reason: Reason::Unwritten,
            seen,
        });
    }
    if let Some((reason, seen)) = pattern(cases, &wrong)
        && found.is_empty()
    {
        found.push(Verdict { reason, seen });
    }
    found.sort_by_key(|v| v.reason);
    found
}

/// What of an output's poison is left in two runs over different ones.
enum Left {
    Nothing,
    /// The poison decides this number.
    Used(usize),
    /// This number is the poison in both runs, and so many more are.
    Unwritten(usize, usize),
    /// As `Unwritten`, but one poison is what the number should be: a kernel that read it may have
    /// written this.
    Unsure(usize),
}

fn left(a: &Output, b: &Output, x: f32, y: f32) -> Left {
    let differing = (0..a.got.len()).filter(|&at| !is(a.got[at], b.got[at]));
    let (kept, used): (Vec<_>, Vec<_>) =
        differing.partition(|&at| is(a.got[at], x) && is(b.got[at], y));
    let clear = |&&at: &&usize| !a.is_near(at) && !b.is_near(at);
    let mut unwritten = kept.iter().filter(clear);
    match (used.first(), unwritten.next(), kept.first()) {
        (Some(&at), ..) => Left::Used(at),
        (None, Some(&at), _) => Left::Unwritten(at, unwritten.count()),
        (None, None, Some(&at)) => Left::Unsure(at),
        (None, None, None) => Left::Nothing,
    }
}

/// What plain misses have in common.
fn pattern(cases: &[Checked], wrong: &[(Draw, String)]) -> Option<(Reason, String)> {
    let (first, seen) = wrong.first()?;
    let at = |draw: Draw| wrong.iter().any(|w| w.0 == draw);
    let reason = match first {
        Draw::NotFinite => Reason::NotFinite,
        Draw::Large => Reason::Overflow,
        Draw::Any | Draw::Many | Draw::Smallest if !at(Draw::Model) => Reason::ShapeBound,
        _ => Reason::Wrong,
    };
    let of_case = |case: &&Checked| wrong.iter().any(|w| w.1.contains(&case.shape));
    let count = cases.iter().filter(of_case).count();
    Some((
        reason,
        format!("{seen}; wrong in {count} of {} cases", cases.len()),
    ))
}

/// Why the number may be what it is; `None` where nothing tells.
fn explain(
    miss: &Miss<'_>,
    inputs: &[Input],
    first: Option<&Ran>,
    run: usize,
) -> (Option<Reason>, String) {
    let Miss { output, at } = miss;
    let got = output.got.get(*at).map_or("missing".into(), f32::to_string);
    let want = output.want[*at];
    let allowed = output.tolerance[*at];
    let seen = format!(
        "{}[{at}] is {got}, not {want:.9e} ± {allowed:.1e}",
        output.name
    );
    if let (2, Some(Ok((_, before)))) = (run, first)
        && let Some(before) = before.iter().find(|o| o.name == output.name)
        && close(&output.got, &before.want, &before.tolerance)
    {
        return (
            Some(Reason::Stale),
            format!("{} is that of the inputs before", output.name),
        );
    }
    let several = output.got.len() > 3;
    let first = output.got.first().copied().unwrap_or_default();
    // A row with an infinity in it is rightly zero almost everywhere.
    let mut wanted = output.want.iter().filter(|w| w.is_finite());
    let varies = wanted
        .next()
        .is_some_and(|w| wanted.any(|other| other != w));
    if several
        && varies
        && output.got.iter().all(|&v| is(v, first))
        && !matches!(output.before, Before::Poison(p) if is(first, p))
    {
        return (
            Some(Reason::Constant),
            format!("{} is {first} everywhere", output.name),
        );
    }
    let same = |input: &&Input| {
        several
            && differs(&input.given, &output.got).is_none()
            && input.given.len() == output.got.len()
    };
    if let Some(input) = inputs.iter().find(same) {
        return (
            Some(Reason::CopiesInput),
            format!("{} is {}", output.name, input.name),
        );
    }
    (None, seen)
}

/// The first number that is too far off.
fn miss(output: &Output) -> Option<Miss<'_>> {
    (0..output.want.len())
        .find(|&at| !output.is_near(at))
        .map(|at| Miss { output, at })
}

fn close(got: &[f32], want: &[f64], tolerance: &[f64]) -> bool {
    got.len() == want.len() && (0..want.len()).all(|i| near(got[i], want[i], tolerance[i]))
}

/// The first place where two runs differ in their bits; NaNs are all the same.
fn differs(a: &[f32], b: &[f32]) -> Option<usize> {
    a.iter().zip(b).position(|(&x, &y)| !is(x, y))
}

fn is(x: f32, y: f32) -> bool {
    x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan())
}
