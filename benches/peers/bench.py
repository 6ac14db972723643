"""What lrem exists for, done by a peer: one JSON line a figure, {"name", "value", "unit"}.

usage: bench.py torch-f32|torch-bf16 FOLDER [cuda]    torch + transformers on a Hugging Face folder; on a GPU
       bench.py llama.cpp MODEL.gguf                  llama.cpp, through llama-cpp-python

`lrem bench engine --json` prints the same names (with the precision of its weights where it has
several) for the same work on SmolLM2-135M, with all cores:

  prefill 512               one sequence of 512 tokens, hidden states only              tok/s
  embed 64x24               64 sequences of 24 tokens, hidden states only             items/s
  decode batch B            16 greedy tokens a sequence after a context of 64, B = 1, 8, 64   tok/s
  cold-start step 16 pairs  forward, backward and AdamW of 16 (query, item) pairs with
                            a thought of 16 tokens: equations 4, 7 and 8 of the LREM paper  pairs/s
  RL step 4 queries x 8     8 thoughts sampled for each of 4 queries, then forward, backward and
                            AdamW over all of them: equations 14 to 16                      queries/s

Of each, one run to warm up, then the median of some.
"""

import json
import statistics
import sys
import time

import torch

# The instructions of 64 tokens before every query and 16 before every item; a peer repeats them,
# as it has no trunk to share.
INSTRUCTION, QUERY, THOUGHT, ITEM = 64, 12, 16, 40
PAIRS = 16
QUERIES, ROLLOUTS = 4, 8


def wait():
    """Until the GPU is done, where there is one."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def emit(name, value, unit):
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit}), flush=True)


def seconds(run, times):
    """The median time of `run`, which returns its own time where only a part of it counts."""

    def timed():
        wait()
        start = time.perf_counter()
        own = run()
        wait()
        return own if isinstance(own, float) else time.perf_counter() - start

    timed()
    return statistics.median(timed() for _ in range(times))


def torch_bench(folder, dtype):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(torch.get_default_device()).eval()
    tokens = lambda *shape: torch.randint(0, model.config.vocab_size, shape)
    with torch.inference_mode():
        ids = tokens(1, 512)
        emit("prefill 512", 512 / seconds(lambda: model.model(ids), 5), "tok/s")
        ids = tokens(64, 24)
        emit("embed 64x24", 64 / seconds(lambda: model.model(ids), 5), "items/s")
        for batch in (1, 8, 64):
            time_of_16 = seconds(lambda: torch_decode(model, tokens(batch, 64)), 3)
            emit(f"decode batch {batch}", batch * 16 / time_of_16, "tok/s")
    time_of_step = seconds(cold_start_step(model.train(), tokens), 3)
    emit(f"cold-start step {PAIRS} pairs", PAIRS / time_of_step, "pairs/s")
    time_of_step = seconds(rl_step(model, tokens), 3)
    emit(f"RL step {QUERIES} queries x {ROLLOUTS}", QUERIES / time_of_step, "queries/s")


def torch_decode(model, ids):
    """Seconds for 16 greedy tokens after `ids`."""
    out = model(ids, use_cache=True, logits_to_keep=1)
    cache, last = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
    wait()
    start = time.perf_counter()
    for _ in range(16):
        out = model(last, past_key_values=cache, use_cache=True)
        last = out.logits[:, -1].argmax(-1, keepdim=True)
    wait()
    return time.perf_counter() - start


def cold_start_step(model, tokens):
    functional = torch.nn.functional
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    # The thought is predicted from the token before it on; <emb> is the last token.
    before = INSTRUCTION + QUERY
    queries, items = tokens(PAIRS, before + THOUGHT + 1), tokens(PAIRS, ITEM)

    def step():
        hidden = model.model(queries).last_hidden_state
        item = model.model(items).last_hidden_state[:, -1].float()
        logits = model.lm_head(hidden[:, before : before + THOUGHT]).float()
        thoughts = queries[:, before + 1 : before + 1 + THOUGHT].reshape(-1)
        sft = functional.cross_entropy(logits.flatten(0, 1), thoughts, reduction="sum") / PAIRS
        query = functional.normalize(hidden[:, -1].float(), dim=-1)
        similarity = query @ functional.normalize(item, dim=-1).T / 0.05
        nce = functional.cross_entropy(similarity, torch.arange(PAIRS))
        (0.1 * sft + nce).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def rl_step(model, tokens):
    functional = torch.nn.functional
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    # <think> is given; 16 tokens of the thought and its end are drawn.
    before = INSTRUCTION + QUERY
    rows = QUERIES * ROLLOUTS
    queries, items = tokens(rows, before + THOUGHT + 2), tokens(QUERIES, ITEM)

    def step():
        with torch.no_grad():
            ids = queries[:, : before + 1]
            out = model(ids, use_cache=True, logits_to_keep=1)
            for _ in range(THOUGHT + 1):
                drawn = out.logits[:, -1].argmax(-1, keepdim=True)
                out = model(drawn, past_key_values=out.past_key_values, use_cache=True)
        hidden = model.model(queries).last_hidden_state
        item = model.model(items).last_hidden_state[:, -1].float()
        logits = model.lm_head(hidden[:, before:-1]).float()
        scores = torch.log_softmax(logits, -1).gather(-1, queries[:, before + 1 :, None]).sum((1, 2))
        query = functional.normalize(hidden[:, -1].float(), dim=-1)
        similarity = query @ functional.normalize(item, dim=-1).T / 0.05
        nce = functional.cross_entropy(similarity, torch.arange(rows) % QUERIES)
        (torch.exp(scores - scores.detach()).mean() + 0.1 * nce).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def llama_bench(gguf):
    import numpy
    from llama_cpp import Llama

    threads = torch.get_num_threads()
    model = Llama(
        gguf, n_ctx=2048, n_batch=512, n_ubatch=512, n_threads=threads, n_threads_batch=threads, verbose=False
    )
    ids = numpy.random.randint(0, model.n_vocab(), 512).tolist()

    def prefill():
        model.reset()
        model.eval(ids)

    def decode():
        model.reset()
        model.eval(ids[:64])
        start = time.perf_counter()
        for token in ids[:16]:
            model.eval([token])
        return time.perf_counter() - start

    emit("prefill 512", 512 / seconds(prefill, 3), "tok/s")
    emit("decode batch 1", 16 / seconds(decode, 3), "tok/s")


if __name__ == "__main__":
    which, model_path, *device = sys.argv[1:] if len(sys.argv) > 2 else (None, None)
    if which not in ("torch-f32", "torch-bf16", "llama.cpp") or device not in ([], ["cuda"]):
        sys.exit(__doc__)
    torch.set_default_device(device[0] if device else "cpu")
    if which == "llama.cpp":
        llama_bench(model_path)
    else:
        torch_bench(model_path, torch.float32 if which == "torch-f32" else torch.bfloat16)
