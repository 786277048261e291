import { createReadStream } from "node:fs";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { FastifyInstance } from "fastify";
import { examples } from "./examples.ts";

/** The page's files, copied there by scripts/ensure-installed.mjs: it needs nothing from elsewhere. */
const folder = fileURLToPath(new URL("../../assets/graphiql/", import.meta.url));
const files = ["react.js", "react-dom.js", "graphiql.js", "graphiql.css"];

const types: Readonly<Record<string, string>> = { ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8" };

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Espalier · GraphiQL</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/graphiql/graphiql.css">
<style>html, body, #graphiql { height: 100%; margin: 0 }</style>
</head>
<body>
<div id="graphiql">Loading …</div>
${["react.js", "react-dom.js", "graphiql.js", "start.js"].map((file) => `<script src="/graphiql/${file}"></script>`).join("\n")}
</body>
</html>
`;

const start = `const url = new URL("/graphql", location.href).href;
const fetcher = GraphiQL.createFetcher({ url, subscriptionUrl: url.replace(/^http/, "ws") });
const defaultTabs = ${JSON.stringify(examples.map(({ query, variables }) => ({ query, variables: JSON.stringify(variables, null, 2) })))};
// GraphiQL fills the variables of every tab but the one it opens with; a page that was here before restores its own.
const variables = localStorage.getItem("graphiql:tabState") ? undefined : defaultTabs[0].variables;
ReactDOM.createRoot(document.getElementById("graphiql")).render(React.createElement(GraphiQL, { fetcher, defaultTabs, variables, defaultEditorToolsVisibility: "variables" }));
`;

const policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; frame-ancestors 'none'";

/** Whether a page is asked for, as a browser's address bar does. */
export const wantsPage = (accept: string | undefined): boolean => accept?.includes("text/html") ?? false;

export const graphiqlPage = {
  body: page,
  headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": policy },
} as const;

/** Serves the page's files. */
export function serveGraphiql(app: FastifyInstance): void {
  const config = { needs: null };
  app.get("/graphiql/start.js", { config }, (_request, reply) => reply.type(types[".js"] as string).send(start));
  for (const name of files)
    app.get(`/graphiql/${name}`, { config }, (_request, reply) =>
      reply
        .type(types[extname(name)] as string)
        .header("cache-control", "public, max-age=3600")
        .send(createReadStream(folder + name)),
    );
}
