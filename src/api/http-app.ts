import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from "fastify";
import type { Logger } from "pino";
import { EspalierError } from "../errors.ts";
import type { Access } from "./access.ts";
import { compressAnswers } from "./compress.ts";
import type { SiteRules } from "./cross-site.ts";
import { guard } from "./guard.ts";
import { answerErrors, answerUnreadable } from "./http-errors.ts";
import { hasTooManyValues } from "./json-values.ts";
import { exceeded, limits } from "./limits.ts";
import { endSlowBodies } from "./slow-bodies.ts";

/** Within which the headers of a request, and a body that trickles, must have come. */
export interface RequestTimes {
  readonly headersMs: number;
  readonly requestMs: number;
}

/** An HTTP server that lets in who may come, takes JSON within the limits, and answers errors in GraphQL's form. It serves nothing yet. */
export function openApp(access: Access, rules: SiteRules, { headersMs, requestMs }: RequestTimes, log: Logger): FastifyInstance {
  const app: FastifyInstance = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bytes,
    // `endSlowBodies` sees to bodies.
    requestTimeout: 0,
    http: { headersTimeout: headersMs, connectionsCheckingInterval: Math.min(1000, headersMs) },
    forceCloseConnections: "idle",
    ...answerUnreadable(log),
  });
  // Each request that is on its way over a connection listens for its end.
  app.server.on("connection", (socket) => socket.setMaxListeners(0));
  endSlowBodies(app.server, requestMs);
  answerErrors(app, log);
  guard(app, rules, access);
  compressAnswers(app);
  takeJson(app);
  return app;
}

/** JSON only, as it is: browsers send plain text for pages of other sites unasked. */
function takeJson(app: FastifyInstance): void {
  app.addHook("preParsing", async ({ headers: { "content-encoding": coding = "identity" } }) => {
    if (coding.trim().toLowerCase() === "identity") return;
    const rule = "send the body as it is, without a Content-Encoding";
    throw new EspalierError("UNSUPPORTED_MEDIA_TYPE", `${rule}: ${JSON.stringify(coding.slice(0, 100))} is not taken`);
  });
  app.removeAllContentTypeParsers();
  const parseJson = app.getDefaultJsonParser("error", "error");
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body: Buffer, done) => {
    if (hasTooManyValues(body)) done(exceeded("values", limits.values + 1).originalError as Error);
    else parseJson(request, body.toString(), done);
  });
}
