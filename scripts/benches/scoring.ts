/**
 * What one scoring pass of a model takes: seconds and the most memory, by how many tokens a run takes, with PyTorch beside it, which scores by plain
 * gradients of the same texts, one pair at a time, each gradient let go as soon as its norm is known.
 *
 *     npm run bench:scoring -- path/to/smollm2-135m-instruct [--pairs 8] [--tokens 256,1024] [--inside] [--python path/to/python] [--rounds 1]
 *
 * The folder is one that models are registered from; PyTorch needs its safetensors files (scripts/fixtures/requirements-recovery.txt). With `--inside` the
 * graph holds its weights, as PyTorch's exporters write it. Each pass runs in a process of its own, on all cores.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { nodeArguments } from "../../test/support/checkout.ts";
import { median } from "./median.ts";
import type { PassResult } from "./scoring/pass.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pairs: { type: "string", default: "8" },
    tokens: { type: "string", default: "256,512,1024" },
    rounds: { type: "string", default: "1" },
    inside: { type: "boolean", default: false },
    python: { type: "string" },
  },
});
const [model] = positionals;
if (model === undefined) throw new Error("name a model's folder");

const work = mkdtempSync(join(tmpdir(), "espalier-scoring-"));
try {
  const node = (...args: readonly string[]): string =>
    execFileSync(process.execPath, [...nodeArguments("scripts/benches/scoring/pass"), ...args], { encoding: "utf8" });
  const stored = node("register", work, resolve(model), String(values.inside));
  const request = join(work, "stored.json");
  writeFileSync(request, stored);
  const texts = join(work, "texts.json");
  const contestants = new Map<string, () => PassResult>(
    values.tokens
      .split(",")
      .map((tokens) => [
        `Espalier, ${tokens} tokens a run`,
        () => JSON.parse(node("score", request, tokens, values.pairs, texts)) as PassResult,
      ]),
  );
  if (values.python !== undefined) {
    const script = fileURLToPath(new URL("./scoring/torch_scoring.py", import.meta.url));
    const python = values.python;
    contestants.set("PyTorch, a pair at a time", () =>
      JSON.parse(execFileSync(python, [script, resolve(model), texts], { encoding: "utf8" })),
    );
  }
  const results = new Map<string, PassResult[]>([...contestants.keys()].map((name) => [name, []]));
  for (let round = 0; round < Number(values.rounds); round++) for (const [name, run] of contestants) results.get(name)?.push(run());
  console.log("| | scoring, s | of it processor s | most memory, MB | of it not of mapped files |\n| --- | ---: | ---: | ---: | ---: |");
  const reference = [...results.values()].at(-1)?.[0]?.scores ?? [];
  for (const [name, runs] of results) {
    const of = (what: (run: PassResult) => number) => median(runs.map(what));
    const mega = (bytes: number) => Math.round(bytes / 1e6).toLocaleString("en");
    console.log(
      `| ${name} | ${of((r) => r.seconds).toFixed(1)} | ${of((r) => r.processorSeconds).toFixed(1)} | ${mega(of((r) => r.peakBytes))} | ${mega(of((r) => r.peakOwnBytes))} |`,
    );
    const apart = runs[0]?.scores.map((s, i) => Math.abs(s / (reference[i] as number) - 1)) ?? [];
    console.log(`  scores differ from the last row's by up to ${apart.reduce((a, b) => (a > b ? a : b), 0).toExponential(1)}`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
