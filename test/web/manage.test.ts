import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { keepWorker, removeWorker } from "../../src/store/workers.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { inBrowser, launch } from "../support/chromium.ts";
import { withFolder } from "../support/folders.ts";
import { until } from "../support/wait.ts";
import { dropOn } from "./drop-on.ts";
import { hostileName, type Seeded, seed } from "./seeded.ts";
import { type Visit, visit } from "./visit.ts";

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

test("datasets: one is typed and one is dropped, looked at, renamed, kept while it is used, and deleted", inBrowser, async () => {
  const { page } = there;
  await there.go("/datasets", "Datasets");
  await page.getByRole("link", { name: "literature-train" }).waitFor();
  await there.check("datasets");
  await page.getByRole("button", { name: "New dataset" }).click();
  await page.getByLabel("Name").fill("typed");
  await page.getByLabel("What the lines are").selectOption({ label: "Each line is a record of JSON" });
  const typed = page.getByLabel("Texts", { exact: true });
  await typed.fill('{"context": "The white", "choices": [" whale", " house"], "gold": 0}\n{"context": "Call me", "choices": ["x"]}');
  await there.check("dataset-new");
  await page.getByRole("button", { name: "Make it" }).click();
  // What is wrong is said, and the line shown; then the name, beside its field.
  await page.getByRole("alert").filter({ hasText: 'record 2 must have a string "context"' }).waitFor();
  const selected = await page.evaluate<string>(
    "(({ value, selectionStart, selectionEnd }) => value.slice(selectionStart, selectionEnd))(document.activeElement)",
  );
  assert.match(selected, /^\{"context": "Call me"/);
  await typed.fill('{"context": "The white", "choices": [" whale", " house"], "gold": 0}');
  await page.getByLabel("Name").fill("literature-train");
  await page.getByRole("button", { name: "Make it" }).click();
  await page.getByText(/must not be that of a dataset that comes with the server/).waitFor();
  // It stays where one goes elsewhere, and reloads.
  await page.reload();
  await page.getByRole("button", { name: "New dataset" }).click();
  assert.match(await typed.inputValue(), /whale/);
  await page.getByLabel("Name").fill(hostileName);
  await page.getByRole("button", { name: "Make it" }).click();
  await page.getByRole("heading", { level: 1, name: hostileName }).waitFor();
  await page.getByText("whale · right").waitFor();
  await page.getByText("No run has worked with it yet.").waitFor();
  await there.check("dataset");
  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Name").fill("questions");
  await page.getByLabel("Tags").fill("mine");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { level: 1, name: "questions" }).waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("heading", { level: 1, name: "Datasets" }).waitFor();
  // A file falls into the page; records that are there already are said to be.
  const lines = Array.from({ length: 7 }, (_, i) => JSON.stringify({ text: `Line ${i + 1}` })).join("\n");
  await withFolder({ "lines.jsonl": lines }, async (folder) => {
    for (const name of ["seven lines", "seven again"]) {
      await page.getByRole("button", { name: "New dataset" }).click();
      await page.getByLabel("Name").fill(name);
      await page.getByLabel("A file of this computer").check();
      await dropOn(page, page.locator(".drop"), [join(folder, "lines.jsonl")]);
      await page.getByText("1 file,").waitFor();
      await page.getByRole("button", { name: "Make it" }).click();
      if (name === "seven lines") {
        await page.getByRole("heading", { level: 1, name }).waitFor();
        await page.getByText("1 to 5 of 7").waitFor();
        await page.getByRole("button", { name: "Next" }).press("Enter");
        await page.getByText("Line 7").waitFor();
        await page.getByRole("button", { name: "Next" }).isDisabled();
        await there.go("/datasets", "Datasets");
      } else await page.getByText("These records are there already").waitFor();
    }
  });
  // One that runs work with is kept.
  const { prisma } = api.services.store;
  const { id } = await prisma.dataset.findFirstOrThrow({ where: { runs: { some: { kind: "EVALUATION" } } } });
  await there.go(`/datasets/${id}`, "Texts of a request");
  await page.getByRole("alert").filter({ hasText: "ARTIFACT_MISSING" }).waitFor();
  await page.getByRole("row").filter({ hasText: "smol-pip-20" }).first().waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByText(/runs work with it, or did: it is kept/).waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("alert").filter({ hasText: "DATASET_IN_USE" }).waitFor();
  await page.keyboard.press("Escape");
});

test("queue: workers come and go, tell what they do, and the queue stands in its order", inBrowser, async () => {
  const { page } = there;
  const { prisma } = api.services.store;
  await there.go("/queue", "Workers and queue");
  await page.getByText("No worker lives").waitFor();
  await page.getByText("No worker says that it does these").waitFor();
  const about = { host: hostileName, processId: 71, providers: ["CPU", "CUDA"], computesOn: ["CPU"], concurrency: 2, version: "0.0.1" };
  const worker = { ...about, id: randomUUID(), startedAt: new Date(Date.now() - 7_200_000) };
  await keepWorker(prisma, worker, [seeded.running.id]);
  const card = page.getByRole("list", { name: "Workers" }).getByRole("listitem");
  await card.filter({ hasText: "CPU; up to 2 of each kind at a time; started 2 hours ago; version 0.0.1" }).waitFor();
  await card.getByRole("link", { name: "Pruning of smol" }).waitFor();
  await there.check("queue");
  // What is urgent goes to the front, and one that goes makes room.
  const rows = page.getByRole("table", { name: "Queue" }).getByRole("row");
  assert.equal(await rows.count(), 3);
  const input = { subject: { modelId: seeded.root.id }, dataset: { name: "literature-train" }, priority: 7 };
  const start = "mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }";
  await api.data(start, { input });
  await rows.nth(3).waitFor();
  assert.match(await rows.nth(1).innerText(), /^1\s+pruning\s+smol\s+7\s/);
  assert.match(await rows.nth(2).innerText(), /^2\s+pruning\s+smol-flap-20\s+0\s/);
  await rows.nth(1).getByRole("button", { name: "Cancel" }).press("Enter");
  await until("it is gone, and the other is foremost", async () => /^1\s+pruning\s+smol-flap-20/.test(await rows.nth(1).innerText()));
  await removeWorker(prisma, worker.id);
  await page.getByText("No worker lives").waitFor();
});

test("nothing was wrong in the browser's eyes", inBrowser, () => there.close());
