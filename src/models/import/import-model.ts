import { join } from "node:path";
import { inspecting } from "../inspect.ts";
import { type InspectedModel } from "../types.ts";
import { type FromHub, fromHub } from "./sources/hub.ts";
import { type FromPath, fromPath } from "./sources/path.ts";
import { type FromUpload, fromUpload } from "./sources/upload.ts";

/** Where a model comes from, as a process can reach it. */
export type ImportSource = FromPath | FromUpload | FromHub;

export interface ImportRequest {
  readonly dataDirectory: string;
  readonly source: ImportSource;
  /** Path of a folder that may be made for a while, on the file system of the artifacts. */
  readonly scratch: string;
}

/** How far it is: which file, and how much of it. */
export interface ImportProgress {
  readonly file: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Share of all the work, 0 to 1. */
  readonly progress: number;
}

/** How much of the files of one stage is there. */
export type StageProgress = Omit<ImportProgress, "progress"> & { readonly ofStage: number };

/** A model's files on this machine, under a root that nothing of them leads out of. */
export interface Gathered {
  readonly modelRoot: string;
  readonly path: string;
  /** Whether they are the server's own by now. */
  readonly files: "OURS" | "THEIRS";
  /** What users should know of where they came from. */
  readonly notes: readonly string[];
}

/** Brings a model's files to this machine, and tells how far it is. Of what cannot be had there is nothing left in `scratch` that is used. */
export type Gather<Source> = (source: Source, scratch: string, signal: AbortSignal) => AsyncGenerator<StageProgress, Gathered>;

type SourceNamed<Kind> = Extract<ImportSource, { readonly kind: Kind }>;

/** Each source, and what share of the work it is to gather the files; the rest is to check and to store them. */
const sources: { readonly [Kind in ImportSource["kind"]]: readonly [Gather<SourceNamed<Kind>>, share: number] } = {
  PATH: [fromPath, 0],
  UPLOAD: [fromUpload, 0.3],
  HUB: [fromHub, 0.8],
};

/**
 * Makes a model of files wherever they are: gathers them, checks all that registering promises, and copies them into the artifact store.
 *
 * @throws EspalierError what its source throws; what `inspect` throws; the signal's reason
 */
export async function* importModel(
  { dataDirectory, source, scratch }: ImportRequest,
  signal: AbortSignal,
): AsyncGenerator<ImportProgress, InspectedModel> {
  const [gather, share] = sources[source.kind] as [Gather<ImportSource>, number];
  const gathered = yield* told(gather(source, scratch, signal), 0, share);
  const { modelRoot, path, files } = gathered;
  const model = yield* told(inspecting({ dataDirectory, modelRoot, path, files, scratch: join(scratch, "folder") }), share, 1);
  return { ...model, notes: [...gathered.notes, ...model.notes] };
}

/** The progress of a stage as that of the whole. */
async function* told<Result>(
  stage: AsyncGenerator<StageProgress, Result>,
  from: number,
  to: number,
): AsyncGenerator<ImportProgress, Result> {
  for (let step = await stage.next(); ; step = await stage.next()) {
    if (step.done) return step.value;
    const { ofStage, ...rest } = step.value;
    yield { ...rest, progress: from + (to - from) * ofStage };
  }
}
