"""One step of healing by adapters in PyTorch with PEFT on a GPU, as one would write it by hand: a model without each fifth of its layers
learns by adapters of rank 32 what the whole one predicts, from 8 texts of 128 tokens. Weights are random: the time does not depend on them.

    python3 pytorch_recovery.py CONFIG_FOLDER

Needs torch with CUDA, transformers and peft; the folder holds a config.json. Prints medians of five steps.
"""

import copy
import sys
import time

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

TEXTS, TOKENS, STEPS, RANK = 8, 128, 5, 32
PRODUCTS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

config = AutoConfig.from_pretrained(sys.argv[1])
ids = torch.randint(0, config.vocab_size, (TEXTS, TOKENS), device="cuda")
print("| PyTorch", torch.__version__, "| s | peak MiB |\n| --- | ---: | ---: |")
for name, dtype, tf32 in (("float32", torch.float32, False), ("float32 with TF32", torch.float32, True), ("bfloat16", torch.bfloat16, False)):
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.manual_seed(0)
    teacher = AutoModelForCausalLM.from_config(config).to("cuda", dtype).eval()
    student = copy.deepcopy(teacher)
    student.model.layers = torch.nn.ModuleList([layer for i, layer in enumerate(student.model.layers) if i % 5 != 2])
    student.config.num_hidden_layers = len(student.model.layers)
    student = get_peft_model(student, LoraConfig(r=RANK, lora_alpha=RANK, target_modules=PRODUCTS))
    optimizer = torch.optim.AdamW([p for p in student.parameters() if p.requires_grad], lr=1e-5)
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(STEPS + 1):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        with torch.no_grad():
            wanted = teacher(ids, use_cache=False).logits.float().log_softmax(-1)
        found = student(ids, use_cache=False).logits.float().log_softmax(-1)
        F.kl_div(found.flatten(0, 1), wanted.flatten(0, 1), reduction="batchmean", log_target=True).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    peak = torch.cuda.max_memory_allocated() / 2**20
    print(f"| {name} | {sorted(times[1:])[STEPS // 2]:.3f} | {peak:.0f} |")
    del teacher, student, optimizer, wanted, found
    torch.cuda.empty_cache()
