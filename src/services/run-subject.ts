import { kindOf } from "../jobs/run-kinds.ts";
import { calibrationDatasets, type DatasetRecord, findDatasets } from "../store/datasets.ts";
import type { ModelRecord } from "../store/models.ts";
import { getRun, type RunRecord, requireResult, type Subject } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import { tokenizedModel } from "./tokenized-model.ts";
import { blaming, requireAll } from "./validate.ts";

/** What to work on, as it is asked for: one of the two. */
export interface SubjectChoice {
  readonly modelId?: string | null;
  readonly of?: { readonly resultOf: string } | null;
}

/** What a run is to work on. */
export interface RunSubject {
  readonly subject: Subject;
  /** The argument that names it. */
  readonly argument: string;
  /** The model itself, or while that is still being made, the one that it is made from: what fits the one fits the other. */
  readonly model: ModelRecord;
  /** What the model was pruned with, or will have been. */
  calibrations(): Promise<DatasetRecord[]>;
}

/**
 * What a run is to work on, by the arguments `input.modelId` and `input.of`.
 *
 * @throws EspalierError BAD_USER_INPUT unless exactly one is given; MODEL_NOT_FOUND, TOKENIZER_MISSING; RUN_NOT_FOUND, RUN_WITHOUT_RESULT
 */
export async function runSubject(store: Store, { modelId, of }: SubjectChoice): Promise<RunSubject> {
  requireAll([["input.modelId", (modelId == null) !== (of == null), "must be given, or `of`, and not both"]]);
  if (of == null) return subjectOn(store, { modelId: modelId ?? "" }, "input.modelId", modelId ?? "", []);
  const argument = "input.of.resultOf";
  const making: RunRecord[] = [];
  let run = await blaming(argument, getRun(store.prisma, of.resultOf));
  requireAll([[argument, kindOf(run).makesModel, "must be a run that makes a model"]]);
  // Up the line of runs that wait for one another, to a model that is there.
  for (; run.resultModelId === null; run = await blaming(argument, getRun(store.prisma, run.subjectRunId ?? ""))) {
    await blaming(argument, Promise.resolve(run).then(requireResult));
    making.push(run);
    if (run.modelId !== null) break;
  }
  return subjectOn(store, { resultOf: of.resultOf }, argument, run.resultModelId ?? run.modelId ?? "", making);
}

async function subjectOn(
  store: Store,
  subject: Subject,
  argument: string,
  modelId: string,
  making: readonly RunRecord[],
): Promise<RunSubject> {
  const { model } = await tokenizedModel(store, argument, modelId);
  return {
    subject,
    argument,
    model,
    calibrations: async () => {
      const used = await findDatasets(
        store.prisma,
        making.flatMap(({ datasetId }) => datasetId ?? []),
      );
      return [...(await calibrationDatasets(store.prisma, model.id)), ...used.filter((dataset) => dataset !== null)];
    },
  };
}
