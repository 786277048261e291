import DataLoader from "dataloader";
import { findDatasets } from "../store/datasets.ts";
import { comparableOfParents } from "../store/evaluations.ts";
import { findModels } from "../store/models.ts";
import type { PageRequest } from "../store/page.ts";
import { filesOfModels, findProducingRuns, findRuns, iterationsOfRuns, pagesOfModels, structuresOfModels } from "../store/references.ts";
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

/** What records refer to, loaded without a query for each. */
export function createLoaders(db: Database) {
  return {
    models: batched((ids) => findModels(db, ids)),
    runs: batched((ids) => findRuns(db, ids)),
    datasets: batched((ids) => findDatasets(db, ids)),
    comparableOfParents: batched((ids) => comparableOfParents(db, ids)),
    producingRuns: batched((ids) => findProducingRuns(db, ids)),
    files: batched((ids) => filesOfModels(db, ids)),
    structures: batched((ids) => structuresOfModels(db, ids)),
    iterations: batched((ids) => iterationsOfRuns(db, ids)),
    children: batchedPages((ids, page) => pagesOfModels(db, "children", ids, page)),
    modelRuns: batchedPages((ids, page) => pagesOfModels(db, "runs", ids, page)),
    evaluations: batchedPages((ids, page) => pagesOfModels(db, "evaluations", ids, page)),
  };
}
export type Loaders = ReturnType<typeof createLoaders>;
