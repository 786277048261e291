import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, beforeEach, describe, it } from "node:test";
import { backward, gradientOf } from "../../src/autodiff/backward.ts";
import { signedCrossEntropy } from "../../src/autodiff/loss.ts";
import { finished } from "../../src/finished.ts";
import * as attr from "../../src/onnx/attributes.ts";
import { GraphBuilder } from "../../src/onnx/builder.ts";
import { decode } from "../../src/onnx/decode.ts";
import { removeDead } from "../../src/onnx/edit.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model, Tensor } from "../../src/onnx/ir.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { float32Of, float32Tensor } from "../../src/onnx/tensors.ts";
import { compensated } from "../../src/pruning/compensate.ts";
import { inputMoments } from "../../src/pruning/evidence/activity.ts";
import type { Scene } from "../../src/pruning/evidence/evidence.ts";
import { scored } from "../../src/pruning/evidence/gatherers.ts";
import { methodNamed } from "../../src/pruning/methods/index.ts";
import { openGroups, type Whole } from "../../src/pruning/open-groups.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import type { ScoredGroup } from "../../src/pruning/select.ts";
import { seededRandom } from "../../src/random.ts";
import { openSession, type TensorValue } from "../../src/runtime/session.ts";
import { specialise } from "../../src/runtime/specialise.ts";
import { bindingOf } from "../../src/signature/binding.ts";
import { anatomyOf, placesOf } from "../../src/structures/anatomy.ts";
import { discover } from "../../src/structures/discover.ts";
import { divide, removeStructures } from "../../src/structures/divide.ts";
import { rangesOf } from "../../src/structures/entries.ts";
import { structureKinds as allKinds, isDivided, type StructureId, type StructureKind } from "../../src/structures/structure.ts";
import { nextTokens } from "../../src/text/view.ts";
import { feedsOf } from "../support/feeds.ts";
import { masked } from "../support/masked.ts";
import { scratch } from "../support/scratch.ts";

// Each method's formula, written down again in float64, on the tiny Llama of Optimum: two layers of three KV groups (each of two
// queries of 16), H 40, F 52, V 97.
// Experts, which it has none of: experts.test.ts.
const structureKinds = allKinds.filter((kind) => kind !== "EXPERT");
const url = new URL("../fixtures/exporters/optimum/llama/model.onnx", import.meta.url);
const model = decode(readFileSync(url));
const read = tensorReader(".");
const T = 8;
const text = (seed: number, predicted = T) => Array.from({ length: predicted + 1 }, (_, t) => (7 + 31 * seed + 13 * t * (seed + 2)) % 97);
// Views of unlike length, most shorter than the batch is wide: each counts by its own tokens.
const lengths = [
  [T, 5],
  [3, T],
  [6, 2],
] as const;
const samples = lengths.map(([own, other], s) => ({ unperturbed: text(s, own), perturbed: text(s + 10, other) }));
const found = discover(model, read);
let whole: Whole;
before(async () => {
  whole = { ...found, divided: await divide(model, found.anatomy, found.parameters) };
});

const scene = (): Scene => ({
  model,
  folder: ".",
  scratch,
  read,
  whole,
  samples: samples.map((s) => ({ unperturbed: nextTokens(s.unperturbed), perturbed: nextTokens(s.perturbed) })),
  sequenceLength: T,
  executionProvider: "CPU",
  toRemove: 5000,
  gradientBy: "WEIGHTS",
  random: (stream) => seededRandom(3, stream),
});

/** What the product says, structure by structure. */
async function scoresBy(name: string, kinds: readonly StructureKind[], changed: Partial<Scene> = {}): Promise<ScoredGroup[]> {
  const groups = openGroups(whole, [], model, { ...defaultPruningOptions, structureKinds: kinds });
  assert.deepEqual([...new Set(groups.map((g) => g.kind))].sort(), [...kinds].sort());
  return (await finished(scored(methodNamed(name), { ...scene(), ...changed }, groups))).groups;
}

const weights = (name: string): Float32Array => float32Of(model.graph.initializers.get(name) as Tensor);
const dimsOf = (name: string): readonly number[] => (model.graph.initializers.get(name) as Tensor).dims;

