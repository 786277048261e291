import * as attr from "../../onnx/attributes.ts";
import type { DataType } from "../../onnx/ir.ts";
import type { Attention, Frequencies, Rotary } from "./blueprint.ts";
import type { GraphWriter, Value } from "./graph-writer.ts";

/** What a graph is fed beside its cache: token ids [B, T], a mask [B, past + T], positions [B, T]. */
export interface Fed {
  readonly tokens: Value;
  readonly mask: Value;
  readonly positions: Value | null;
}

/** The lowest number of float32, which hides a score. */
const lowest = -3.4028234663852886e38;

/** Added to scores: nothing where a token is seen, the lowest number elsewhere. [B, 1, T, past + T], float32. */
export function maskOf(g: GraphWriter, { tokens, mask }: Fed, { window, alibi }: Pick<Attention, "window" | "alibi">): Value {
  return g.once(`mask ${window} ${alibi}`, () => {
    const columns = keyPlaces(g, mask);
    const rows = g.once("rows", () => g.unsqueeze(g.op("Range", [pastOf(g, tokens, mask), totalOf(g, mask), g.int(1)]), [1]));
    const causal = g.once("causal", () => g.op("LessOrEqual", [columns, rows], {}, "bool"));
    const near = window === undefined ? null : g.op("Greater", [columns, g.sub(rows, g.int(window))], {}, "bool");
    const real = g.once("real", () => g.unsqueeze(g.cast(mask, "bool"), [1, 2]));
    const seen = [real, near].reduce<Value>((all, each) => (each ? g.op("And", [all, each], {}, "bool") : all), causal);
    const shape = (heads: number) => ["batch_size", heads, "sequence_length", "total_sequence_length"];
    const hidden = g.stated(g.op("Where", [seen, g.float(0), g.float(lowest)], {}, "float32"), shape(1));
    return alibi === undefined ? hidden : g.stated(g.add(slopes(g, columns, alibi), hidden), shape(alibi.length));
  });
}

const totalOf = (g: GraphWriter, mask: Value): Value => g.sizeOf(mask, 1);
const pastOf = (g: GraphWriter, tokens: Value, mask: Value): Value => g.once("past", () => g.sub(totalOf(g, mask), g.sizeOf(tokens, 1)));
const keyPlaces = (g: GraphWriter, mask: Value): Value =>
  g.once("columns", () => g.op("Range", [g.int(0), totalOf(g, mask), g.int(1)], {}, "int64"));

/** By head and place [1, N, 1, past + T]. What all scores of a row share changes no softmax, so places count from the beginning. */
function slopes(g: GraphWriter, columns: Value, alibi: readonly number[]): Value {
  return g.mul(g.floats(`/alibi/${alibi.length}`, [1, alibi.length, 1, 1], alibi), g.cast(columns, "float32"));
}

/** Cosines and sines [B, 1, T, width], in the type of what they turn. */
export function turnsOf(
  g: GraphWriter,
  positions: Value,
  { width, pairs, frequencies }: Rotary,
  type: DataType,
): { cos: Value; sin: Value } {
  const key = `${width} ${pairs} ${JSON.stringify(frequencies)} ${type}`;
  const angles = g.once(`angles ${key}`, () => {
    const places = g.once("places", () => g.unsqueeze(g.cast(positions, "float32"), [2]));
    const half = g.mul(places, frequenciesOf(g, positions, width, frequencies));
    if (pairs === "HALVES") return g.concat([half, half], -1);
    const each = g.unsqueeze(half, [3]);
    return g.reshape(g.concat([each, each], -1), [0, 0, width]);
  });
  const table = (of: "Cos" | "Sin") =>
    g.once(`${of} ${key}`, () => g.unsqueeze(g.cast(g.scaled(g.op(of, [angles]), frequencies.scale), type), [1]));
  return { cos: table("Cos"), sin: table("Sin") };
}

/** [1, 1, width / 2], or for each text length another such. */
function frequenciesOf(g: GraphWriter, positions: Value, width: number, { values, beyond }: Frequencies): Value {
  const usual = g.floats("/frequencies", [1, 1, values.length], values);
  if (!beyond) return usual;
  const length = g.once("length", () => g.cast(g.add(g.op("ReduceMax", [positions], { keepdims: attr.int(0) }), g.int(1)), "float32"));
  const isBeyond = g.op("Greater", [length, g.float(beyond.tokens)], {}, "bool");
  if (!("base" in beyond.values))
    return g.op("Where", [isBeyond, g.floats("/frequencies", [1, 1, values.length], beyond.values), usual], {}, "float32");
  // base (factor L / tokens - factor + 1) ^ (d / (d - 2)): NTK-aware scaling by the text's length L, as transformers has it.
  const { base, factor } = beyond.values;
  const longest = g.op("Max", [length, g.float(beyond.tokens)]);
  const growth = g.sub(g.scaled(g.div(longest, g.float(beyond.tokens)), factor), g.float(factor - 1));
  const grown = g.scaled(g.op("Pow", [growth, g.float(width / (width - 2))]), base);
  const exponents = values.map((_, i) => (-2 * i) / width);
  return g.op("Pow", [grown, g.floats("/exponents", [1, 1, exponents.length], exponents)]);
}

/** Heads [B, N, T, D], the first entries of each turned. */
export function turn(
  g: GraphWriter,
  x: Value,
  headWidth: number,
  { width, pairs }: Rotary,
  { cos, sin }: { cos: Value; sin: Value },
): Value {
  if (width < headWidth) {
    const whole = { width, pairs, frequencies: { values: [], scale: 1 } };
    return g.concat([turn(g, g.slice(x, 0, width, 3), width, whole, { cos, sin }), g.slice(x, width, headWidth, 3)], -1);
  }
  return g.add(g.mul(x, cos), g.mul(pairs === "HALVES" ? halvesTurned(g, x, width) : neighboursTurned(g, x, width), sin));
}

function halvesTurned(g: GraphWriter, x: Value, width: number): Value {
  const [first, second] = [g.slice(x, 0, width / 2, 3), g.slice(x, width / 2, width, 3)];
  return g.concat([g.op("Neg", [second]), first], -1);
}

function neighboursTurned(g: GraphWriter, x: Value, width: number): Value {
  const every = (from: number) => g.op("Slice", [x, g.ints([from]), g.ints([width]), g.ints([3]), g.ints([2])]);
  const [even, odd] = [every(0), every(1)];
  const pairs = g.concat([g.unsqueeze(g.op("Neg", [odd]), [4]), g.unsqueeze(even, [4])], -1);
  return g.reshape(pairs, [0, 0, 0, width]);
}
