import { randomUUID } from "node:crypto";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ModelFile } from "../artifacts/model-files.ts";
import { modelDigest, storeFile, takeFile } from "../artifacts/model-files.ts";
import { finished } from "../finished.ts";
import type { Facts } from "./describe.ts";
import { asFolder } from "./gguf/as-folder.ts";
import { findModel, type ModelFolder } from "./model-folder.ts";
import { type Survey, survey } from "./survey.ts";
import type { InspectedModel } from "./types.ts";

export interface InspectRequest {
  readonly dataDirectory: string;
  /** The folder that models are read from under. */
  readonly modelRoot: string;
  /** A folder, or a `.onnx` or `.gguf` file, relative to the model root. */
  readonly path: string;
  /** A path where there is nothing yet, known to who asks: what a GGUF file is read into lies there until it is stored. */
  readonly scratch?: string;
  /** Files of ours are taken as they are; those of others, which may change, are copied. Others' if not said. */
  readonly files?: "OURS" | "THEIRS";
}

/** Which file is stored, and what share of all of them. */
export interface StoringProgress {
  readonly file: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly ofStage: number;
}

/**
 * Reads a model, checks all that registering it promises, then copies its files into the artifact store. Nothing is stored
 * of a model that is refused. One that can be served and not pruned is stored, with the reason.
 *
 * @yields each file once it is stored
 * @throws EspalierError PATH_OUTSIDE_MODEL_ROOT, MODEL_NOT_FOUND, FILE_TOO_LARGE (model-folder.ts); INVALID_GGUF, UNSUPPORTED_GGUF
 *   (gguf/folder-of-gguf.ts); the first obstacle that `survey` finds
 */
export async function* inspecting({
  dataDirectory,
  modelRoot,
  path,
  scratch = join(dataDirectory, "exports", randomUUID()),
  files = "THEIRS",
}: InspectRequest): AsyncGenerator<StoringProgress, InspectedModel> {
  const found = await findModel(modelRoot, path);
  // Reading another file format is about half of the work.
  const share = found.gguf === undefined ? 0 : 0.5;
  try {
    const reading = asFolder(found, scratch);
    let step = await reading.next();
    for (; !step.done; step = await reading.next()) {
      const { done, total } = step.value;
      yield { file: found.gguf ?? "", doneBytes: done, totalBytes: total, ofStage: (share * done) / (total || 1) };
    }
    const { place, notes } = step.value;
    const steps = storing(dataDirectory, place, notes, found.gguf === undefined ? files : "OURS");
    for (let stored = await steps.next(); ; stored = await steps.next()) {
      if (stored.done) return stored.value;
      yield { ...stored.value, ofStage: share + (1 - share) * stored.value.ofStage };
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function* storing(
  dataDirectory: string,
  place: ModelFolder,
  made: readonly string[],
  whose: "OURS" | "THEIRS",
): AsyncGenerator<StoringProgress, InspectedModel> {
  const steps = survey(place);
  const step = await steps.next();
  if (!step.done) throw step.value;
  // Without another obstacle, all is known.
  const { built, external, facts, notes } = step.value as Survey & { external: readonly string[]; facts: Facts };
  const { obstacles, structures, ...known } = facts;

  const source = (name: string) => (built && name === place.graph ? built : join(place.folder, name));
  const sizeOf = async (bytes: string | Uint8Array) => (typeof bytes === "string" ? (await stat(bytes)).size : bytes.length);
  const names = [place.graph, ...external, ...place.companions];
  const total = (await Promise.all(names.map((name) => sizeOf(source(name))))).reduce((a, b) => a + b, 0) || 1;
  const files: ModelFile[] = [];
  let done = 0;
  for (const name of names) {
    const from = source(name);
    const stored = await (whose === "OURS" && typeof from === "string" ? takeFile(dataDirectory, from) : storeFile(dataDirectory, from));
    files.push({ path: name, ...stored });
    done += stored.sizeBytes;
    yield { file: name, doneBytes: stored.sizeBytes, totalBytes: stored.sizeBytes, ofStage: done / total };
  }
  const sizes = files.slice(0, 1 + external.length).map((f) => f.sizeBytes);
  return {
    digest: modelDigest(files),
    files,
    sizeBytes: sizes.reduce((a, b) => a + b, 0),
    ...known,
    structures: facts.pruningObstacle ? [] : structures,
    notes: [...made, ...notes],
  };
}

/** As `inspecting`, at once. */
export const inspect = (request: InspectRequest): Promise<InspectedModel> => finished(inspecting(request));

/** As `inspect`, for a folder of our own making, whose graph may have any name. */
export const storeFolder = async (dataDirectory: string, folder: string, graph = "."): Promise<InspectedModel> =>
  finished(storing(dataDirectory, await findModel(folder, graph), [], "OURS"));
