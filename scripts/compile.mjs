import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const copy = join(root, ".compiled");

/** So that a process that reads the file meanwhile never finds half of it. */
function writeWhole(path, contents) {
  if (existsSync(path) && readFileSync(path).equals(contents)) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.${process.pid}`, contents);
  renameSync(`${path}.${process.pid}`, path);
}

/** The files of a folder and of those in it, as paths from the root, with slashes. */
const filesOf = (folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/"));

/**
 * Makes a copy of the checkout in which each TypeScript file of `src`, `test` and `scripts` is JavaScript, and all else is what it is: a
 * process starts in half the time that it takes with a loader. What had not changed is left, so that tests may run from it meanwhile.
 *
 * @returns the copy's folder
 */
export async function compile() {
  const compiled = ["src", "test", "scripts"];
  const top = readdirSync(root, { withFileTypes: true }).filter(({ name }) => ![".git", ".compiled", ...compiled].includes(name));
  const own = compiled.flatMap(filesOf).filter((path) => !path.startsWith("test/fixtures/"));
  const isTypeScript = (path) => path.endsWith(".ts");
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: own.filter(isTypeScript),
    outbase: root,
    outdir: copy,
    format: "esm",
    platform: "node",
    target: "node20",
    sourcemap: true,
    sourcesContent: false,
    packages: "external",
    // Each file for itself: what it imports is left, under its new name.
    bundle: true,
    plugins: [
      {
        name: "imports",
        setup: ({ onResolve }) =>
          onResolve({ filter: /^\./ }, ({ kind, path }) =>
            kind === "entry-point" ? undefined : { path: path.replace(/\.ts$/, ".js"), external: true },
          ),
      },
    ],
    write: false,
    logLevel: "warning",
  });
  for (const { path, contents } of outputFiles) writeWhole(path, contents);
  const copied = [...own.filter((path) => !isTypeScript(path)), ...top.filter((entry) => entry.isFile()).map(({ name }) => name)];
  for (const path of copied) writeWhole(join(copy, path), readFileSync(join(root, path)));
  const linked = [...top.filter((entry) => entry.isDirectory()).map(({ name }) => name), "test/fixtures"];
  for (const path of linked) if (!existsSync(join(copy, path))) symlinkSync(join(root, path), join(copy, path), "junction");
  return copy;
}
