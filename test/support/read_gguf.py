"""Tensors in which two GGUF files differ, as the `gguf` package reads them. Their paths come as a JSON list; a JSON list of names is printed."""

import json
import sys

import gguf
import numpy as np


def values(path: str) -> dict[str, np.ndarray]:
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in gguf.GGUFReader(path).tensors}


first, second = map(values, json.load(sys.stdin))
names = sorted(set(first) | set(second))
print(json.dumps([n for n in names if n not in first or n not in second or not np.array_equal(first[n].ravel(), second[n].ravel())]))
