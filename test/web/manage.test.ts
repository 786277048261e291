import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { registerDataset } from "../../src/store/datasets.ts";
import { keepWorker, removeWorker } from "../../src/store/workers.ts";
import { inBrowser } from "../support/chromium.ts";
import { withFolder } from "../support/folders.ts";
import { sha256 } from "../support/records.ts";
import { until } from "../support/wait.ts";
import { dropOn } from "./drop-on.ts";
import { hostileName } from "./seeded.ts";
import { visited } from "./visited.ts";

const web = visited();

test("datasets: one is typed and one is dropped, looked at, renamed, kept while it is used, and deleted", inBrowser, async () => {
  const { page } = web.there;
  await web.there.go("/datasets", "Datasets");
  await page.getByRole("link", { name: "literature-train" }).waitFor();
  await web.there.check("datasets");
  await page.getByRole("button", { name: "New dataset" }).click();
  await page.getByLabel("Name").fill("typed");
  await page.getByLabel("What the lines are").selectOption({ label: "Each line is a record of JSON" });
  const typed = page.getByLabel("Texts", { exact: true });
  await typed.fill('{"context": "The white", "choices": [" whale", " house"], "gold": 0}\n{"context": "Call me", "choices": ["x"]}');
  await web.there.check("dataset-new");
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
  await web.there.check("dataset");
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
        await web.there.go("/datasets", "Datasets");
      } else await page.getByText("These records are there already").waitFor();
    }
  });
  // A long list goes on as one comes to its end.
  for (let i = 0; i < 130; i++) {
    const name = `zz ${String(i).padStart(3, "0")}`;
    const of = { name, description: "", digest: sha256(`dataset ${name}`), form: "TEXT" as const, recordCount: 1, sizeBytes: 10 };
    await registerDataset(web.api.services.store, of);
  }
  await web.there.go("/datasets", "Datasets");
  const list = page.getByRole("region", { name: "Datasets" });
  await page.getByText(/^13\d datasets$/).waitFor();
  await until("its end has come", async () => {
    await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    return list.getByRole("link", { name: "zz 129" }).isVisible();
  });
  await web.api.services.store.prisma.dataset.deleteMany({ where: { name: { startsWith: "zz " } } });
  // One that runs work with is kept.
  const { prisma } = web.api.services.store;
  const { id } = await prisma.dataset.findFirstOrThrow({ where: { runs: { some: { kind: "EVALUATION" } } } });
  await web.there.go(`/datasets/${id}`, "Texts of a request");
  await page.getByRole("alert").filter({ hasText: "ARTIFACT_MISSING" }).waitFor();
  await page.getByRole("row").filter({ hasText: "smol-pip-20" }).first().waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByText(/runs work with it, or did: it is kept/).waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("alert").filter({ hasText: "DATASET_IN_USE" }).waitFor();
  await page.keyboard.press("Escape");
});

test("queue: workers come and go, tell what they do, and the queue stands in its order", inBrowser, async () => {
  const { page } = web.there;
  const { prisma } = web.api.services.store;
  await web.there.go("/queue", "Workers and queue");
  await page.getByText("No worker lives").waitFor();
  await page.getByText("No worker says that it does these").waitFor();
  const about = { host: hostileName, processId: 71, providers: ["CPU", "CUDA"], computesOn: ["CPU"], concurrency: 2, version: "0.0.1" };
  const worker = { ...about, id: randomUUID(), startedAt: new Date(Date.now() - 7_200_000) };
  await keepWorker(prisma, worker, [web.seeded.running.id]);
  const card = page.getByRole("list", { name: "Workers" }).getByRole("listitem");
  await card.filter({ hasText: "CPU; up to 2 of each kind at a time; started 2 hours ago; version 0.0.1" }).waitFor();
  await card.getByRole("link", { name: "Pruning of smol" }).waitFor();
  await web.there.check("queue");
  // What is urgent goes to the front, and one that goes makes room.
  const rows = page.getByRole("table", { name: "Queue" }).getByRole("row");
  assert.equal(await rows.count(), 3);
  const input = { subject: { modelId: web.seeded.root.id }, dataset: { name: "literature-train" }, priority: 7 };
  const start = "mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }";
  await web.api.data(start, { input });
  await rows.nth(3).waitFor();
  assert.match(await rows.nth(1).innerText(), /^1\s+pruning\s+smol\s+7\s/);
  assert.match(await rows.nth(2).innerText(), /^2\s+pruning\s+smol-flap-20\s+0\s/);
  await rows.nth(1).getByRole("button", { name: "Cancel" }).press("Enter");
  await until("it is gone, and the other is foremost", async () => /^1\s+pruning\s+smol-flap-20/.test(await rows.nth(1).innerText()));
  await removeWorker(prisma, worker.id);
  await page.getByText("No worker lives").waitFor();
});

