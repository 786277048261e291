import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { checkout } from "../support/checkout.ts";

const read = (path: string): string => readFileSync(join(checkout, path), "utf8");
const pruning = read("docs/pruning.md");
const running = read("docs/running.md");

const shown = (value: unknown): string => (Array.isArray(value) ? `[${value.join(", ")}]` : String(value));
const leaves = Object.entries(defaultPruningOptions).flatMap(([name, value]): [string, string][] =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value).map(([inner, v]) => [`${name}.${inner}`, shown(v)])
    : [[name, shown(value)]],
);

test("the table of options in docs/pruning.md gives every option's default", () => {
  for (const [name, value] of leaves) assert.ok(pruning.includes(`| \`${name}\` | \`${value}\` |`), `${name} is ${value}`);
});

test("the table of settings in docs/running.md names every setting", () => {
  const variables = [...read("src/config.ts").matchAll(/\["([A-Z_]+)",/g)].map((m) => m[1] as string);
  assert.ok(variables.length > 3);
  for (const variable of variables) assert.ok(running.includes(`\`${variable}\``), variable);
});

test("README fits two screens, and its links lead somewhere", () => {
  const readme = read("README.md");
  assert.ok(readme.split("\n").length <= 120, "README is longer than two screens");
  for (const [, path = ""] of readme.matchAll(/\]\(([^)#]+)\)/g))
    if (!path.startsWith("http")) assert.ok(existsSync(join(checkout, path)), path);
});

test("every file that docs/architecture.md and CONTRIBUTING.md name is there", () => {
  const named = [...`${read("docs/architecture.md")}${read("CONTRIBUTING.md")}`.matchAll(/`((?:src|test|scripts|docs)\/[\w./-]+)`/g)];
  assert.ok(named.length > 40);
  for (const [, path = ""] of named) if (!path.includes("your-")) assert.ok(existsSync(join(checkout, path)), path);
});