/** Vectors of weights that a structure has: of a head or channel, what lies at one position of an axis; of a whole, each weight. */
function vectorsOf({ kind, index }: StructureId): { parameter: string; elements: number[]; axis: number | null }[] {
  if (!isDivided({ kind })) {
    const structure = whole.structures.find((s) => s.kind === kind && s.index === index);
    return (structure?.parameters ?? []).map((parameter) => ({ parameter, axis: null, elements: [...weights(parameter).keys()] }));
  }
  const group = whole.divided?.groups.find((g) => g.kind === kind && g.index <= index && index < g.index + g.count);
  assert.ok(group);
  return group.slices.flatMap(({ parameter, axis, of }) => {
    const [dims, stride] = [
      dimsOf(parameter),
      dimsOf(parameter)
        .slice(axis + 1)
        .reduce((a, b) => a * b, 1),
    ];
    const positions = rangesOf(of, group.leaf, index - group.index).flatMap((r) => Array.from({ length: r.length }, (_, i) => r.start + i));
    return positions.map((at) => ({
      parameter,
      axis,
      elements: [...weights(parameter).keys()].filter((i) => Math.floor(i / stride) % (dims[axis] as number) === at),
    }));
  });
}

/** Plain gradients of the mean loss of one text, by parameters or inner values. */
async function gradientsOf(
  ids: readonly number[],
  names: readonly string[] = [...found.parameters.keys()],
): Promise<Map<string, Float32Array>> {
  const { logits } = found.anatomy;
  const n = ids.length - 1;
  const typed = await specialise(model, bindingOf(model, 1, n, [...found.parameters.keys()]), [logits, ...names]);
  const b = new GraphBuilder(typed, "gradient");
  const inputs = [b.input("targets", "int64", [1, n]), b.input("weights", "float32", [1, n])] as const;
  const { dLogits } = signedCrossEntropy(b, b.value(logits), ...inputs);
  const { uses } = backward(b, new Map([[logits, dLogits]]), names);
  const own = names.flatMap((name) => {
    const gradient = gradientOf(b, b.value(name), uses.get(name));
    return gradient ? [[name, gradient] as const] : [];
  });
  const built = b.build(own.map(([, g]) => g));
  const session = await openSession(
    { bytes: encode({ ...model, opsets: built.opsets, graph: removeDead(built.graph) }) },
    { executionProvider: "CPU" },
  );
  const integers = (values: readonly number[]): TensorValue => ({
    dataType: "int64",
    dims: [1, n],
    data: BigInt64Array.from(values, BigInt),
  });
  const out = await session.run({
    [found.anatomy.tokens]: integers(ids.slice(0, n)),
    targets: integers(ids.slice(1)),
    weights: { dataType: "float32", dims: [1, n], data: new Float32Array(n).fill(1 / n) },
  });
  await session.close();
  return new Map(own.map(([name, g]) => [name, out[g.name]?.data as Float32Array]));
}

/** For one text, inner values and the gradients of its mean loss by them. */
async function residualStreamOf(ids: readonly number[], names: readonly string[]) {
  const at = new Map([...(await valuesOf(model, ids, names))].map(([name, { data }]) => [name, data]));
  const by = new Map<string, Float32Array>();
  for (const name of names) by.set(name, (await gradientsOf(ids, [name])).get(name) as Float32Array);
  return { at, by };
}

/** Sum over tokens t of x_ti y_tj, for x and y of [tokens, width]. */
function outer(x: Float32Array, y: Float32Array, width: number): number[] {
  const products = new Array<number>(width * width).fill(0);
  for (let t = 0; t < x.length / width; t++)
    for (let i = 0; i < width; i++)
      for (let j = 0; j < width; j++)
        products[i * width + j] = (products[i * width + j] as number) + (x[t * width + i] as number) * (y[t * width + j] as number);
  return products;
}

/** Inner values for one text, each [rows, width]. */
async function valuesOf(
  of: Model,
  ids: readonly number[],
  names: readonly string[],
): Promise<Map<string, { width: number; data: Float32Array }>> {
  const session = await openSession(
    { bytes: encode(of, names) },
    { executionProvider: "CPU", native: { graphOptimizationLevel: "disabled" } },
  );
  const out = await session.run(feedsOf(of, [ids.slice(0, -1)]), names);
  await session.close();
  return new Map(names.map((n) => [n, { width: out[n]?.dims.at(-1) as number, data: out[n]?.data as Float32Array }]));
}

