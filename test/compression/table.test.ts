import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { compressionRows } from "../../scripts/generate/methods-table.ts";
import { defaultCompressionOptions } from "../../src/compression/options.ts";

test("the ways of compressing are all in docs/compression.md; if not, run: node --import tsx scripts/generate/methods-table.ts", () => {
  assert.ok(readFileSync(new URL("../../docs/compression.md", import.meta.url), "utf8").includes(compressionRows()));
});

test("the options in docs/compression.md have the defaults that they have", () => {
  const page = readFileSync(new URL("../../docs/compression.md", import.meta.url), "utf8");
  const rows = page.split("\n").filter((line) => /^\| `\w+`(?:, `\w+`)* \| `/.test(line));
  const told = rows.flatMap((line) => {
    const [names, values] = line
      .split("|")
      .slice(1, 3)
      .map((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((m) => m[1] as string));
    return (names ?? []).map((name, i) => [name, values?.[i]] as const);
  });
  const { scheme: _, ...options } = defaultCompressionOptions;
  for (const [name, value] of Object.entries(options)) assert.equal(told.find(([of]) => of === name)?.[1], String(value), name);
});
