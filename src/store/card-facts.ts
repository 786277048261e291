import type { EvaluationResult } from "../evaluation/evaluate.ts";
import type { CardFacts, Generation, Making, Measured, RemovedGroup } from "../models/cards/facts.ts";
import type { StructureGroup } from "../structures/structure.ts";
import { findDatasets } from "./datasets.ts";
import { comparableOfParents } from "./evaluations.ts";
import { ancestors } from "./lineage.ts";
import { getModel, type ModelRecord, modelFiles } from "./models.ts";
import { findProducingRuns, iterationsOfRuns, structuresOfModels } from "./references.ts";
import { repositoryOf } from "./repository-names.ts";
import { type RunRecord, toRunRecord } from "./runs.ts";
import type { Database } from "./store.ts";

/** A line is as long as people make them. */
const mostGenerations = 100;

/** All that a model's card says. @throws EspalierError MODEL_NOT_FOUND */
export async function cardFacts(db: Database, modelId: string, version: string): Promise<CardFacts> {
  const model = await getModel(db, modelId);
  const line = [...(await ancestors(db, model.id, mostGenerations)).toReversed().map((relative) => relative.model), model];
  const runs = await findProducingRuns(
    db,
    line.map(({ id }) => id),
  );
  const generations: Generation[] = [];
  for (const [i, each] of line.entries()) {
    const { name, digest, parameterCount, sizeBytes } = each;
    const [parent, run] = [line[i - 1], runs[i]];
    const making = parent && run ? await makingOf(db, parent, run) : null;
    generations.push({ name, digest, repository: repositoryOf(each), parameterCount, sizeBytes, making });
  }
  const first = line[0] as ModelRecord;
  const firstCard = (await modelFiles(db, first.id)).find(({ path }) => path === "README.md") ?? null;
  return { version, line: generations as [Generation, ...Generation[]], evaluations: await evaluationsOf(db, model.id), firstCard };
}

async function makingOf(db: Database, parent: ModelRecord, run: RunRecord): Promise<Making> {
  const [dataset] = run.datasetId === null ? [null] : await findDatasets(db, [run.datasetId]);
  const [iterations = []] = await iterationsOfRuns(db, [run.id]);
  const [structures = []] = await structuresOfModels(db, [parent.id]);
  const gone = new Map<string, Set<number>>(structures.map(({ kind }) => [kind, new Set()]));
  for (const { removed } of iterations) for (const { kind, index } of removed) gone.get(kind)?.add(index);
  const ofGroup = ({ kind, index, count, layer }: StructureGroup): RemovedGroup => {
    const removed = Array.from({ length: count }, (_, i) => index + i).filter((i) => gone.get(kind)?.has(i)).length;
    return { kind, layer, count, removed };
  };
  const { executionProvider: _, ...options } = run.options;
  return {
    kind: run.kind,
    method: run.method,
    options: options as unknown as Record<string, unknown>,
    dataset: dataset ? { name: dataset.name ?? dataset.digest.slice(0, 10), digest: dataset.digest } : null,
    groups: iterations.length === 0 ? [] : structures.map(ofGroup),
  };
}

/** The newest measurement of each way of measuring, and its parent's. */
async function evaluationsOf(db: Database, modelId: string): Promise<CardFacts["evaluations"]> {
  const rows = await db.run.findMany({ where: { modelId, kind: "EVALUATION", status: "SUCCEEDED" }, orderBy: { id: "desc" } });
  const byKey = new Map<string | null, RunRecord<"EVALUATION">>();
  for (const row of rows) if (!byKey.has(row.comparisonKey)) byKey.set(row.comparisonKey, toRunRecord<"EVALUATION">(row));
  const found = [...byKey.values()].filter((run) => run.result !== null && run.datasetId !== null);
  found.sort((a, b) => ((a.comparisonKey ?? "") < (b.comparisonKey ?? "") ? -1 : 1));
  const parents = await comparableOfParents(
    db,
    found.map(({ id }) => id),
  );
  const datasets = await findDatasets(
    db,
    found.map(({ datasetId }) => datasetId ?? ""),
  );
  return found.flatMap(({ options, result }, i) => {
    const dataset = datasets[i];
    if (!dataset || !result) return [];
    const { executionProvider: _, measureSpeed: __, against: ___, maxNewTokens, stop, answer, ...plain } = options;
    const settings = dataset.form === "GENERATION" ? { ...plain, maxNewTokens, stop, answer } : plain;
    return [
      {
        dataset: { name: dataset.name ?? dataset.digest.slice(0, 10), digest: dataset.digest, form: dataset.form },
        settings,
        result: numbersOf(result),
        parent: parents[i]?.result ? numbersOf(parents[i].result) : null,
      },
    ];
  });
}

const numbersOf = ({ correctItems: _, ...numbers }: EvaluationResult): Measured => ({ ...numbers }) as unknown as Measured;
