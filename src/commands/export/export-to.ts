import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join, relative } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { accessToken } from "../../config.ts";
import { EspalierError } from "../../errors.ts";
import { leadsOut } from "../../under-root.ts";
import { unlessAbsent } from "../../unless-absent.ts";
import type { Client } from "../shared/client.ts";
import { connectTo } from "../shared/connect-to.ts";
import { LiveLine, megabytes, percent } from "../shared/display.ts";
import { followRun } from "../shared/follow-run.ts";
import { modelId as idOf } from "../shared/model-id.ts";
import { type ExportEvent, type ExportedFile, type ExportResult, exportOfRun, startExport, wanted } from "./operations.ts";

export interface ExportArguments {
  readonly model: string;
  readonly format: string;
  /** Absolute. */
  readonly to: string;
  readonly weights: string | undefined;
  readonly padding: boolean;
}

const usage = (message: string): never => {
  throw new EspalierError("USAGE", message);
};

/** @returns whether the folder is there @throws EspalierError USAGE if there is something in it */
export async function requireEmpty(to: string): Promise<boolean> {
  const before = await readdir(to).catch(unlessAbsent);
  if (before && before.length > 0) usage(`--to ${to} is not empty`);
  return before !== null;
}

/**
 * Exports a model and fetches its files.
 *
 * @throws EspalierError USAGE; what the server says; DOWNLOAD_BROKEN if a file is not what was said. The folder is then as it was
 */
export async function exportTo(asked: ExportArguments, server: string): Promise<void> {
  const { to } = asked;
  const wasThere = await requireEmpty(to);
  const client = connectTo(server);
  try {
    const { files, card } = await written(client, asked);
    await fetched(files, server, accessToken(), to, wasThere);
    // The one that lies there may be older than the last measurements.
    await writeFile(join(to, "README.md"), card);
    const bytes = files.reduce((n, f) => n + f.sizeBytes, 0);
    console.log(`${files.length} files, ${megabytes(bytes)}, are in ${to}`);
  } finally {
    await client.close();
  }
}

/** An export, once it is there. */
async function written(client: Client, { model, format, weights, padding }: ExportArguments): Promise<ExportResult> {
  const modelId = await idOf(client, model);
  const input = { subject: { modelId }, format, padding, ...(weights === undefined ? {} : { weights }) };
  const { run } = (await client.request<{ startExport: { run: { id: string } } }>(startExport, { input })).startExport;
  const live = new LiveLine();
  for await (const event of followRun<ExportEvent>(client, run.id, wanted))
    if (event.__typename === "RunProgressed") live.update(`${format}: ${percent(event.progress)}`);
  const { result } = (await client.request<{ run: { result: ExportResult } }>(exportOfRun, { id: run.id })).run;
  for (const remark of result.remarks) live.line(remark);
  return result;
}

/** Fetches files and checks their digests. What was fetched of a broken download goes again. */
async function fetched(
  files: readonly ExportedFile[],
  base: string,
  token: string | undefined,
  to: string,
  wasThere: boolean,
): Promise<void> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  try {
    for (const { path, url, sha256 } of files) {
      const place = join(to, path);
      if (isAbsolute(path) || leadsOut(relative(to, place)))
        throw new EspalierError("DOWNLOAD_BROKEN", `the file ${path} lies outside the folder`);
      await mkdir(dirname(place), { recursive: true });
      const answer = await fetch(new URL(url, base), { headers });
      if (!answer.ok || !answer.body)
        throw new EspalierError("DOWNLOAD_BROKEN", `the file ${path} is answered with status ${answer.status}`);
      const hash = createHash("sha256");
      const hashing = new Transform({
        transform(chunk: Buffer, _, done) {
          hash.update(chunk);
          done(null, chunk);
        },
      });
      await pipeline(
        Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0]),
        hashing,
        createWriteStream(place, { flags: "wx" }),
      );
      if (hash.digest("hex") !== sha256) throw new EspalierError("DOWNLOAD_BROKEN", `the file ${path} did not arrive as it is`);
    }
  } catch (error) {
    await rm(to, { recursive: true, force: true });
    if (wasThere) await mkdir(to, { recursive: true });
    throw error;
  }
}
