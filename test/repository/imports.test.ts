import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { checkout } from "../support/checkout.ts";

/** The import lint must be able to fail: each row is a source file with one import, and the rule it breaks, or null. */
const rows: readonly (readonly [file: string, source: string, rule: string | null])[] = [
  ["src/onnx/a.ts", 'import { x } from "../runtime/x.ts";', "onnx-imports"],
  ["src/onnx/b.ts", 'import type { x } from "../text/x.ts";', "onnx-types"],
  ["src/onnx/c.ts", 'import { x } from "../errors.ts";', null],
  ["src/pruning/a.ts", 'import { x } from "../store/x.ts";', "pruning-imports"],
  ["src/pruning/b.ts", 'import { x } from "../autodiff/x.ts";', null],
  ["src/runtime/a.ts", 'import { InferenceSession } from "onnxruntime-node";', null],
  ["src/pruning/c.ts", 'import { InferenceSession } from "onnxruntime-node";', "runtime-owns-onnxruntime-(node|common)"],
  ["src/api/a.ts", 'import { PrismaPg } from "@prisma/adapter-pg";', "store-owns-@prisma"],
  ["src/api/b.ts", 'import { x } from "../generated/x.ts";', "api-imports"],
  ["src/api/c.ts", 'import type { x } from "../models/x.ts";', null],
  ["src/api/d.ts", 'import { x } from "../runtime/x.ts";', "api-imports"],
  ["src/text/a.ts", 'import { x } from "../config.ts";', "text-imports"],
  ["src/text/b.ts", 'import { x } from "./missing.ts";', "no-unresolvable"],
  ["src/elsewhere/a.ts", 'import { x } from "../errors.ts";', "every-folder-is-listed"],
  ["src/errors.ts", 'import { x } from "./onnx/x.ts";', "what-all-share-imports-nothing"],
  ["src/api/e.ts", 'import { x } from "../../web/src/lib/x.ts";', "nobody-imports-the-dashboard"],
  ["web/src/api/a.ts", 'import type { x } from "../../../src/errors.ts";', "the-dashboard-is-apart"],
  ["web/src/lib/a.ts", 'import { x } from "../api/a.ts";', "web-lib-imports"],
  ["web/src/views/a.ts", 'import { x } from "../lib/x.ts";', null],
];
const targets = ["onnx", "runtime", "text", "store", "autodiff", "generated", "models"]
  .map((folder) => `src/${folder}/x.ts`)
  .concat("web/src/lib/x.ts");

const tried = mkdtempSync(join(tmpdir(), "espalier-imports-"));
after(() => rmSync(tried, { recursive: true }));
copyFileSync(join(checkout, "tsconfig.json"), join(tried, "tsconfig.json"));
copyFileSync(join(checkout, "package.json"), join(tried, "package.json"));
symlinkSync(join(checkout, "node_modules"), join(tried, "node_modules"), "junction");

const write = (file: string, source: string): void => {
  mkdirSync(dirname(join(tried, file)), { recursive: true });
  writeFileSync(join(tried, file), source);
};

/** The rules broken in the checkout, by file. */
function violations(): Map<string, string[]> {
  const depcruise = join(checkout, "node_modules/dependency-cruiser/bin/dependency-cruise.mjs");
  const config = join(checkout, ".dependency-cruiser.mjs");
  const { stdout, stderr } = spawnSync(process.execPath, [depcruise, "--config", config, "-T", "json", "src", "web"], {
    cwd: tried,
    encoding: "utf8",
  });
  assert.ok(stdout, stderr);
  const { summary } = JSON.parse(stdout) as { summary: { violations: { from: string; rule: { name: string } }[] } };
  const byFile = new Map<string, string[]>();
  for (const { from, rule } of summary.violations) byFile.set(from, [...(byFile.get(from) ?? []), rule.name]);
  return byFile;
}

test("the import lint refuses each forbidden import and allows the others", () => {
  for (const file of ["src/errors.ts", "src/config.ts", ...targets]) write(file, "export const x = 1;");
  for (const [file, source] of rows) write(file, `${source}\nexport const y = 1;`);
  const broken = violations();
  for (const [file, source, rule] of rows) assert.deepEqual(broken.get(file) ?? [], rule ? [rule] : [], `${file}: ${source}`);
});

test("the import lint refuses a cycle of values, not of types", () => {
  write("src/structures/p.ts", 'import { q } from "./q.ts";\nexport const p = 1;\nexport const r = q;');
  write("src/structures/q.ts", 'import { p } from "./p.ts";\nexport const q = 2;\nexport const s = p;');
  write("src/structures/t.ts", 'import type { U } from "./u.ts";\nexport type T = U;');
  write("src/structures/u.ts", 'import type { T } from "./t.ts";\nexport type U = T[];');
  const broken = violations();
  assert.deepEqual(broken.get("src/structures/p.ts"), ["no-cycles"]);
  assert.equal(broken.get("src/structures/t.ts"), undefined);
});
