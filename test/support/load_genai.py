"""Loads folders with onnxruntime-genai, and prints what they write: a JSON list of token ids to standard output.

Standard input: a JSON list of { folder, prompt, count }.
"""

import json
import sys

import numpy as np
import onnxruntime_genai as og

found = []
for row in json.load(sys.stdin):
    model = og.Model(row["folder"])
    params = og.GeneratorParams(model)
    params.set_search_options(do_sample=False, max_length=len(row["prompt"]) + row["count"])
    generator = og.Generator(model, params)
    generator.append_tokens(np.array([row["prompt"]], dtype=np.int32))
    while not generator.is_done():
        generator.generate_next_token()
    found.append([int(i) for i in generator.get_sequence(0)])
json.dump(found, sys.stdout)
