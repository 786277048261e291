import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Likelihood } from "../../src/evaluation/likelihood.ts";

const exporters = fileURLToPath(new URL("../fixtures/exporters/", import.meta.url));
const fixtures = readdirSync(exporters)
  .filter((exporter) => !exporter.includes("."))
  .flatMap((exporter) => readdirSync(join(exporters, exporter)).map((family) => `${exporter}/${family}`))
  .filter((fixture) => existsSync(join(exporters, fixture, "expected.json")))
  .filter((fixture) => "logits" in JSON.parse(readFileSync(join(exporters, fixture, "expected.json"), "utf8")));

/** log softmax(z)[target], in float64. */
function logProbability(z: readonly number[], target: number): number {
  const max = Math.max(...z);
  return (z[target] as number) - max - Math.log(z.reduce((sum, x) => sum + Math.exp(x - max), 0));
}

describe("likelihood", () => {
  for (const fixture of fixtures)
    it(`is that of PyTorch's logits, whole, padded and gone on from a shared beginning: ${fixture}`, async () => {
      const folder = join(exporters, fixture);
      const { tokens, logits } = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8")) as {
        tokens: number[][];
        logits: number[][][];
      };
      const [[ids], [z]] = [tokens as [number[]], logits as [number[][]]];
      const targets = [...ids.slice(1), 0];
      const right = z.map((row, t) => logProbability(row, targets[t] as number));
      const greedy = z.map((row, t) => (row.indexOf(Math.max(...row)) === targets[t] ? 1 : 0));
      const model = await Likelihood.open({ folder, graph: "model.onnx", executionProvider: "CPU" });
      const assertRight = (found: Awaited<ReturnType<Likelihood["judge"]>>, ...places: readonly (readonly number[])[]) => {
        for (const [r, of] of places.entries())
          for (const [i, t] of of.entries()) {
            const log = found[r]?.logProbabilities[i] ?? Number.NaN;
            assert.ok(Math.abs(log - (right[t] as number)) < 1e-4, `token ${t} of row ${r}: ${log}, not ${right[t]}`);
            assert.equal(found[r]?.greedy[i], greedy[t]);
          }
      };
      try {
        const short = { ids: ids.slice(0, 4), targets: ids.slice(1, 5) };
        assertRight(await model.judge([short, { ids, targets }]), [0, 1, 2, 3], [...right.keys()]);
        if (!model.sharesBeginnings) return;
        const other = [ids[3], ids[1], ids[0]] as number[];
        const past = await model.read(model.start, [other, ids.slice(0, 3)]);
        const rows = [
          { ids: ids.slice(3, 5), targets: targets.slice(4, 5), past: 1 },
          { ids: ids.slice(3), targets: targets.slice(3), past: 1 },
        ];
        assertRight(await model.judge(rows, past), [4], [...right.keys()].slice(3));
        const further = await model.read(past, [ids.slice(0, 1), ids.slice(3, 4)]);
        assertRight(await model.judge([{ ids: ids.slice(4), targets: targets.slice(4), past: 1 }], further), [...right.keys()].slice(4));
      } finally {
        await model.close();
      }
    });
});
