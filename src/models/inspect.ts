import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, Digests } from "../artifacts/digests.ts";
import type { ModelFile } from "../artifacts/model-files.ts";
import { modelDigest, storeFile, takeFile } from "../artifacts/model-files.ts";
import { finished, told } from "../finished.ts";
import type { Facts } from "./describe.ts";
import { asFolder } from "./gguf/as-folder.ts";
import { findModel, type ModelFolder } from "./model-folder.ts";
import { requireSmall } from "./require-small.ts";
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

/** What is known of files already, by who has gathered them. */
export interface KnownFiles {
  readonly digests: Digests;
  /** Settles once they are known to be what they should be. Nothing is stored before. */
  readonly proven: Promise<void>;
  /** Nothing is read of the weights of a model whose files have more; any number if not said. */
  readonly mostBytes?: number | undefined;
}

/**
 * Reads a model, checks all that registering it promises, then copies its files into the artifact store. Nothing is stored
 * of a model that is refused. One that can be served and not pruned is stored, with the reason.
 *
 * @yields each file once it is stored
 * @throws EspalierError PATH_OUTSIDE_MODEL_ROOT, MODEL_NOT_FOUND, FILE_TOO_LARGE (model-folder.ts); INVALID_GGUF, UNSUPPORTED_GGUF
 *   (gguf/folder-of-gguf.ts); the first obstacle that `survey` finds
 */
export async function* inspecting(
  { dataDirectory, modelRoot, path, scratch = join(dataDirectory, "exports", randomUUID()), files = "THEIRS" }: InspectRequest,
  known?: KnownFiles,
): AsyncGenerator<StoringProgress, InspectedModel> {
  const found = await findModel(modelRoot, path);
  const digests = known?.digests ?? new Digests();
  const ggufs = await Promise.all((found.gguf ?? []).map((name) => stat(join(found.folder, name))));
  requireSmall(
    ggufs.reduce((sum, { size }) => sum + size, 0),
    known?.mostBytes,
  );
  // Reading another file format is about half of the work.
  const share = found.gguf === undefined ? 0 : 0.5;
  try {
    const { place, notes } = yield* told(asFolder(found, scratch), ({ done, total }) => ({
      ...{ file: found.gguf?.[0] ?? "", doneBytes: done, totalBytes: total },
      ofStage: (share * done) / (total || 1),
    }));
    const whose = found.gguf === undefined ? files : "OURS";
    const keeper = { dataDirectory, digests, copies: whose === "OURS" ? null : join(scratch, "copies") };
    return yield* told(storing(place, keeper, notes, known), (stored) => ({ ...stored, ofStage: share + (1 - share) * stored.ofStage }));
  } finally {
    if (!known) await digests.end();
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Where files go. */
interface Keeper {
  readonly dataDirectory: string;
  readonly digests: Digests;
  /** A folder to be made, for copies of files that are not ours; null if they are. */
  readonly copies: string | null;
}

/**
 * The files of weights are read for their digests, and those of others copied, while the model is tried out: both take as long as reading
 * them does, and each needs a core.
 */
async function* storing(
  place: ModelFolder,
  { dataDirectory, digests, copies }: Keeper,
  made: readonly string[],
  { proven, mostBytes }: Partial<KnownFiles> = {},
): AsyncGenerator<StoringProgress, InspectedModel> {
  const begun = new Map<string, { readonly file: string; readonly digest: Promise<Digest> }>();
  if (copies !== null) await mkdir(copies, { recursive: true, mode: 0o700 });
  const steps = survey(place, (names) => {
    const sizes = mostBytes === undefined ? [] : names.map((name) => statSync(join(place.folder, name)).size);
    requireSmall(
      sizes.reduce((a, b) => a + b, 0),
      mostBytes,
    );
    for (const [i, name] of names.entries()) {
      const file = join(place.folder, name);
      const copy = copies === null ? null : join(copies, String(i));
      begun.set(name, copy === null ? { file, digest: digests.of(file) } : { file: copy, digest: digests.copy(file, copy) });
    }
  });
  const step = await steps.next();
  if (!step.done) throw step.value;
  await proven;
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
    const [from, read] = [source(name), begun.get(name)];
    const stored = await (read
      ? takeFile(dataDirectory, read.file, await read.digest)
      : copies === null && typeof from === "string"
        ? takeFile(dataDirectory, from)
        : storeFile(dataDirectory, from));
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
export async function storeFolder(dataDirectory: string, folder: string, graph = "."): Promise<InspectedModel> {
  const digests = new Digests();
  try {
    return await finished(storing(await findModel(folder, graph), { dataDirectory, digests, copies: null }, []));
  } finally {
    await digests.end();
  }
}
