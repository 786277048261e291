import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { finished } from "../../src/finished.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import type { Scene } from "../../src/pruning/evidence/evidence.ts";
import { scored } from "../../src/pruning/evidence/gatherers.ts";
import { openMasked } from "../../src/pruning/evidence/masked-model.ts";
import { methodNamed } from "../../src/pruning/methods/index.ts";
import { openGroups } from "../../src/pruning/open-groups.ts";
import { seededRandom } from "../../src/random.ts";
import { discover } from "../../src/structures/discover.ts";
import { divide } from "../../src/structures/divide.ts";
import type { StructureKind } from "../../src/structures/structure.ts";
import { calibrationSamples } from "../../src/text/calibration.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { nextTokens } from "../../src/text/view.ts";
import { ahabFolder } from "../support/ahab.ts";
import { quick } from "../support/loop.ts";
import { readModel } from "../support/models.ts";
import { scratch } from "../support/scratch.ts";

describe("gates", () => {
  const model = readModel(ahabFolder);
  const folder = join(ahabFolder, "onnx");
  const read = tensorReader(folder);
  let texts: number[][];
  before(async () => {
    const tokenizer = await loadTokenizer(ahabFolder);
    const { documents } = await loadDataset({ name: "literature-train" });
    const options = { ...quick, samples: 4, sequenceLength: 24 };
    texts = calibrationSamples(tokenizer, documents, options).map((text) => tokenizer.encode(text).slice(0, 25));
  });

  async function sceneOf(structureKinds: readonly StructureKind[], toRemove: number) {
    const found = discover(model, read);
    const whole = { ...found, divided: await divide(model, found.anatomy, found.parameters) };
    const scene: Scene = {
      ...{ model, folder, scratch, read, whole, toRemove },
      samples: texts.map((unperturbed) => ({ unperturbed: nextTokens(unperturbed), perturbed: nextTokens([]) })),
      sequenceLength: 24,
      executionProvider: "CPU",
      gradientBy: "OUTPUT",
      random: (stream) => seededRandom(3, stream),
    };
    return { scene, groups: openGroups(whole, [], model, { ...quick, structureKinds }) };
  }

  for (const kinds of [["LAYER"], ["ATTENTION", "MLP"], ["HEAD", "CHANNEL"]] as const)
    it(`have the gradients that differences of losses come to: ${kinds.join(" and ")}`, async () => {
      const { scene, groups } = await sceneOf(kinds, 0);
      const masked = await openMasked(scene, groups, 2, true);
      try {
        const random = seededRandom(11, kinds.join());
        const mask = () => Float32Array.from({ length: masked.structures }, () => 0.5 + random());
        const [a, b] = [mask(), mask()];
        const own = texts.slice(0, 2).map(nextTokens);
        const { losses, gradients } = await masked.gradients(own, [a, b]);
        assert.deepEqual(losses, await masked.losses(own, [a, b]));
        // Along a direction that all gates have a part in, and its errors none.
        for (const row of [0, 1]) {
          const direction = Float64Array.from({ length: masked.structures }, () => (random() < 0.5 ? -1 : 1));
          const step = 2e-3;
          const along = async (by: number) => {
            const moved = [a, b].map((m, r) => (r === row ? m.map((x, i) => x + by * (direction[i] as number)) : m));
            return (await masked.losses(own, moved))[row] as number;
          };
          const difference = ((await along(step)) - (await along(-step))) / (2 * step);
          const right = direction.reduce((sum, d, i) => sum + d * (gradients[row]?.[i] as number), 0);
          assert.ok(Math.abs(difference - right) < 2e-2 * Math.abs(right) + 2e-2, `${difference}, and the gradient says ${right}`);
        }
      } finally {
        await masked.close();
      }
    });

  it("learn to stay open where leaving a layer out costs most", async () => {
    const { scene: small, groups } = await sceneOf(["LAYER"], 200_000);
    const scene = { ...small, samples: [...small.samples, ...small.samples, ...small.samples] };
    const scoresBy = async (method: string): Promise<number[]> => {
      const { groups: found } = await finished(scored(methodNamed(method), scene, groups));
      return found.map(({ scores }) => scores[0] as number);
    };
    const [kept, losses] = [await scoresBy("GATES"), await scoresBy("LEAVE_ONE_OUT")];
    const dear = losses.flatMap((loss, layer) => (loss > 0.4 ? [layer] : []));
    assert.ok(dear.length >= 2, JSON.stringify(losses));
    const lowest = kept.map((score, layer) => ({ score, layer })).sort((x, y) => x.score - y.score);
    for (const { layer } of lowest.slice(0, 3))
      assert.ok(!dear.includes(layer), `${layer} is among those that go: ${JSON.stringify(kept)}`);
    assert.deepEqual(await scoresBy("GATES"), kept, "the same each time");
  });
});
