import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Digests } from "../../artifacts/digests.ts";
import { type ModelFile, modelDigest, takeFile } from "../../artifacts/model-files.ts";
import { EspalierError } from "../../errors.ts";
import { cardOfExport } from "../cards/card-of-export.ts";
import type { CardFacts } from "../cards/facts.ts";
import { openStoredModel } from "../stored-model.ts";
import { cardFormat } from "./card-format.ts";
import type { ExportSource, FormatOptions, WrittenFile } from "./format.ts";
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
  /** What its card says; without it, none is written. */
  readonly card?: CardFacts;
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
  const source = await opened(request);
  try {
    await writer.check(source, request.options);
    return null;
  } catch (error) {
    if (error instanceof EspalierError) return error;
    throw error;
  }
}

/**
 * Writes a model in a format, and stores the files that come of it.
 *
 * @param destination an empty folder, for files on their way to the store
 * @yields how much is done
 * @throws EspalierError what the format throws; nothing is kept then
 */
export async function* exportModel(
  request: ExportRequest,
  destination: string,
): AsyncGenerator<{ readonly done: number; readonly total: number }, ExportedModel> {
  const { model, options } = request;
  const writer = await formatNamed(options.format).open();
  const source = await opened(request);
  const files: ModelFile[] = [];
  const digests = new Digests();
  const digestOf = (path: string) => digests.of(join(destination, path));
  let notes: readonly string[];
  try {
    const made = yield* writer.write(source, options, destination, digestOf);
    ({ notes } = made);
    const cards = request.card ? await writeCard(model.dataDirectory, request.card, options, notes, destination) : [];
    for (const { path, ...file } of [...made.files, ...cards])
      if ("stored" in file) files.push({ path, sha256: file.stored.sha256, sizeBytes: file.stored.sizeBytes });
      else files.push({ path, ...(await takeFile(model.dataDirectory, join(destination, file.written), await digestOf(file.written))) });
  } finally {
    await digests.end();
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  if (new Set(files.map(({ path }) => path)).size !== files.length)
    throw new EspalierError("INTERNAL", `the format ${options.format} wrote a file twice`);
  return { digest: modelDigest(files), files, sizeBytes: files.reduce((n, f) => n + f.sizeBytes, 0), notes };
}

/** Writes README.md, and the picture that it shows. */
async function writeCard(
  dataDirectory: string,
  facts: CardFacts,
  options: ExportOptions,
  notes: readonly string[],
  destination: string,
): Promise<WrittenFile[]> {
  const files = await cardOfExport(dataDirectory, facts, cardFormat(options, notes));
  for (const [path, text] of Object.entries(files)) await writeFile(join(destination, path), text);
  return Object.keys(files).map((path) => ({ path, written: path }));
}
