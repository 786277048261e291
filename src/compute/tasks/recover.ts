import { mkdir, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { openArtifacts } from "../../artifacts/artifacts.ts";
import { storeFile } from "../../artifacts/model-files.ts";
import { EspalierError } from "../../errors.ts";
import { told } from "../../finished.ts";
import { exportCompressed, exportReweighted } from "../../models/export.ts";
import { storeFolder } from "../../models/inspect.ts";
import { openStoredModel } from "../../models/stored-model.ts";
import { withAdapters } from "../../recovery/beside-codes.ts";
import { recoveryMethodNamed } from "../../recovery/methods/index.ts";
import { recover } from "../../recovery/recover.ts";
import { reweighted } from "../../recovery/reweighted.ts";
import { unpacked } from "../../recovery/unpacked.ts";
import { loadTokenizer } from "../../text/tokenizer.ts";
import type { Task } from "../child.ts";
import { readDocuments } from "../stored-dataset.ts";
import type { RecoverRequest, StoredModel, WritingEvent } from "../tasks.ts";
import { writeTexts } from "./write-texts.ts";

/** As training reads it: over the weights where they lie. */
const located = async (stored: StoredModel) => {
  const { model, graphFolder } = await openStoredModel(stored, "IN_FILE");
  return { model, folder: graphFolder };
};

async function checkpointFile(dataDirectory: string, sha256: string | null): Promise<string | null> {
  if (sha256 === null) return null;
  const path = await (await openArtifacts(dataDirectory)).path(sha256);
  if (path === null)
    throw new EspalierError("ARTIFACT_MISSING", `the run's checkpoint (sha256 ${sha256}) is not in the artifact store`, { sha256 });
  return path;
}

/** The texts to heal with: those of a dataset, or else those that the teacher writes now. */
async function* textsOf({ teacher, dataset, self, options }: RecoverRequest): AsyncGenerator<WritingEvent, readonly string[]> {
  if (dataset) return await readDocuments(dataset);
  if (!teacher || !self) throw new EspalierError("NO_TEACHER", "there are neither texts to heal with, nor a model that could write them");
  return yield* writeTexts(teacher, self, options);
}

/** Weights that a model has under their names: what is codes in it, it has not. */
function* among(
  weights: Iterable<readonly [string, Float32Array]>,
  own: ReadonlyMap<string, unknown>,
): Generator<readonly [string, Float32Array]> {
  for (const weight of weights) if (own.has(weight[0])) yield weight;
}

export const recoverTask: Task<"recover"> = async function* (request) {
  const { model: stored, teacher, method, options, checkpoint, scratch } = request;
  const { dataDirectory } = stored;
  const { model, folder, graph, graphFolder } = await openStoredModel(stored);
  const tokenizer = await loadTokenizer(folder, stored.vocabularySize);
  const documents = yield* textsOf(request);
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  try {
    // Codes have no gradients: what they stand for is trained with, and what is learnt stands beside them.
    const subject = await unpacked(await located(stored), join(scratch, "unpacked"));
    const isCoded = subject.folder === scratch;
    const steps = recover({
      subject,
      teacher: teacher && (await located(teacher)),
      ...{ tokenizer, documents, method: recoveryMethodNamed(method), options, scratch },
      checkpoint: await checkpointFile(dataDirectory, checkpoint),
    });
    const { summary, notes, weights, adapters } = yield* told(steps, async (event) =>
      event.type === "CHECK" ? { ...event, checkpoint: await storeFile(dataDirectory, event.checkpoint) } : event,
    );
    const merged = join(scratch, "merged");
    const { initializers } = model.graph;
    const healed = await reweighted(model, among(weights(), initializers), merged, relative(graphFolder, merged));
    const destination = join(scratch, "model");
    await mkdir(destination);
    const place = { folder, files: stored.files, destination };
    const apart = isCoded ? [...(adapters() ?? [])].filter(({ parameter }) => !initializers.has(parameter)) : [];
    if (isCoded) await exportCompressed({ compressed: withAdapters(healed, apart), ...place });
    else await exportReweighted({ model, healed, ...place });
    const child = await storeFolder(dataDirectory, destination, graph);
    return {
      healed: { ...child, notes: [...child.notes, ...notes] },
      summary,
      peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};
