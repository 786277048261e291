/**
 * Measures what a model past 2 GB costs to register, to score, and to remove layers, heads and channels from: seconds, and peak memory.
 *
 *     npm run bench:large -- --gigabytes 4 [--folder /where/there/is/room]
 *
 * It takes about two and a half times that space while it runs.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measure } from "./large-model/measure.ts";
import type { StepResult } from "./large-model/step.ts";

const { values } = parseArgs({ options: { gigabytes: { type: "string", default: "4" }, folder: { type: "string", default: tmpdir() } } });
const folder = mkdtempSync(join(values.folder, "espalier-large-"));
try {
  const mega = (bytes: number): string => Math.round(bytes / 2 ** 20).toLocaleString("en");
  const row = (name: string, { seconds, peakBytes }: StepResult, size: number): string =>
    `| ${name} | ${seconds.toFixed(1)} | ${mega(peakBytes)} | ${(peakBytes / size).toFixed(3)} |`;
  const nothing = measure(folder, 0);
  const { layers, bytes, register, prune, remove, registerRest, cut } = measure(folder, Number(values.gigabytes) * 2 ** 30);
  console.log(`A Llama of ${layers} layers, ${mega(bytes)} MB of float32 weights beside its graph.\n`);
  console.log("| step | seconds | peak memory, MB | of the model's size |\n| --- | ---: | ---: | ---: |");
  console.log(row("register", register, bytes));
  console.log(row("score heads and channels and remove some, twice", prune, bytes));
  console.log(row("remove every fourth layer, and export", remove, bytes));
  console.log(row("register what is left", registerRest, bytes));
  console.log(row("remove a head of each layer and every fifth channel, and export", cut, bytes));
  console.log(
    `\nOf a model of ${mega(nothing.bytes)} MB: ${mega(nothing.register.peakBytes)} MB to register, ${mega(nothing.prune.peakBytes)} MB to score, ${mega(nothing.remove.peakBytes)} MB to remove layers, ${mega(nothing.cut.peakBytes)} MB to cut.`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