/** Mean loss of a text, in float64 from the logits. */
async function lossOf(of: Model, ids: readonly number[]): Promise<number> {
  const { logits } = found.anatomy;
  const { data, width } = (await valuesOf(of, ids, [logits])).get(logits) as { width: number; data: Float32Array };
  let total = 0;
  for (let t = 0; t < ids.length - 1; t++) {
    const z = data.subarray(t * width, (t + 1) * width);
    total += Math.log(z.reduce((s, x) => s + Math.exp(x), 0)) - (z[ids[t + 1] as number] as number);
  }
  return total / (ids.length - 1);
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]) => sum(values) / values.length;

async function assertScores(
  name: string,
  kinds: readonly StructureKind[],
  expected: (id: StructureId) => number | Promise<number>,
  { tolerance = 1e-4, ...changed }: { readonly tolerance?: number } & Partial<Scene> = {},
) {
  for (const { kind, indexes, scores } of await scoresBy(name, kinds, changed)) {
    const own = await Promise.all(indexes.map((index) => expected({ kind, index })));
    const scale = Math.max(...own.map(Math.abs));
    for (const [i, score] of scores.entries())
      assert.ok(Math.abs(score - (own[i] as number)) <= tolerance * scale, `${kind} ${indexes[i]}: ${score}, not ${own[i]}`);
    assert.ok(new Set(own).size === own.length || own.length === 1, "the reference tells structures apart");
  }
}

describe("methods by gradients", () => {
  let plain: Map<string, Float32Array>[];
  let perturbed: Map<string, Float32Array>[];
  // At the first of these tests: a hook of the suite would take its seconds whichever test of the file is asked for.
  let known: Promise<void> | undefined;
  beforeEach(() => {
    known ??= (async () => {
      plain = await Promise.all(samples.map((s) => gradientsOf(s.unperturbed)));
      perturbed = await Promise.all(samples.map((s) => gradientsOf(s.perturbed)));
    })();
    return known;
  });
  const g = (of: readonly Map<string, Float32Array>[], s: number, parameter: string, i: number) => of[s]?.get(parameter)?.[i] as number;
  const each = (id: StructureId) => vectorsOf(id).flatMap(({ parameter, elements }) => elements.map((i) => [parameter, i] as const));

  it("PIP: mean over samples of || grad L(s) - grad L(s~) ||2", () =>
    assertScores("PIP", structureKinds, (id) =>
      mean(samples.map((_, s) => Math.sqrt(sum(each(id).map(([p, i]) => (g(plain, s, p, i) - g(perturbed, s, p, i)) ** 2))))),
    ));

  it("GRADIENT_NORM: mean over samples of || grad L(s) ||2", () =>
    assertScores("GRADIENT_NORM", structureKinds, (id) =>
      mean(samples.map((_, s) => Math.sqrt(sum(each(id).map(([p, i]) => g(plain, s, p, i) ** 2))))),
    ));

  const norm = (values: readonly number[]) => Math.sqrt(sum(values.map((v) => v * v)));
  /** Of what each text adds to the gradient: 1 its own, -1 its perturbed view. */
  const signs = { PIP: [1, -1], GRADIENT_NORM: [1] } as const;
  const { places } = found.anatomy;
  let trunks: Promise<Awaited<ReturnType<typeof residualStreamOf>>[][]> | undefined;
  const trunksOnce = () => {
    const values = [...new Set(places.flatMap((p) => p.branches.flatMap((b) => [b.output, b.sum])))];
    trunks ??= Promise.all(samples.map((s) => Promise.all([s.unperturbed, s.perturbed].map((view) => residualStreamOf(view, values)))));
    return trunks;
  };

  for (const method of ["PIP", "GRADIENT_NORM"] as const) {
    it(`${method} by the output of heads and channels: the norm over rows v of the last product of || v || || grad_v ||`, () => {
      const ofRow = (s: number, { parameter: p, elements }: ReturnType<typeof vectorsOf>[number]) =>
        norm(elements.map((i) => weights(p)[i] as number)) *
        norm(elements.map((i) => sum(signs[method].map((sign, view) => sign * g(view === 0 ? plain : perturbed, s, p, i)))));
      // Matrices are stored [in, out], so that what is summed over lies along axis 0.
      const rows = (id: StructureId) => vectorsOf(id).filter(({ axis }) => axis === 0);
      return assertScores(method, ["HEAD", "CHANNEL"], (id) => mean(samples.map((_, s) => norm(rows(id).map((v) => ofRow(s, v))))), {
        gradientBy: "OUTPUT",
      });
    });

    it(`${method} by the output of wholes: || d^T ds ||, d being what a structure adds to the residual stream and ds the gradient by the sum`, () => {
      return assertScores(
        method,
        ["LAYER", "ATTENTION", "MLP"],
        async ({ kind, index }) => {
          const own = places.find((p) => p.kind === kind && p.index === index)?.branches ?? [];
          const map = ({ at, by }: Awaited<ReturnType<typeof residualStreamOf>>) => {
            const d = own.map((b) => at.get(b.output) as Float32Array).reduce((x, y) => x.map((v, i) => v + (y[i] as number)));
            return outer(d, by.get(own.at(-1)?.sum as string) as Float32Array, 40);
          };
          return mean(
            (await trunksOnce()).map((views) => {
              const maps = signs[method].map((_, view) => map(views[view] as Awaited<ReturnType<typeof residualStreamOf>>));
              return norm((maps[0] as number[]).map((_, i) => sum(signs[method].map((sign, view) => sign * (maps[view]?.[i] as number)))));
            }),
          );
        },
        { gradientBy: "OUTPUT" },
      );
    });
  }

  it("TAYLOR_ELEMENT: mean over samples of sum |w dL(s)/dw|", () =>
    assertScores("TAYLOR_ELEMENT", structureKinds, (id) =>
      mean(samples.map((_, s) => sum(each(id).map(([p, i]) => Math.abs((weights(p)[i] as number) * g(plain, s, p, i)))))),
    ));

  it("TAYLOR_VECTOR: sum over vectors of |sum w dL/dw|", () =>
    assertScores("TAYLOR_VECTOR", structureKinds, (id) =>
      sum(
        vectorsOf(id).map(({ parameter, elements }) =>
          Math.abs(sum(elements.map((i) => (weights(parameter)[i] as number) * mean(samples.map((_, s) => g(plain, s, parameter, i)))))),
        ),
      ),
    ));
});

