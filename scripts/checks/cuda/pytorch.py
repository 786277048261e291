"""One scoring pass of PIP by layers in PyTorch on a GPU, as one would write it by hand: for each of 16 pairs of texts a backward pass
of the difference of their losses, and the norm of each layer's gradient. Weights are random: the time does not depend on them.

    python3 pytorch.py CONFIG_FOLDER

Needs torch with CUDA and transformers; the folder holds a config.json. Prints medians of five passes.
"""

import sys
import time

import torch
from transformers import AutoConfig, AutoModelForCausalLM

PAIRS, TOKENS, PASSES = 16, 128, 5


def scores(model, layers, ids):
    sums = torch.zeros(len(layers), device="cuda")
    for pair in ids:
        logits = model(pair).logits[:, :-1].float()
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), pair[:, 1:], reduction="none").mean(1)
        (losses[0] - losses[1]).backward()
        for i, layer in enumerate(layers):
            grads = [p.grad for p in layer.parameters()]
            sums[i] += torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)).float())
        model.zero_grad(set_to_none=True)
    return (sums / PAIRS).cpu()


config = AutoConfig.from_pretrained(sys.argv[1])
ids = torch.randint(0, config.vocab_size, (PAIRS, 2, TOKENS), device="cuda")
print("| PyTorch", torch.__version__, "| s | peak MiB |\n| --- | ---: | ---: |")
for name, dtype, tf32 in (("float32", torch.float32, False), ("float32 with TF32", torch.float32, True), ("bfloat16", torch.bfloat16, False)):
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).to("cuda", dtype)
    # Only what is scored needs a gradient.
    model.requires_grad_(False)
    layers = list(model.model.layers)
    for layer in layers:
        layer.requires_grad_(True)
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(PASSES + 1):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        scores(model, layers, ids)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    peak = torch.cuda.max_memory_allocated() / 2**20
    print(f"| {name} | {sorted(times[1:])[PASSES // 2]:.3f} | {peak:.0f} |")
    del model, layers
    torch.cuda.empty_cache()
