import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { defaultPruningOptions } from "../../src/pruning/options.ts";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const readme = read("README.md");

const shown = (value: unknown): string => (Array.isArray(value) ? `[${value.join(", ")}]` : String(value));
const leaves = Object.entries(defaultPruningOptions).flatMap(([name, value]): [string, string][] =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value).map(([inner, v]) => [`${name}.${inner}`, shown(v)])
    : [[name, shown(value)]],
);

test("README's table of options gives every option's default", () => {
  for (const [name, value] of leaves) assert.ok(readme.includes(`| \`${name}\` | \`${value}\` |`), `${name} is ${value}`);
});

test("README's table of variables names every setting", () => {
  const variables = [...read("src/config.ts").matchAll(/\["([A-Z_]+)",/g)].map((m) => m[1] as string);
  assert.ok(variables.length > 3);
  for (const variable of variables) assert.ok(readme.includes(`\`${variable}\``), variable);
});
