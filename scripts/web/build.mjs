/**
 * Builds the dashboard into assets/web, unless what is there was built of the same files, and holds its scripts to their limit.
 * Plain Node, for it is called where nothing else is built yet. Called by itself, it tells how large they are:
 *
 *     node scripts/web/build.mjs
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Of all scripts together, with gzip; kB are 1,000 bytes. */
const limitBytes = 150_000;

/** Packages of which code goes out with the site. */
const bundled = ["svelte", "d3-hierarchy", "graphql-ws"];

/** What the site is made of, and with: the files, and the versions of the packages. */
function digest() {
  const hash = createHash("sha256");
  const files = readdirSync(at("web"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes("generated"))
    .map((entry) => `${entry.parentPath}/${entry.name}`.replaceAll("\\", "/"))
    .sort();
  for (const file of files)
    hash
      .update(file.slice(at("web").length))
      .update("\0")
      .update(readFileSync(file));
  for (const name of [...bundled, "vite", "@sveltejs/vite-plugin-svelte"])
    hash.update(JSON.parse(readFileSync(at(`node_modules/${name}/package.json`), "utf8")).version);
  return hash.digest("hex");
}

/** The scripts that were built, with their sizes. */
function scriptSizes() {
  const folder = at("assets/web/assets");
  return readdirSync(folder)
    .filter((name) => name.endsWith(".js"))
    .map((name) => ({ name, bytes: gzipSync(readFileSync(`${folder}/${name}`)).length }))
    .sort((a, b) => b.bytes - a.bytes);
}

const totalOf = (sizes) => sizes.reduce((sum, { bytes }) => sum + bytes, 0);

function sizesInWords() {
  const kB = (bytes) => `${(bytes / 1000).toFixed(1).padStart(6)} kB`;
  const sizes = scriptSizes();
  const lines = sizes.map(({ name, bytes }) => `${kB(bytes)}  ${name}`);
  return [...lines, `${kB(totalOf(sizes))}  of script with gzip; the limit is ${kB(limitBytes).trim()}`].join("\n");
}

export function buildWeb() {
  const stamp = at("assets/web/.stamp");
  const wanted = digest();
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [at("node_modules/vite/bin/vite.js"), "build", at("web"), "--logLevel", "warn"],
    {
      cwd: at("web"),
      encoding: "utf8",
    },
  );
  if (status !== 0) throw new Error(`vite build ended with status ${status}:\n${stdout}${stderr}`);
  if (totalOf(scriptSizes()) > limitBytes) throw new Error(`the dashboard's scripts are larger than their limit:\n${sizesInWords()}`);
  for (const name of bundled) {
    const license = readdirSync(at(`node_modules/${name}`)).find((file) => file.startsWith("LICENSE"));
    copyFileSync(at(`node_modules/${name}/${license}`), at(`assets/web/LICENSE-${name}`));
  }
  writeFileSync(stamp, wanted);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  buildWeb();
  console.log(sizesInWords());
}
