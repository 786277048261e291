import { EspalierError } from "../errors.ts";
import { kindOf } from "../jobs/run-kinds.ts";
import { tokenizedModel } from "../rules/tokenized-model.ts";
import { quantised } from "../rules/unquantised.ts";
import { blaming, requireAll } from "../rules/validate.ts";
import { isQuantising } from "../store/compression-runs.ts";
import { calibrationDatasets, type DatasetRecord, findDatasets } from "../store/datasets.ts";
import { getModel, type ModelRecord } from "../store/models.ts";
import { getRun, type RunRecord, requireResult, type Subject } from "../store/runs.ts";
import type { Store } from "../store/store.ts";

/** What a run is to work on. */
export interface RunSubject {
  readonly subject: Subject;
  /** The argument that names it. */
  readonly argument: string;
  /**
   * The model itself, or while that is still being made, the one that it is made from: what fits the one fits the other, unless it is compressed between. Null while that is being
   * imported: what must hold of it is required when it is there, before the run begins.
   */
  readonly model: ModelRecord | null;
  /** Whether it is still being made. */
  readonly isPending: boolean;
  /**
   * Requires that none of the runs that are to make it quantises it.
   *
   * @throws EspalierError QUANTISED_WEIGHTS
   */
  requireUnquantising(): void;
  /** What the model was pruned, healed and compressed with, or will have been. */
  calibrations(): Promise<DatasetRecord[]>;
}

type FindModel = (store: Store, argument: string, modelId: string) => Promise<{ readonly model: ModelRecord }>;

/** Any model, one without a tokenizer too. @throws EspalierError MODEL_NOT_FOUND */
export const anyModel: FindModel = async ({ prisma }, argument, modelId) => ({ model: await blaming(argument, getModel(prisma, modelId)) });

/**
 * What a run is to work on, as the argument `input.subject` says.
 *
 * @param find finds the model, and says what it must have: a tokenizer, if nothing is said; `anyModel` asks for nothing
 * @throws EspalierError MODEL_NOT_FOUND, what `find` throws; RUN_NOT_FOUND, RUN_WITHOUT_RESULT; BAD_USER_INPUT for a run that makes no model
 */
export async function runSubject(store: Store, subject: Subject, find: FindModel = tokenizedModel): Promise<RunSubject> {
  if ("modelId" in subject) return subjectOn(store, subject, "input.subject.modelId", subject.modelId, [], find);
  const argument = "input.subject.resultOf";
  const making: RunRecord[] = [];
  let run = await blaming(argument, getRun(store.prisma, subject.resultOf));
  requireAll([[argument, kindOf(run).makesModel, "must be a run that makes a model"]]);
  // Up the line of runs that wait for one another, to a model that is there.
  for (; run.resultModelId === null; run = await blaming(argument, getRun(store.prisma, run.subjectRunId ?? ""))) {
    await blaming(argument, Promise.resolve(run).then(requireResult));
    making.push(run);
    if (run.modelId !== null || run.subjectRunId === null) break;
  }
  return subjectOn(store, subject, argument, run.resultModelId ?? run.modelId, making, find);
}

async function subjectOn(
  store: Store,
  subject: Subject,
  argument: string,
  modelId: string | null,
  making: readonly RunRecord[],
  find: FindModel,
): Promise<RunSubject> {
  const model = modelId === null ? null : (await find(store, argument, modelId)).model;
  return {
    subject,
    argument,
    model,
    isPending: making.length > 0,
    requireUnquantising: () => {
      const quantising = making.find((run) => run.kind === "COMPRESSION" && isQuantising(run.options));
      if (!quantising) return;
      const instead = "take what that run works on, and quantise what comes of it";
      throw new EspalierError(quantised, `the run ${quantising.id} quantises what it makes: ${instead}`, { argument });
    },
    calibrations: async () => {
      const used = await findDatasets(
        store.prisma,
        making.flatMap(({ datasetId }) => datasetId ?? []),
      );
      return [...(model ? await calibrationDatasets(store.prisma, model.id) : []), ...used.filter((dataset) => dataset !== null)];
    },
  };
}
