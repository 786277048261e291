import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { Browser, Download } from "playwright-core";
import { recordIteration } from "../../src/store/pruning-runs.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { type Seeded, seed } from "./seeded.ts";
import { inBrowser, launch, type Visit, visit } from "./visit.ts";

let api: TestApi;
let seeded: Seeded;
let browser: Browser;
let there: Visit;
before(async () => {
  if (inBrowser.skip) return;
  api = await testApi({ worker: false });
  seeded = await seed(api.services.store);
  browser = await launch();
  there = await visit(browser, new URL(api.url).origin);
});
after(async () => {
  await browser?.close();
  await api?.close();
});

const textOf = async (download: Download) => readFile(await download.path(), "utf8");

test("structures: a run's map is walked, slid over, followed and taken away", inBrowser, async () => {
  const { page } = there;
  await there.go(`/structures?run=${seeded.running.id}`, "Structures");
  await page.getByText("6 of 108 heads gone").waitFor();
  await there.check("structures");
  // The keys walk it.
  await page.getByRole("application", { name: /Heads after iteration 3/ }).focus();
  await page.keyboard.press("End");
  for (let i = 0; i < 11; i++) await page.keyboard.press("ArrowDown");
  await page.getByText(/^Layer 11, head 107: .*gone\.$/).waitFor();
  // An iteration before: what went later is still there.
  await page.getByRole("button", { name: "Iteration before" }).click();
  await page.getByText("4 of 108 heads gone").waitFor();
  assert.match(page.url(), /iteration=1/);
  await page.getByRole("slider").focus();
  await page.keyboard.press("Home");
  await page.getByText("2 of 108 heads gone").waitFor();
  await page.getByRole("button", { name: "Follow the newest" }).click();
  await page.getByText("6 of 108 heads gone").waitFor();
  // The run goes on, and so does the page.
  const scores = Array.from({ length: 102 }, (_, i) => 0.01 + i / 1000);
  await recordIteration(api.services.store, seeded.running, {
    type: "ITERATION",
    iteration: 3,
    scores: [{ kind: "HEAD", indexes: scores.map((_, i) => i), scores }],
    removed: [{ kind: "HEAD", index: 101, score: 0.01, parameterCount: 196_000 }],
    parameterCount: 118_000_000,
    removedRatio: 0.13,
    loss: 3.1,
    perturbedLoss: 7.2,
    durationMs: 2000,
    estimatedMsLeft: 2000,
  });
  await page.getByText("7 of 108 heads gone").waitFor();
  await page.getByText("iteration 4 of 4").waitFor();
  const [csv] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: /as CSV/ }).click()]);
  const lines = (await textOf(csv)).trim().split("\r\n");
  assert.equal(lines.length, 109);
  assert.deepEqual(lines[6]?.split(","), ["0", "5", "5", "0.015", "0.015", "0"]);
  const [svg] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: /as SVG/ }).click()]);
  assert.equal((await textOf(svg)).match(/<rect [^>]*url\(#gone\)/g)?.length, 7);
  // The text alternative tells the same.
  await page.getByText("The same as a table, by layer").click();
  const table = page.getByRole("table", { name: "Heads by layer" });
  assert.match(await table.getByRole("row").nth(12).innerText(), /^11\s+9\s+7\s+77\.8%/);
  await page.getByRole("button", { name: "Channels" }).click();
  await page.getByText("so they have no scores").waitFor();
});

test("nothing was wrong in the browser's eyes", inBrowser, () => there.close());
