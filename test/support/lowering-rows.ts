import * as attr from "../../src/onnx/attributes.ts";
import type { GraphBuilder, Value } from "../../src/onnx/builder.ts";
import { type Attribute, dataTypes, sizeOf } from "../../src/onnx/ir.ts";
import type { Row } from "./finite-differences.ts";

const contrib = "com.microsoft";
const int32 = (b: GraphBuilder, values: readonly number[], dims: readonly number[] = [values.length]) =>
  b.constant({
    name: `int32[${dims}]:${values}`,
    dataType: "int32",
    dims,
    data: { kind: "inline", bytes: new Uint8Array(Int32Array.from(values).buffer) },
  });
const bool = (b: GraphBuilder, values: readonly number[], dims: readonly number[]) =>
  b.cast(b.ints(values, dims), "bool", dataTypes.bool.onnx);
const empty = (b: GraphBuilder, dims: readonly number[]) => b.floats([], dims);

/** A node of float32 results, of which absent ones have no shape; the results are laid end to end, none like another. */
function joined(
  b: GraphBuilder,
  domain: string,
  opType: string,
  inputs: readonly (Value | null)[],
  shapes: readonly (readonly number[])[],
  attributes: Record<string, Attribute> = {},
): Value {
  const types = shapes.map((shape) => ({ dataType: "float32" as const, shape }));
  const results = b.node(opType, inputs, types, attributes, domain);
  return results.length === 1
    ? (results[0] as Value)
    : b.concat(
        results.map((y) => b.reshape(y, [sizeOf(y.shape)])),
        0,
      );
}

/** Embeds two texts of three tokens, in width 5. */
function embedded(b: GraphBuilder, inputs: readonly (Value | null)[]): Value {
  const types = (
    [
      ["float32", [2, 3, 5]],
      ["int32", [2]],
      ["float32", [2, 3, 5]],
    ] as const
  ).map(([dataType, shape]) => ({ dataType, shape }));
  const [y, , sum] = b.node("EmbedLayerNormalization", inputs, types, { epsilon: attr.float(1e-3) }, contrib) as [Value, Value, Value];
  return b.concat([y, sum], -1);
}

/** A table of angles, the cosine or sine of `position / 10^pair`, with as many positions as any row asks for. */
const angles = (b: GraphBuilder, f: (angle: number) => number, half: number) =>
  b.floats(
    Array.from({ length: 8 * half }, (_, i) => f(Math.floor(i / half) / 10 ** (i % half))),
    [8, half],
  );
const tables = (b: GraphBuilder, half: number) => [angles(b, Math.cos, half), angles(b, Math.sin, half)] as const;

const norm =
  (opType: string, more: Record<string, Attribute> = {}) =>
  (b: GraphBuilder, ...xs: Value[]) =>
    joined(b, "", opType, xs, [(xs[0] as Value).shape], more);
const skip =
  (opType: string, attributes: Record<string, Attribute> = { epsilon: attr.float(1e-3) }) =>
  (b: GraphBuilder, ...xs: Value[]) => {
    const { shape } = xs[0] as Value;
    const types = [shape, [], [], shape].map((s) => ({ dataType: "float32" as const, shape: s }));
    const [y, , , sum] = b.node(opType, xs, types, attributes, contrib) as [Value, Value, Value, Value];
    return b.concat([y, sum], -1);
  };
const unary =
  (opType: string, domain = contrib, more: Record<string, Attribute> = {}) =>
  (b: GraphBuilder, ...xs: Value[]) =>
    joined(b, domain, opType, xs, [(xs[0] as Value).shape], more);

/** Attention of K = 5 groups of 2 queries, each of width 32, of which ONNX Runtime can turn a part. */
const [B, T, N, K, D] = [2, 3, 10, 5, 32];
const flat = [B, T, N * D];
const grouped = [B, T, K * D];
const cache = (heads: number, length: number) => [B, heads, length, D];
const heads = { num_heads: attr.int(N) };
const groups = { ...heads, kv_num_heads: attr.int(K) };
const standard = { q_num_heads: attr.int(N), kv_num_heads: attr.int(K) };

const fused =
  (inputs: (b: GraphBuilder, xs: Value[]) => (Value | null)[], width = N * D, more: Record<string, Attribute> = {}, present?: number[]) =>
  (b: GraphBuilder, ...xs: Value[]) =>
    joined(b, contrib, "Attention", inputs(b, xs), [[B, T, width], ...(present ? [present] : [])], { ...heads, ...more });