describe("methods by weights alone", () => {
  it("MAGNITUDE_L1: sum |w|; MAGNITUDE_L2: the root of sum w^2", async () => {
    const each = (id: StructureId) =>
      vectorsOf(id).flatMap(({ parameter, elements }) => elements.map((i) => weights(parameter)[i] as number));
    await assertScores("MAGNITUDE_L1", structureKinds, (id) => sum(each(id).map(Math.abs)));
    await assertScores("MAGNITUDE_L2", structureKinds, (id) => Math.sqrt(sum(each(id).map((w) => w * w))));
  });

  it("RANDOM: the same for the same seed and structure, whatever else is scored", async () => {
    const all = (await scoresBy("RANDOM", structureKinds)).flatMap((group) => group.scores);
    assert.ok(all.every((s) => s >= 0 && s < 1) && new Set(all).size === all.length);
    const heads = (await scoresBy("RANDOM", ["HEAD"])).flatMap((group) => group.scores);
    assert.ok(heads.every((s) => all.includes(s)));
  });
});

describe("methods by activations", () => {
  /** Of a matrix that a plain product reads: its inputs over all tokens of all samples, [tokens][channels]. */
  const inputs = new Map<string, number[][]>();
  before(async () => {
    const products = model.graph.nodes.filter((n) => n.opType === "MatMul" && found.parameters.has(n.inputs[1] as string));
    const names = [...new Set(products.map((n) => n.inputs[0] as string))];
    for (const { unperturbed } of samples) {
      const values = await valuesOf(model, unperturbed, names);
      for (const { inputs: own } of products) {
        const { width, data } = values.get(own[0] as string) as { width: number; data: Float32Array };
        const rows = Array.from({ length: data.length / width }, (_, t) => [...data.subarray(t * width, (t + 1) * width)]);
        inputs.set(own[1] as string, [...(inputs.get(own[1] as string) ?? []), ...rows]);
      }
    }
    assert.equal(inputs.size, 15);
  });
  const column = (parameter: string, a: number) => (inputs.get(parameter) ?? []).map((row) => row[a] as number);

  it("WANDA_SP: mean over the weights in products of |W_ab| ||x_a||2", () =>
    assertScores("WANDA_SP", structureKinds, (id) => {
      const all = vectorsOf(id).filter(({ parameter }) => inputs.has(parameter));
      const norms = new Map(
        all.map(({ parameter }) => [
          parameter,
          (dimsOf(parameter)[0] as number) &&
            Array.from({ length: dimsOf(parameter)[0] as number }, (_, a) => Math.sqrt(sum(column(parameter, a).map((x) => x * x)))),
        ]),
      );
      const terms = all.flatMap(({ parameter, elements }) =>
        elements.map(
          (i) =>
            Math.abs(weights(parameter)[i] as number) *
            ((norms.get(parameter) as number[])[Math.floor(i / (dimsOf(parameter)[1] as number))] as number),
        ),
      );
      return mean(terms);
    }));

  /** Of each input channel that a head or channel has of its layer's last product: Var(x_j) ||W_:j||^2. */
  const fluctuations = (id: StructureId) =>
    vectorsOf(id)
      .filter(({ parameter, axis }) => inputs.has(parameter) && axis === 0)
      .map(({ parameter, elements }) => {
        const x = column(parameter, Math.floor((elements[0] as number) / (dimsOf(parameter)[1] as number)));
        const variance = mean(x.map((v) => (v - mean(x)) ** 2));
        return variance * sum(elements.map((i) => (weights(parameter)[i] as number) ** 2));
      });

  it("FLAP: Var(x_j) ||W_:j||^2, squared for heads, standardised over the layer's channels, on the mean of the structure's", () =>
    assertScores("FLAP", ["HEAD", "CHANNEL"], ({ kind, index }) => {
      const group = whole.divided?.groups.find((g) => g.kind === kind && g.index <= index && index < g.index + g.count);
      const metric = (i: number) => fluctuations({ kind, index: i }).map((m) => (kind === "HEAD" ? m ** 2 : m));
      const all = Array.from({ length: group?.count as number }, (_, i) => metric((group?.index as number) + i)).flat();
      assert.equal(all.length, kind === "HEAD" ? 3 * 2 * 16 : 52);
      const deviation = Math.sqrt(sum(all.map((m) => (m - mean(all)) ** 2)) / (all.length - 1));
      return mean(metric(index).map((m) => (m - mean(all)) / deviation));
    }));

  it("FLAP's bias: the smaller model's products give, on the average, what the whole ones gave", async () => {
    const removed: StructureId[] = [
      { kind: "HEAD", index: 1 },
      ...[3, 17, 40, 51].map((index): StructureId => ({ kind: "CHANNEL", index })),
    ];
    const moments = await finished(inputMoments(scene(), [...found.parameters.keys()]));
    const rest = await removeStructures(model, removed, read, whole);
    const child = compensated(model, whole, moments, removed, rest, read);
    assert.equal(child.graph.initializers.size, rest.graph.initializers.size + 2);
    assert.deepEqual(decode(encode(child)), child);
    // What is read by the first layer's output projection is the same in both: only the removed heads are missing.
    const groups = whole.divided?.groups.filter((g) => g.layer === 0) ?? [];
    const [projection] = (groups.find((g) => g.kind === "HEAD")?.slices ?? []).filter((s) => s.axis === 0).map((s) => s.parameter);
    const output = model.graph.nodes.find((n) => n.inputs[1] === projection)?.outputs[0] as string;
    const average = async (of: Model) => {
      const rows = await Promise.all(
        samples.map(async (s) => (await valuesOf(of, s.unperturbed, [output])).get(output)?.data as Float32Array),
      );
      return Array.from({ length: 40 }, (_, h) =>
        mean(rows.flatMap((r) => Array.from({ length: r.length / 40 }, (_, t) => r[t * 40 + h] as number))),
      );
    };
    const [before, after, without] = [await average(model), await average(child), await average(rest)];
    const distance = (a: readonly number[], b: readonly number[]) => Math.sqrt(sum(a.map((v, i) => (v - (b[i] as number)) ** 2)));
    assert.ok(distance(before, after) < 1e-5 * Math.hypot(...before) + 1e-6, `${distance(before, after)}`);
    assert.ok(distance(before, without) > 0.01 * Math.hypot(...before), "the bias is not for nothing");
  });

  it("FLAP's bias: the same by weights that are stored the other way round", async () => {
    const removed: StructureId[] = [
      { kind: "HEAD", index: 1 },
      { kind: "CHANNEL", index: 17 },
    ];
    const turned = new Set(inputs.keys());
    const transposed = (tensor: Tensor): Tensor => {
      const [rows, columns] = tensor.dims as [number, number];
      const values = float32Of(tensor);
      const data = Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] as number);
      return float32Tensor(tensor.name, [columns, rows], data);
    };
    const other: Model = {
      ...model,
      graph: {
        ...model.graph,
        initializers: new Map([...model.graph.initializers].map(([name, t]) => [name, turned.has(name) ? transposed(t) : t])),
        nodes: [
          ...[...turned].map((name) => ({
            ...{ name: `${name}/Transpose`, opType: "Transpose", domain: "", inputs: [name], outputs: [`${name}/turned`] },
            attributes: { perm: attr.ints([1, 0]) },
          })),
          ...model.graph.nodes.map((n) => ({ ...n, inputs: n.inputs.map((name) => (turned.has(name) ? `${name}/turned` : name)) })),
        ],
      },
    };
    const biasesOf = async (base: Model, its: Whole) => {
      const moments = await finished(inputMoments({ ...scene(), model: base, whole: its }, [...its.parameters.keys()]));
      const rest = await removeStructures(base, removed, read, its);
      const { initializers } = compensated(base, its, moments, removed, rest, read).graph;
      return [...initializers.values()].filter((t) => t.name.endsWith("/compensation")).map((t) => [t.name, float32Of(t)] as const);
    };
    const discovered = discover(other, read);
    const theirs = { ...discovered, divided: await divide(other, discovered.anatomy, discovered.parameters) };
    const [plain, alike] = [new Map(await biasesOf(model, whole)), new Map(await biasesOf(other, theirs))];
    assert.equal(plain.size, 2);
    assert.deepEqual([...alike.keys()].sort(), [...plain.keys()].sort());
    for (const [name, bias] of plain)
      for (const [i, right] of bias.entries())
        assert.ok(Math.abs((alike.get(name)?.[i] as number) - right) <= 1e-5 * Math.max(...bias.map(Math.abs)), `${name} ${i}`);
  });

  it("BLOCK_INFLUENCE: 1 - mean over samples of mean cos(x_in, x_out)", () => {
    const kinds = ["LAYER", "ATTENTION", "MLP"] as const;
    return assertScores("BLOCK_INFLUENCE", kinds, async (id) => {
      const branches = placesOf(anatomyOf(model), [id])[0]?.branches ?? [];
      const [from, to] = [branches[0]?.skip as string, branches.at(-1)?.sum as string];
      const cosines = await Promise.all(
        samples.map(async ({ unperturbed }) => {
          const values = await valuesOf(model, unperturbed, [from, to]);
          const row = (name: string, t: number) => [...(values.get(name)?.data.subarray(t * 40, (t + 1) * 40) ?? [])];
          const cosines = Array.from({ length: unperturbed.length - 1 }, (_, t) => {
            const [x, y] = [row(from, t), row(to, t)];
            return sum(x.map((v, i) => v * (y[i] as number))) / (Math.hypot(...x) * Math.hypot(...y));
          });
          return mean(cosines);
        }),
      );
      return 1 - mean(cosines);
    });
  });
});

