import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { AccessRole } from "../store/tokens.ts";
import { type Access, type Caller, requireRole } from "./access.ts";
import { untilGone } from "./context.ts";
import { isAllowedOrigin, requireAllowedSite, type SiteRules } from "./cross-site.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** The role that a route needs, null for what everybody may have. Every route must say it. */
    readonly needs?: AccessRole | null | ((request: FastifyRequest) => AccessRole | null);
  }
  interface FastifyRequest {
    /** Null on routes that everybody may have. */
    caller: Caller | null;
    /** Aborts when the client has gone, or has lost its right. Null as before. */
    gone: AbortSignal | null;
  }
}

const everywhere = { "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", vary: "origin, accept-encoding" };

/** Tells a page of an allowed origin that it may read the answer, and, if it asks before, what it may send. */
function allow({ headers, method }: FastifyRequest, reply: FastifyReply, origin: string): FastifyReply | undefined {
  reply.raw.setHeader("access-control-allow-origin", origin);
  reply.raw.setHeader("access-control-expose-headers", "upload-offset, upload-length");
  if (method !== "OPTIONS") return undefined;
  return reply
    .code(204)
    .headers({
      "access-control-allow-methods": "GET, HEAD, POST, PUT",
      "access-control-allow-headers": headers["access-control-request-headers"] ?? "",
      "access-control-max-age": "600",
    })
    .send();
}

/**
 * Stands before every route: by name and origin, then by token, before a body is read. What has begun to be answered is cut off once
 * its token is withdrawn.
 */
export function guard(app: FastifyInstance, rules: SiteRules, access: Access): void {
  app.decorateRequest("caller", null);
  app.decorateRequest("gone", null);
  app.addHook("onRoute", ({ url, config }) => {
    if (config?.needs === undefined) throw new Error(`the route ${url} must say which role it needs`);
  });
  app.addHook("onRequest", async (request, reply) => {
    // On the response itself: they hold for answers that are written past Fastify too.
    for (const [name, value] of Object.entries(everywhere)) reply.raw.setHeader(name, value);
    requireAllowedSite(request.headers, rules);
    const { origin, authorization } = request.headers;
    if (isAllowedOrigin(origin, rules) && allow(request, reply, origin)) return reply;
    const { needs: stated } = request.routeOptions.config;
    const needs = typeof stated === "function" ? stated(request) : stated;
    if (needs == null) return undefined;
    const caller = await access.identify(authorization);
    requireRole(caller, needs, request.routeOptions.url ?? request.url);
    request.caller = caller;
    request.gone = untilGone([reply.raw, request.raw.socket], !reply.raw.destroyed && !request.raw.socket.destroyed, caller.ended);
    request.gone.addEventListener("abort", () => {
      if (reply.raw.headersSent) reply.raw.destroy();
    });
    return undefined;
  });
}
