import { createReadStream, existsSync, readdirSync } from "node:fs";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { FastifyInstance } from "fastify";

/** The dashboard as scripts/web/build.mjs leaves it: it needs nothing from elsewhere. */
const folder = fileURLToPath(new URL("../../assets/web/", import.meta.url));

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/**
 * Scripts and styles come from files of ours and stand nowhere in the page; strings become markup nowhere but in the components' own
 * templates.
 */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types svelte-trusted-html",
].join("; ");

const notBuilt = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Espalier</title>
<p>The dashboard has not been built: <code>npm run build</code> does it. The API is at <a href="graphql">/graphql</a>.</p></html>
`;

/** Serves the dashboard at `/`. Its addresses are behind the `#`, so that this is its only page. */
export function serveDashboard(app: FastifyInstance): void {
  const config = { needs: null };
  const send = (url: string, file: string, headers: Readonly<Record<string, string>>) =>
    app.get(url, { config }, (_request, reply) =>
      reply
        .headers({ "content-type": types[extname(file)] ?? "application/octet-stream", ...headers })
        .send(createReadStream(folder + file)),
    );
  const page = { "content-security-policy": policy };
  if (!existsSync(`${folder}index.html`)) {
    app.get("/", { config }, (_request, reply) => reply.headers({ "content-type": types[".html"] as string, ...page }).send(notBuilt));
    return;
  }
  send("/", "index.html", { ...page, "cache-control": "no-cache" });
  send("/icon.svg", "icon.svg", { "cache-control": "public, max-age=3600" });
  // Their names change with what is in them.
  for (const name of readdirSync(`${folder}assets`))
    send(`/assets/${name}`, `assets/${name}`, { "cache-control": "public, max-age=31536000, immutable" });
}
