import assert from "node:assert/strict";
import { test } from "node:test";
import { attack } from "../../scripts/checks/attack/attack.ts";
import { broken } from "../../scripts/checks/attack/bars.ts";

test("a server under attack answers, refuses in few words and keeps no memory of it", async (t) => {
  const figures = await attack("short", () => {});
  const { computedMs, silenceMs, largestRefusal, memory } = figures;
  t.diagnostic(JSON.stringify({ computedMs, silenceMs, largestRefusal, memory }));
  assert.deepEqual(broken(figures), []);
});
