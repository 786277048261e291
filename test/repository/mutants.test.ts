import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { describeMutation, mutated, mutationsOf } from "../../scripts/checks/mutants/mutations.ts";
import { testsByNearness } from "../../scripts/checks/mutants/nearest-tests.ts";
import { casesOf } from "../../scripts/checks/mutants/reach.ts";
import { tryMutants } from "../../scripts/checks/mutants/try-mutants.ts";

/** Each row: a source, and all that becomes of it. */
const rows: readonly (readonly [source: string, mutants: readonly string[]])[] = [
  ["f(a < b);", [";", "f(a <= b);"]],
  ["const x = a + b * c;", ["const x = a - b * c;", "const x = a + b / c;"]],
  ['const x = a + "b";', []],
  ["const x = a ?? b;", ["const x = a;"]],
  ["const x = !a && true;", ["const x = a && true;", "const x = !a || true;", "const x = !a && false;"]],
  ["const x: 1 | 2 = -0;", ["const x: 1 | 2 = 0;", "const x: 1 | 2 = -1;", "const x: 1 | 2 = -(-1);"]],
  [
    "const settings = [64, 65, 4 * 1024];",
    ["65", "63"]
      .map((n) => `const settings = [${n}, 65, 4 * 1024];`)
      .concat(["5 * 1024", "3 * 1024", "4 / 1024"].map((n) => `const settings = [64, 65, ${n}];`)),
  ],
  ["if (a) await f();", ["if (true) await f();", "if (false) await f();", "if (a) ;"]],
  ["let i = n; i++;", ["let i = n; ;", "let i = n; i--;"]],
  ["const x = list.sort(f).some(g);", ["const x = list.some(g);", "const x = list.sort(f).every(g);"]],
  ['import { a } from "./a.ts";', []],
  ['const order = { by: "asc" };', ['const order = { by: "desc" };']],
  ["const rows = sql`SELECT 1 FROM t FOR UPDATE`;", ["const rows = sql`SELECT 1 FROM t`;"]],
  ["class A extends B { constructor() { super(); } }", []],
];

for (const [source, mutants] of rows)
  test(`mutants of ${source}`, () => {
    const found = mutationsOf(source).map((mutation) => mutated(source, mutation));
    assert.deepEqual(found.sort(), [...mutants].sort());
  });

test("a mutation is told by its line", () => {
  const source = "const a = b;\nconst c = a < b;\n";
  assert.deepEqual(
    mutationsOf(source).map((mutation) => describeMutation(source, mutation)),
    ["2  const c = a < b;  →  const c = a <= b;"],
  );
});

test("a test reaches what is noted in it, and what the file, a hook or another process reached before", () => {
  const notes =
    'load:0\nbegin 1000 "a \\"b\\""\nown:1\n+child:2\nend 1200\nhook:3\nbegin 1300 "c"\nown:4\nend 1350\nbegin 1400 "cut short"\n';
  const cases = casesOf(notes, 1700).map(({ name, durationMs, ended, places }) => [name, durationMs, ended, [...places].join(" ")]);
  assert.deepEqual(cases, [
    ['a "b"', 200, true, "load:0 own:1 child:2"],
    ["c", 50, true, "load:0 child:2 hook:3 own:4"],
    ["cut short", 300, false, "load:0 child:2 hook:3"],
  ]);
});

const root = mkdtempSync(join(tmpdir(), "espalier-tried-"));
after(() => rmSync(root, { recursive: true }));
const files: Readonly<Record<string, string>> = {
  "package.json": '{ "type": "module" }',
  "src/age/adult.ts":
    "export const isAdult = (age: number): boolean => age >= limit();\nexport const unasked = (n: number): boolean => n > 5;\nfunction limit(): number {\n  return 18;\n}\n",
  "src/age/wait.ts": "export async function countDown(n: number): Promise<void> {\n  for (let i = n; i > 0; i--) await null;\n}\n",
  // Of both tests nearest to adult.ts this one comes first, and does not see the limit; the other does.
  "test/age/adult.test.ts":
    'import assert from "node:assert";\nimport { test } from "node:test";\nimport { isAdult } from "../../src/age/adult.ts";\ntest("an old man is of age", () => assert.ok(isAdult(80)));\n',
  "test/age/youth.test.ts":
    'import assert from "node:assert";\nimport { test } from "node:test";\nimport { isAdult } from "../../src/age/adult.ts";\ntest("at 19, and not at 17", () => assert.deepEqual([isAdult(19), isAdult(17)], [true, false]));\n',
  "src/age/ticket.ts":
    "export const isFree = (age: number): boolean => age < 6;\nexport const half = (price: number): number => price / 2;\n",
  "test/age/ticket.test.ts":
    'import assert from "node:assert";\nimport { describe, it } from "node:test";\nimport { half, isFree } from "../../src/age/ticket.ts";\ndescribe("a ticket", () => {\n  it("(half) the price?", () => assert.equal(half(8), 4));\n  it("for children", () => assert.ok(isFree(half(8)) && !isFree(6)));\n});\n',
  "test/age/broken.test.ts": 'import assert from "node:assert";\nimport "../../src/age/adult.ts";\nassert.fail();\n',
  "test/age/wait.test.ts":
    'import { test } from "node:test";\nimport { countDown } from "../../src/age/wait.ts";\ntest("it ends", () => countDown(3));\n',
  // Reaches a source through a program that it starts.
  "test/far/child.test.ts": 'import { fork } from "node:child_process";\nfork(new URL("../../src/age/wait.ts", import.meta.url));\n',
};
for (const [path, text] of Object.entries(files)) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
symlinkSync(fileURLToPath(new URL("../../node_modules", import.meta.url)), join(root, "node_modules"), "junction");

