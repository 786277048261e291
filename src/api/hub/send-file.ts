import { basename, dirname, extname } from "node:path";
import { send } from "@fastify/send";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { ModelFile } from "../../artifacts/model-files.ts";

/** A download that takes nothing for so long is over; its client asks for the rest. */
const stalledMs = 60_000;

const types: Readonly<Record<string, string>> = {
  ".json": "application/json; charset=utf-8",
  ".md": "text/plain; charset=utf-8",
  ".txt": "text/plain; charset=utf-8",
  ".jinja": "text/plain; charset=utf-8",
};

/** A download that its client no longer reads is ended, rather than held for ever. */
export function endStalled({ raw }: FastifyReply): void {
  raw.setTimeout(stalledMs, () => raw.destroy());
}

/** Sends a file, or the range of it that is asked for. Its digest is its ETag: a range is of the same bytes, or of all. */
export async function sendFile(request: FastifyRequest, reply: FastifyReply, file: ModelFile, place: string): Promise<FastifyReply> {
  const etag = `"${file.sha256}"`;
  const name = basename(file.path);
  reply.headers({
    etag,
    "x-linked-etag": etag,
    "x-linked-size": file.sizeBytes,
    "cache-control": "private, no-cache",
    "content-disposition": `attachment; filename="${name.replace(/[^\x20-\x7e]|["\\]/g, "_")}"; filename*=UTF-8''${encodeURIComponent(name)}`,
  });
  if (tagsOf(request.headers["if-none-match"]).some((tag) => tag === etag || tag === "*")) return reply.code(304).send();
  const { raw } = request;
  const { "if-range": condition } = raw.headers;
  if (condition !== undefined && condition !== etag) delete raw.headers.range;
  // It is settled, and `send` knows no ETag by which to settle it.
  delete raw.headers["if-range"];
  const options = { root: dirname(place), etag: false, lastModified: false, cacheControl: false, contentType: false };
  const { statusCode, headers, stream } = await send(raw, `/${basename(place)}`, options);
  endStalled(reply);
  return reply
    .code(statusCode)
    .headers(headers)
    .type(types[extname(name).toLowerCase()] ?? "application/octet-stream")
    .send(stream);
}

const tagsOf = (header: string | undefined): string[] => (header ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
