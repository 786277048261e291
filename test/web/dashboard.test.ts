import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { recordPassing } from "../../src/store/pruning-runs.ts";
import { createToken, revokeToken } from "../../src/store/tokens.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { inBrowser, launch } from "../support/chromium.ts";
import { newModel } from "../support/records.ts";
import { until } from "../support/wait.ts";
import { examine, watch } from "./browser.ts";
import { hostileName, type Seeded, seed } from "./seeded.ts";
import { visit } from "./visit.ts";

let api: TestApi;
let browser: Browser;
let seeded: Seeded;
before(async () => {
  if (inBrowser.skip) return;
  [api, browser] = await Promise.all([testApi(), launch()]);
  seeded = await seed(api.services.store);
});
after(async () => {
  await browser?.close();
  await api?.close();
});

const origin = () => new URL(api.url).origin;

interface View {
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: "light" | "dark";
}

/** Opens an address of the dashboard; whatever the page complains of fails the test. */
async function at(
  path: string,
  work: (page: Page) => Promise<void>,
  { width = 1280, height = 900, colorScheme = "light" }: View = {},
): Promise<void> {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  try {
    const { page, complaints } = await watch(context, origin());
    await page.goto(`${origin()}/#${path}`);
    await work(page);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

const log = (page: Page) => page.getByRole("log").locator("li");

test("the page's policy lets nothing in but its own files", inBrowser, async () => {
  const { headers } = await fetch(origin());
  const policy = headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self';/);
  assert.doesNotMatch(policy, /unsafe/);
  const html = await (await fetch(origin())).text();
  for (const [, address] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
    const { ok, headers: of } = await fetch(new URL(address as string, origin()));
    assert.ok(ok, address);
    if (address?.includes("/assets/")) assert.match(of.get("cache-control") ?? "", /immutable/);
  }
});

test("the list of runs is live: progress, places in the queue, filters, at any width", inBrowser, async () => {
  await at("/runs", async (page) => {
    const rows = page.getByRole("row");
    await rows.filter({ hasText: "TARGET_UNREACHABLE" }).waitFor();
    await rows.filter({ hasText: "place 1 in the queue" }).first().waitFor();
    await examine(page, "runs");
    await page.getByText("failed", { exact: true }).first().click();
    await until("one is left", async () => (await rows.count()) === 2);
    assert.match(page.url(), /status=FAILED/);
    await page.reload();
    await rows.filter({ hasText: "TARGET_UNREACHABLE" }).waitFor();
    assert.equal(await rows.count(), 2);
    await page.goto(`${origin()}/#/runs`);
    const { id } = await api.services.store.prisma.run.findFirstOrThrow({ where: { status: "QUEUED", kind: "EVALUATION" } });
    await api.data("mutation($id: ID!) { cancelRun(input: { id: $id }) { run { id } } }", { id });
    await rows.filter({ hasText: "cancelled" }).waitFor();
    await api.data("mutation($id: ID!) { deleteRun(input: { id: $id }) { deletedId } }", { id });
    await rows.filter({ hasText: "cancelled" }).waitFor({ state: "detached" });
  });
  await at(
    "/runs",
    async (page) => {
      await page.getByRole("row").filter({ hasText: "TARGET_UNREACHABLE" }).waitFor();
      assert.ok(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out");
      await examine(page, "runs-phone");
    },
    { width: 360, height: 740, colorScheme: "dark" },
  );
});

test("a run's events go on after a reload and a lost connection, each once", inBrowser, async () => {
  const { store } = api.services;
  const { running } = seeded;
  const scored = async (from: number, to: number) => {
    for (let samplesDone = from; samplesDone <= to; samplesDone++)
      await recordPassing(store, running, "SCORING", { iteration: 3, samplesDone, samplesTotal: 40 });
  };
  const numbers = async (page: Page) =>
    (await log(page).allInnerTexts()).flatMap((text) => /scored (\d+) of/.exec(text)?.[1] ?? []).map(Number);
  const range = (last: number) => Array.from({ length: last }, (_, i) => i + 1);
  await at(`/runs/${running.id}`, async (page) => {
    await log(page).filter({ hasText: "Iteration 3 removed" }).waitFor();
    await page.getByRole("img", { name: /^Loss: texts, 3 points/ }).waitFor();
    await examine(page, "run");
    await scored(1, 10);
    await log(page).filter({ hasText: "scored 10 of 40" }).waitFor();
    await page.reload();
    await scored(11, 20);
    await log(page).filter({ hasText: "scored 20 of 40" }).waitFor();
    assert.deepEqual(await numbers(page), range(20));
  });
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    let sockets = 0;
    let cut: () => Promise<void> = async () => {};
    await page.routeWebSocket(/graphql/, (socket) => {
      sockets++;
      socket.connectToServer();
      cut = () => socket.close({ code: 1012, reason: "" });
    });
    await page.goto(`${origin()}/#/runs/${running.id}`);
    await log(page).filter({ hasText: "scored 20 of 40" }).waitFor();
    await cut();
    await scored(21, 30);
    await log(page).filter({ hasText: "scored 30 of 40" }).waitFor();
    assert.ok(sockets > 1);
    assert.deepEqual(await numbers(page), range(30));
  } finally {
    await context.close();
  }
});

test("a run that failed says why; one that goes on can be cancelled, and resumed", inBrowser, async () => {
  await at(`/runs/${seeded.failedRunId}`, async (page) => {
    await page.getByText("41.2% of the parameters can go, 90% were asked for").first().waitFor();
    await page.getByText("TARGET_UNREACHABLE").first().waitFor();
    // Resumed it would fail in the same way: that is not offered.
    assert.equal(await page.getByRole("button", { name: "Resume" }).count(), 0);
    await examine(page, "run-failed");
    await page.getByRole("button", { name: "Run again with changes" }).click();
    const ratio = page.getByLabel("Target ratio");
    await ratio.waitFor();
    assert.equal(await ratio.inputValue(), "0.9");
    await examine(page, "run-again");
    await ratio.fill("2");
    // What is typed counts once the field is left; a click that leaves it may come while the page moves.
    await ratio.press("Tab");
    await page.getByRole("button", { name: "Prune", exact: true }).click();
    await page.getByRole("alert").filter({ hasText: "targetRatio" }).first().waitFor();
    assert.equal(await ratio.inputValue(), "2", "what was typed is still there");
    // After Escape, too, until it is given up.
    await page.keyboard.press("Escape");
    await ratio.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Run again with changes" }).click();
    await ratio.waitFor();
    assert.equal(await ratio.inputValue(), "2");
    await page.getByRole("button", { name: "Undo the changes" }).click();
    await until("it is as it was", async () => (await ratio.inputValue()) === "0.9");
  });
});

test("the family is walked by keys, searched, and told as a table", inBrowser, async () => {
  await at("/", async (page) => {
    const tree = page.getByRole("tree");
    await page.getByText("9 models").waitFor();
    await page.getByRole("treeitem", { name: /^smol-flap-20-lora\s?,/ }).waitFor();
    await examine(page, "family");
    await tree.focus();
    const active = async () => page.locator(`[id="${await tree.getAttribute("aria-activedescendant")}"]`).innerText();
    await page.keyboard.press("ArrowRight");
    assert.match(await active(), /^smol-/);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowLeft");
    assert.match(await active(), /^smol\n/);
    await page.keyboard.press("-");
    assert.equal(await page.getByRole("treeitem").count(), 1);
    await page.keyboard.press("ArrowRight");
    await page.getByRole("treeitem", { name: /^smol-pip-20\s?,/ }).waitFor();
    // A model that is made elsewhere comes by itself.
    const { id } = await newModel(api.services.store, "made-elsewhere", seeded.root.id);
    await page.getByRole("treeitem", { name: /^made-elsewhere/ }).waitFor();
    await api.data("mutation($id: ID!) { deleteModel(input: { id: $id }) { deletedId } }", { id });
    await page.getByRole("treeitem", { name: /^made-elsewhere/ }).waitFor({ state: "detached" });
    // The best child that takes less than 400 MB.
    await page.getByRole("button", { name: "Table" }).click();
    await page.getByLabel("At most").fill("400");
    assert.match((await page.getByRole("link", { name: "The best of these" }).getAttribute("href")) ?? "", /tradeoff\?limit=400$/);
    await page.getByRole("button", { name: "Perplexity" }).click();
    await until("it is ordered", async () => /smol-small/.test(await page.getByRole("row").nth(1).innerText()));
    assert.ok(await page.getByRole("link", { name: hostileName }).first().isVisible(), "markup is shown as it is");
    await examine(page, "family-table");
  });
  await at(
    "/?by=parameters",
    async (page) => {
      await page.getByRole("treeitem", { name: /^smol-pip-20\s?,/ }).waitFor();
      await examine(page, "family-dark");
    },
    { colorScheme: "dark" },
  );
});

test("a model is read, renamed, measured and deleted", inBrowser, async () => {
  const doomed = await newModel(api.services.store, "doomed", seeded.root.id);
  await at(`/models/${doomed.id}`, async (page) => {
    await page.getByRole("heading", { name: "doomed" }).waitFor();
    await page.getByRole("button", { name: "Edit" }).click();
    await page.getByLabel("Name", { exact: true }).fill("renamed");
    await page.getByLabel("Tags").fill("old, for tests");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: "renamed" }).waitFor();
    await page.getByRole("link", { name: "for tests" }).waitFor();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("tree").waitFor();
    assert.equal(await api.services.store.prisma.model.count({ where: { id: doomed.id } }), 0);
  });
  await at(`/models/${seeded.models.get("smol-pip-20")?.id}`, async (page) => {
    await page.getByRole("navigation", { name: "Lineage" }).getByRole("link", { name: "smol" }).waitFor();
    await page.getByText("57.90 ± 0.69").waitFor();
    await examine(page, "model");
    await page.getByRole("button", { name: "Evaluate" }).first().click();
    await page.getByLabel("Sequence length").waitFor();
    await examine(page, "model-evaluate");
  });
  await at(
    `/models/${seeded.models.get(hostileName)?.id}`,
    async (page) => {
      await page.getByRole("heading", { name: hostileName }).waitFor();
      await examine(page, "model-phone");
    },
    { width: 360, height: 740 },
  );
});

