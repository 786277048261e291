import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkout } from "../../test/support/checkout.ts";

/** @throws Error with what the program wrote, if it fails */
function run(cwd: string, [program, ...args]: readonly string[]): string {
  const shell = process.platform === "win32" && program === "npm";
  const { status, stdout, stderr, error } = spawnSync(program as string, args, { cwd, encoding: "utf8", shell });
  if (status === 0) return stdout.trim();
  throw new Error(`${program} ${args[0]} ended with status ${status}: ${error?.message ?? ""}\n${stdout}\n${stderr}`);
}

/** npm tells its scripts where it lies: the npm that was called is the npm that packs and installs. */
const npm = process.env["npm_execpath"]?.endsWith("npm-cli.js") ? [process.execPath, process.env["npm_execpath"]] : ["npm"];

/** A whole build, of which nothing is written down for the next. Types are checked elsewhere. */
const noRecord = ["--noCheck", "--incremental", "false", "--tsBuildInfoFile", "null"];

/**
 * Builds and packs in a folder of its own, so that nothing of an earlier build is in it.
 *
 * @param destination an existing folder
 * @returns the path of the packed file
 */
export function pack(destination: string): string {
  const stage = mkdtempSync(join(tmpdir(), "espalier-pack-"));
  try {
    const compiler = [process.execPath, join(checkout, "node_modules/typescript/bin/tsc")];
    run(checkout, [...compiler, "-p", "tsconfig.build.json", "--outDir", join(stage, "dist"), ...noRecord]);
    const { files } = JSON.parse(readFileSync(join(checkout, "package.json"), "utf8")) as { readonly files: readonly string[] };
    for (const path of ["package.json", "README.md", "LICENSE", ...files])
      if (path !== "dist" && !path.startsWith("!")) cpSync(join(checkout, path), join(stage, path), { recursive: true });
    return join(destination, run(stage, [...npm, "pack", "--silent", "--pack-destination", destination]));
  } finally {
    rmSync(stage, { recursive: true });
  }
}

/** Installs a packed file in an empty folder, as its users do. @throws Error with npm's words */
export function installPacked(file: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  const quietly = ["--no-audit", "--no-fund", "--loglevel=error"];
  run(folder, [...npm, "install", "--ignore-scripts", "--omit=dev", "--prefer-offline", ...quietly, file]);
}

/** The packages installed in a folder, with the bytes of their files, largest first. */
export function installedSizes(folder: string): [name: string, bytes: number][] {
  const sizes = new Map<string, number>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path.replaceAll("\\", "/"))?.[1];
    if (name) sizes.set(name, (sizes.get(name) ?? 0) + statSync(path).size);
  }
  return [...sizes].sort(([, a], [, b]) => b - a);
}

/** The sizes for people: those of a megabyte and more, and the rest as one. */
export function sizesInWords(sizes: readonly (readonly [string, number])[]): string {
  const line = (bytes: number, name: string) => `${(bytes / 1e6).toFixed(1).padStart(7)} MB  ${name}`;
  const total = (some: typeof sizes) => some.reduce((sum, [, bytes]) => sum + bytes, 0);
  const small = sizes.filter(([, bytes]) => bytes < 1e6);
  return [
    ...sizes.filter(([, bytes]) => bytes >= 1e6).map(([name, bytes]) => line(bytes, name)),
    line(total(small), `${small.length} packages of less than a megabyte`),
    line(total(sizes), `${sizes.length} packages together`),
  ].join("\n");
}
