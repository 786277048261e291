/**
 * Measures in processor seconds what an iteration of pruning takes beside its passes, stage by stage, as models get deeper: finding structures, building and opening
 * the score graph, choosing, removing. A stage that takes s(L) seconds at L layers has the exponent log2(s(2 L) / s(L)): 1 is in proportion.
 *
 *     npm run bench:building -- [--layers 15,30,60,120] [--channels 3333] [--rounds 3]
 *
 * Models are narrow Llamas, so that the passes themselves are short; at 120 layers they have some 400,000 channels.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Stages, stagesOf } from "./building/stages.ts";
import { writeLlama } from "./large-model/make.ts";
import { median } from "./median.ts";

const { values } = parseArgs({
  options: {
    layers: { type: "string", default: "15,30,60,120" },
    channels: { type: "string", default: "3333" },
    rounds: { type: "string", default: "3" },
  },
});
const depths = values.layers.split(",").map(Number);
const widths = { hidden: 16, inner: Number(values.channels), heads: 4, kvHeads: 2, vocabulary: 2048 };

const folder = mkdtempSync(join(tmpdir(), "espalier-building-"));
try {
  const measured = new Map<number, Stages[]>(depths.map((layers) => [layers, []]));
  for (const layers of depths) writeLlama(join(folder, `${layers}`), widths, layers);
  for (let round = 0; round < Number(values.rounds); round++)
    for (const layers of depths) {
      const at = join(folder, `${layers}`);
      measured.get(layers)?.push(await stagesOf(at, await readFile(join(at, "model.onnx"))));
    }
  const names = Object.keys(measured.get(depths[0] as number)?.[0] ?? {});
  console.log(`| stage, processor seconds | ${depths.map((d) => `${d} layers`).join(" | ")} | exponents |`);
  console.log(`| --- | ${depths.map(() => "---:").join(" | ")} | ---: |`);
  for (const name of names) {
    const seconds = depths.map((layers) => median((measured.get(layers) ?? []).map((stages) => stages[name] as number)));
    const exponents = seconds.slice(1).map((s, i) => {
      const [before, depth, earlier] = [seconds[i] as number, depths[i + 1] as number, depths[i] as number];
      return (Math.log(s / before) / Math.log(depth / earlier)).toFixed(2);
    });
    console.log(`| ${name} | ${seconds.map((s) => s.toFixed(3)).join(" | ")} | ${exponents.join(", ")} |`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
