import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "../../../src/finished.ts";
import type { Model } from "../../../src/onnx/ir.ts";
import { tensorReader } from "../../../src/onnx/read-tensor.ts";
import type { Scene } from "../../../src/pruning/evidence/evidence.ts";
import { scored } from "../../../src/pruning/evidence/gatherers.ts";
import { pip } from "../../../src/pruning/methods/pip.ts";
import { openGroups } from "../../../src/pruning/open-groups.ts";
import { defaultPruningOptions, type GradientPoint } from "../../../src/pruning/options.ts";
import { randomInteger, seededRandom } from "../../../src/random.ts";
import type { ConcreteProvider } from "../../../src/runtime/providers.ts";
import { discover } from "../../../src/structures/discover.ts";
import { divide } from "../../../src/structures/divide.ts";
import { structureKinds } from "../../../src/structures/structure.ts";
import { nextTokens } from "../../../src/text/view.ts";

/**
 * PIP's scores of every structure of a model, of all kinds, over four pairs of random views of 24 tokens: one iteration's, as a run
 * takes them.
 *
 * @param vocabulary tokens are drawn from the first so many
 */
export async function scoresOn(
  provider: ConcreteProvider,
  model: Model,
  folder: string,
  gradientBy: GradientPoint,
  vocabulary: number,
): Promise<number[]> {
  const read = tensorReader(folder);
  const found = discover(model, read);
  const whole = { ...found, divided: await divide(model, found.anatomy, found.parameters) };
  const sequenceLength = 24;
  const random = seededRandom(1, "cuda");
  const view = () => Array.from({ length: sequenceLength }, () => randomInteger(random, vocabulary));
  const scratch = mkdtempSync(join(tmpdir(), "espalier-cuda-"));
  const scene: Scene = {
    model,
    folder,
    read,
    scratch,
    whole,
    samples: Array.from({ length: 4 }, () => ({ unperturbed: nextTokens(view()), perturbed: nextTokens(view()) })),
    sequenceLength,
    gradientBy,
    executionProvider: provider,
    toRemove: 0,
    random: (stream) => seededRandom(1, stream),
  };
  try {
    const options = { ...defaultPruningOptions, structureKinds };
    const { groups } = await finished(scored(pip, scene, openGroups(whole, [], model, options)));
    return groups.flatMap((g) => g.scores);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
