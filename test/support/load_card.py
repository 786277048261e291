"""Reads cards as the Hub's client does: a JSON list of { data, results } to standard output.

Standard input: a JSON list of Markdown texts.
"""

import json
import sys

from huggingface_hub import ModelCard

found = []
for text in json.load(sys.stdin):
    data = ModelCard(text).data
    results = [[r.metric_type, r.metric_name, r.metric_value, r.dataset_name] for r in data.eval_results or []]
    found.append({"data": {k: v for k, v in data.to_dict().items() if k != "model-index"}, "results": results})
json.dump(found, sys.stdout)