it("BLOCK_INFLUENCE is a number where the residual stream is nothing: of padding's embedding, or of a token's", async () => {
  const [embedding] = [...model.graph.initializers].filter(([name]) => /embed_tokens/.test(name)).map(([, t]) => t);
  assert.ok(embedding);
  const without = (token: number) => {
    const values = Float32Array.from(float32Of(embedding));
    values.fill(0, token * 40, (token + 1) * 40);
    const initializers = new Map(model.graph.initializers).set(embedding.name, float32Tensor(embedding.name, embedding.dims, values));
    return { ...model, graph: { ...model.graph, initializers } };
  };
  const kinds = ["LAYER", "ATTENTION", "MLP"] as const;
  const whole = await scoresBy("BLOCK_INFLUENCE", kinds);
  // Token 0 is what shorter texts are padded with; no text has it.
  assert.ok(samples.every((s) => !s.unperturbed.includes(0)));
  const padded = await scoresBy("BLOCK_INFLUENCE", kinds, { model: without(0) });
  for (const [g, { scores }] of padded.entries())
    assert.ok(Math.abs((scores[0] as number) - (whole[g]?.scores[0] as number)) < 1e-6, `${scores[0]}`);
  // A token that is read turns from nothing into something: its cosine counts as 0.
  const read = await scoresBy("BLOCK_INFLUENCE", kinds, { model: without(samples[0]?.unperturbed[0] as number) });
  for (const { scores } of read)
    assert.ok(
      scores.every((s) => s >= 0 && s <= 2),
      `${scores}`,
    );
});

