import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { finished } from "../../src/finished.ts";
import { decode } from "../../src/onnx/decode.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { canonical } from "../../src/onnx/passes/canonical.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import type { Scene } from "../../src/pruning/evidence/evidence.ts";
import { scored } from "../../src/pruning/evidence/gatherers.ts";
import { methodNamed } from "../../src/pruning/methods/index.ts";
import { openGroups, type Whole } from "../../src/pruning/open-groups.ts";
import { defaultPruningOptions, type GradientPoint } from "../../src/pruning/options.ts";
import { seededRandom } from "../../src/random.ts";
import { discover } from "../../src/structures/discover.ts";
import { divide, removeStructures } from "../../src/structures/divide.ts";
import { nextTokens } from "../../src/text/view.ts";
import { feedsOf } from "../support/feeds.ts";
import { logitsOf } from "../support/masked.ts";
import { scratch } from "../support/scratch.ts";

// Each method's scores of experts, and what is left without one, as PyTorch has them (scripts/fixtures/experts.py).
interface Expert {
  readonly PIP: Readonly<Record<GradientPoint, number>>;
  readonly GRADIENT_NORM: number;
  readonly TAYLOR_ELEMENT: number;
  readonly LEAVE_ONE_OUT: number;
  readonly REAP: number;
  readonly logitsWithout: readonly (readonly number[])[];
}
const T = 8;
const text = (seed: number, predicted: number) =>
  Array.from({ length: predicted + 1 }, (_, t) => (7 + 31 * seed + 13 * t * (seed + 2)) % 97);
const lengths = [
  [T, 5],
  [3, T],
  [6, 2],
] as const;
const samples = lengths.map(([own, other], s) => ({ unperturbed: nextTokens(text(s, own)), perturbed: nextTokens(text(s + 10, other)) }));
const reference = JSON.parse(readFileSync(new URL("../fixtures/experts.json", import.meta.url), "utf8")) as Readonly<
  Record<string, { readonly experts: readonly Expert[] }>
>;
const root = fileURLToPath(new URL("../fixtures/experts/", import.meta.url));

for (const [family, { experts }] of Object.entries(reference))
  describe(`experts of ${family}`, () => {
    const folder = join(root, family);
    const read = tensorReader(folder);
    const expected = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8")) as { readonly tokens: number[][] };
    let model: Model;
    let whole: Whole;
    before(async () => {
      model = canonical(decode(readFileSync(join(folder, "model.onnx")))).model;
      const found = discover(model, read);
      whole = { ...found, divided: await divide(model, found.anatomy, found.parameters) };
    });
    const scene = (gradientBy: GradientPoint): Scene => ({
      ...{ model, folder, scratch, read, whole, samples, sequenceLength: T, gradientBy, executionProvider: "CPU", toRemove: 2000 },
      random: (stream) => seededRandom(3, stream),
    });
    const groups = () => openGroups(whole, [], model, { ...defaultPruningOptions, structureKinds: ["EXPERT"] });
    const scores = async (method: string, gradientBy: GradientPoint = "WEIGHTS") =>
      (await finished(scored(methodNamed(method), scene(gradientBy), groups()))).groups.flatMap((g) => g.scores);
    const close = (found: ArrayLike<number>, wanted: readonly number[], within = 1e-5) => {
      assert.equal(found.length, wanted.length);
      for (const [i, value] of Array.from(found).entries()) {
        const other = wanted[i] as number;
        assert.ok(Math.abs(value - other) <= within * Math.max(1, Math.abs(other)), `${i}: ${value}, and PyTorch has ${other}`);
      }
    };

    it("are all found, and two of three stay, for each token chooses two", () => {
      assert.deepEqual(
        groups().map((g) => [g.indexes.length, g.removable]),
        Array.from({ length: experts.length / 3 }, () => [3, 1]),
      );
    });
    for (const by of ["WEIGHTS", "OUTPUT"] as const)
      it(`score as PyTorch's gradients have it, by ${by}`, async () =>
        close(
          await scores("PIP", by),
          experts.map((e) => e.PIP[by]),
        ));
    for (const method of ["GRADIENT_NORM", "TAYLOR_ELEMENT", "LEAVE_ONE_OUT", "REAP"] as const)
      it(`score as PyTorch has it: ${method}`, async () =>
        close(
          await scores(method),
          experts.map((e) => e[method]),
        ));
    // LEAVE_ONE_OUT masks them: so masking and cutting come to the same.
    it("leave the logits of a model that cannot choose them when they are cut", async () => {
      const counts = [whole.parameterCount];
      for (const [index, { logitsWithout }] of experts.entries()) {
        const cut = await removeStructures(model, [{ kind: "EXPERT", index }], read, whole);
        counts.push(discover(cut, read).parameterCount);
        close((await logitsOf(cut, feedsOf(cut, expected.tokens, 0))).slice(-2 * 97), logitsWithout.flat(), 2e-5);
      }
      const [group] = groups();
      assert.deepEqual(new Set(counts.slice(1)), new Set([whole.parameterCount - (group?.parameterCount ?? 0)]));
    });
  });
