import * as attr from "../../onnx/attributes.ts";
import type { Mixture, Mlp } from "./blueprint.ts";
import type { Value } from "./graph-writer.ts";
import { type Building, linear, weightOf } from "./parts.ts";

/** One feed-forward part of a mixture: by its own weights, of the given width. */
type OfPart = (x: Value, part: Pick<Mlp, "input" | "down">, width: number) => Value;

/**
 * A mixture of experts in the form that all else is written for (src/onnx/passes/dense-experts.ts): each expert computes all tokens,
 * times their weights, which are zero where they did not choose it.
 */
export function mixtureOf(building: Building, x: Value, mlp: Mlp, mixture: Mixture, hidden: number, part: OfPart): Value {
  const { g, type } = building;
  const { router, count, shared } = mixture;
  const rows = g.reshape(x, [-1, hidden]);
  const scores = g.cast(linear(building, rows, router, hidden, count), "float32");
  const { weights, places } = chosen(building, scores, mixture);
  const terms = mixture.experts.map((expert, e) =>
    g.within(`experts.${e}`, () => {
      // A place of its own, which is stated anew when others go.
      const place = g.constant({ ...placeTensor(`${router.weight}/place/${e}`, e) });
      const is = g.op("Equal", [places, place], {}, "bool");
      const own = g.op("ReduceSum", [g.mul(weights, g.op("Cast", [is], { to: attr.int(1) }, "float32")), g.ints([1])], {
        keepdims: attr.int(1),
      });
      return g.mul(part(rows, expert, mlp.width), g.cast(own, type));
    }),
  );
  const all = terms.reduce(g.add);
  const whole = shared
    ? g.add(
        all,
        g.within("shared", () => sharedOf(building, rows, shared, hidden, part)),
      )
    : all;
  return g.op("Reshape", [whole, g.op("Shape", [x], {}, "int64")]);
}

const placeTensor = (name: string, place: number) =>
  ({ name, dataType: "int64", dims: [], data: { kind: "inline", bytes: new Uint8Array(BigInt64Array.of(BigInt(place)).buffer) } }) as const;

/** Of each token the weights and the places of the experts that it chose, [tokens, chosen]. */
function chosen(building: Building, scores: Value, mixture: Mixture): { readonly weights: Value; readonly places: Value } {
  const { g } = building;
  const softmax = (v: Value) => g.op("Softmax", [v], { axis: attr.int(-1) });
  const best = (v: Value) => g.node("TopK", [v, g.ints([mixture.chosen])], ["float32", "int64"], { axis: attr.int(-1) }) as [Value, Value];
  const known = mixture.scores === "SOFTMAX" ? softmax(scores) : mixture.scores === "SIGMOID" ? g.op("Sigmoid", [scores]) : scores;
  const bias = mixture.choiceBias === undefined ? null : g.cast(weightOf(building, mixture.choiceBias, [mixture.count]), "float32");
  const [values, places] = best(bias ? g.add(known, bias) : known);
  const taken = bias ? g.op("GatherElements", [known, places], { axis: attr.int(1) }) : values;
  const even = mixture.scores === "CHOSEN_SOFTMAX" ? softmax(taken) : taken;
  const sum = (v: Value) => g.op("ReduceSum", [v, g.ints([1])], { keepdims: attr.int(1) });
  const whole = mixture.normalized ? g.div(even, mixture.sumEpsilon ? g.add(sum(even), g.float(mixture.sumEpsilon)) : sum(even)) : even;
  return { weights: g.scaled(whole, mixture.scale ?? 1), places };
}

function sharedOf(building: Building, rows: Value, shared: NonNullable<Mixture["shared"]>, hidden: number, part: OfPart): Value {
  const { g } = building;
  const given = part(rows, shared, shared.width);
  return shared.gate ? g.mul(given, g.op("Sigmoid", [linear(building, rows, shared.gate, hidden, 1)])) : given;
}