describe("methods by losses", () => {
  /** The model with all weights of a head set to 0. */
  const withoutHead = (id: StructureId): Model => {
    const initializers = new Map(model.graph.initializers);
    for (const { parameter, elements } of vectorsOf(id)) {
      const values = Float32Array.from(float32Of(initializers.get(parameter) as Tensor));
      for (const i of elements) values[i] = 0;
      initializers.set(parameter, float32Tensor(parameter, dimsOf(parameter), values));
    }
    return { ...model, graph: { ...model.graph, initializers } };
  };

  it("LEAVE_ONE_OUT: the loss without the structure, less the loss", () =>
    assertScores(
      "LEAVE_ONE_OUT",
      ["LAYER", "ATTENTION", "MLP", "HEAD"],
      async (id) => {
        const smaller = id.kind === "HEAD" ? withoutHead(id) : masked(model, [id]);
        return mean(
          await Promise.all(samples.map(async (s) => (await lossOf(smaller, s.unperturbed)) - (await lossOf(model, s.unperturbed)))),
        );
      },
      { tolerance: 1e-3 },
    ));

  it("POLICY_GRADIENT: keeps what losses need, and lets go of what they do not", async () => {
    const many = {
      ...scene(),
      samples: Array.from({ length: 60 }, (_, s) => ({ unperturbed: nextTokens(text(s % 3)), perturbed: nextTokens([]) })),
      toRemove: 10_000,
    };
    const groups = openGroups(whole, [], model, { ...defaultPruningOptions, structureKinds: ["ATTENTION", "MLP"] });
    const { groups: learned } = await finished(scored(methodNamed("POLICY_GRADIENT"), many, groups));
    const p = learned.map((g) => ({ name: `${g.kind} ${g.indexes[0]}`, score: g.scores[0] as number, size: g.parameterCount }));
    const total = sum(p.map((s) => s.size));
    assert.ok(p.every((s) => s.score >= 0 && s.score <= 1));
    assert.ok(sum(p.map((s) => s.score * s.size)) <= total - 10_000 + 1, "what is expected to stay meets the target");
    const losses = await Promise.all(
      groups.map(async ({ kind, indexes }) =>
        mean(await Promise.all(samples.map((s) => lossOf(masked(model, [{ kind, index: indexes[0] as number }]), s.unperturbed)))),
      ),
    );
    const [cheapest, dearest] = [losses.indexOf(Math.min(...losses)), losses.indexOf(Math.max(...losses))];
    assert.ok((p[cheapest]?.score as number) < (p[dearest]?.score as number), JSON.stringify({ p, losses }));
  });
});

