"""Makes the golden files of the retrieval metrics with the real trec_eval.

    pip install pytrec-eval-terrier==0.5.11
    python tests/golden/trec/make.py

Writes NAME.qrels, NAME.run and NAME.expected (trec_eval's output with -q) for a few random cases.
`all` is the mean over the queries in the run, `all-c` over all judged queries (trec_eval -c).
"""
import pathlib
import random

import pytrec_eval

HERE = pathlib.Path(__file__).parent
MEASURES = {
    "success.1,3,10", "P.1,3,10,50", "recall.1,3,10,50", "ndcg_cut.1,3,10,50", "map_cut.1,3,10,50",
    "map", "recip_rank", "ndcg", "set_P", "set_recall",
}
CASES = {  # levels of relevance, distinct scores (few: many ties), documents
    "ties": ([0, 1], 4, 30),
    "graded": ([-1, 0, 0, 1, 2, 3], 1000, 40),
    "graded_ties": ([0, 1, 2, 4], 6, 25),
}


def case(rng, levels, scores, documents):
    qrels, run = {}, {}
    names = [f"d{n}" for n in range(documents)] + ["D1", "Zé", "d-1", "é"]
    for q in range(14):
        query = f"q{q}"
        judged = rng.sample(names, rng.randint(1, len(names)))
        qrels[query] = {d: rng.choice(levels) for d in judged}
        # trec_eval reads memory it does not own where every judgement is negative.
        qrels[query][judged[0]] = max(levels)
        found = rng.sample(names, rng.randint(1, len(names)))
        run[query] = {d: rng.randrange(scores) / 8 - 3 for d in found}
    # Differences that f32 cannot hold are ties too.
    run["q0"] = {d: 0.5 + n * 1e-9 for n, d in enumerate(run["q0"])}
    qrels["q1"] = {d: 0 for d in qrels["q1"]}   # nothing relevant
    del run["q2"], run["q10"]                   # judged, not searched
    run["unjudged"] = {"d1": 1.0}               # searched, not judged
    return qrels, run


def main():
    for seed, (name, parameters) in enumerate(CASES.items()):
        rng = random.Random(seed)
        qrels, run = case(rng, *parameters)
        result = pytrec_eval.RelevanceEvaluator(qrels, MEASURES).evaluate(run)
        lines = []
        for query in sorted(result):
            for measure, value in sorted(result[query].items()):
                lines.append(f"{measure:<22}\t{query}\t{value:6.4f}")
        for measure in sorted(next(iter(result.values()))):
            total = sum(result[query][measure] for query in sorted(result))
            lines.append(f"{measure:<22}\tall\t{total / len(result):6.4f}")
            lines.append(f"{measure:<22}\tall-c\t{total / len(qrels):6.4f}")
        rows = [(q, d, s) for q, found in run.items() for d, s in found.items()]
        rng.shuffle(rows)
        write(f"{name}.run", (f"{q} Q0 {d} {rng.randint(1, 9)} {s!r} golden" for q, d, s in rows))
        write(f"{name}.qrels", (f"{q} 0 {d} {r}" for q, js in qrels.items() for d, r in js.items()))
        write(f"{name}.expected", lines)


def write(name, lines):
    (HERE / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


main()
