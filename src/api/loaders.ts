import DataLoader from "dataloader";
import { findDatasets } from "../store/datasets.ts";
import { comparableOfParents } from "../store/evaluations.ts";
import { findModels } from "../store/models.ts";
import type { Page, PageRequest } from "../store/page.ts";
import { filesOfModels, findProducingRuns, findRuns, iterationsOfRuns, pagesOfModels, structuresOfModels } from "../store/references.ts";
import { queuePositions } from "../store/runs.ts";
import { listScores, type ScoreFilter, type ScoreOrder, type StructureScore } from "../store/scores.ts";
import type { Database } from "../store/store.ts";

/** One query for all that is asked for at once. Nothing is kept: a long subscription must see what has changed. */
const batched = <Value>(load: (ids: readonly string[]) => Promise<readonly Value[]>): DataLoader<string, Value> =>
  new DataLoader<string, Value>(load, { cache: false });

/** Pages of what models have: requests for the same page, of many models, are one query. */
function batchedPages<Item>(load: (ids: readonly string[], page: PageRequest) => Promise<readonly Item[]>) {
  const byPage = new Map<string, DataLoader<string, Item>>();
  return (modelId: string, page: PageRequest): Promise<Item> => {
    const key = `${page.first} ${page.after ?? ""}`;
    const loader = byPage.get(key) ?? batched((ids) => load(ids, page));
    byPage.set(key, loader);
    return loader.load(modelId);
  };
}

interface ScoresRequest {
  readonly page: PageRequest;
  readonly order: ScoreOrder;
  readonly filter: ScoreFilter;
}

/** Pages of runs' scores: requests for the same page, of many runs, are one query. */
function batchedScores(db: Database) {
  const byRequest = new Map<string, DataLoader<string, Page<StructureScore>>>();
  return (runId: string, request: ScoresRequest): Promise<Page<StructureScore>> => {
    const key = JSON.stringify(request);
    const loader = byRequest.get(key) ?? batched((ids) => listScores(db, ids, request.page, request.order, request.filter));
    byRequest.set(key, loader);
    return loader.load(runId);
  };
}

/** What records refer to, loaded without a query for each. */
export function createLoaders(db: Database) {
  return {
    models: batched((ids) => findModels(db, ids)),
    runs: batched((ids) => findRuns(db, ids)),
    datasets: batched((ids) => findDatasets(db, ids)),
    comparableOfParents: batched((ids) => comparableOfParents(db, ids)),
    queuePositions: batched((ids) => queuePositions(db, ids)),
    producingRuns: batched((ids) => findProducingRuns(db, ids)),
    files: batched((ids) => filesOfModels(db, ids)),
    structures: batched((ids) => structuresOfModels(db, ids)),
    iterations: batched((ids) => iterationsOfRuns(db, ids)),
    scores: batchedScores(db),
    children: batchedPages((ids, page) => pagesOfModels(db, "children", ids, page)),
    modelRuns: batchedPages((ids, page) => pagesOfModels(db, "runs", ids, page)),
    evaluations: batchedPages((ids, page) => pagesOfModels(db, "evaluations", ids, page)),
  };
}
export type Loaders = ReturnType<typeof createLoaders>;
