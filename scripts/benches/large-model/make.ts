import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { GraphBuilder, type Value } from "../../../src/onnx/builder.ts";
import { renameValues } from "../../../src/onnx/edit.ts";
import { encode } from "../../../src/onnx/encode.ts";
import { sizeOf, type Tensor, type ValueInfo } from "../../../src/onnx/ir.ts";
import { seededRandom } from "../../../src/random.ts";

/** Widths of a Llama, whose head width is hidden / heads; each layer has 4 (2 hidden^2 + 2 hidden kvHeads headWidth + 3 hidden inner) bytes of matrices in float32. */
export interface Widths {
  readonly hidden: number;
  readonly inner: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
}

/** TinyLlama's (1.1 billion parameters in 22 layers), and a smaller one for tests. */
const wide: Widths = { hidden: 2048, inner: 5632, heads: 32, kvHeads: 4, vocabulary: 32_000 };
const narrow: Widths = { hidden: 512, inner: 1408, heads: 8, kvHeads: 2, vocabulary: 8000 };

const batch = 1;
export const tokens = 8;

/**
 * Writes a model of about `bytes` bytes in float32 to a folder: a Llama's graph, and its weights, random, beside it. The head is
 * a transposed copy of the embedding, as PyTorch exports tied ones.
 *
 * @returns the number of its layers and of its bytes of weights
 */
export function makeModel(folder: string, bytes: number): { layers: number; bytes: number } {
  const widths = bytes < 2 ** 29 ? narrow : wide;
  const { hidden, inner, heads, kvHeads, vocabulary } = widths;
  const perLayer = 4 * hidden * (2 * hidden + (2 * kvHeads * hidden) / heads + 3 * inner + 2);
  const layers = Math.max(2, Math.round((bytes - 2 * 4 * vocabulary * hidden) / perLayer));
  return { layers, bytes: writeLlama(folder, widths, layers) };
}

