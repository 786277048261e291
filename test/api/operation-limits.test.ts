import assert from "node:assert/strict";
import { test } from "node:test";
import { buildSchema, parse, validate } from "graphql";
import { boundedOperations, limits } from "../../src/api/limits.ts";

const schema = buildSchema("type Query { a: Query b: String }");

/** What a document has too much of: limit and number. */
const excess = (document: string): unknown[] =>
  validate(schema, parse(document), [boundedOperations]).map(({ originalError }) => {
    const { limit, actual } = (originalError as Error & { details: { limit: string; actual: number } }).details;
    return [limit, actual];
  });

const times = (n: number, of: (i: number) => string): string => Array.from({ length: n }, (_, i) => of(i)).join(" ");
const nested = (fields: number): string => (fields === 1 ? "b" : `a { ${nested(fields - 1)} }`);

/** A document with so much of one thing, by the ways to write it. */
const ways: Record<string, Record<string, (n: number) => string>> = {
  aliases: {
    "in the operation": (n) => `{ ${times(n, (i) => `x${i}: b`)} }`,
    "in fields in fields": (n) => `{ x: a { ${times(n - 1, (i) => `x${i}: b`)} } }`,
    "in a fragment": (n) => `{ ...f } fragment f on Query { ${times(n, (i) => `x${i}: b`)} }`,
    "in a fragment of a fragment": (n) => `{ ...e } fragment e on Query { ...f } fragment f on Query { ${times(n, (i) => `x${i}: b`)} }`,
    "in a fragment that is spread again and again": (n) => `{ ${times(n, () => "...f")} } fragment f on Query { x: b }`,
    "in an inline fragment": (n) => `{ ... on Query { ${times(n, (i) => `x${i}: b`)} } }`,
    "some here, some in a fragment": (n) => `{ y: b z: b ...f } fragment f on Query { ${times(n - 2, (i) => `x${i}: b`)} }`,
  },
  depth: {
    "in the operation": (n) => `{ ${nested(n)} }`,
    "before a field that is not deep": (n) => `{ ${nested(n)} b }`,
    "through a fragment": (n) => `{ a { ...f } } fragment f on Query { ${nested(n - 1)} }`,
    "through an inline fragment": (n) => `{ a { ... { ${nested(n - 1)} } } }`,
  },
  fields: {
    "in the operation": (n) => `{ ${times(n, () => "b")} }`,
    "with those they are in": (n) => `{ a { ${times(n - 1, () => "b")} } }`,
    "in a fragment spread twice": (n) =>
      `{ ${times(n % 2, () => "b")} ...f ...f } fragment f on Query { ${times(Math.floor(n / 2), () => "b")} }`,
  },
};

for (const [limit, documents] of Object.entries(ways))
  for (const [way, write] of Object.entries(documents))
    test(`${limit} ${way}: as many as allowed pass, one more is counted and refused`, () => {
      const most = limits[limit as keyof typeof limits];
      assert.deepEqual(excess(write(most)), []);
      assert.deepEqual(excess(write(most + 1)), [[limit, most + 1]]);
    });

test("each operation is measured by itself, and what is too much is told together", () => {
  const half = times(limits.aliases, (i) => `x${i}: b`);
  assert.deepEqual(excess(`query A { ${half} } query B { ${half} }`), []);
  assert.deepEqual(excess(`query A { b } query B { y: b ${half} ${nested(limits.depth + 1)} }`), [
    ["depth", limits.depth + 1],
    ["aliases", limits.aliases + 1],
  ]);
});

test("a fragment that is not there, or spreads itself, is another rule's to refuse", () => {
  assert.deepEqual(excess("{ ...gone }"), []);
  assert.deepEqual(excess("{ ...f } fragment f on Query { b ...f }"), []);
});
