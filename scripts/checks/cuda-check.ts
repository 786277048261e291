/**
 * Holds what Espalier computes on CUDA against the CPU: the forward graph and one token after a cache, PIP's scores of all kinds of
 * structures, whole pruning runs, the steps of every way of healing and whole recovery runs: of every fixture and of the models
 * named. Says which nodes ran on the CPU after all. Without CUDA it says what is missing, and ends with 1.
 *
 *     npm run cuda:check -- [--model FOLDER ...] [--fixtures FOLDER] [--only forward|pruning|recovery ...]
 *
 * A model is a folder with a graph, or with weights that a graph can be built over. Set NVIDIA_TF32_OVERRIDE=0 to keep products from
 * being rounded to TF32's ten bits.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { graphFile } from "../../src/inference/language-model.ts";
import { graphOfFolder } from "../../src/models/blueprints/graph-of-folder.ts";
import { cudaObstacle } from "../../src/runtime/providers.ts";
import { variantOf, variants, writeFolder } from "../../test/support/safetensors-folder.ts";
import { forwardAndScores } from "./cuda/forward-and-scores.ts";
import { gpuName } from "./cuda/gpu.ts";
import { pruningRuns } from "./cuda/pruning-runs.ts";
import { recoveries } from "./cuda/recovery.ts";
import { precision, Report } from "./cuda/report.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const { values } = parseArgs({
  options: {
    model: { type: "string", multiple: true, default: [join(repository, "models", "ahab")] },
    fixtures: { type: "string", default: join(repository, "test", "fixtures", "exporters") },
    only: { type: "string", multiple: true, default: ["forward", "pruning", "recovery"] },
  },
});
const obstacle = await cudaObstacle();
if (obstacle !== null) {
  console.log(`CUDA cannot be loaded on this machine, so nothing was checked. ONNX Runtime says: ${obstacle}`);
  process.exit(1);
}
console.log(`${gpuName()}; ${precision}`);

const scratch = mkdtempSync(join(tmpdir(), "espalier-cuda-"));
const withGraph = async (folder: string): Promise<string> => {
  if (!["onnx/model.onnx", "model.onnx"].some((path) => existsSync(join(folder, path))))
    writeFileSync(join(folder, "model.onnx"), (await graphOfFolder({ root: folder, folder })).bytes);
  return folder;
};
const report = new Report();
try {
  const models = await Promise.all(values.model.map((folder) => withGraph(resolve(folder))));
  if (values.only.includes("forward")) {
    const exported = readdirSync(values.fixtures, { recursive: true })
      .map((path) => join(values.fixtures, String(path)))
      .filter((path) => basename(path) === "model.onnx")
      .map((path) => ({ name: relative(values.fixtures, dirname(path)), path }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const built = [...variants.keys()].map(async (family) => {
      const folder = await withGraph(writeFolder(join(scratch, family), variantOf(family)));
      return { name: `${family} from its weights`, path: join(folder, "model.onnx") };
    });
    const named = models.map(async (folder) => ({ name: basename(folder), path: await graphFile(folder) }));
    await forwardAndScores(report, [...exported, ...(await Promise.all([...built, ...named]))]);
  }
  if (values.only.includes("pruning")) await pruningRuns(report, models);
  if (values.only.includes("recovery")) await recoveries(report, models);
} finally {
  rmSync(scratch, { recursive: true });
}
console.log(report.wrong === 0 ? "\nAll within tolerance." : `\n${report.wrong} outside the tolerance, or failed.`);
process.exit(report.wrong === 0 ? 0 : 1);
