import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pino } from "pino";
import type { Browser, Page } from "playwright-core";
import { type Server, startServer } from "../../src/api/server.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { insertModel } from "../../src/store/models.ts";
import { createPruningRun, type PruningRunRecord, recordIteration } from "../../src/store/pruning-runs.ts";
import { claimRun } from "../../src/store/run-progress.ts";
import { createToken, revokeToken } from "../../src/store/tokens.ts";
import { modelRoot } from "../support/ahab.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { inBrowser, launch } from "../support/chromium.ts";
import { inspected, newDataset, newModel } from "../support/records.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
let browser: Browser;
let folder: string;
let origin: string;
/** After the test that stops it. */
let again: Server | null = null;
/** Models that talk, each in its own way. */
const templates = {
  talker: "{% for message in messages %}{{ message.content }}\n{% endfor %}",
  speaker: "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}",
};
before(async () => {
  if (inBrowser.skip) return;
  folder = await mkdtemp(join(tmpdir(), "espalier-talker-"));
  for (const [name, template] of Object.entries(templates)) {
    await cp(join(modelRoot, "ahab"), join(folder, name), { recursive: true });
    const settings = join(folder, name, "tokenizer_config.json");
    await writeFile(settings, JSON.stringify({ ...JSON.parse(await readFile(settings, "utf8")), chat_template: template }));
  }
  api = await testApi({ worker: false, modelRoot: folder });
  origin = new URL(api.url).origin;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await again?.stop();
  await api?.close();
  if (folder) await rm(folder, { recursive: true });
});

/** A page of its own, with what it begins with. */
async function withPage(path: string, work: (page: Page) => Promise<void>, script = ""): Promise<void> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    await page.addInitScript(script);
    await page.goto(`${origin}/#${path}`);
    await work(page);
  } finally {
    await context.close();
  }
}

test("clocks that differ by an hour are told of, and what is told of time is true", inBrowser, async () => {
  const { id } = await newModel(api.services.store, "timed");
  await api.services.store.prisma.model.update({ where: { id }, data: { createdAt: new Date() } });
  const shifted = `(() => {
    const Real = Date;
    const now = () => Real.now() + SHIFT;
    globalThis.Date = class extends Real {
      constructor(...given) { super(...(given.length > 0 ? given : [now()])); }
      static now() { return now(); }
    };
  })()`;
  for (const [shift, words] of [
    [3_600_000, "behind"],
    [-3_600_000, "ahead of"],
  ] as const)
    await withPage(
      "/datasets",
      async (page) => {
        await page.getByText(new RegExp(`The server's clock is (?:1 h 0 min|59 min \\d+ s) ${words} this computer's`)).waitFor();
        const row = page.getByRole("row").filter({ hasText: "literature-train" });
        await row.getByText(/just now|seconds ago|minutes? ago/).waitFor();
        assert.doesNotMatch(await row.innerText(), /hour/);
      },
      shifted.replace("SHIFT", String(shift)),
    );
});

test("a run with 500,000 scores is shown, on its page and as a map", inBrowser, async () => {
  const { store } = api.services;
  const [layers, each] = [10, 50_000];
  const structures = Array.from({ length: layers }, (_, layer) => ({
    ...{ kind: "CHANNEL" as const, index: layer * each, count: each, layer },
    ...{ parameters: [`layer.${layer}.mlp`], parameterCount: 100 },
  }));
  const base = inspected("wide", 60_000_000);
  const described = { ...base, architecture: { ...base.architecture, layers }, structures };
  const model = await store.prisma.$transaction((tx) => insertModel(tx, described, "wide", null));
  const { id: datasetId } = await newDataset(store);
  const options = { ...defaultPruningOptions, structureKinds: ["CHANNEL" as const] };
  const { id } = await createPruningRun(store, { modelId: model.id, method: "PIP", options, datasetId }, async () => {});
  const run = (await claimRun(store, id)) as PruningRunRecord;
  const scores = Array.from({ length: layers * each }, (_, i) => 0.5 + ((i * 7919) % 500_000) / 500_000);
  await recordIteration(store, run, {
    ...{ type: "ITERATION", iteration: 0, loss: 3, perturbedLoss: 7, durationMs: 1, estimatedMsLeft: 1 },
    ...{ parameterCount: 59_999_900, removedRatio: 1e-6 },
    scores: [{ kind: "CHANNEL", indexes: scores.map((_, i) => i), scores }],
    removed: [{ kind: "CHANNEL", index: 0, score: 0.5, parameterCount: 100 }],
  });
  await withPage(`/structures?run=${id}&kind=CHANNEL`, async (page) => {
    await page.getByText("1 of 500,000 channels gone").waitFor();
    await page.goto(`${origin}/#/runs/${id}`);
    await page.getByText("Lowest scores of iteration 1").waitFor();
    await page
      .getByRole("row")
      .filter({ hasText: /channel 0\s*0\.5\s*removed/ })
      .waitFor();
  });
});

