import type { Queue } from "../jobs/queue.ts";
import { methodNamed } from "../pruning/methods/index.ts";
import { normalizationOf, restorationOf } from "../pruning/methods/method.ts";
import type { PruningOptions } from "../pruning/options.ts";
import { optionRules, requirePrunable } from "../rules/pruning-rules.ts";
import { taskRules } from "../rules/task-rules.ts";
import { blaming, keyRule, requireAll } from "../rules/validate.ts";
import { getModel, type ModelRecord, taskOfModel } from "../store/models.ts";
import { createPruningRun, type NewPruningRun, type PruningRunRecord, runIterations } from "../store/pruning-runs.ts";
import { earlierResult } from "../store/request-keys.ts";
import { getRun, type Subject } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import { chosenDataset, type DatasetChoice } from "./chosen-dataset.ts";
import { runSubject } from "./run-subject.ts";
import { requireAlike, sharedIterations } from "./shared-iterations.ts";

export interface StartServices {
  readonly store: Store;
  readonly queue: Pick<Queue, "addRun">;
  readonly dataDirectory: string;
}

/** What to prune, how, and with which texts: plain data. Errors call it `input`. */
export interface PruningRequest {
  readonly subject: Subject;
  readonly method: string;
  readonly dataset: DatasetChoice;
  readonly options: PruningOptions;
  readonly priority: number;
  /** The run whose iterations it begins with. */
  readonly from?: string | null;
  /** A request with the key of an earlier one of the same owner gives what that one gave. */
  readonly idempotencyKey?: string | null;
}

/** A request that can be started: all of it has been checked, and nothing stored. */
export interface ReadyPruning {
  /** The model itself, or while that is still being made, the one that it is made from; null while that is being imported. */
  readonly model: ModelRecord | null;
  /** Whether it is still being made. */
  readonly isPending: boolean;
  readonly options: PruningOptions;
  /** How many iterations it takes over from another run. */
  readonly takenOver: number;
  /** Starts it. */
  start(): Promise<PruningRunRecord>;
}

/**
 * Checks all of a request for a pruning run.
 *
 * @param owner the token of the client; null where it has none
 * @throws EspalierError BAD_USER_INPUT, MODEL_NOT_FOUND, TOKENIZER_MISSING, what keeps the model from being pruned; DATASET_NOT_FOUND,
 *   INVALID_DATASET; RUN_NOT_FOUND, RUN_WITHOUT_RESULT; IDEMPOTENCY_KEY_REUSED: all with the argument at fault
 */
export async function readyPruning(services: StartServices, request: PruningRequest, owner: string | null): Promise<ReadyPruning> {
  const { store, queue } = services;
  const { method, priority, from: fromId = null, idempotencyKey: key } = request;
  const { subject, argument, model, isPending, requireUnquantising } = await runSubject(store, request.subject);
  requireUnquantising();
  const chosen = methodNamed(method);
  const { normalization, restore } = request.options;
  const own = { normalization: normalization ?? normalizationOf(chosen), restore: restore ?? restorationOf(chosen) };
  const options = { ...request.options, ...own };
  requireAll([
    ...optionRules(options, chosen),
    ["input.priority", Math.abs(priority) <= 100, "must be from -100 to 100"],
    [
      "input.from",
      fromId === null || !("resultOf" in subject),
      "cannot be had with `subject.resultOf`: another run's iterations are of a model that is there",
    ],
    keyRule(key),
  ]);
  if (model) await blaming(argument, requirePrunable(store.prisma, model, options));
  const dataset = await chosenDataset(services, "input.dataset", request.dataset);
  // What task a model has that is not there yet is seen when it is.
  if (model) requireAll(taskRules(taskOfModel(model), method, dataset.form));
  const runOf = (datasetId: string) => ({ ...subject, method, options, datasetId, priority });
  const keyed = (run: NewPruningRun) =>
    key == null ? undefined : { operation: "startPruning", owner, key, request: { ...run, from: fromId } };
  // A dataset that is not stored yet is that of no earlier request and of no other run.
  const asked = runOf(dataset.id ?? "");
  const known = keyed(asked);
  if (known) await earlierResult(store.prisma, known);
  const from = fromId === null ? undefined : await beginning(store, asked, fromId);
  return {
    model,
    isPending,
    options,
    takenOver: from?.iterations ?? 0,
    start: async () => {
      const run = runOf((await dataset.keep()).id);
      return createPruningRun(store, { ...run, from }, queue.addRun, keyed(run));
    },
  };
}

/**
 * Starts a pruning run: it waits for a worker.
 *
 * @throws EspalierError what `readyPruning` throws: nothing is stored then
 */
export async function startPruning(services: StartServices, request: PruningRequest, owner: string | null): Promise<PruningRunRecord> {
  return (await readyPruning(services, request, owner)).start();
}

/**
 * The iterations that a new run can take over from another.
 *
 * @throws EspalierError RUN_NOT_FOUND; BAD_USER_INPUT naming what differs
 */
async function beginning({ prisma }: Store, run: NewPruningRun, fromId: string): Promise<NewPruningRun["from"]> {
  const from = await blaming("input.from", getRun(prisma, fromId, "PRUNING"));
  requireAlike(run, from);
  const { parameterCount } = await getModel(prisma, from.modelId ?? "");
  return { run: from, iterations: sharedIterations(from, parameterCount, await runIterations(prisma, from.id), run.options.targetRatio) };
}