const multiHead =
  (inputs: (b: GraphBuilder, xs: Value[]) => (Value | null)[], more: Record<string, Attribute> = {}, keys = 0) =>
  (b: GraphBuilder, ...xs: Value[]) =>
    joined(b, contrib, "MultiHeadAttention", inputs(b, xs), [flat, ...(keys ? [cache(N, keys), cache(N, keys)] : [])], {
      ...heads,
      ...more,
    });

/** Queries, keys and values (or one tensor of all), a cache of some length, and whatever inputs follow the two lengths. */
const grouping =
  (
    more: Record<string, Attribute> = {},
    rest: (b: GraphBuilder, xs: Value[]) => (Value | null)[] = () => [],
    { past = 0, packed = false, tokens = T } = {},
  ) =>
  (b: GraphBuilder, ...xs: Value[]) => {
    const own = xs.splice(0, packed ? 1 : 3);
    const caches = past > 0 ? xs.splice(0, 2) : [empty(b, cache(K, 0)), empty(b, cache(K, 0))];
    const keys = past + tokens;
    const lengths = [int32(b, Array<number>(B).fill(keys - 1)), int32(b, [keys], [])];
    const inputs = [...own, ...(packed ? [null, null] : []), ...caches, ...lengths, ...rest(b, xs)];
    const shapes = [[B, tokens, N * D], cache(K, keys), cache(K, keys)];
    return joined(b, contrib, "GroupQueryAttention", inputs, shapes, { ...groups, ...more });
  };

const rotary = (interleaved: number) => ({ do_rotary: attr.int(1), rotary_interleaved: attr.int(interleaved) });

const plain =
  (inputs: (b: GraphBuilder, xs: Value[]) => (Value | null)[], more: Record<string, Attribute> = {}, keys = 0, y: number[] = flat) =>
  (b: GraphBuilder, ...xs: Value[]) =>
    joined(b, "", "Attention", inputs(b, xs), [y, ...(keys ? [cache(K, keys), cache(K, keys)] : [])], more);

const causalMask = [1, 0, 0, 1, 1, 0, 1, 1, 1];

const product =
  (shape: number[], names: readonly string[], alpha = 1, opType = "FusedMatMul") =>
  (b: GraphBuilder, ...xs: Value[]) =>
    joined(b, contrib, opType, xs, [shape], { alpha: attr.float(alpha), ...Object.fromEntries(names.map((n) => [n, attr.int(1)])) });

const gemm =
  (activation: string) =>
  (b: GraphBuilder, ...xs: Value[]) =>
    joined(b, contrib, "FusedGemm", xs, [[3, 5]], { activation: attr.string(activation), transB: attr.int(1), alpha: attr.float(0.5) });