test("a run is started by the form, and watched to its end", inBrowser, async () => {
  const {
    registerModel: { model },
  } = await api.data('mutation { registerModel(input: { path: "ahab" }) { model { id } } }');
  await at(`/models/${model.id}`, async (page) => {
    await page.getByRole("button", { name: "Prune", exact: true }).click();
    const form = page.getByRole("dialog");
    await form.getByLabel("Dataset").selectOption({ label: await form.getByRole("option", { name: /^literature-train/ }).innerText() });
    await form.getByLabel("Samples").fill("1");
    await form.getByLabel("Sequence length").fill("16");
    await form.getByLabel("Target ratio").fill("0.1");
    await form.getByRole("button", { name: "Prune", exact: true }).click();
    await log(page).filter({ hasText: "of the parameters are gone" }).waitFor({ timeout: 60_000 });
    await page.getByRole("main").getByText("● done").waitFor();
    await page.getByRole("link", { name: /^ahab-pip/ }).click();
    await page.getByRole("heading", { name: /^ahab-pip/ }).waitFor();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "All as one archive" }).click()]);
    assert.match(download.suggestedFilename(), /^ahab-pip.*tar$/);
  });
});

test("a model and its child are compared: measures, what went, and their texts token by token", inBrowser, async () => {
  const { prisma } = api.services.store;
  const child = await prisma.model.findFirstOrThrow({ where: { name: { startsWith: "ahab-pip" } } });
  const parent = await prisma.model.findUniqueOrThrow({ where: { id: child.parentId as string } });
  const options = { sequenceLength: 64, stride: 64, maxTokens: null, maxItems: null, executionProvider: "CPU" };
  const measured = (modelId: string, key: string, perplexity: number) =>
    prisma.run.create({
      data: {
        ...{ kind: "EVALUATION", modelId, status: "SUCCEEDED" as const, options, comparisonKey: key.repeat(64) },
        result: { perplexity, perplexityStandardError: 0.84, nextTokenAccuracy: 0.3, nextTokenAccuracyStandardError: 0.002 },
      },
    });
  for (const [modelId, key, perplexity] of [
    [parent.id, "a", 20],
    [child.id, "a", 41],
    [child.id, "a", 50],
    [child.id, "b", 7],
  ] as const)
    await measured(modelId, key, perplexity);
  const there = await visit(browser, origin());
  const { page } = there;
  await there.go("/compare", "Compare");
  // By keyboard alone, from the picker.
  for (const [label, id] of [
    ["First model", child.id],
    ["Add a model", parent.id],
  ] as const) {
    const picker = page.getByLabel(label);
    await picker.locator(`option[value="${id}"]`).waitFor({ state: "attached" });
    await picker.selectOption(id);
    await page.getByRole("button", { name: "Add", exact: true }).press("Enter");
  }
  const measures = page.getByRole("region", { name: "Measures, side by side" }).getByRole("row");
  await measures.filter({ hasText: "50.00 ± 0.84" }).waitFor();
  const perplexity = measures.filter({ hasText: /^Perplexity/ });
  // The ancestor comes first, the newest counts, and what one alone has stands apart.
  assert.match(await perplexity.first().innerText(), /20\.00 ± 0\.84\s+50\.00 ± 0\.84\s*×2\.5/);
  assert.equal(await perplexity.count(), 1);
  assert.equal(await page.getByText("measured of one alone").count(), 1);
  const lost = page.getByRole("region", { name: "What each lost, by kind" }).getByRole("row");
  const { pruningRuns } = await api.data(
    "query { pruningRuns(first: 100) { nodes { resultModel { id } iterations { removed { kind index } } } } }",
  );
  const run = pruningRuns.nodes.find((each: { resultModel: { id: string } | null }) => each.resultModel?.id === child.id);
  const gone: { kind: string; index: number }[] = run.iterations.flatMap((each: { removed: object[] }) => each.removed);
  assert.ok(gone.length > 0 && gone.every(({ kind }) => kind === "LAYER"));
  await lost.filter({ hasText: new RegExp(`^\\s*Layers\\s*${gone.length} of 12`) }).waitFor();
  await page.getByRole("button", { name: "Layers", exact: true }).click();
  const [csv] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Layers gone, by layer as CSV" }).click(),
  ]);
  const [, ...lines] = (await readFile(await csv.path(), "utf8")).trim().split("\r\n");
  const layers = lines.map((line) => line.split(",").map(Number)).filter(([, , isGone]) => isGone === 1);
  assert.deepEqual(layers.map(([layer]) => layer).sort(), gone.map(({ index }) => index).sort());
  // The parent reads what the child writes, and says where it would have gone on otherwise.
  await page.getByLabel("Prompt", { exact: true }).fill("The white whale");
  await page.getByLabel("Tokens", { exact: true }).fill("24");
  await page.getByRole("button", { name: "Write", exact: true }).click();
  await page.getByText("are marked").waitFor();
  const text = page.getByRole("region", { name: `Text of ${child.name}`, exact: true });
  const input = { modelId: child.id, prompt: { text: "The white whale" }, maxTokens: 24 };
  const asked =
    "mutation($input: GenerateInput!) { generate(input: $input) { text tokenIds logprobs { text logprob top { tokenId text logprob } } } }";
  const { generate: own } = await api.data(asked, { input });
  assert.equal(await text.innerText(), own.text);
  // By another door: the parent says by itself what it would write after the same text.
  await text.focus();
  await page.keyboard.press("ArrowDown");
  const mark = text.locator(".on");
  assert.ok(await mark.evaluate((element) => element.classList.contains("differs")));
  const before = await mark.evaluate((element) => {
    let text = "";
    for (let each = element.previousSibling; each; each = each.previousSibling) text = (each.textContent ?? "") + text;
    return text;
  });
  const { generate: other } = await api.data(asked, {
    input: { modelId: parent.id, prompt: { text: `The white whale${before}` }, maxTokens: 1, topLogprobs: 1 },
  });
  const wanted = other.logprobs[0];
  const chance = new Intl.NumberFormat("en-US", { style: "percent", maximumFractionDigits: 1 }).format(Math.exp(wanted.logprob));
  assert.notEqual(wanted.text, await mark.innerText());
  await page.getByText(`it would write “${wanted.text}” ${chance}`).waitFor();
  await there.check("compare");
  // One that is left out leaves the keyboard where it was: at the next, and after the last at the picker.
  const focused = () => page.evaluate<string>("document.activeElement.getAttribute('aria-label') ?? document.activeElement.tagName");
  await page.getByRole("button", { name: "Leave out ahab", exact: true }).press("Enter");
  await until("the other has it", async () => (await focused()) === `Leave out ${child.name}`);
  await page.keyboard.press("Enter");
  await until("the picker has it", async () => (await focused()) === "SELECT");
  // A model that is deleted elsewhere is said to be missing.
  await page.goto(`${origin()}/#/compare?model=${parent.id}&model=00000000-0000-7000-8000-000000000000`);
  await page.getByText("One of the models of this address is not there").waitFor();
  await there.close();
});

test("where the server asks for a token the page does, and offers what its role may", inBrowser, async () => {
  const { secret, token } = await createToken(api.services.store.prisma, { name: "reader", role: "READ", expiresAt: null });
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(`${origin()}/#/models/${seeded.root.id}`);
    await page.getByLabel("Token").fill("esp_wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("no valid token").waitFor();
    await examine(page, "login");
    await page.getByLabel("Token").fill(secret);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("heading", { name: "smol" }).waitFor();
    await page.getByText("reader · read").waitFor();
    for (const name of ["Prune", "Heal", "Evaluate", "Delete"])
      assert.equal(await page.getByRole("button", { name, exact: true }).count(), 0, name);
    assert.equal(await page.evaluate("sessionStorage.length + localStorage.length"), 0);
    await page.reload();
    await page.getByLabel("Token").fill(secret);
    await page.getByLabel("Keep it").check();
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("heading", { name: "smol" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "smol" }).waitFor();
    await revokeToken(api.services.store.prisma, token.id);
    await page.getByText("This server asks for a token").waitFor();
    assert.equal(await page.evaluate("sessionStorage.length"), 0);
  } finally {
    await context.close();
  }
});
