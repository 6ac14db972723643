"""Loads a folder that this crate exported with transformers and compares with other readers of the model.

    compare_transformers.py EXPORTED CONVERTED GGUF ENCODED.jsonl

EXPORTED: written by this crate, with three added tokens. CONVERTED: the GGUF file as transformers
converts it. ENCODED: lines of {"text", "ids"}, encoded by this crate without the added tokens.
"""

import json
import sys

import torch
from llama_cpp import Llama
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

exported, converted, gguf_file, encoded = sys.argv[1:]
ADDED = ["<think>", "</think>", "<emb>"]

tokenizer = AutoTokenizer.from_pretrained(exported)
model = AutoModelForCausalLM.from_pretrained(exported).eval()
old_tokenizer = AutoTokenizer.from_pretrained(converted)
old_model = AutoModelForCausalLM.from_pretrained(converted, dtype=torch.float32).eval()
old_size = old_model.config.vocab_size

assert model.dtype == torch.float32
assert model.config.vocab_size == old_size + len(ADDED) == len(tokenizer)
ids = tokenizer.convert_tokens_to_ids(ADDED)
assert ids == list(range(old_size, old_size + len(ADDED))), ids
assert all(i in tokenizer.all_special_ids for i in ids)
text = "query<think>a, b</think><emb>"
kept = tokenizer.decode(tokenizer(text).input_ids)
bare = tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True)
assert (kept, bare) == (text, "querya, b"), (kept, bare)
for name in ["bos_token", "eos_token", "pad_token", "unk_token"]:
    assert getattr(tokenizer, name) == getattr(old_tokenizer, name), name
chat = [{"role": "user", "content": "hello"}]
assert tokenizer.apply_chat_template(chat, tokenize=False) == old_tokenizer.apply_chat_template(
    chat, tokenize=False
)
assert model.generation_config.eos_token_id == old_model.generation_config.eos_token_id

prompt = tokenizer("The quick brown fox", return_tensors="pt").input_ids
with torch.no_grad():
    difference = (model(prompt).logits[..., :old_size] - old_model(prompt).logits).abs().max().item()
assert difference == 0, difference
print(f"model: the same logits as {converted}")

llama = Llama(gguf_file, vocab_only=True, verbose=False)
count, unlike_llama, unlike_converted = 0, [], []
for line in open(encoded):
    case = json.loads(line)
    text, ids = case["text"], case["ids"]
    count += 1
    assert tokenizer(text).input_ids == ids, (text, tokenizer(text).input_ids, ids)
    if llama.tokenize(text.encode(), add_bos=False, special=True) != ids:
        unlike_llama.append(text)
    if old_tokenizer(text).input_ids != ids:
        unlike_converted.append(text)
print(f"tokenizer: {count} texts as transformers reads the exported folder")
print(f"other than llama.cpp: {unlike_llama}")
print(f"other than transformers' own conversion, which does not cut at digits: {unlike_converted}")
assert not unlike_llama
# The conversion leaves out the cut at single digits that the model was trained with.
assert all(any(c.isnumeric() for c in text) for text in unlike_converted)