test("start: a plan before anything starts, of what was typed", inBrowser, async () => {
  const { page } = web.there;
  await web.there.go(`/start?do=PRUNING&model=${web.seeded.root.id}`, "Start");
  await page.getByLabel("Dataset").selectOption({ label: await page.getByRole("option", { name: /^literature-train/ }).innerText() });
  await page.getByLabel("Target ratio").fill("0.1");
  await page.getByRole("button", { name: "What would it do?" }).press("Enter");
  const plan = page.getByRole("status", { name: "Plan" });
  await plan.getByText("From 134,515,008 parameters to 121,063,507: 13.45M go (10%).").waitFor();
  await plan.getByText("Of 12 layers 11 may go, 38.94M parameters (28.9%).").waitFor();
  await plan.getByText("4 iterations of 1 structure.").waitFor();
  // It is reckoned by the run that was measured: of 20% by PIP.
  await plan.getByRole("link", { name: "the last such run" }).waitFor();
  assert.ok(await plan.evaluate((element) => element.getBoundingClientRect().bottom <= 860), "all of it is seen");
  await web.there.check("start-plan");
  await page.getByLabel("Target ratio").fill("0.9");
  await page.getByLabel("Target ratio").press("Tab");
  await page.getByText("as it was asked for before").waitFor();
  await page.getByRole("button", { name: "What would it do?" }).click();
  await plan.getByText(/It cannot get there: \d+\.\d% may go at most/).waitFor();
  await page.getByLabel("Target ratio").fill("1.5");
  await page.getByRole("button", { name: "What would it do?" }).click();
  await page
    .getByText(/targetRatio must lie/)
    .first()
    .waitFor();
  assert.equal(await web.api.services.store.prisma.run.count({ where: { status: "QUEUED", kind: "PRUNING" } }), 1);
});

