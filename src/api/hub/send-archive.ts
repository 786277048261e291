import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { FastifyReply } from "fastify";
import { pack } from "tar-stream";
import { type PublishedModel, placeOf } from "../../services/published-models.ts";
import { endStalled } from "./send-file.ts";

/**
 * Sends a model's folder as a tar archive, written while it is read.
 *
 * @throws EspalierError ARTIFACT_MISSING, before anything is sent
 */
export async function sendArchive(reply: FastifyReply, published: PublishedModel, dataDirectory: string): Promise<FastifyReply> {
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
  return reply
    .headers({ "content-disposition": `attachment; filename="${name}.tar"`, "cache-control": "private, no-cache" })
    .type("application/x-tar")
    .send(archive);
}
