import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { append, largest, smallest } from "../../src/large-lists.ts";
import { checkout } from "../support/checkout.ts";

it("spreads no list into a call that takes any number of arguments: how long lists are is a model's to say", () => {
  const spread = /\.(?:push|unshift)\((?:[^(){}]*, )?\.\.\.|Math\.(?:max|min|hypot)\((?:[^(){}]*, )?\.\.\.|fromCharCode\(\.\.\./;
  const sources = readdirSync(join(checkout, "src"), { recursive: true, encoding: "utf8" }).filter(
    (path) => path.endsWith(".ts") && !path.startsWith("generated"),
  );
  assert.ok(sources.length > 500);
  const found = sources.flatMap((path) =>
    readFileSync(join(checkout, "src", path), "utf8")
      .split("\n")
      .flatMap((line, i) => (spread.test(line) ? [`src/${path}:${i + 1}: ${line.trim()}`] : [])),
  );
  assert.deepEqual(found, [], "append, largest and smallest of src/large-lists.ts take lists of any length");
});

it("appends and compares lists that a spread could not", () => {
  const many = Array.from({ length: 400_140 }, (_, i) => i);
  assert.throws(() => Math.max(...many), RangeError);
  const list = [-1];
  append(list, many);
  assert.equal(list.length, many.length + 1);
  assert.deepEqual([largest(many), smallest(list), largest([]), smallest([])], [400_139, -1, -Infinity, Infinity]);
  assert.deepEqual([largest([1, Number.NaN]), smallest([Number.NaN, 1])], [Number.NaN, Number.NaN], "as Math.max and Math.min have it");
});
