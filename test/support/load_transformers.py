"""Loads folders with transformers' own classes, and prints what they give: a JSON list of { logits, text, unused } to standard output.

Standard input: a JSON list of { folder, tokens, prompt, count, endpoint, token, mayFail }. Where `endpoint` is there, `folder` is a repository on
that Hub, which is shown `token`. Where `mayFail` is true and a folder is not loaded, { refused } says why.
"""

import json
import os
import sys
import tempfile

asked = json.load(sys.stdin)
for row in asked:
    if row.get("endpoint"):
        os.environ["HF_ENDPOINT"] = row["endpoint"]
# What was fetched by others, or with another token, counts for nothing.
home = tempfile.TemporaryDirectory()
os.environ["HF_HOME"] = home.name

import torch  # noqa: E402
import transformers  # noqa: E402

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)


def given(row: dict) -> dict:
    token = row.get("token") or False
    if row.get("endpoint"):
        transformers.AutoTokenizer.from_pretrained(row["folder"], token=token)
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        row["folder"], dtype=torch.float32, output_loading_info=True, token=token, attn_implementation="eager"
    )
    with torch.no_grad():
        logits = model(torch.tensor([row["tokens"]])).logits[0]
        ids = torch.tensor([row["tokens"][: row["prompt"]]])
        text = model.generate(ids, max_new_tokens=row["count"], do_sample=False, eos_token_id=None, pad_token_id=0)[0]
    unused = [f"{kind}: {name}" for kind, names in info.items() for name in names]
    return {"logits": logits.flatten().tolist(), "text": text[row["prompt"] :].tolist(), "unused": unused}


found = []
for row in asked:
    try:
        found.append(given(row))
    except Exception as error:
        if not row.get("mayFail"):
            raise
        found.append({"refused": f"{type(error).__name__}: {error}"})
json.dump(found, sys.stdout)