test("the nearest tests are those of a source's name, then those that import it, then those that start it", () => {
  const nearest = testsByNearness(root, 3);
  assert.deepEqual(nearest("src/age/adult.ts"), ["test/age/adult.test.ts", "test/age/broken.test.ts", "test/age/youth.test.ts"]);
  assert.deepEqual(nearest("src/age/wait.ts"), ["test/age/wait.test.ts", "test/far/child.test.ts"]);
  assert.deepEqual(testsByNearness(root, 1)("src/age/wait.ts"), ["test/age/wait.test.ts"]);
});

/** The outcome of each mutant of a source, by what is changed, and what was said. */
async function outcomes(source: string, sample: number | null = null): Promise<{ outcomes: Record<string, string>; said: string[] }> {
  const said: string[] = [];
  const found: Record<string, string> = {};
  const options = {
    root,
    paths: [source],
    sample,
    seed: 1,
    tests: 3,
    ledger: join(root, "ledger.jsonl"),
    baselines: join(root, "tests.json"),
    say: (line: string) => said.push(line),
  };
  for await (const { text, mutation, verdict } of tryMutants(options))
    found[`${text.slice(mutation.start, mutation.end)} → ${mutation.replacement}`] = `${verdict.outcome} ${verdict.failed}`;
  return { outcomes: found, said };
}

const expected = {
  ">= → >": "SURVIVED null",
  "> → >=": "UNREACHED null",
  "5 → 6": "UNREACHED null",
  "5 → 4": "UNREACHED null",
  "18 → 19": "SURVIVED null",
  "18 → 17": "KILLED at 19, and not at 17",
};

test("what a test notices is killed, what none notices survives; the checkout stays as it is; a second run only looks up", async () => {
  const before = readdirSync(root, { recursive: true }).filter((path) => !String(path).startsWith("node_modules"));
  const first = await outcomes("src/age/adult.ts");
  assert.deepEqual(first.outcomes, expected);
  assert.deepEqual(first.said, ["test/age/broken.test.ts is left out: it fails without a mutant (it could not be run)"]);
  for (const [path, text] of Object.entries(files)) assert.equal(readFileSync(join(root, path), "utf8"), text);
  const after = readdirSync(root, { recursive: true }).filter((path) => !String(path).startsWith("node_modules"));
  assert.deepEqual(after.sort(), [...before, "ledger.jsonl", "tests.json"].sort());
  // Nothing is run, so that nothing is said.
  assert.deepEqual(await outcomes("src/age/adult.ts"), { outcomes: expected, said: [] });
  // A sharper test, and only what had survived its tests is tried anew.
  const youth = join(root, "test/age/youth.test.ts");
  writeFileSync(youth, (files["test/age/youth.test.ts"] as string).replace("isAdult(19)", "isAdult(18)"));
  const sharper = await outcomes("src/age/adult.ts");
  for (const slip of [">= → >", "18 → 19"]) assert.equal(sharper.outcomes[slip], "KILLED at 19, and not at 17");
});

test("a slip is tried with the tests of a file that reach it, the quickest first", async () => {
  const { outcomes: found } = await outcomes("src/age/ticket.ts");
  assert.deepEqual(found, {
    "< → <=": "KILLED for children",
    "6 → 7": "KILLED for children",
    "6 → 5": "SURVIVED null",
    "/ → *": "KILLED (half) the price?",
    "2 → 3": "KILLED (half) the price?",
    "2 → 1": "KILLED (half) the price?",
  });
});

test("a loop that does not end runs out of time", async () => {
  const { outcomes: found } = await outcomes("src/age/wait.ts");
  assert.equal(found["-- → ++"], "TIMED_OUT null");
  assert.equal(found["> → >="], "SURVIVED null");
});

test("a sample is drawn by its seed", async () => {
  const [one, again] = [await outcomes("src/age/wait.ts", 2), await outcomes("src/age/wait.ts", 2)];
  assert.equal(Object.keys(one.outcomes).length, 2);
  assert.deepEqual(one, again);
});
