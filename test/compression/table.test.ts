import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { compressionRows } from "../../scripts/generate/methods-table.ts";

test("the ways of compressing are all in docs/compression.md; if not, run: node --import tsx scripts/generate/methods-table.ts", () => {
  assert.ok(readFileSync(new URL("../../docs/compression.md", import.meta.url), "utf8").includes(compressionRows()));
});
