import { join } from "node:path";
import { type ModelFile, modelDigest, storeFile } from "../../artifacts/model-files.ts";
import { EspalierError } from "../../errors.ts";
import { openStoredModel } from "../stored-model.ts";
import type { ExportSource, FormatOptions } from "./format.ts";
import { formatNamed } from "./formats.ts";

/** What to write, and how. */
export interface ExportOptions extends FormatOptions {
  readonly format: string;
}

export interface ExportRequest {
  readonly model: {
    readonly dataDirectory: string;
    readonly digest: string;
    readonly files: readonly ModelFile[];
    readonly vocabularySize: number;
  };
  readonly options: ExportOptions;
}

/** All that is known of an export once its files are in the artifact store. */
export interface ExportedModel {
  /** sha256 over the sorted list of its files' paths and digests. */
  readonly digest: string;
  readonly files: readonly ModelFile[];
  readonly sizeBytes: number;
  readonly notes: readonly string[];
}

async function opened({ model: { files, vocabularySize, ...place } }: ExportRequest): Promise<ExportSource> {
  return { ...(await openStoredModel({ ...place, files })), files, vocabularySize };
}

/**
 * What keeps a model from being written in a format; null if nothing does that can be told beforehand.
 *
 * @throws EspalierError UNKNOWN_FORMAT; ARTIFACT_MISSING, GRAPH_MISSING
 */
export async function exportObstacle(request: ExportRequest): Promise<EspalierError | null> {
  const writer = await formatNamed(request.options.format).open();
  return writer.obstacle(await opened(request), request.options);
}

/**
 * Writes a model in a format, and stores the files that come of it.
 *
 * @param destination an empty folder, for files on their way to the store
 * @yields how much is done
 * @throws EspalierError the obstacle, or what the format throws; nothing is kept then
 */
export async function* exportModel(
  request: ExportRequest,
  destination: string,
): AsyncGenerator<{ readonly done: number; readonly total: number }, ExportedModel> {
  const { model, options } = request;
  const writer = await formatNamed(options.format).open();
  const source = await opened(request);
  const obstacle = await writer.obstacle(source, options);
  if (obstacle) throw obstacle;
  const { files: written, notes } = yield* writer.write(source, options, destination);
  const files: ModelFile[] = [];
  for (const file of written)
    files.push(
      "stored" in file
        ? { path: file.path, sha256: file.stored.sha256, sizeBytes: file.stored.sizeBytes }
        : { path: file.path, ...(await storeFile(model.dataDirectory, join(destination, file.written))) },
    );
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  if (new Set(files.map(({ path }) => path)).size !== files.length)
    throw new EspalierError("INTERNAL", `the format ${options.format} wrote a file twice`);
  return { digest: modelDigest(files), files, sizeBytes: files.reduce((n, f) => n + f.sizeBytes, 0), notes };
}
