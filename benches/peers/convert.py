"""A GGUF file as a Hugging Face folder in f32, by transformers' own GGUF reader.

usage: convert.py MODEL.gguf FOLDER
"""

import os
import shutil
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

source, target = sys.argv[1:]
folder, file = os.path.split(source)
read = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
# The model that was read carries GGUF's quantisation settings; a fresh one does not.
config = read.config.to_dict()
config.pop("quantization_config", None)
model = AutoModelForCausalLM.from_config(LlamaConfig(**config)).float()
model.load_state_dict({name: t.float() for name, t in read.state_dict().items()}, strict=False)
model.tie_weights()

aside = target + ".part"
shutil.rmtree(aside, ignore_errors=True)
model.save_pretrained(aside)
AutoTokenizer.from_pretrained(folder, gguf_file=file).save_pretrained(aside)
os.rename(aside, target)
