import type { FastifyInstance, FastifyRequest } from "fastify";
import { EspalierError } from "../errors.ts";
import { fileOfUpload, receivePiece } from "../services/uploads.ts";
import type { Caller } from "./access.ts";
import type { Services } from "./context.ts";

/** Where a file of an upload is sent to, from the server's own address on. */
export const uploadUrl = (id: string, path: string): string => `/uploads/${id}/${path.split("/").map(encodeURIComponent).join("/")}`;

interface Params {
  readonly id: string;
  /** The file's path. */
  readonly "*": string;
}

/**
 * Where a piece begins, and how many bytes it is said to have.
 *
 * @see RFC 9110, 14.4 and 14.5
 * @throws EspalierError BAD_CONTENT_RANGE
 */
function rangeOf({ headers }: FastifyRequest): number | null {
  const stated = headers["content-range"];
  if (stated === undefined) return null;
  const [, from, to, total] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(stated) ?? [];
  const length = headers["content-length"];
  const fits = from !== undefined && Number(to) >= Number(from) && (total === "*" || Number(to) < Number(total));
  if (!fits || (length !== undefined && Number(length) !== Number(to) - Number(from) + 1))
    throw new EspalierError("BAD_CONTENT_RANGE", `Content-Range must be "bytes FROM-TO/SIZE" and agree with Content-Length`, {
      contentRange: stated.slice(0, 100),
    });
  return Number(from);
}

/** Takes the files of uploads: whole, or in pieces, each from where the last ended. */
export function serveUploads(app: FastifyInstance, services: Pick<Services, "store" | "dataDirectory" | "uploadBytes">): void {
  app.register(async (own) => {
    // As they come, whatever they call themselves: nothing of them is in memory.
    own.removeAllContentTypeParsers();
    own.addContentTypeParser("*", (_request, _payload, done) => done(null));
    own.route({
      url: "/uploads/:id/*",
      method: "PUT",
      bodyLimit: Number.MAX_SAFE_INTEGER,
      config: { needs: "PRUNE" },
      async handler(request, reply) {
        const { id, "*": path } = request.params as Params;
        const piece = { from: rangeOf(request), bytes: request.raw };
        const there = await receivePiece(services, id, path, request.caller as Caller, piece);
        return reply.code(there.receivedBytes === there.sizeBytes ? 201 : 202).send(there);
      },
    });
    own.route({
      url: "/uploads/:id/*",
      method: "HEAD",
      config: { needs: "PRUNE" },
      async handler(request, reply) {
        const { id, "*": path } = request.params as Params;
        const { received, sizeBytes } = await fileOfUpload(services, id, path, request.caller as Caller);
        return reply.headers({ "upload-offset": received, "upload-length": sizeBytes, "cache-control": "no-store" }).send();
      },
    });
  });
}
