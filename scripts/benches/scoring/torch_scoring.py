"""One scoring pass by PyTorch, as lean as it gets: `torch_scoring.py FOLDER TEXTS` prints what pass.ts prints.

Both views of a text are one batch, whose loss is L(s) - L(s~). Each weight's gradient is let go as soon as its square is added up.
"""

import json
import os
import resource
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, texts = sys.argv[1:]
torch.set_num_threads(os.cpu_count())
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
layers = model.model.layers
squares = torch.zeros(len(layers), dtype=torch.float64)
for i, layer in enumerate(layers):
    for parameter in layer.parameters():

        def add(p, i=i):
            squares[i] += p.grad.double().square().sum() if p.grad.numel() < 1 << 16 else p.grad.square().sum().double()
            p.grad = None

        parameter.register_post_accumulate_grad_hook(add)
owned = {id(p) for layer in layers for p in layer.parameters()}
for parameter in model.parameters():
    if id(parameter) not in owned:
        parameter.requires_grad_(False)
# What the first layer reads must have a gradient for the walk to go through it.
model.enable_input_require_grads()

samples = json.load(open(texts))
begun, used = time.perf_counter(), time.process_time()
norms = []
for sample in samples:
    views = [sample["unperturbed"], sample["perturbed"]]
    longest = max(map(len, views))
    ids = torch.zeros(2, longest, dtype=torch.int64)
    for row, view in enumerate(views):
        ids[row, : len(view)] = torch.tensor(view)
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    loss = 0
    for row, (view, sign) in enumerate(zip(views, (1, -1))):
        n = len(view) - 1
        loss = loss + sign * torch.nn.functional.cross_entropy(logits[row, :n], ids[row, 1 : n + 1])
    squares.zero_()
    del logits
    loss.backward()
    norms.append(squares.sqrt())
scores = torch.stack(norms).mean(0).tolist()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(
    json.dumps(
        {
            "seconds": time.perf_counter() - begun,
            "processorSeconds": time.process_time() - used,
            "peakBytes": peak,
            "peakOwnBytes": peak,
            "scores": scores,
        }
    )
)
