import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { FastifyReply } from "fastify";
import { pack } from "tar-stream";
import { type PublishedModel, placeOf } from "../../services/published-models.ts";
import { endStalled } from "./send-file.ts";

/** In what an archive is sent, by how its name ends. Weights of floats hardly shrink, and those that are half zeros by a third or more. */
export const archives = {
  tar: { type: "application/x-tar", packed: null },
  "tar.gz": { type: "application/gzip", packed: () => createGzip({ level: 6 }) },
} as const;
export type ArchiveEnding = keyof typeof archives;

/**
 * Sends a model's folder as a tar archive, written while it is read.
 *
 * @throws EspalierError ARTIFACT_MISSING, before anything is sent
 */
export async function sendArchive(
  reply: FastifyReply,
  published: PublishedModel,
  dataDirectory: string,
  ending: ArchiveEnding,
): Promise<FastifyReply> {
  const { repository, createdAt, files } = published;
  const name = repository.split("/")[1] as string;
  const placed = await Promise.all(files.map(async (file) => ({ ...file, place: await placeOf(dataDirectory, file) })));
  const archive = pack();
  const write = async () => {
    for (const { path, sizeBytes, place } of placed)
      await pipeline(createReadStream(place), archive.entry({ name: `${name}/${path}`, size: sizeBytes, mode: 0o644, mtime: createdAt }));
    archive.finalize();
  };
  // Whoever reads the archive is told: a response that breaks off is no archive.
  write().catch((error: Error) => archive.destroy(error));
  endStalled(reply);
  const { type, packed } = archives[ending];
  const through = packed?.();
  // One that breaks off breaks the other off.
  if (through) pipeline(archive, through).catch(() => {});
  return reply
    .headers({ "content-disposition": `attachment; filename="${name}.${ending}"`, "cache-control": "private, no-cache" })
    .type(type)
    .send(through ?? archive);
}
