/** One step with a large model, in a process of its own: `register DATA FOLDER`, or `remove FOLDER DESTINATION`. Prints a StepResult. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { exportPruned } from "../../src/models/export.ts";
import { storeFolder } from "../../src/models/inspect.ts";
import { decode } from "../../src/onnx/decode.ts";
import { anatomyOf } from "../../src/structures/anatomy.ts";

export interface StepResult {
  readonly seconds: number;
  /** The largest part of the process that was ever in memory. */
  readonly peakBytes: number;
}

async function register(dataDirectory: string, folder: string): Promise<void> {
  await storeFolder(dataDirectory, folder);
}

/** Every fourth layer, as a pruning run exports what is left. */
async function remove(folder: string, destination: string): Promise<void> {
  const model = decode(await readFile(join(folder, "model.onnx")));
  const layers = anatomyOf(model).places.filter(({ kind }) => kind === "LAYER");
  const files = ["model.onnx", "model.onnx_data", "config.json"].map((path) => ({ path }));
  await exportPruned({ model, folder, files, removed: layers.filter((_, i) => i % 4 === 1), destination });
}

const [step, from = "", to = ""] = process.argv.slice(2);
const start = performance.now();
await (step === "register" ? register : remove)(from, to);
const seconds = (performance.now() - start) / 1000;
const result: StepResult = { seconds, peakBytes: process.resourceUsage().maxRSS * 1024 };
console.log(JSON.stringify(result));