/** Every lowering has a row, one for each of its forms. Sizes differ from each other, so that none agrees by accident. */
export const loweringRows: readonly Row[] = [
  { operator: "LayerNormalization", shapes: [[2, 3, 5], [5], [5]], make: norm("LayerNormalization") },
  {
    operator: "LayerNormalization",
    form: "two axes, no shift",
    shapes: [
      [2, 3, 5],
      [3, 5],
    ],
    make: norm("LayerNormalization", { axis: attr.int(1), epsilon: attr.float(0.1) }),
  },
  {
    operator: "LayerNormalization",
    form: "mean and deviation read",
    shapes: [[2, 3, 5], [5], [5]],
    make: (b, ...xs) =>
      joined(b, "", "LayerNormalization", xs, [
        [2, 3, 5],
        [2, 3, 1],
        [2, 3, 1],
      ]),
  },
  { operator: "SimplifiedLayerNormalization", shapes: [[2, 3, 5], [5]], make: norm("SimplifiedLayerNormalization") },
  {
    operator: "SimplifiedLayerNormalization",
    form: "deviation read",
    shapes: [[2, 3, 5], [5]],
    make: (b, ...xs) =>
      joined(
        b,
        "",
        "SimplifiedLayerNormalization",
        xs,
        [
          [2, 3, 5],
          [2, 3, 1],
        ],
        { epsilon: attr.float(0.1) },
      ),
  },
  { operator: "RMSNormalization", opset: 23, shapes: [[2, 3, 5], [5]], make: norm("RMSNormalization", { epsilon: attr.float(0.1) }) },
  {
    operator: "com.microsoft::SkipLayerNormalization",
    shapes: [[2, 3, 5], [2, 3, 5], [5], [5], [5]],
    make: skip("SkipLayerNormalization"),
  },
  {
    operator: "com.microsoft::SkipLayerNormalization",
    form: "no shift, no bias, one skip for all",
    shapes: [[2, 3, 5], [3, 5], [5]],
    make: skip("SkipLayerNormalization"),
  },
  {
    operator: "com.microsoft::SkipLayerNormalization",
    form: "epsilon unsaid",
    shapes: [[2, 3, 5], [2, 3, 5], [5]],
    make: skip("SkipLayerNormalization", {}),
  },
  {
    operator: "com.microsoft::SkipSimplifiedLayerNormalization",
    shapes: [[2, 3, 5], [2, 3, 5], [5]],
    make: skip("SkipSimplifiedLayerNormalization"),
  },
  {
    operator: "com.microsoft::SkipSimplifiedLayerNormalization",
    form: "bias",
    shapes: [[2, 3, 5], [2, 3, 5], [5], [5]],
    make: skip("SkipSimplifiedLayerNormalization"),
  },
  {
    operator: "com.microsoft::EmbedLayerNormalization",
    shapes: [[7, 5], [4, 5], [5], [5]],
    make: (b, words, places, scale, shift) => embedded(b, [int32(b, [6, 0, 6, 1, 2, 3], [2, 3]), null, words, places, null, scale, shift]),
  },
  {
    operator: "com.microsoft::EmbedLayerNormalization",
    form: "segments and positions",
    shapes: [[7, 5], [4, 5], [2, 5], [5], [5]],
    make: (b, words, places, kinds, scale, shift) => {
      const [tokens, segments, at] = [
        [6, 0, 6, 1, 2, 3],
        [0, 0, 1, 1, 0, 1],
        [3, 1, 2, 0, 1, 2],
      ].map((v) => int32(b, v, [2, 3])) as [Value, Value, Value];
      return embedded(b, [tokens, segments, words, places, kinds, scale, shift, null, at]);
    },
  },

  { operator: "Gelu", opset: 20, shapes: [[3, 7]], domain: [-3, 3], make: unary("Gelu", "") },
  {
    operator: "Gelu",
    form: "tanh",
    opset: 20,
    shapes: [[3, 7]],
    domain: [-3, 3],
    make: unary("Gelu", "", { approximate: attr.string("tanh") }),
  },
  { operator: "com.microsoft::Gelu", shapes: [[3, 7]], domain: [-3, 3], make: unary("Gelu") },
  { operator: "com.microsoft::BiasGelu", shapes: [[3, 7], [7]], domain: [-2, 2], make: unary("BiasGelu") },
  { operator: "com.microsoft::FastGelu", shapes: [[3, 7]], domain: [-3, 3], make: unary("FastGelu") },
  { operator: "com.microsoft::FastGelu", form: "bias", shapes: [[3, 7], [7]], domain: [-2, 2], make: unary("FastGelu") },
  { operator: "com.microsoft::QuickGelu", shapes: [[3, 7]], domain: [-3, 3], make: unary("QuickGelu") },
  {
    operator: "com.microsoft::QuickGelu",
    form: "as SiLU",
    shapes: [[3, 7]],
    domain: [-3, 3],
    make: unary("QuickGelu", contrib, { alpha: attr.float(1) }),
  },
  { operator: "HardSwish", shapes: [[3, 7]], domain: [-4, 4], make: unary("HardSwish", "") },
  { operator: "Mish", opset: 18, shapes: [[3, 7]], domain: [-3, 3], make: unary("Mish", "") },
  { operator: "Swish", opset: 24, shapes: [[3, 7]], domain: [-3, 3], make: unary("Swish", "", { alpha: attr.float(1.3) }) },

  {
    operator: "com.microsoft::FusedMatMul",
    form: "weight",
    shapes: [
      [2, 3, 4],
      [4, 5],
    ],
    make: product([2, 3, 5], [], 0.5),
  },
  {
    operator: "com.microsoft::FusedMatMul",
    form: "transposed weight",
    shapes: [
      [2, 3, 4],
      [5, 4],
    ],
    make: product([2, 3, 5], ["transB"]),
  },
  {
    operator: "com.microsoft::FusedMatMul",
    form: "batched",
    shapes: [
      [2, 3, 4],
      [2, 4, 5],
    ],
    make: product([2, 3, 5], [], 2),
  },
  {
    operator: "com.microsoft::FusedMatMul",
    form: "both transposed, batched",
    shapes: [
      [2, 4, 3],
      [2, 5, 4],
    ],
    make: product([2, 3, 5], ["transA", "transB"], 2),
  },
  {
    operator: "com.microsoft::FusedMatMul",
    form: "batch transposed",
    shapes: [
      [3, 2, 6, 4],
      [2, 6, 4, 5],
    ],
    make: product([2, 6, 3, 5], ["transBatchA"]),
  },
  {
    operator: "com.microsoft::TransposeMatMul",
    shapes: [
      [2, 4, 3],
      [2, 4, 5],
    ],
    make: product([2, 3, 5], ["transA"], 1, "TransposeMatMul"),
  },
  { operator: "com.microsoft::FusedGemm", form: "Relu", shapes: [[3, 4], [5, 4], [5]], make: gemm("Relu") },
  { operator: "com.microsoft::FusedGemm", form: "Tanh", shapes: [[3, 4], [5, 4], [5]], make: gemm("Tanh") },

  {
    operator: "com.microsoft::RotaryEmbedding",
    form: "heads side by side",
    shapes: [[2, 3, 12]],
    make: (b, x) => joined(b, contrib, "RotaryEmbedding", [x, b.ints([0, 1, 2, 3, 4, 5], [2, 3]), ...tables(b, 2)], [[2, 3, 12]]),
  },
  {
    operator: "com.microsoft::RotaryEmbedding",
    form: "interleaved, heads apart, one position for all",
    shapes: [[2, 5, 3, 4]],
    make: (b, x) => joined(b, contrib, "RotaryEmbedding", [x, b.ints([2]), ...tables(b, 2)], [[2, 5, 3, 4]], { interleaved: attr.int(1) }),
  },
  {
    operator: "com.microsoft::RotaryEmbedding",
    form: "a part of each head",
    shapes: [[2, 3, 24]],
    make: (b, x) =>
      joined(b, contrib, "RotaryEmbedding", [x, b.ints([0, 1, 2, 1, 2, 3], [2, 3]), ...tables(b, 2)], [[2, 3, 24]], {
        rotary_embedding_dim: attr.int(4),
        num_heads: attr.int(4),
      }),
  },
  {
    operator: "RotaryEmbedding",
    form: "heads apart",
    opset: 23,
    shapes: [[2, 5, 3, 4]],
    make: (b, x) => joined(b, "", "RotaryEmbedding", [x, ...tables(b, 2), b.ints([0, 1, 2, 3, 4, 5], [2, 3])], [[2, 5, 3, 4]]),
  },
  {
    operator: "RotaryEmbedding",
    form: "interleaved, a part of each head, angles by token",
    opset: 23,
    shapes: [
      [2, 3, 24],
      [2, 3, 2],
      [2, 3, 2],
    ],
    make: (b, x, cos, sin) =>
      joined(b, "", "RotaryEmbedding", [x, cos, sin], [[2, 3, 24]], {
        interleaved: attr.int(1),
        rotary_embedding_dim: attr.int(4),
        num_heads: attr.int(4),
      }),
  },

  {
    operator: "com.microsoft::Attention",
    form: "causal, as in GPT-2",
    shapes: [[B, T, 7], [7, 3 * N * D], [3 * N * D]],
    make: fused((_, xs) => xs, N * D, { unidirectional: attr.int(1) }),
  },
  {
    operator: "com.microsoft::Attention",
    form: "padding mask, empty past, cache read",
    shapes: [[B, T, 7], [7, 3 * N * D], [3 * N * D]],
    make: fused(
      (b, xs) => [...xs, int32(b, [1, 1, 1, 1, 1, 0], [B, T]), empty(b, [2, B, N, 0, D])],
      N * D,
      { unidirectional: attr.int(1) },
      [2, B, N, T, D],
    ),
  },
  {
    operator: "com.microsoft::Attention",
    form: "past, mask by token, scale",
    shapes: [[B, T, 7], [7, 3 * N * D], [3 * N * D], [2, B, N, 2, D]],
    make: fused(
      (b, [x, w, c, past]) => [
        x as Value,
        w as Value,
        c as Value,
        int32(
          b,
          Array.from({ length: B * T * 5 }, (_, i) => (i % 4 === 3 ? 0 : 1)),
          [B, T, 5],
        ),
        past as Value,
      ],
      N * D,
      { scale: attr.float(0.7) },
      [2, B, N, 5, D],
    ),
  },
  {
    operator: "com.microsoft::Attention",
    form: "values of another width, bias",
    shapes: [[B, T, 7], [7, 2 * N * D + N * 5], [2 * N * D + N * 5], [1, N, T, T]],
    make: fused((_, [x, w, c, bias]) => [x as Value, w as Value, c as Value, null, null, bias as Value], N * 5, {
      qkv_hidden_sizes: attr.ints([N * D, N * D, N * 5]),
    }),
  },
  {
    operator: "com.microsoft::Attention",
    form: "padding on the right, by length",
    shapes: [[B, T, 7], [7, 3 * N * D], [3 * N * D]],
    make: fused((b, xs) => [...xs, int32(b, [3, 2])]),
  },
  {
    operator: "com.microsoft::Attention",
    form: "padding on both sides",
    shapes: [[B, T, 7], [7, 3 * N * D], [3 * N * D]],
    make: fused((b, xs) => [...xs, int32(b, [3, 2, 1, 0])]),
  },

  { operator: "com.microsoft::MultiHeadAttention", shapes: [flat, flat, flat], make: multiHead((_, xs) => xs) },
  {
    operator: "com.microsoft::MultiHeadAttention",
    form: "causal, with biases of its own",
    shapes: [flat, flat, flat, [3 * N * D]],
    make: multiHead((_, xs) => xs, { unidirectional: attr.int(1), scale: attr.float(0.5) }),
  },
  {
    operator: "com.microsoft::MultiHeadAttention",
    form: "padding mask, bias, past",
    shapes: [flat, flat, flat, [B, 1, T, 5], cache(N, 2), cache(N, 2)],
    make: multiHead(
      (b, [q, k, v, bias, pastK, pastV]) =>
        [q, k, v, null, int32(b, [1, 1, 1, 1, 1, 0, 1, 1, 1, 0], [B, 5]), bias, pastK, pastV] as (Value | null)[],
      {},
      5,
    ),
  },
  {
    operator: "com.microsoft::MultiHeadAttention",
    form: "keys and values of another text, heads apart",
    shapes: [flat, cache(N, 5), cache(N, 5)],
    make: multiHead((_, xs) => xs),
  },

  { operator: "com.microsoft::GroupQueryAttention", shapes: [flat, grouped, grouped], make: grouping() },
  {
    operator: "com.microsoft::GroupQueryAttention",
    form: "packed, rotary",
    shapes: [[B, T, (N + 2 * K) * D]],
    make: grouping(rotary(0), (b) => [...tables(b, D / 2)], { packed: true }),
  },
  {
    operator: "com.microsoft::GroupQueryAttention",
    form: "interleaved rotary on a part of each head, window, soft cap",
    shapes: [flat, grouped, grouped],
    make: grouping({ ...rotary(1), local_window_size: attr.int(2), softcap: attr.float(0.3), scale: attr.float(0.6) }, (b) => [
      ...tables(b, 8),
    ]),
  },
  {
    operator: "com.microsoft::GroupQueryAttention",
    form: "rotary at given positions, bias, sink",
    shapes: [flat, grouped, grouped, [1, N, T, T], [N]],
    make: grouping({ ...rotary(0), softcap: attr.float(0.3) }, (b, [bias, sink]) => [
      ...tables(b, D / 2),
      b.ints([2, 3, 4, 2, 3, 4], [B, T]),
      bias as Value,
      sink as Value,
    ]),
  },
  {
    operator: "com.microsoft::GroupQueryAttention",
    form: "rotary after a past, window",
    shapes: [[B, 1, N * D], [B, 1, K * D], [B, 1, K * D], cache(K, 3), cache(K, 3)],
    make: grouping({ ...rotary(0), local_window_size: attr.int(2) }, (b) => [...tables(b, D / 2)], { past: 3, tokens: 1 }),
  },
  {
    operator: "com.microsoft::GroupQueryAttention",
    form: "smooth softmax, every token seen",
    shapes: [flat, grouped, grouped],
    make: grouping({ smooth_softmax: attr.int(1), causal: attr.int(0) }),
  },

  { operator: "Attention", opset: 23, shapes: [flat, grouped, grouped], make: plain((_, xs) => xs, standard) },
  {
    operator: "Attention",
    form: "causal, soft cap, heads apart",
    opset: 23,
    shapes: [cache(N, T), cache(K, T), cache(K, T)],
    make: plain((_, xs) => xs, { is_causal: attr.int(1), softcap: attr.float(0.3), scale: attr.float(0.6) }, 0, cache(N, T)),
  },
  {
    operator: "Attention",
    form: "bias, causal, past",
    opset: 23,
    shapes: [flat, grouped, grouped, [T, 5], cache(K, 2), cache(K, 2)],
    make: plain((_, xs) => xs, { ...standard, is_causal: attr.int(1) }, 5),
  },
  {
    operator: "Attention",
    form: "truth mask",
    opset: 23,
    shapes: [flat, grouped, grouped],
    make: plain((b, xs) => [...xs, bool(b, causalMask, [T, T])], standard),
  },
];
