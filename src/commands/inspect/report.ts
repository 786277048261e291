import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, parse, relative } from "node:path";
import { EspalierError } from "../../errors.ts";
import { finished } from "../../finished.ts";
import { type Facts, operatorCounts } from "../../models/describe.ts";
import { asFolder } from "../../models/gguf/as-folder.ts";
import { findModel, type ModelFolder } from "../../models/model-folder.ts";
import { survey } from "../../models/survey.ts";
import { printTable } from "./table.ts";
import { structureTree } from "./tree.ts";

const plural = (n: number, word: string): string => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

function printFacts({ architecture: a, parameterCount }: Facts): void {
  const { length: entries, 0: cache } = a.cache;
  const alike = a.cache.every((c) => c.heads === cache?.heads && c.headWidth === cache.headWidth);
  printTable("architecture", [
    ["parameters", parameterCount],
    ["layers", a.layers],
    ["hidden size", a.hiddenSize],
    ["vocabulary", a.vocabularySize],
    ["context", a.contextLength ?? "not said by a config.json"],
    ["weights", a.dataType],
    ["cache", cache ? `${entries} x ${alike ? `${cache.heads} heads of ${cache.headWidth}` : "heads that differ"}` : "none"],
  ]);
}

function printStructures({ structures, obstacles, parameterCount }: Facts): void {
  printTable("structures and their parameters", structureTree(structures, parameterCount));
  const kinds = [...new Set(structures.map((s) => s.kind))];
  const counts = kinds.map((kind) => {
    const own = structures.filter((s) => s.kind === kind);
    return plural(
      own.reduce((n, s) => n + s.count, 0),
      kind,
    );
  });
  console.log(`\ncan be removed: ${counts.join(", ") || "nothing"}`);
  for (const { kind, layer, reason } of obstacles) console.log(`no ${kind} of layer ${layer} can: ${reason}`);
}

/**
 * Prints what a model is, and everything that stands in the way of pruning it.
 *
 * @param path absolute
 * @returns whether it can be pruned
 * @throws EspalierError MODEL_NOT_FOUND, or why it cannot be read
 */
export async function inspectModel(path: string): Promise<boolean> {
  // The path is the user's own: it may be a link into a hub's cache, wherever that lies.
  const { root } = parse(path);
  if (!existsSync(path)) throw new EspalierError("MODEL_NOT_FOUND", `there is nothing at ${path}`, { path });
  const found = await findModel(root, relative(root, path) || ".");
  console.log(
    found.built
      ? `${found.folder} (weights alone: the graph is built from config.json)`
      : join(found.folder, found.gguf?.[0] ?? found.graph),
  );
  const scratch = join(tmpdir(), `espalier-inspect-${randomUUID()}`);
  try {
    const { place, notes } = await finished(asFolder(found, scratch));
    return await report(place, notes);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** @param made what is known of how the folder was made */
async function report(place: ModelFolder, made: readonly string[]): Promise<boolean> {
  const obstacles: EspalierError[] = [];
  const steps = survey(place);
  let step = await steps.next();
  for (; !step.done; step = await steps.next()) obstacles.push(step.value);
  const { model, facts, notes } = step.value;
  if (model) {
    const counts = Object.entries(operatorCounts(model.graph)).sort(([a], [b]) => a.localeCompare(b));
    const opsets = Object.entries(model.opsets).map(([domain, version]) => `${domain || "ai.onnx"} ${version}`);
    console.log(
      `\nexported by ${`${model.producerName} ${model.producerVersion}`.trim() || "an unnamed program"}; opset ${opsets.join(", ")}`,
    );
    printTable("operators", counts);
  }
  if (facts) {
    printFacts(facts);
    if (facts.structures.length > 0) printStructures(facts);
  }
  for (const note of [...made, ...notes]) console.log(`\nnote: ${note}`);
  const unpruned = facts?.pruningObstacle;
  if (obstacles.length === 0 && !unpruned) {
    console.log("\nThe model can be pruned.");
    return true;
  }
  console.log(obstacles.length === 0 ? "\nThe model can be registered and served, but not pruned:" : "\nThe model cannot be registered:");
  for (const { code, message } of [...obstacles, ...(unpruned ? [unpruned] : [])]) console.log(`  ${code}: ${message}`);
  if (facts && obstacles.some((o) => o.code === "MISSING_EXTERNAL_DATA"))
    console.log("  (without its weights, matrices that are tied cannot be told, and count as often as they are there)");
  return false;
}
