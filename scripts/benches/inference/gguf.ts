import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { decode } from "../../../src/onnx/decode.ts";
import type { Tensor } from "../../../src/onnx/ir.ts";
import { tensorReader } from "../../../src/onnx/read-tensor.ts";

/** Places of Llama's matrices in GGUF, by the names that exporters give their modules. */
const matrices: Readonly<Record<string, string>> = {
  "self_attn/q_proj": "attn_q",
  "self_attn/k_proj": "attn_k",
  "self_attn/v_proj": "attn_v",
  "self_attn/o_proj": "attn_output",
  "mlp/gate_proj": "ffn_gate",
  "mlp/up_proj": "ffn_up",
  "mlp/down_proj": "ffn_down",
};

type Setting =
  | readonly [key: string, kind: "u32" | "f32", value: number]
  | readonly [key: string, kind: "string", value: string]
  | readonly [key: string, kind: "strings", value: readonly string[]];

/**
 * Writes the weights of a Llama (as ONNX with the module names of Hugging Face) as a GGUF file in float32,
 * with the vocabulary of its byte-level tokenizer: the same weights for llama.cpp, to be compared with. Format: ggml's docs/gguf.md, version 3.
 */
export function writeGguf(folder: string, destination: string): void {
  const path = join(folder, "onnx/model.onnx");
  const { graph } = decode(readFileSync(path));
  const read = tensorReader(dirname(path));
  const floats = (t: Tensor) => new Float32Array(read(t).slice().buffer);
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  const tokenizer = JSON.parse(readFileSync(join(folder, "tokenizer.json"), "utf8"));
  const heads: number = config.num_attention_heads;
  const kvHeads: number = config.num_key_value_heads ?? heads;
  const width: number = config.head_dim ?? config.hidden_size / heads;
  const tensors: { name: string; dims: number[]; data: Float32Array }[] = [];

  for (const t of graph.initializers.values()) {
    const norm = /layers\.(\d+)\.(input|post_attention)_layernorm\.weight$/.exec(t.name);
    if (norm)
      tensors.push({ name: `blk.${norm[1]}.${norm[2] === "input" ? "attn_norm" : "ffn_norm"}.weight`, dims: [...t.dims], data: floats(t) });
    else if (/(^|\.)norm\.weight$/.test(t.name)) tensors.push({ name: "output_norm.weight", dims: [...t.dims], data: floats(t) });
    else if (t.name.endsWith("embed_tokens.weight"))
      tensors.push({ name: "token_embd.weight", dims: [...t.dims].reverse(), data: floats(t) });
  }
  for (const node of graph.nodes) {
    const found = /layers\.(\d+)\/(self_attn\/\w_proj|mlp\/\w+_proj)\/MatMul$/.exec(node.name);
    const weight = graph.initializers.get(node.inputs[1] ?? "");
    if (node.opType !== "MatMul" || !found || !weight) continue;
    const [rows, columns] = weight.dims as [number, number];
    const kind = found[2] as string;
    const turned = transpose(floats(weight), rows, columns);
    const count = kind.endsWith("q_proj") ? heads : kind.endsWith("k_proj") ? kvHeads : 0;
    const data = count > 0 ? interleaved(turned, count, width, rows) : turned;
    tensors.push({ name: `blk.${found[1]}.${matrices[kind]}.weight`, dims: [rows, columns], data });
  }

  const settings: Setting[] = [
    ["general.architecture", "string", "llama"],
    ["general.name", "string", "bench"],
    ["llama.context_length", "u32", config.max_position_embeddings],
    ["llama.embedding_length", "u32", config.hidden_size],
    ["llama.block_count", "u32", config.num_hidden_layers],
    ["llama.feed_forward_length", "u32", config.intermediate_size],
    ["llama.attention.head_count", "u32", heads],
    ["llama.attention.head_count_kv", "u32", kvHeads],
    ["llama.attention.layer_norm_rms_epsilon", "f32", config.rms_norm_eps],
    ["llama.rope.dimension_count", "u32", width],
    ["llama.rope.freq_base", "f32", config.rope_theta ?? 10000],
    ["llama.vocab_size", "u32", config.vocab_size],
    ["general.file_type", "u32", 0],
    ["tokenizer.ggml.model", "string", "gpt2"],
    ["tokenizer.ggml.pre", "string", "default"],
    ["tokenizer.ggml.tokens", "strings", tokensOf(tokenizer, config.vocab_size)],
    ["tokenizer.ggml.merges", "strings", tokenizer.model.merges.map((m: string | string[]) => (typeof m === "string" ? m : m.join(" ")))],
    ["tokenizer.ggml.bos_token_id", "u32", config.bos_token_id],
    ["tokenizer.ggml.eos_token_id", "u32", [config.eos_token_id].flat()[0]],
  ];
  const file = openSync(destination, "w");
  const parts: Buffer[] = [];
  const u32 = (v: number) => Buffer.from(Uint32Array.of(v).buffer);
  const u64 = (v: number) => Buffer.from(BigUint64Array.of(BigInt(v)).buffer);
  const string = (v: string) => [u64(Buffer.byteLength(v)), Buffer.from(v)];
  parts.push(Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(settings.length));
  for (const [key, kind, value] of settings) {
    parts.push(...string(key), u32({ u32: 4, f32: 6, string: 8, strings: 9 }[kind]));
    if (kind === "string") parts.push(...string(value));
    else if (kind === "strings") parts.push(u32(8), u64(value.length), ...value.flatMap(string));
    else parts.push(kind === "u32" ? u32(value) : Buffer.from(Float32Array.of(value).buffer));
  }
  let offset = 0;
  for (const { name, dims, data } of tensors) {
    parts.push(...string(name), u32(dims.length), ...dims.map(u64), u32(0), u64(offset));
    offset += aligned(data.byteLength);
  }
  const head = Buffer.concat(parts);
  writeSync(file, head);
  writeSync(file, Buffer.alloc(aligned(head.length) - head.length));
  for (const { data } of tensors) {
    writeSync(file, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    writeSync(file, Buffer.alloc(aligned(data.byteLength) - data.byteLength));
  }
  closeSync(file);
}

function tokensOf(
  tokenizer: { model: { vocab: Record<string, number> }; added_tokens: { id: number; content: string }[] },
  size: number,
): string[] {
  const tokens = Array.from({ length: size }, (_, i) => `[${i}]`);
  for (const [token, id] of Object.entries(tokenizer.model.vocab)) tokens[id] = token;
  for (const { id, content } of tokenizer.added_tokens) tokens[id] = content;
  return tokens;
}

const aligned = (bytes: number): number => Math.ceil(bytes / 32) * 32;

function transpose(x: Float32Array, rows: number, columns: number): Float32Array {
  const y = new Float32Array(x.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) y[c * rows + r] = x[r * columns + c] as number;
  return y;
}

/** llama.cpp turns neighbouring entries against each other, Hugging Face halves of a head. */
function interleaved(x: Float32Array, heads: number, width: number, rowSize: number): Float32Array {
  const y = new Float32Array(x.length);
  for (let h = 0; h < heads; h++)
    for (let d = 0; d < width; d++) {
      const from = h * width + (d % 2) * (width / 2) + (d >> 1);
      y.set(x.subarray(from * rowSize, (from + 1) * rowSize), (h * width + d) * rowSize);
    }
  return y;
}
