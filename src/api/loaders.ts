import DataLoader from "dataloader";
import { productsOfRuns } from "../store/compression-runs.ts";
import { findDatasets } from "../store/datasets.ts";
import { comparableOfParents } from "../store/evaluations.ts";
import { exportsOfModels, exportsOfRuns, filesOfExports } from "../store/exports.ts";
import { ancestorsOfModels } from "../store/lineage.ts";
import { findModels, modelOrders } from "../store/models.ts";
import { findNodes } from "../store/nodes.ts";
import { cursorOf, type Listing, type ListOrder, type Page, type PageRequest } from "../store/page.ts";
import {
  type Belongings,
  filesOfModels,
  findProducingRuns,
  findRuns,
  iterationsInShort,
  pagesOfModels,
  structuresOfModels,
  totalsOfModels,
} from "../store/references.ts";
import { queuePositions, runOrders } from "../store/runs.ts";
import { listScores, type ScoreFilter, type ScoreOrder, type StructureScore, scoreCursor, totalScores } from "../store/scores.ts";
import type { Database } from "../store/store.ts";

/** Generations that a model's ancestors are told of. */
export const longestLine = 100;

/** One query for all that is asked for at once. Nothing is kept: a long subscription must see what has changed. */
const batched = <Value>(load: (ids: readonly string[]) => Promise<readonly Value[]>): DataLoader<string, Value> =>
  new DataLoader<string, Value>(load, { cache: false });

/** Pages of what models have: requests for the same page, of many models, are one query, and so are those for totals. */
function batchedPages<What extends keyof Belongings, Order extends string>(
  db: Database,
  what: What,
  orders: Readonly<Record<Order, ListOrder>>,
) {
  const byPage = new Map<string, DataLoader<string, Page<Belongings[What]>>>();
  const totals = batched((ids) => totalsOfModels(db, what, ids));
  return async (modelId: string, request: PageRequest, orderBy: Order): Promise<Listing<Belongings[What]>> => {
    const key = JSON.stringify([request, orderBy]);
    const order = orders[orderBy];
    const loader = byPage.get(key) ?? batched((ids) => pagesOfModels(db, what, ids, request, order));
    byPage.set(key, loader);
    const page = await loader.load(modelId);
    return { ...page, cursors: page.items.map((item) => cursorOf({ ...item }, order)), total: () => totals.load(modelId) };
  };
}

interface ScoresRequest {
  readonly page: PageRequest;
  readonly order: ScoreOrder;
  readonly filter: ScoreFilter;
}

/** Pages of runs' scores: requests for the same page, of many runs, are one query, and so are those for totals. */
function batchedScores(db: Database) {
  const byRequest = new Map<string, { pages: DataLoader<string, Page<StructureScore>>; totals: DataLoader<string, number> }>();
  return async (runId: string, request: ScoresRequest): Promise<Listing<StructureScore>> => {
    const { order, filter } = request;
    const key = JSON.stringify(request);
    const { pages, totals } = byRequest.get(key) ?? {
      pages: batched((ids) => listScores(db, ids, request.page, order, filter)),
      totals: batched((ids) => totalScores(db, ids, filter)),
    };
    byRequest.set(key, { pages, totals });
    const page = await pages.load(runId);
    return { ...page, cursors: page.items.map((score) => scoreCursor(score, order)), total: () => totals.load(runId) };
  };
}

/** What records refer to, loaded without a query for each. */
export function createLoaders(db: Database) {
  return {
    nodes: batched((ids) => findNodes(db, ids)),
    models: batched((ids) => findModels(db, ids)),
    runs: batched((ids) => findRuns(db, ids)),
    datasets: batched((ids) => findDatasets(db, ids)),
    comparableOfParents: batched((ids) => comparableOfParents(db, ids)),
    queuePositions: batched((ids) => queuePositions(db, ids)),
    producingRuns: batched((ids) => findProducingRuns(db, ids)),
    files: batched((ids) => filesOfModels(db, ids)),
    exportsOfModels: batched((ids) => exportsOfModels(db, ids)),
    exportsOfRuns: batched((ids) => exportsOfRuns(db, ids)),
    exportFiles: batched((ids) => filesOfExports(db, ids)),
    ancestors: batched((ids) => ancestorsOfModels(db, ids, longestLine)),
    structures: batched((ids) => structuresOfModels(db, ids)),
    iterations: batched((ids) => iterationsInShort(db, ids)),
    scores: batchedScores(db),
    compressedProducts: batched((ids) => productsOfRuns(db, ids)),
    children: batchedPages(db, "children", modelOrders),
    modelRuns: batchedPages(db, "runs", runOrders),
    evaluations: batchedPages(db, "evaluations", runOrders),
  };
}
export type Loaders = ReturnType<typeof createLoaders>;
