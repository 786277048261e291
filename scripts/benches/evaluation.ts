/**
 * What it saves to read what the choices of an item begin with once: the same items with shared beginnings and with each
 * choice read whole, by turns.
 *
 *     npm run bench:evaluation -- models/ahab items.jsonl [items] [turns]
 */
import { readFileSync } from "node:fs";
import { Likelihood } from "../../src/evaluation/likelihood.ts";
import { judgeChoices } from "../../src/evaluation/multiple-choice.ts";
import { finished } from "../../src/finished.ts";
import { parseDataset } from "../../src/text/dataset-content.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { median } from "./median.ts";

const [folder = "models/ahab", file, items = "100", turns = "5"] = process.argv.slice(2);
if (!file) throw new Error("name a file of items with choices");
const content = parseDataset(".jsonl", readFileSync(file));
if (content.form !== "MULTIPLE_CHOICE") throw new Error("the file has no items with choices");
const questions = content.items;
const tokenizer = await loadTokenizer(folder);
const sharing = await Likelihood.open({ folder, graph: "onnx/model.onnx", executionProvider: "CPU" });
const whole = Object.create(sharing, { sharesBeginnings: { value: false } }) as Likelihood;

async function once(model: Likelihood): Promise<{ seconds: number; logs: number[] }> {
  const begun = performance.now();
  const steps = judgeChoices(model, tokenizer, questions.slice(0, Number(items)));
  const result = await finished(steps);
  return { seconds: (performance.now() - begun) / 1000, logs: result.logLikelihoods.flat() };
}

const found = { shared: [] as number[], whole: [] as number[] };
let apart = 0;
await once(sharing);
for (let turn = 0; turn < Number(turns); turn++) {
  const [a, b] = [await once(sharing), await once(whole)];
  found.shared.push(a.seconds);
  found.whole.push(b.seconds);
  apart = Math.max(apart, ...a.logs.map((log, i) => Math.abs(log - (b.logs[i] as number))));
}
await sharing.close();
const ratios = found.whole.map((seconds, i) => seconds / (found.shared[i] as number));
console.log(
  `${items} items: shared ${median(found.shared).toFixed(2)} s, whole ${median(found.whole).toFixed(2)} s; by turns ${median(ratios).toFixed(2)} times`,
);
console.log(`log-likelihoods differ by ${apart.toExponential(1)} at most`);
