import { computeOnce } from "../compute/compute-once.ts";
import { EspalierError } from "../errors.ts";
import type { ExportOptions } from "../models/formats/export-model.ts";
import type { FormatOptions } from "../models/formats/format.ts";
import { formatNamed } from "../models/formats/formats.ts";
import { blaming, requireAll } from "../rules/validate.ts";
import { createExportRun, type ExportRunRecord, sameExport } from "../store/exports.ts";
import { modelFiles } from "../store/models.ts";
import type { Subject } from "../store/runs.ts";
import { anyModel, runSubject } from "./run-subject.ts";
import type { StartServices } from "./start-pruning.ts";

/** What to write, and in which format: plain data. Errors call it `input`. */
export interface StartExportRequest {
  readonly subject: Subject;
  readonly format: string;
  /** The format's first if not said. */
  readonly weights?: FormatOptions["weights"] | undefined;
  /** Whether what the format cannot state is filled up with zeros. */
  readonly padding: boolean;
}

/**
 * Starts the writing of a model in a format: it waits for a worker. The same request of the same model gives the run that there is.
 *
 * @throws EspalierError BAD_USER_INPUT, MODEL_NOT_FOUND; RUN_NOT_FOUND, RUN_WITHOUT_RESULT; what keeps the model from being written so: all
 *   with the argument at fault; OVERLOADED; the signal's reason. Nothing is stored then
 */
export async function startExport(services: StartServices, request: StartExportRequest, signal: AbortSignal): Promise<ExportRunRecord> {
  const { store, queue, dataDirectory } = services;
  const { subject, argument, model } = await runSubject(store, request.subject, anyModel);
  const format = formatNamed(request.format);
  const weights = request.weights ?? format.weights[0];
  requireAll([
    ["input.weights", format.weights.includes(weights), `must be one of those that ${format.name} has: ${format.weights.join(", ")}`],
  ]);
  const options: ExportOptions = { format: format.name, weights, padding: request.padding };
  const asked = { ...options, executionProvider: "AUTO" as const };
  const known = await sameExport(store.prisma, subject, asked);
  if (known) return known;
  // Of a model that is still being made, the worker asks.
  if (model && "modelId" in subject) {
    const { id, digest, architecture } = model;
    const stored = { dataDirectory, digest, files: await modelFiles(store.prisma, id), vocabularySize: architecture.vocabularySize };
    const refusal = await blaming(argument, computeOnce("exportObstacle", { model: stored, options }, signal));
    if (refusal) throw new EspalierError(refusal.code, refusal.message, { ...refusal.details, argument: "input.format" });
  }
  return createExportRun(store, subject, asked, queue.addRun);
}
