import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { recoveryRows } from "../../scripts/generate/methods-table.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model, Tensor } from "../../src/onnx/ir.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { float32Of, float32Tensor } from "../../src/onnx/tensors.ts";
import { seededRandom } from "../../src/random.ts";
import { forwardOf } from "../../src/recovery/forward.ts";
import { recoveryMethodNamed, recoveryMethods } from "../../src/recovery/methods/index.ts";
import { isTrained, type Prepared, type TrainedMethod } from "../../src/recovery/methods/method.ts";
import { defaultRecoveryOptions } from "../../src/recovery/options.ts";
import { reweighted } from "../../src/recovery/reweighted.ts";
import { wholeOfModel } from "../../src/recovery/whole.ts";
import { openSession, type TensorValue } from "../../src/runtime/session.ts";
import { ahabFolder } from "../support/ahab.ts";
import { feedsOf } from "../support/feeds.ts";
import { rounded } from "../support/half-precision.ts";

const folder = join(ahabFolder, "onnx");
const written = join(tmpdir(), `espalier-reweighted-${randomUUID()}`);
const rows = [0, 1].map((s) => Array.from({ length: 12 }, (_, t) => (17 + 31 * s + 97 * t) % 2048));
let model: Model;
before(async () => {
  model = await readModel(join(folder, "model.onnx"), "IN_MEMORY");
});
after(() => rm(written, { force: true }));

async function prepared(method: TrainedMethod, of: Model): Promise<{ made: Prepared; logits: string; tokens: string; base: Model }> {
  const whole = await wholeOfModel(of, folder, method.divides ?? false);
  const { typed, tokens, logits } = await forwardOf(of, [...whole.parameters.keys()], [2, 12]);
  const options = { ...defaultRecoveryOptions, rank: 4 };
  const subject = { forward: typed, whole, initializers: of.graph.initializers, read: tensorReader(folder), options };
  return { made: method.prepare(subject), logits, tokens: tokens.name, base: of };
}

/** Logits by the graph that is trained, with these values. */
async function unmerged(
  { made, logits, tokens, base }: Awaited<ReturnType<typeof prepared>>,
  values: ReadonlyMap<string, Float32Array>,
): Promise<Float32Array> {
  const session = await openSession({ bytes: encode({ ...base, ...made.forward }) }, { executionProvider: "CPU" });
  const trained = made.trained.map(({ name, shape }): [string, TensorValue] => [
    name,
    { dataType: "float32", dims: shape, data: values.get(name) as Float32Array },
  ]);
  const found = await session.run({ [tokens]: feedsOf(model, rows)[tokens] as TensorValue, ...Object.fromEntries(trained) }, [logits]);
  await session.close();
  return (found[logits] as TensorValue<Float32Array>).data;
}

async function logitsOf(of: Model): Promise<Float32Array> {
  const session = await openSession({ bytes: encode(of) }, { executionProvider: "CPU" });
  const found = (await session.run(feedsOf(of, rows), ["logits"]))["logits"] as TensorValue<Float32Array>;
  await session.close();
  return found.data;
}

const furthest = (a: Float32Array, b: Float32Array): number => a.reduce((most, v, i) => Math.max(most, Math.abs(v - (b[i] as number))), 0);

describe("ways of healing", () => {
  it("have names of their own, rates within bounds and sentences", () => {
    assert.equal(new Set(recoveryMethods.map((m) => m.name)).size, recoveryMethods.length);
    for (const { name, description, learningRate } of recoveryMethods) {
      assert.match(name, /^[A-Z][A-Z_]*$/);
      assert.ok(learningRate === null || (learningRate > 0 && learningRate <= 1));
      assert.match(description, /\.$/);
    }
  });

  it("are all in docs/recovery.md; if not, run: node --import tsx scripts/generate/methods-table.ts", () => {
    assert.ok(readFileSync(new URL("../../docs/recovery.md", import.meta.url), "utf8").includes(recoveryRows()));
  });

  for (const method of recoveryMethods.filter(isTrained)) {
    it(`${method.name} begins at the model as it is`, async () => {
      const from = await prepared(method, model);
      const random = seededRandom(1);
      const values = new Map(from.made.trained.map((t) => [t.name, t.initial(random)]));
      for (const t of from.made.trained)
        assert.equal(
          values.get(t.name)?.length,
          t.shape.reduce((a, b) => a * b, 1),
        );
      assert.ok(furthest(await unmerged(from, values), await logitsOf(model)) < 1e-4);
    });

    it(`${method.name}: merged equals unmerged, and the graph stays as it is`, async () => {
      const from = await prepared(method, model);
      const random = seededRandom(2);
      const values = new Map(from.made.trained.map((t) => [t.name, t.initial(random).map((v) => v + 0.02 * (random() - 0.5))]));
      const merged = await reweighted(
        model,
        from.made.merged((name) => values.get(name) as Float32Array),
        written,
        "nowhere",
      );
      assert.deepEqual(merged.graph.nodes, model.graph.nodes);
      const [trained, whole] = [await unmerged(from, values), await logitsOf(merged)];
      const moved = furthest(whole, await logitsOf(model));
      assert.ok(moved > 1e-2, `nothing moved: ${moved}`);
      assert.ok(furthest(trained, whole) < 1e-4 && furthest(trained, whole) < 1e-3 * moved, `${furthest(trained, whole)} of ${moved}`);
    });
  }

  it("SPARSITY_PRESERVING leaves zeros as they are", async () => {
    const pruned = (name: string) => model.graph.initializers.get(name)?.dims.join() === "96,256";
    const initializers = new Map(
      [...model.graph.initializers].map(([name, t]) => [
        name,
        pruned(name)
          ? float32Tensor(
              name,
              t.dims,
              float32Of(t).map((v, i) => (i % 3 === 0 ? 0 : v)),
            )
          : t,
      ]),
    );
    const from = await prepared(recoveryMethodNamed("SPARSITY_PRESERVING") as TrainedMethod, {
      ...model,
      graph: { ...model.graph, initializers },
    });
    let changed = 0;
    for (const [name, values] of from.made.merged((trained) => {
      const { shape } = from.made.trained.find((t) => t.name === trained) as { shape: readonly number[] };
      return new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.3);
    }))
      if (pruned(name))
        for (const [i, v] of values.entries()) {
          assert.ok(v !== 0 || i % 3 === 0 || float32Of(model.graph.initializers.get(name) as Tensor)[i] === 0);
          if (i % 3 === 0) assert.equal(v, 0, `${name} ${i}`);
          else changed++;
        }
    assert.ok(changed > 0);
  });

  it("weights of 16 bits are trained in 32, and written in their own type", async () => {
    const narrow = rounded(model, "float16", true);
    for (const method of recoveryMethods.filter(isTrained)) {
      const from = await prepared(method, narrow);
      const random = seededRandom(3);
      const values = new Map(from.made.trained.map((t) => [t.name, t.initial(random).map((v) => v + 0.02 * (random() - 0.5))]));
      const merged = await reweighted(
        narrow,
        from.made.merged((name) => values.get(name) as Float32Array),
        written,
        "nowhere",
      );
      let changed = 0;
      for (const [name, tensor] of merged.graph.initializers) {
        const old = narrow.graph.initializers.get(name);
        assert.equal(tensor.dataType, old?.dataType);
        if (tensor !== old) changed++;
      }
      assert.ok(changed > 0, method.name);
      const trained = await unmerged(from, values);
      assert.ok(trained.every(Number.isFinite));
    }
  });
});
