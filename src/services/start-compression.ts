import { compressionMethodNamed } from "../compression/methods/index.ts";
import type { CompressionOptions, Scheme } from "../compression/options.ts";
import { EspalierError } from "../errors.ts";
import { compressionRules, requireCompressible } from "../rules/compression-rules.ts";
import { blaming, keyRule, requireAll } from "../rules/validate.ts";
import { type CompressionRunRecord, createCompressionRun, type NewCompressionRun } from "../store/compression-runs.ts";
import { earlierResult } from "../store/request-keys.ts";
import type { Subject } from "../store/runs.ts";
import { chosenDataset, type DatasetChoice } from "./chosen-dataset.ts";
import type { DatasetCandidate } from "./register-dataset.ts";
import { runSubject } from "./run-subject.ts";
import type { StartServices } from "./start-pruning.ts";

/** What to compress, how, and with which texts: plain data. Errors call it `input`. */
export interface CompressionRequest {
  readonly subject: Subject;
  readonly method: string;
  /** Null: the method's first. */
  readonly scheme: Scheme | null;
  /** Null for a method that reads no texts. */
  readonly dataset: DatasetChoice | null;
  readonly options: Omit<CompressionOptions, "scheme">;
  readonly priority: number;
  /** A request with the key of an earlier one of the same owner gives what that one gave. */
  readonly idempotencyKey?: string | null;
}

/**
 * Starts a compression run: it waits for a worker.
 *
 * @param owner the token of the client; null where it has none
 * @throws EspalierError BAD_USER_INPUT, MODEL_NOT_FOUND, TOKENIZER_MISSING, QUANTISED_WEIGHTS; DATASET_NOT_FOUND, INVALID_DATASET, CALIBRATION_TOO_SHORT;
 *   RUN_NOT_FOUND, RUN_WITHOUT_RESULT; IDEMPOTENCY_KEY_REUSED: all with the argument at fault, and nothing is stored then
 */
export async function startCompression(
  services: StartServices,
  request: CompressionRequest,
  owner: string | null,
): Promise<CompressionRunRecord> {
  const { store, queue } = services;
  const { priority, idempotencyKey: key } = request;
  const { subject, argument, model, requireUnquantising } = await runSubject(store, request.subject);
  requireUnquantising();
  const method = compressionMethodNamed(request.method);
  const options: CompressionOptions = { ...request.options, scheme: request.scheme ?? (method.schemes[0] as Scheme) };
  requireAll([
    ...compressionRules(options, method),
    ["input.priority", Math.abs(priority) <= 100, "must be from -100 to 100"],
    keyRule(key),
    [
      "input.dataset",
      method.needsGram === (request.dataset !== null),
      method.needsGram
        ? `must be given: ${method.name} goes by what the model's products are given`
        : `must be left out: ${method.name} reads no texts`,
    ],
  ]);
  if (model) await blaming(argument, requireCompressible(store.prisma, model, options, method));
  const dataset = request.dataset && (await chosenDataset(services, "input.dataset", request.dataset));
  requireAll([["input.dataset", dataset === null || dataset.form === "TEXT", "must be of texts; it has items"]]);
  const runOf = (datasetId: string | null): NewCompressionRun => ({
    ...subject,
    ...{ method: method.name, options, priority },
    ...(datasetId === null ? {} : { datasetId }),
  });
  const keyed = (run: NewCompressionRun) => (key == null ? undefined : { operation: "startCompression", owner, key, request: run });
  // A dataset that is not stored yet is that of no earlier request.
  const known = keyed(runOf(dataset && (dataset.id ?? "")));
  if (known) await earlierResult(store.prisma, known);
  if (dataset && model) requireTokens(dataset, model.architecture.hiddenSize);
  const run = runOf(dataset && (await dataset.keep()).id);
  return createCompressionRun(store, run, queue.addRun, keyed(run));
}

/**
 * A token has at least a byte: of texts that are too few by that all is known. The rest is seen when they are read.
 *
 * @param width 0 if it is not known
 * @throws EspalierError CALIBRATION_TOO_SHORT
 */
function requireTokens({ sizeBytes }: Pick<DatasetCandidate, "sizeBytes">, width: number): void {
  if (sizeBytes >= width) return;
  throw new EspalierError(
    "CALIBRATION_TOO_SHORT",
    `the dataset has ${sizeBytes} bytes, and statistics of products with ${width} inputs need as many tokens at least`,
    { argument: "input.dataset", neededTokens: width, sizeBytes },
  );
}
