import type { Model } from "../../onnx/ir.ts";
import type { Blueprint, Layer, Mlp } from "./blueprint.ts";
import { attention, type Cache } from "./build-attention.ts";
import { mixtureOf } from "./build-mixture.ts";
import { GraphWriter, type Value } from "./graph-writer.ts";
import { activate, type Building, linear, norm, weightOf } from "./parts.ts";
import type { Fed } from "./positions.ts";
import type { Weights } from "./weights.ts";

/**
 * The ONNX graph of a blueprint, over weights where they lie: ids, a mask, positions and a cache go in, logits and the cache come
 * out, under the names that exporters use. It is made of plain operators, and holds no weights itself.
 *
 * @throws EspalierError WEIGHTS_MISMATCH if a tensor is missing, or of another shape or type than the blueprint says
 */
export function buildModel(blueprint: Blueprint, weights: Weights): Model {
  const g = new GraphWriter();
  const type = weights.typeOf(blueprint.embedding.weight);
  const building: Building = { g, weights, type };
  const { hiddenSize, vocabularySize, layers, head } = blueprint;
  const tokens = g.input("input_ids", "int64", ["batch_size", "sequence_length"]);
  const mask = g.input("attention_mask", "int64", ["batch_size", "total_sequence_length"]);
  const counts = blueprint.positions !== undefined || layers.some((l) => l.attention.rotary !== null);
  const positions = counts ? g.input("position_ids", "int64", ["batch_size", "sequence_length"]) : null;
  const fed: Fed = { tokens, mask, positions };
  const cacheShape = ({ attention: { kvHeads, headWidth } }: Layer, length: string) => ["batch_size", kvHeads, length, headWidth];
  const past = layers.map((layer, i): Cache => {
    const entry = (part: string) => g.input(`past_key_values.${i}.${part}`, type, cacheShape(layer, "past_sequence_length"));
    return { key: entry("key"), value: entry("value") };
  });

  let x = g.within("/embedding", () => embedded(building, blueprint, fed));
  const present = layers.map((layer, i) => {
    const { output, cache } = g.within(`/layers.${i}`, () => layerOf(building, x, layer, fed, past[i] as Cache, hiddenSize));
    x = output;
    return cache;
  });
  const logits = g.within("/head", () => {
    const last = norm(building, x, blueprint.norm, hiddenSize);
    const width = blueprint.embedding.width ?? hiddenSize;
    const read = blueprint.project ? linear(building, last, blueprint.project, hiddenSize, width) : last;
    const product = linear(building, read, { weight: head.weight, ...(head.bias ? { bias: head.bias } : {}) }, width, vocabularySize);
    return g.capped(g.scaled(product, head.scale ?? 1), head.softcap);
  });
  g.output("logits", logits, ["batch_size", "sequence_length", vocabularySize]);
  for (const [i, { key, value }] of present.entries()) {
    const shape = cacheShape(layers[i] as Layer, "total_sequence_length");
    g.output(`present.${i}.key`, key, shape);
    g.output(`present.${i}.value`, value, shape);
  }
  return {
    irVersion: 8,
    opsets: { "": GraphWriter.opset },
    producerName: "espalier",
    producerVersion: "",
    metadata: {},
    graph: g.finish("decoder"),
  };
}

function embedded(building: Building, { embedding, positions, hiddenSize, vocabularySize }: Blueprint, fed: Fed): Value {
  const { g, type } = building;
  const { weight, width = hiddenSize, scale, project } = embedding;
  const rows = g.scaled(g.op("Gather", [weightOf(building, weight, [vocabularySize, width]), fed.tokens]), scale ?? 1);
  const wide = project ? linear(building, rows, project, width, hiddenSize) : rows;
  const x = norm(building, wide, embedding.norm ?? null, hiddenSize);
  if (!positions || !fed.positions) return x;
  const places = positions.offset === 0 ? fed.positions : g.add(fed.positions, g.int(positions.offset));
  const table = weightOf(building, positions.weight, [positions.rows, hiddenSize]);
  return g.add(x, g.op("Gather", [table, places], {}, type));
}

function layerOf(building: Building, x: Value, layer: Layer, fed: Fed, past: Cache, hidden: number): { output: Value; cache: Cache } {
  const { g } = building;
  const { attention: attending, mlp, residual, branchScale = 1 } = layer;
  const scaled = (value: Value) => g.scaled(value, branchScale);
  const attended = g.within("attention", () => {
    const { output, cache } = attention(building, norm(building, x, attending.before, hidden), attending, fed, past, hidden);
    return { output: scaled(norm(building, output, attending.after, hidden)), cache };
  });
  const transformed = (from: Value) =>
    g.within("mlp", () =>
      scaled(norm(building, mlpOf(building, norm(building, from, mlp.before, hidden), mlp, hidden), mlp.after, hidden)),
    );
  if (residual === "PARALLEL") return { output: g.add(g.add(attended.output, transformed(x)), x), cache: attended.cache };
  const between = norm(building, g.add(x, attended.output), attending.afterSum ?? null, hidden);
  return { output: norm(building, g.add(between, transformed(between)), mlp.afterSum ?? null, hidden), cache: attended.cache };
}

function mlpOf(building: Building, x: Value, mlp: Mlp, hidden: number): Value {
  if (!mlp.mixture) return partOf(building, x, mlp, hidden);
  return mixtureOf(building, x, mlp, mlp.mixture, hidden, (rows, part, width) =>
    partOf(building, rows, { ...part, width, activation: mlp.activation }, hidden),
  );
}

type Part = Pick<Mlp, "width" | "activation" | "input" | "down">;

function partOf(building: Building, x: Value, { width, activation, input, down }: Part, hidden: number): Value {
  const { g } = building;
  const inner = (): Value => {
    if (input.kind === "PLAIN") return activate(building, linear(building, x, input.up, hidden, width), activation);
    const [gate, up] =
      input.kind === "GATED"
        ? [linear(building, x, input.gate, hidden, width), linear(building, x, input.up, hidden, width)]
        : (g.split(linear(building, x, input.gateUp, hidden, 2 * width), [width, width], -1) as [Value, Value]);
    return g.mul(activate(building, gate, activation), up);
  };
  return linear(building, inner(), down, width, hidden);
}