test("a model that is deleted elsewhere is said to be gone, where it is shown and where it was chosen", inBrowser, async () => {
  const { id } = await newModel(api.services.store, "doomed");
  const remove = () => api.data("mutation($id: ID!) { deleteModel(input: { id: $id }) { deletedId } }", { id });
  await withPage(`/models/${id}`, async (page) => {
    await page.getByRole("heading", { name: "doomed" }).waitFor();
    await withPage(`/start?do=PRUNING&model=${id}`, async (form) => {
      await form.getByLabel("Samples").fill("3");
      await form.getByLabel("Dataset").selectOption({ index: 1 });
      await remove();
      await page.getByRole("heading", { name: "There is no such model" }).waitFor();
      await form.getByRole("button", { name: "What would it do?" }).click();
      await form.getByRole("alert").filter({ hasText: "There is no such model: it may have been deleted." }).waitFor();
      assert.equal(await form.getByLabel("Samples").inputValue(), "3");
    });
  });
});

test("a conversation goes on, and texts are by its template", inBrowser, async () => {
  const register = 'mutation { registerModel(input: { source: { path: "talker" } }) { model { id } } }';
  const { id } = (await api.data(register)).registerModel.model;
  await withPage(`/playground?as=chat&model=${id}`, async (page) => {
    await page.getByLabel("Max tokens").fill("8");
    await page.getByLabel("Message", { exact: true }).fill("The whale");
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByText("8 tokens after").waitFor();
    const first = await page.locator("section.text").innerText();
    const input = { modelId: id, prompt: { messages: [{ role: "user", content: "The whale" }] }, maxTokens: 8 };
    const { generate } = await api.data("mutation($input: GenerateInput!) { generate(input: $input) { choices { text } } }", { input });
    assert.equal(first, generate.choices[0].text);
    await page.getByLabel("Next message").fill("And then?");
    await page.getByRole("button", { name: "Send" }).press("Enter");
    await until("the answer is a part of it", async () => (await page.locator(".message").count()) === 3);
    await page.getByText("8 tokens after").waitFor();
    await page.getByRole("button", { name: "New conversation" }).click();
    assert.equal(await page.locator(".message").count(), 0);
  });
});

test("models that talk answer one message side by side, each by its own template", inBrowser, async () => {
  const register = "mutation($path: String!) { registerModel(input: { source: { path: $path } }) { model { id chatTemplate } } }";
  const models: { id: string; chatTemplate: string }[] = [];
  for (const path of Object.keys(templates)) models.push((await api.data(register, { path })).registerModel.model);
  assert.deepEqual(
    models.map(({ chatTemplate }) => chatTemplate),
    Object.values(templates),
  );
  const [base, other] = models as [(typeof models)[0], (typeof models)[0]];
  await withPage(`/compare?model=${base.id}&model=${other.id}&base=${base.id}`, async (page) => {
    await page.getByLabel("System message").fill("Be brief.");
    await page.getByLabel("Message", { exact: true }).fill("The white whale");
    await page.getByLabel("Tokens", { exact: true }).fill("16");
    await page.getByRole("button", { name: "Write", exact: true }).click();
    await page.getByText("are marked").waitFor();
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "The white whale" },
    ];
    const generate = "mutation($input: GenerateInput!) { generate(input: $input) { text } }";
    for (const [name, { id }] of [
      ["talker", base],
      ["speaker", other],
    ] as const) {
      const { text } = (await api.data(generate, { input: { modelId: id, prompt: { messages }, maxTokens: 16 } })).generate;
      assert.equal(await page.getByRole("region", { name: `Text of ${name}`, exact: true }).innerText(), text);
    }
    // Read by the first model after its own template: as a text that begins with what that writes, which knows nothing of conversations.
    const text = page.getByRole("region", { name: "Text of speaker", exact: true });
    await text.focus();
    await page.keyboard.press("ArrowDown");
    const before = await text.locator(".on").evaluate((element) => {
      let written = "";
      for (let each = element.previousSibling; each; each = each.previousSibling) written = (each.textContent ?? "") + written;
      return written;
    });
    const prompt = { text: `Be brief.\nThe white whale\n${before}` };
    const first = (await api.data(generate, { input: { modelId: base.id, prompt, maxTokens: 1 } })).generate.text;
    await page.getByText(`it would write “${first.replaceAll("\n", "↵")}”`).waitFor();
    // Where one of them has no template, none is offered.
    await page.getByLabel("A text to go on from").check();
    await page.getByLabel("Prompt", { exact: true }).waitFor();
  });
});