/** The same of given widths. @returns the bytes of its weights */
export function writeLlama(folder: string, { hidden, inner, heads, kvHeads, vocabulary }: Widths, layers: number): number {
  const headWidth = hidden / heads;
  mkdirSync(folder, { recursive: true });
  const location = "model.onnx_data";
  const file = openSync(join(folder, location), "w");
  const noise = randomBytes();
  let offset = 0;
  const b = GraphBuilder.empty();
  const external = (name: string, dims: readonly number[], write: (length: number) => void): Value => {
    const length = 4 * sizeOf(dims);
    const tensor: Tensor = { name, dataType: "float32", dims, data: { kind: "external", location, offset, length } };
    write(length);
    offset += length;
    return b.constant(tensor);
  };
  /** Random numbers, not twice in the same order, so that no two matrices are alike. */
  const weight = (name: string, dims: readonly number[]): Value =>
    external(name, dims, (length) => {
      const start = 4 * (createHash("sha256").update(name).digest().readUInt32LE() % Math.floor(noise.length / 8));
      for (let done = 0; done < length; ) {
        const piece = noise.subarray(done === 0 ? start : 0, (done === 0 ? start : 0) + length - done);
        writeSync(file, piece);
        done += piece.length;
      }
    });
  const element = (row: number, column: number): number => (((row * 7919 + column * 104_729) % 2001) - 1000) / 20_000;
  const matrix = (name: string, rows: number, columns: number, at: (row: number, column: number) => number): Value =>
    external(name, [rows, columns], () => {
      const line = new Float32Array(columns);
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < columns; c++) line[c] = at(r, c);
        writeSync(file, new Uint8Array(line.buffer));
      }
    });

  /** A shape that holds for any batch and any number of tokens; the builder knows those of one. */
  const shaped = (v: Value, to: readonly number[], shape: readonly number[]): Value => b.op("Reshape", [v, b.ints(to)], shape);
  const norm = (name: string, x: Value): Value => {
    const mean = b.op("ReduceMean", [b.mul(x, x)], [batch, tokens, 1], {
      axes: { kind: "ints", value: [-1n] },
      keepdims: { kind: "int", value: 1n },
    });
    return b.mul(b.div(x, b.sqrt(b.add(mean, b.scalar(1e-5)))), weight(`${name}.weight`, [hidden]));
  };
  const linear = (name: string, x: Value, width: number): Value => b.matMul(x, weight(`${name}.weight`, [x.shape.at(-1) as number, width]));
  const attention = (name: string, x: Value): Value => {
    const split = (v: Value, n: number) => b.transpose(shaped(v, [0, 0, n, headWidth], [batch, tokens, n, headWidth]), [0, 2, 1, 3]);
    const repeated = (v: Value) => {
      const [one, all] = [1, heads / kvHeads].map((n) => [batch, kvHeads, n, tokens, headWidth]) as [number[], number[]];
      const apart = shaped(v, [0, kvHeads, 1, -1, headWidth], one);
      const copied = b.op("Expand", [apart, b.ints([1, 1, heads / kvHeads, 1, 1])], all);
      return shaped(copied, [0, heads, -1, headWidth], [batch, heads, tokens, headWidth]);
    };
    const q = split(linear(`${name}.q_proj`, x, heads * headWidth), heads);
    const k = repeated(split(linear(`${name}.k_proj`, x, kvHeads * headWidth), kvHeads));
    const v = repeated(split(linear(`${name}.v_proj`, x, kvHeads * headWidth), kvHeads));
    const scores = b.mul(b.matMul(q, b.transpose(k)), b.scalar(headWidth ** -0.5));
    const met = b.matMul(b.softmax(b.where(earlier, scores, b.scalar(-1e9))), v);
    return linear(`${name}.o_proj`, shaped(b.transpose(met, [0, 2, 1, 3]), [0, 0, hidden], [batch, tokens, hidden]), hidden);
  };
  const mlp = (name: string, x: Value): Value => {
    const gate = linear(`${name}.gate_proj`, x, inner);
    // As PyTorch keeps it, turned by the graph: whoever folds constants makes a second one.
    const down = b.transpose(weight(`${name}.down_proj.weight`, [hidden, inner]));
    return b.matMul(b.mul(b.mul(gate, b.sigmoid(gate)), linear(`${name}.up_proj`, x, inner)), down);
  };

  const ids = b.input("input_ids", "int64", [batch, tokens]);
  const places = b.op("Range", [b.ints([0], []), b.gather(b.op("Shape", [ids], [2]), b.ints([1], [])), b.ints([1], [])], [tokens]);
  const earlier = b.op("LessOrEqual", [places, b.op("Unsqueeze", [places, b.ints([1])], [tokens, 1])], [tokens, tokens], {}, "bool");
  let x = b.gather(matrix("embed_tokens.weight", vocabulary, hidden, element), ids);
  for (let l = 0; l < layers; l++) {
    x = b.add(x, attention(`layers.${l}.self_attn`, norm(`layers.${l}.input_layernorm`, x)));
    x = b.add(x, mlp(`layers.${l}.mlp`, norm(`layers.${l}.post_attention_layernorm`, x)));
  }
  const last = norm("norm", x);
  const head = matrix("lm_head.weight", hidden, vocabulary, (row, column) => element(column, row));
  const logits = b.matMul(last, head);
  closeSync(file);

  const built = renameValues(b.build([logits]).graph, new Map([[logits.name, "logits"]]));
  const dynamic = (value: ValueInfo): ValueInfo => ({ ...value, shape: ["batch", "tokens", ...(value.shape ?? []).slice(2)] });
  const graph = { ...built, inputs: built.inputs.map(dynamic), outputs: built.outputs.map(dynamic) };
  const model = { irVersion: 8, opsets: { "": 17 }, producerName: "espalier", producerVersion: "", metadata: {}, graph };
  writeFileSync(join(folder, "model.onnx"), encode(model));
  writeFileSync(join(folder, "config.json"), `${JSON.stringify({ num_hidden_layers: layers, hidden_size: hidden })}\n`);
  return offset;
}

/** 16 MB and a bit of numbers in [-0.05, 0.05). */
function randomBytes(): Uint8Array {
  const random = seededRandom(1);
  return new Uint8Array(Float32Array.from({ length: 4_194_319 }, () => (random() - 0.5) / 10).buffer);
}
