import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { EspalierError } from "../errors.ts";

/** What browsers may call this server, and which of their pages may use it. */
export interface SiteRules {
  /** The address that the server is bound to. */
  readonly bound: string;
  /** Names that it is called by, beside that address and those of the loopback interface. */
  readonly hosts: readonly string[];
  /** Pages of other origins that may use it, such as `https://example.org`. */
  readonly origins: readonly string[];
}

const loopback = ["localhost", "127.0.0.1", "::1"];

/** Whether only this machine reaches a server bound to an address. */
export const isLoopback = (host: string): boolean => loopback.includes(host) || (isIP(host) === 4 && host.startsWith("127."));

/** Bound to these, a server answers at whatever addresses lead to the machine. */
const wildcards = ["0.0.0.0", "::", ""];

/** The name in a Host header, without port and brackets; null if it is none. */
function nameIn(host: string | undefined): string | null {
  const name =
    host !== undefined && /^[^/?#@\\\s]+$/.test(host) && URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : null;
  return name?.replace(/^\[|\]$/g, "") ?? null;
}

/**
 * A page can have its own name lead to this machine, and then reads what we answer as its own: so we answer to our names only. An
 * address in numbers is not led anywhere, and where we are bound to all of them each is ours.
 */
function isOurs(name: string, { bound, hosts }: SiteRules): boolean {
  return loopback.includes(name) || name === bound.toLowerCase() || hosts.includes(name) || (wildcards.includes(bound) && isIP(name) !== 0);
}

/** Whether a page of another origin asks that may do so; it must be told that it may read the answer. */
export const isAllowedOrigin = (origin: string | undefined, { origins }: SiteRules): origin is string =>
  origin !== undefined && origins.includes(origin);

/**
 * Refuses what browsers send for pages that are not ours. Programs that are no browsers say no origin, and what host they like.
 *
 * @throws EspalierError HOST_NOT_ALLOWED, ORIGIN_NOT_ALLOWED
 */
export function requireAllowedSite({ host, origin }: IncomingHttpHeaders, rules: SiteRules): void {
  const name = nameIn(host);
  if (name === null || !isOurs(name, rules))
    throw new EspalierError("HOST_NOT_ALLOWED", `this server is not called "${name ?? ""}"; ESPALIER_ALLOWED_HOSTS lists its names`, {
      host: name,
    });
  if (origin === undefined || isAllowedOrigin(origin, rules)) return;
  // A proxy with TLS before us changes the scheme, and nothing else.
  if (URL.canParse(origin) && new URL(origin).host === host?.toLowerCase()) return;
  throw new EspalierError(
    "ORIGIN_NOT_ALLOWED",
    `pages of ${origin} may not use this server; ESPALIER_ALLOWED_ORIGINS lists those that may`,
    {
      origin,
    },
  );
}
