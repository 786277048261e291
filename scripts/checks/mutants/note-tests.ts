/**
 * Loaded before a test file: notes in the file `ESPALIER_TEST_NOTES` where each of its tests begins and ends, among the notes of
 * what they reach.
 */
import { appendFileSync } from "node:fs";
import { afterEach, beforeEach } from "node:test";

const scope = globalThis as { __places?: Set<string>; __inTest?: boolean };
const file = process.env.ESPALIER_TEST_NOTES;
// A program that a test starts loads this too, and has no tests.
if (file && process.argv[1]?.endsWith(".test.ts")) {
  // Tests within a test belong to it: they cannot be run alone.
  let depth = 0;
  const note = (words: string) => {
    scope.__places = new Set();
    appendFileSync(file, `${words}\n`);
  };
  scope.__inTest = true;
  beforeEach((context) => {
    // A suite's hooks get the suite; what runs here is always a test.
    if (depth++ === 0) note(`begin ${Date.now()} ${JSON.stringify((context as { readonly name: string }).name)}`);
  });
  afterEach(() => {
    if (--depth === 0) note(`end ${Date.now()}`);
  });
}
