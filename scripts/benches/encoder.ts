/**
 * What a sentence encoder loses by pruning: measured on pairs that texts make by themselves, and by whose neighbours stay the same.
 *
 *     node --import tsx scripts/benches/encoder.ts MODEL CALIBRATION MEASURED [METHOD...]
 *
 * MODEL is a folder with a graph in float32 (all-MiniLM-L6-v2, exported). The two texts are of WikiText's form: articles under ` = Title = `, a paragraph a line.
 * A pair is the two halves of a paragraph (2), halves of two paragraphs of one article (1), or of two articles (0).
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { correlationOf } from "../../src/evaluation/scores.ts";
import { inFolder } from "../../src/in-folder.ts";
import { openEncoder } from "../../src/inference/open-encoder.ts";
import { embedWhole } from "../../src/inference/read-whole.ts";
import { exportPruned } from "../../src/models/export.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { methodNamed } from "../../src/pruning/methods/index.ts";
import { objectiveOf } from "../../src/pruning/objectives.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { prune } from "../../src/pruning/prune.ts";
import { randomChoice, seededRandom } from "../../src/random.ts";
import { readPooling } from "../../src/text/pooling.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";

const [folder = "", calibration = "", measured = "", ...methods] = process.argv.slice(2);
const [pairsOfEach, ratio] = [100, 0.2];

/** Articles, each a list of long paragraphs. */
async function articlesOf(path: string): Promise<string[][]> {
  const articles: string[][] = [];
  for (const line of (await readFile(path, "utf8")).split("\n").map((l) => l.trim())) {
    if (/^= [^=]+ =$/.test(line)) articles.push([]);
    else if (line.length > 300) articles.at(-1)?.push(line);
  }
  return articles.filter((paragraphs) => paragraphs.length >= 2);
}

const halves = (paragraph: string): [string, string] => {
  const middle = paragraph.indexOf(" ", paragraph.length / 2);
  return [paragraph.slice(0, middle).slice(0, 600), paragraph.slice(middle).slice(0, 600)];
};

function pairsOf(articles: readonly string[][]) {
  const random = seededRandom(1, "pairs");
  return Array.from({ length: 3 * pairsOfEach }, (_, i) => {
    const score = i % 3;
    const article = randomChoice(random, articles);
    const paragraph = randomChoice(random, article);
    const others =
      score === 2
        ? [paragraph]
        : score === 1
          ? article.filter((p) => p !== paragraph)
          : randomChoice(
              random,
              articles.filter((a) => a !== article),
            );
    return { text: halves(paragraph)[0], pair: halves(randomChoice(random, others))[1], score };
  });
}

const cosine = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, v, i) => sum + v * (b[i] ?? 0), 0);

async function vectorsOf(path: string, texts: readonly string[]): Promise<number[][]> {
  const served = await openEncoder({ folder: path, executionProvider: "CPU" });
  try {
    return await embedWhole(served, texts, { normalize: true });
  } finally {
    await served.encoder.close();
  }
}

/** Of each text the nearest other. */
const nearest = (vectors: readonly number[][]): number[] =>
  vectors.map((own, i) =>
    vectors.reduce((best, other, j) => (j !== i && (best < 0 || cosine(own, other) > cosine(own, vectors[best] ?? [])) ? j : best), -1),
  );

const [pairs, documents] = [pairsOf(await articlesOf(measured)), (await articlesOf(calibration)).flat()];
const texts = pairs.flatMap(({ text, pair }) => [text, pair]);
const whole = nearest(await vectorsOf(folder, texts));

async function told(name: string, path: string, parameters: number): Promise<void> {
  const vectors = await vectorsOf(path, texts);
  const { value, standardError } = correlationOf(
    pairs.map((_, i) => cosine(vectors[2 * i] ?? [], vectors[2 * i + 1] ?? [])),
    pairs.map(({ score }) => score),
  );
  const same = nearest(vectors).filter((n, i) => n === whole[i]).length / whole.length;
  console.log(
    `${name}\t${parameters}\tSpearman ${value.toFixed(3)} ± ${standardError?.toFixed(3)}\tsame nearest neighbour ${(100 * same).toFixed(1)}%`,
  );
}

const model = await readModel(join(folder, "model.onnx"), "IN_MEMORY");
const [tokenizer, pooling] = [await loadTokenizer(folder), await readPooling(folder)];
await told("whole", folder, 0);
const scratch = await mkdtemp(join(tmpdir(), "espalier-encoder-"));
for (const name of methods.length > 0 ? methods : ["PIP"]) {
  const options = {
    ...defaultPruningOptions,
    targetRatio: ratio,
    structureKinds: ["HEAD", "CHANNEL"] as const,
    structuresPerIteration: 0.05,
  };
  const objective = objectiveOf("EMBEDDING", { tokenizer, content: { form: "TEXT", documents }, options, pooling });
  const job = {
    model,
    folder,
    scratch: join(scratch, "weights"),
    tokenizer,
    documents,
    objective,
    method: methodNamed(name),
    options,
    done: [],
  };
  const steps = prune(job);
  let step = await steps.next();
  for (; !step.done; step = await steps.next())
    if (step.value.type === "ITERATION") console.error(name, step.value.iteration, step.value.parameterCount);
  const { removed, pruned, whole: base } = step.value;
  const left = [...pruned.graph.initializers.values()]
    .filter((t) => t.dataType === "float32")
    .reduce((n, t) => n + t.dims.reduce((a, b) => a * b, 1), 0);
  await inFolder(join(scratch, name), async (destination) => {
    const files = ["model.onnx", "config.json", "tokenizer.json", "tokenizer_config.json", "modules.json", "1_Pooling/config.json"].map(
      (path) => ({ path }),
    );
    await exportPruned({ model, folder, files, removed, known: { pruned, whole: base }, destination });
    await told(name, destination, left);
  });
}
await rm(scratch, { recursive: true, force: true });