test("a server that goes away and comes back loses nothing that was typed", inBrowser, async () => {
  const { id } = await newModel(api.services.store, "patient");
  await withPage(`/start?do=PRUNING&model=${id}`, async (page) => {
    await page.getByLabel("Samples").fill("5");
    await page.getByLabel("Dataset").selectOption({ index: 1 });
    await api.stop();
    await page.getByText("The connection to the server is lost").waitFor();
    await page.getByRole("button", { name: "What would it do?" }).click();
    await page.getByText("The server cannot be reached. What you typed is still here").waitFor();
    again = await startServer(api.services, "127.0.0.1", Number(new URL(origin).port), pino({ level: "silent" }));
    await page.getByText("The connection to the server is lost").waitFor({ state: "detached" });
    assert.equal(await page.getByLabel("Samples").inputValue(), "5");
    await page.getByRole("button", { name: "What would it do?" }).click();
    // It answers again: this model cannot be read, and that is said.
    await page.getByText("The server cannot be reached").waitFor({ state: "detached" });
  });
});

test("what is typed into a dialog outlives it, and the token", inBrowser, async () => {
  const { prisma } = api.services.store;
  const { id } = await newModel(api.services.store, "noted");
  const tokens = await Promise.all(
    ["three", "four"].map((name) => createToken(prisma, { name, role: "ADMIN", expiresAt: new Date(Date.now() + 3_600_000) })),
  );
  await withPage(`/models/${id}`, async (page) => {
    const logIn = async (secret: string) => {
      await page.getByLabel("Token").fill(secret);
      await page.getByRole("button", { name: "Log in" }).click();
      await page.getByRole("button", { name: "Edit" }).click();
    };
    const note = page.getByRole("textbox", { name: "Note" });
    await logIn(tokens[0]?.secret ?? "");
    await note.fill("made on a rainy day");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Edit" }).click();
    assert.equal(await note.inputValue(), "made on a rainy day");
    // Its hour is over.
    await prisma.accessToken.update({ where: { id: tokens[0]?.token.id ?? "" }, data: { expiresAt: new Date(Date.now() - 1000) } });
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("This server asks for a token").waitFor();
    await logIn(tokens[1]?.secret ?? "");
    await until("it is still there", async () => (await note.inputValue()) === "made on a rainy day");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("made on a rainy day").waitFor();
  });
  await Promise.all(tokens.map(({ token }) => revokeToken(prisma, token.id)));
});

test("a token that ends is asked for anew, what was typed is there, and files are fetched with it", inBrowser, async () => {
  const { prisma } = api.services.store;
  const tokens = await Promise.all(["one", "two"].map((name) => createToken(prisma, { name, role: "ADMIN", expiresAt: null })));
  const [first, second] = tokens as [(typeof tokens)[0], (typeof tokens)[0]];
  const logIn = async (page: Page, secret: string) => {
    await page.getByLabel("Token").fill(secret);
    await page.getByRole("button", { name: "Log in" }).click();
  };
  const model = await prisma.model.findFirstOrThrow({ where: { name: "talker" } });
  await withPage(
    `/start?do=PRUNING&model=${model.id}`,
    async (page) => {
      await logIn(page, first.secret);
      await page.getByLabel("Samples").fill("7");
      await page.getByLabel("Samples").press("Tab");
      await revokeToken(prisma, first.token.id);
      await page.getByText("This server asks for a token").waitFor();
      await logIn(page, second.secret);
      await until("it is still there", async () => (await page.getByLabel("Samples").inputValue()) === "7");
      await page.goto(`${origin}/#/models/${model.id}`);
      const button = page.getByRole("button", { name: "All as one archive" });
      const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
      const { archiveUrl } = (
        (await (
          await fetch(api.url, {
            ...{ method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${second.secret}` } },
            body: JSON.stringify({ query: `{ model(id: "${model.id}") { archiveUrl } }` }),
          })
        ).json()) as { data: { model: { archiveUrl: string } } }
      ).data.model;
      const bytes = await (
        await fetch(new URL(archiveUrl, api.url), { headers: { authorization: `Bearer ${second.secret}` } })
      ).arrayBuffer();
      assert.deepEqual(await readFile(await download.path()), Buffer.from(bytes));
      await page.getByText("fetched").waitFor();
    },
    // Without it the browser asks where to save, which no test can answer.
    "delete globalThis.showSaveFilePicker",
  );
});
