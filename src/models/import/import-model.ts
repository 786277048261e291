import { join } from "node:path";
import { Digests } from "../../artifacts/digests.ts";
import { told } from "../../finished.ts";
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
  /** Of files of a model that has more, nothing is read; any number if not said. */
  readonly mostBytes?: number;
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
  /** Settles once they are known to have the digests that were announced, which is looked at while they are tried out. */
  readonly proven: Promise<void>;
}

export interface GatherPlace {
  /** A folder for what is made on the way. */
  readonly scratch: string;
  readonly digests: Digests;
  readonly signal: AbortSignal;
  readonly mostBytes?: number | undefined;
}

/** Brings a model's files to this machine, and tells how far it is. Of what cannot be had there is nothing left in `scratch` that is used. */
export type Gather<Source> = (source: Source, place: GatherPlace) => AsyncGenerator<StageProgress, Gathered>;

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
  { dataDirectory, source, scratch, mostBytes }: ImportRequest,
  signal: AbortSignal,
): AsyncGenerator<ImportProgress, InspectedModel> {
  const [gather, share] = sources[source.kind] as [Gather<ImportSource>, number];
  const digests = new Digests();
  try {
    const { modelRoot, path, files, notes, proven } = yield* asWhole(gather(source, { scratch, digests, signal, mostBytes }), 0, share);
    try {
      const request = { dataDirectory, modelRoot, path, files, scratch: join(scratch, "folder") };
      const model = yield* asWhole(inspecting(request, { digests, proven, mostBytes }), share, 1);
      return { ...model, notes: [...notes, ...model.notes] };
    } catch (error) {
      // What is wrong with bytes that are others than were announced is no news.
      await proven;
      throw error;
    }
  } finally {
    await digests.end();
  }
}

/** The progress of a stage as that of the whole. */
const asWhole = <Result>(stage: AsyncGenerator<StageProgress, Result>, from: number, to: number): AsyncGenerator<ImportProgress, Result> =>
  told(stage, ({ ofStage, ...rest }) => ({ ...rest, progress: from + (to - from) * ofStage }));