test("start: a recipe starts a chain, a step that is refused is mended, and runs show what they wait for", inBrowser, async () => {
  const { page } = web.there;
  await web.there.go("/start?do=RECIPE", "Start");
  await page.getByLabel("Model", { exact: true }).selectOption(web.seeded.root.id);
  const steps = page.getByRole("list", { name: "Steps" }).locator("> li");
  await until("the usual steps are there", async () => (await steps.count()) === 4);
  const { datasets } = await web.api.data('{ datasets(first: 9, filter: { name: "literature" }, orderBy: NAME) { nodes { id } } }');
  const [heldOut, train] = datasets.nodes.map(({ id }: { id: string }) => id);
  const open = (at: number, title: string) => steps.nth(at).getByRole("button", { name: title }).press("Enter");
  await open(0, "1. Prune");
  await steps.nth(0).getByLabel("Dataset").selectOption(train);
  await open(2, "3. Evaluate");
  await steps.nth(2).getByLabel("Dataset").selectOption(train);
  await open(1, "2. Heal");
  await steps.nth(1).getByLabel("Dataset").selectOption(train);
  await steps.nth(1).getByLabel("Steps", { exact: true }).fill("0");
  await web.there.check("recipe");
  await page.getByRole("button", { name: "Leave out step 4" }).press("Enter");
  await page.getByRole("button", { name: "Start all" }).click();
  await page.getByRole("alert").filter({ hasText: "steps must" }).first().waitFor();
  await page.getByRole("link", { name: "Prune: it has started." }).waitFor();
  // What has started is not started anew, after a reload neither.
  await page.reload();
  await open(1, "2. Heal");
  await steps.nth(1).getByLabel("Steps", { exact: true }).fill("40");
  await open(2, "3. Evaluate");
  await steps.nth(2).getByLabel("Dataset").selectOption(heldOut);
  await page.getByRole("button", { name: "Start the rest" }).click();
  await page.waitForURL(/#\/runs\//);
  const chain = page.getByRole("navigation", { name: "Chain" });
  await chain.getByText("pruning").waitFor();
  assert.match(await chain.innerText(), /pruning\s*○ queued[^a-z]*recovery\s*○ queued[^a-z]*evaluation/);
  await web.there.check("run-chain");
  const { prisma } = web.api.services.store;
  const healing = await prisma.run.findFirstOrThrow({
    where: { kind: "RECOVERY", status: "QUEUED" },
    include: { subjectRun: true, followers: true },
  });
  assert.deepEqual([healing.subjectRun?.kind, healing.followers.map(({ kind }) => kind)], ["PRUNING", ["EVALUATION"]]);
  const { runs } = await web.api.data("query($id: ID!) { runs(first: 9, filter: { resultOf: $id }) { nodes { id } } }", { id: healing.id });
  assert.deepEqual(runs.nodes, [{ id: healing.followers[0]?.id }]);
  await web.there.go("/runs?status=QUEUED", "Runs");
  await page.getByRole("row").filter({ hasText: "after recovery" }).getByText("waits for another run").waitFor();
  // One that ends takes those with it that wait for it.
  await page.getByRole("row").filter({ hasText: "after pruning" }).getByRole("link", { name: "pruning" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Resume" }).waitFor();
  assert.equal(await prisma.run.count({ where: { id: healing.followers[0]?.id ?? "", status: "CANCELLED" } }), 1);
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByText("○ queued").first().waitFor();
  // And runs of other kinds begin anew with what they were asked.
  await page.goto(`${new URL(web.api.url).origin}/#/runs/${healing.id}`);
  await page.getByRole("heading", { level: 1, name: /^Recovery/ }).waitFor();
  await page.getByRole("button", { name: "Run again with changes" }).click();
  await until("it was asked for 40 steps", async () => (await page.getByLabel("Steps", { exact: true }).inputValue()) === "40");
  await page.keyboard.press("Escape");
});

test("settings: who one is, the server's, and tokens: the first one is this page's, and others are withdrawn", inBrowser, async () => {
  const { page } = web.there;
  await web.there.go("/settings", "Settings");
  await page.getByText("everybody who reaches the server may do everything").waitFor();
  const row = (text: string) => page.getByRole("row").filter({ hasText: text });
  await row("DATABASE_URL").getByText("set, and told to nobody").waitFor();
  assert.doesNotMatch(await page.getByRole("main").innerText(), /postgresql:\/\/\w/);
  await row("register model").or(row("start pruning")).first().waitFor();
  await web.there.check("settings");
  await page.getByRole("button", { name: "New token" }).click();
  await page.getByLabel("Name: for whom").fill("ann");
  assert.equal(await page.getByLabel("Role").isDisabled(), true);
  await page.getByRole("button", { name: "Make it" }).click();
  await page.getByText("The server is closed to those without a token").waitFor();
  assert.match(await page.getByLabel("Give it to whom").inputValue(), /^esp_/);
  await page.getByRole("button", { name: "I have it" }).click();
  await page.getByText("ann · admin").waitFor();
  await page.getByRole("button", { name: "New token" }).click();
  await page.getByLabel("Name: for whom").fill(hostileName);
  await page.getByLabel("Role").selectOption("READ");
  await page.getByLabel("Days until").fill("90");
  await page.getByRole("button", { name: "Make it" }).click();
  await page.getByRole("button", { name: "I have it" }).click();
  await row("onerror")
    .getByText(/ends in 89 d 23 h/)
    .waitFor();
  await row("onerror").getByRole("button", { name: "Withdraw" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Withdraw" }).click();
  await row("onerror").getByText("withdrawn just now").waitFor();
  assert.equal(await page.evaluate("sessionStorage.getItem('espalier:token')"), null);
});

test("nothing was wrong in the browser's eyes", inBrowser, () => web.there.close());
