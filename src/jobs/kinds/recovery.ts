import { openArtifacts } from "../../artifacts/artifacts.ts";
import { requireFiles } from "../../artifacts/model-files.ts";
import { providerHere } from "../../compute/provider-here.ts";
import { EspalierError } from "../../errors.ts";
import { rankFor, requireHealable } from "../../rules/recovery-rules.ts";
import { tokenizedModel } from "../../rules/tokenized-model.ts";
import { requireAll } from "../../rules/validate.ts";
import { getModel, modelFiles, removeUnused } from "../../store/models.ts";
import {
  checkedSteps,
  checkpointOf,
  largerAncestor,
  recordCheck,
  recordHealed,
  recordRetreat,
  recordStep,
  recordTexts,
  recordTrainingStart,
  recordWriting,
  recoveryStands,
} from "../../store/recovery-runs.ts";
import type { Database } from "../../store/store.ts";
import type { KindOfRun } from "../run-kind.ts";
import { storedDataset } from "../stored-dataset.ts";
import { storedModel } from "../stored-model.ts";
import type { JobServices } from "../worker.ts";

/**
 * The model that a run learns from; null if there is none.
 *
 * @throws EspalierError MODEL_NOT_FOUND; TEACHER_DIFFERS if it tells other tokens apart
 */
async function teacherOf(prisma: Database, modelId: string, asked: string | null): Promise<string | null> {
  const model = await getModel(prisma, modelId);
  const teacher = asked === null ? await largerAncestor(prisma, model) : await getModel(prisma, asked);
  if (!teacher) return null;
  const digests = await Promise.all(
    [model, teacher].map(async ({ id }) => (await modelFiles(prisma, id)).find((f) => f.path === "tokenizer.json")?.sha256),
  );
  const [own, its] = [model.architecture.vocabularySize, teacher.architecture.vocabularySize];
  if (own !== its || digests[0] !== digests[1])
    throw new EspalierError(
      "TEACHER_DIFFERS",
      `the teacher ${teacher.name} has another tokenizer or vocabulary (${its}) than the model (${own})`,
    );
  return teacher.id;
}

/** Forgets a checkpoint that another took the place of. */
async function forget({ store, dataDirectory }: JobServices, sha256: string | null): Promise<void> {
  if (sha256 === null) return;
  const artifacts = await openArtifacts(dataDirectory);
  await removeUnused(store, [sha256], (unused) => artifacts.remove(unused));
}

/** Trains what is left of a model to do again what its teacher does. Checks are its steps: it goes on after the last that is stored. */
export const recovery: KindOfRun<"RECOVERY", "recover"> = {
  description: "The healing of a pruned model: a training that wins back what was lost.",
  role: "PRUNE",
  queue: "recover",
  task: "recover",
  makesModel: true,
  fits: async ({ store }, { modelId, method, options }) => {
    const { model } = await tokenizedModel(store, "input.subject", modelId ?? "");
    requireAll([["input.teacherId", options.teacherId !== model.id, "must be another model: of itself there is nothing to learn"]]);
    await requireHealable(store.prisma, model, options, options.self ?? null, method);
  },
  request: async (services, run, scratch) => {
    const { prisma } = services.store;
    const { architecture } = await getModel(prisma, run.modelId ?? "");
    const teacherId = await teacherOf(prisma, run.modelId ?? "", run.options.teacherId);
    return {
      model: await storedModel(services, run.modelId),
      teacher: teacherId === null ? null : await storedModel(services, teacherId),
      method: run.method,
      // A run ends on the provider that it began on: others may round otherwise.
      options: {
        ...run.options,
        rank: run.options.rank ?? rankFor(architecture),
        executionProvider: run.executionProvider ?? providerHere(services, run.options.executionProvider),
      },
      dataset: run.datasetId === null && run.options.self ? null : await storedDataset(services, run.datasetId),
      self: run.options.self ?? null,
      checkpoint: await checkpointOf(prisma, run.id),
      scratch,
    };
  },
  isPassing: ({ type }) => type === "STEP" || type === "READ" || type === "WRITING",
  record: async (services, run, event) => {
    const { store } = services;
    if (event.type === "CHECK") {
      const { type: _, checkpoint, ...payload } = event;
      await forget(services, await recordCheck(store, run, payload, checkpoint));
      return true;
    }
    if (event.type === "TEXTS") {
      const { tokens, dataset } = event;
      const artifacts = await openArtifacts(services.dataDirectory);
      await recordTexts(store, run, tokens, dataset, () => artifacts.path(dataset.digest));
    } else if (event.type === "WRITING") {
      const { type: _, ...payload } = event;
      await recordWriting(store, run, payload);
    } else if (event.type === "STARTED") {
      const { type: _, ...payload } = event;
      await recordTrainingStart(store, run, payload);
    } else if (event.type === "STEP" || event.type === "READ") {
      const { type, ...payload } = event;
      await recordStep(store, run, type, payload);
    } else {
      const { type: _, ...payload } = event;
      await recordRetreat(store, run, payload);
    }
    return false;
  },
  succeed: async (services, run, result) => {
    const { store, queue, dataDirectory } = services;
    await forget(services, await recordHealed(store, run, result, queue.addRun, (files) => requireFiles(dataDirectory, files)));
  },
  begin: async () => {},
  steps: checkedSteps,
  stands: recoveryStands,
  outOfMemory: (steps) => ({
    what: `training after step ${steps}`,
    advice: "let it use smaller batches, shorter texts or LORA, or give it a worker with more memory",
  }),
};
