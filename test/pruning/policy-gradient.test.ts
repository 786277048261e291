import assert from "node:assert/strict";
import { join } from "node:path";
import { it } from "node:test";
import { finished } from "../../src/finished.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { scored } from "../../src/pruning/evidence/gatherers.ts";
import { methodNamed } from "../../src/pruning/methods/index.ts";
import { openGroups } from "../../src/pruning/open-groups.ts";
import { seededRandom } from "../../src/random.ts";
import { discover } from "../../src/structures/discover.ts";
import { calibrationSamples } from "../../src/text/calibration.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { nextTokens } from "../../src/text/view.ts";
import { ahabFolder } from "../support/ahab.ts";
import { quick } from "../support/loop.ts";
import { readModel } from "../support/models.ts";
import { scratch } from "../support/scratch.ts";

it("POLICY_GRADIENT learns to keep the layers that cost most when they are left out", async () => {
  const model = readModel(ahabFolder);
  const folder = join(ahabFolder, "onnx");
  const read = tensorReader(folder);
  const whole = { ...discover(model, read), divided: null };
  const tokenizer = await loadTokenizer(ahabFolder);
  const { documents } = await loadDataset({ name: "literature-train" });
  const options = { ...quick, samples: 15, sequenceLength: 32, structureKinds: ["LAYER"] as const };
  const texts = calibrationSamples(tokenizer, documents, options).map((text) => tokenizer.encode(text).slice(0, 33));
  const scene = {
    model,
    folder,
    scratch,
    read,
    whole,
    samples: texts.map((unperturbed) => ({ unperturbed: nextTokens(unperturbed), perturbed: nextTokens([]) })),
    sequenceLength: 32,
    executionProvider: "CPU" as const,
    toRemove: 200_000,
    gradientBy: "OUTPUT" as const,
    random: (stream: string) => seededRandom(3, stream),
  };
  const groups = openGroups(whole, [], model, options);
  const scoresBy = async (method: string, startFrom?: string, masks: number | null = null): Promise<number[]> => {
    const { groups: found } = await finished(
      scored(methodNamed(method), { ...scene, masks }, groups, startFrom ? methodNamed(startFrom) : null),
    );
    return found.map(({ scores }) => scores[0] as number);
  };
  const [kept, losses] = [await scoresBy("POLICY_GRADIENT"), await scoresBy("LEAVE_ONE_OUT")];
  // The first two and the last: without one of them the loss grows by more than half a nat, without any other by less than a quarter.
  const dear = losses.flatMap((loss, layer) => (loss > 0.4 ? [layer] : []));
  assert.deepEqual(dear, [0, 1, 11], JSON.stringify(losses));
  const others = kept.filter((_, layer) => !dear.includes(layer));
  const mean = others.reduce((a, b) => a + b, 0) / others.length;
  for (const layer of dear) assert.ok((kept[layer] as number) > 0.9 && (kept[layer] as number) > mean + 0.1, JSON.stringify(kept));
  // It learns in small steps: most of those that matter less are still undecided.
  const undecided = others.filter((p) => p > 0.05 && p < 0.95);
  assert.ok(undecided.length >= others.length / 2, JSON.stringify(kept));

  const order = (scores: readonly number[]) => [...scores.keys()].sort((a, b) => (scores[a] as number) - (scores[b] as number));
  // Eight masks hardly move what it starts from; a thousand put a start that is wrong right: by the weights alone the first layer would be among the first five to go.
  const [start, few] = [await scoresBy("MAGNITUDE_L2"), await scoresBy("POLICY_GRADIENT", "MAGNITUDE_L2", 8)];
  const sizes = groups.map((g) => g.parameterCount);
  const places = order(start.map((score, i) => score / Math.sqrt(sizes[i] as number)));
  assert.deepEqual(order(few).slice(0, 3).sort(), places.slice(0, 3).sort());
  const learned = await scoresBy("POLICY_GRADIENT", "MAGNITUDE_L2", 960);
  assert.ok(places.indexOf(0) < 5 && learned.filter((p) => p < (learned[0] as number)).length >= 6, JSON.stringify({ start, learned }));
});
