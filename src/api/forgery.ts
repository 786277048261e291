import type { IncomingHttpHeaders } from "node:http";
import { EspalierError } from "../errors.ts";

/** Headers that a page of another site cannot make a browser send without asking the server first (a CORS preflight). */
export const asking = ["apollo-require-preflight", "x-apollo-operation-name", "authorization"] as const;
const simple = /^\s*(application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)\s*(;|$)/i;

/** Who may have sent a GET: `own` our own page or a program, `foreign` a page of another site, `unknown` either. */
export type Sender = "own" | "foreign" | "unknown";

/**
 * Tells what a browser may have been made to send, by GET, by a page of another site, which has our client's address and its rights but
 * not its wish (cross-site request forgery). Browsers say it in `Sec-Fetch-Site`, though not to a plain HTTP address of
 * another machine, and old ones never. A page cannot read the answer; what has effects must not run all the same.
 *
 * @param headers of a request whose origin, if it states one, is allowed
 */
export function senderOf(method: string, headers: IncomingHttpHeaders): Sender {
  if (method !== "GET") return "own";
  const type = headers["content-type"];
  if (headers.origin || (type !== undefined && !simple.test(type)) || asking.some((name) => headers[name])) return "own";
  const site = headers["sec-fetch-site"];
  if (site === undefined) return "unknown";
  return site === "same-origin" || site === "none" ? "own" : "foreign";
}

/** What is thrown at a request that a page of another site may have sent. */
export const crossSite = (): EspalierError =>
  new EspalierError(
    "CROSS_SITE_REQUEST",
    `a page of another site may have sent this: send it by POST, or with the header ${asking[0]}: true`,
  );

/**
 * Queries have no effects, and their answers are not shown to pages of other sites; so any page may cause one. What makes the
 * server compute asks for more.
 *
 * @throws EspalierError CROSS_SITE_REQUEST
 */
export function requireOwnSender({ sender }: { readonly sender: Sender }): void {
  if (sender !== "own") throw crossSite();
}
