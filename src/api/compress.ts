import { pipeline, Readable } from "node:stream";
import { promisify } from "node:util";
import { createGzip, gzip } from "node:zlib";
import type { FastifyInstance } from "fastify";

/** Below this a packet is saved rarely and time is lost always; bytes. */
const least = 1024;
const compressible = /^(text\/(?!event-stream)|application\/(json|graphql-response\+json))/;

/** Whether a client's Accept-Encoding takes gzip. */
export function takesGzip(accepted: string | undefined): boolean {
  const codings = (accepted ?? "").split(",").map((coding) =>
    coding
      .trim()
      .toLowerCase()
      .split(/\s*;\s*q=/),
  );
  const [, weight = "1"] = codings.find(([name]) => name === "gzip") ?? codings.find(([name]) => name === "*") ?? ["", "0"];
  return Number(weight) > 0;
}

/** Compresses answers and files, for clients that say they take it. Event streams go past it. */
export function compressAnswers(app: FastifyInstance): void {
  app.addHook("onSend", async ({ headers, method }, reply, payload) => {
    const isText = typeof payload === "string" || Buffer.isBuffer(payload);
    const isLarge = isText ? Buffer.byteLength(payload) >= least : payload instanceof Readable;
    const type = String(reply.getHeader("content-type") ?? "");
    if (!isLarge || method === "HEAD" || reply.hasHeader("content-encoding")) return payload;
    if (!compressible.test(type) || !takesGzip(headers["accept-encoding"])) return payload;
    reply.removeHeader("content-length").header("content-encoding", "gzip");
    return isText ? promisify(gzip)(payload) : pipeline(payload as Readable, createGzip(), () => {});
  });
}