describe("a single text", () => {
  it("is enough for TAYLOR_VECTOR: two that are the same give what one gives", async () => {
    const scores = async (count: number) =>
      (await scoresBy("TAYLOR_VECTOR", ["ATTENTION", "MLP"], { samples: Array(count).fill(scene().samples[0]) })).flatMap((g) => g.scores);
    const [one, two] = [await scores(1), await scores(2)];
    for (const [i, score] of one.entries()) {
      assert.ok(score > 0, `${one}`);
      assert.ok(Math.abs((two[i] as number) - score) <= 1e-4 * score, `${two[i]}, not ${score}`);
    }
  });
});

describe("texts that take several runs", () => {
  // A run has 1,024 tokens: two rows of 500, or one text in two views, and the last is not full.
  const spread = { sequenceLength: 500 };
  for (const name of ["PIP", "GRADIENT_NORM", "TAYLOR_VECTOR", "WANDA_SP", "FLAP", "BLOCK_INFLUENCE", "LEAVE_ONE_OUT"])
    it(`have the scores of one run: ${name}`, async () => {
      const kinds: StructureKind[] =
        name === "FLAP" ? ["HEAD", "CHANNEL"] : name === "BLOCK_INFLUENCE" ? ["LAYER", "MLP"] : ["ATTENTION", "MLP"];
      const [together, apart] = [await scoresBy(name, kinds), await scoresBy(name, kinds, spread)];
      for (const [g, { scores }] of together.entries())
        for (const [i, score] of scores.entries()) {
          const other = apart[g]?.scores[i] as number;
          assert.ok(Math.abs(other - score) <= 1e-4 * Math.max(...scores.map(Math.abs)), `${other}, not ${score}`);
        }
    });
});
