/**
 * Brings a checkout to the state that its lockfile and Prisma schema describe, and does nothing where it is there already.
 * Plain Node, because nothing is installed yet when it starts.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const at = (path) => `${root}/${path}`;

function fail(message) {
  console.error(`\n${message}`);
  process.exit(1);
}

/** Says on a terminal what one waits for, while the work lasts. Nothing of it stays: what a command prints comes first in its output. */
function passing(text, work) {
  if (process.stderr.isTTY) process.stderr.write(text);
  try {
    return work();
  } finally {
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  }
}

/** npm's own record of what lies in node_modules, against the lockfile. An optional package may be for another platform. */
function missingPackages() {
  if (!existsSync(at("node_modules/.package-lock.json"))) return ["node_modules"];
  const installed = JSON.parse(readFileSync(at("node_modules/.package-lock.json"), "utf8")).packages;
  const wanted = Object.entries(JSON.parse(readFileSync(at("package-lock.json"), "utf8")).packages);
  return wanted
    .filter(([path, { version, optional }]) => path !== "" && (installed[path] ? installed[path].version !== version : !optional))
    .map(([path]) => path);
}

function install() {
  const missing = missingPackages();
  if (missing.length === 0) return;
  // npm tells its scripts where it lies, so the npm that was called is the npm that installs.
  const npm = process.env.npm_execpath?.endsWith("npm-cli.js") ? [process.execPath, process.env.npm_execpath] : ["npm"];
  const [command, ...args] = [...npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"];
  const what = missing.length === 1 ? missing[0] : `${missing.length} packages`;
  const { status, error } = passing(`Installing dependencies (${what} missing or outdated) ...`, () =>
    spawnSync(command, args, { cwd: root, stdio: ["ignore", "ignore", 2], shell: process.platform === "win32" && npm.length === 1 }),
  );
  if (status === 0) return;
  fail(
    `Dependencies could not be installed: npm ci ${error ? `could not start (${error.message})` : `ended with status ${status}`}.\n` +
      "It needs an npm registry in reach and a checkout it may write to. Once that is so, run the command again.",
  );
}

/** The Prisma client is generated code: made anew when its schema, its configuration or Prisma itself changes. */
function generateClient() {
  const client = at("src/generated/prisma/client.ts");
  const stamp = at("src/generated/prisma/.stamp");
  const hash = createHash("sha256");
  for (const path of ["prisma/schema.prisma", "prisma.config.ts", "node_modules/prisma/package.json"]) hash.update(readFileSync(at(path)));
  const digest = hash.digest("hex");
  if (existsSync(client) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  const { status, stdout, stderr } = passing("Generating the Prisma client ...", () =>
    spawnSync(process.execPath, [at("node_modules/prisma/build/index.js"), "generate"], { cwd: root, encoding: "utf8" }),
  );
  if (status !== 0) fail(`prisma generate ended with status ${status}:\n${stdout}${stderr}`);
  writeFileSync(stamp, digest);
}

/**
 * The files of GraphiQL's page are copied out of their packages, which are for development only: they are bundled, and an install
 * need not bring the hundred packages that they were bundled from.
 */
function copyPage() {
  for (const [file, source] of Object.entries({
    "react.js": "react/umd/react.production.min.js",
    "react-dom.js": "react-dom/umd/react-dom.production.min.js",
    "graphiql.js": "graphiql/graphiql.min.js",
    "graphiql.css": "graphiql/graphiql.min.css",
    "LICENSE-react": "react/LICENSE",
    "LICENSE-graphiql": "graphiql/LICENSE",
  })) {
    const [from, to] = [at(`node_modules/${source}`), at(`assets/graphiql/${file}`)];
    if (existsSync(to) && readFileSync(to).equals(readFileSync(from))) continue;
    mkdirSync(at("assets/graphiql"), { recursive: true });
    copyFileSync(from, to);
  }
}

install();
generateClient();
copyPage();
const { buildWeb } = await import("./web/build.mjs");
const { writeTypes } = await import("./web/types.mjs");
try {
  await writeTypes();
  passing("Building the dashboard ...", buildWeb);
} catch (error) {
  fail(error.message);
}
