import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Download } from "playwright-core";
import { recordCompressed, recordCompressionStart } from "../../src/store/compression-runs.ts";
import { recordIteration } from "../../src/store/pruning-runs.ts";
import { claimRun } from "../../src/store/run-progress.ts";
import { inBrowser } from "../support/chromium.ts";
import { sha256 } from "../support/records.ts";
import { until } from "../support/wait.ts";
import { visited } from "./visited.ts";

const web = visited();

const textOf = async (download: Download) => readFile(await download.path(), "utf8");

test("structures: a run's map is walked, slid over, followed and taken away", inBrowser, async () => {
  const { page } = web.there;
  // Of the runs the newest that has anything to show, though another was asked for after it; runs are told apart by what they made.
  await web.there.go("/structures", "Structures");
  await page.getByText("6 of 108 heads gone").waitFor();
  await page.getByText("the first heads went from: layer 11 in iteration 1").waitFor();
  const choice = page.getByLabel("Pruning run");
  assert.match((await choice.getByRole("option").allInnerTexts()).join("\n"), /^smol-pip-20: PIP of smol, layers −20% · /m);
  assert.equal(await choice.inputValue(), web.seeded.running.id);
  await web.there.check("structures");
  // The keys walk it.
  await page.getByRole("application", { name: /Heads after iteration 3/ }).focus();
  await page.keyboard.press("End");
  for (let i = 0; i < 11; i++) await page.keyboard.press("ArrowDown");
  await page.getByText(/^Layer 11, head 107: .*gone since iteration 1\.$/).waitFor();
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
  await recordIteration(web.api.services.store, web.seeded.running, {
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
  assert.deepEqual(lines[6]?.split(","), ["0", "5", "5", "0.015", "0.015", "0", ""]);
  assert.deepEqual(lines[108]?.split(",").slice(5), ["1", "1"]);
  const [svg] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: /as SVG/ }).click()]);
  assert.equal((await textOf(svg)).match(/<rect [^>]*url\(#gone\)/g)?.length, 7);
  // The text alternative tells the same.
  await page.getByText("The same as a table, by layer").click();
  const table = page.getByRole("table", { name: "Heads by layer" });
  assert.match(await table.getByRole("row").nth(12).innerText(), /^11\s+9\s+7\s+77\.8%/);
  await page.getByRole("button", { name: "Channels" }).click();
  await page.getByText("so they have no scores").waitFor();
});

test(
  "trade-off: the best child under a limit is found by typing it, the front is walked by keys, and all of it leaves",
  inBrowser,
  async () => {
    const { page } = web.there;
    await web.there.go("/tradeoff", "Trade-off");
    const plot = page.getByRole("application", { name: /Perplexity against bytes, smol/ });
    await plot.waitFor();
    await page.getByText(/Best of all: smol,/).waitFor();
    // The whole is the best of all; who looks for a child is told of the best of those.
    await page.getByText(/Of what was made of it: smol-pip-20-lora, perplexity 36.2/).waitFor();
    await page.getByLabel("At most, MB").fill("400");
    await page.getByText(/Best with at most 400 MB: smol-small, perplexity 51.4/).waitFor();
    assert.match(await page.getByRole("row").nth(1).innerText(), /^smol-small/);
    await web.there.check("trade-off");
    // Along the front, from the largest down.
    await plot.focus();
    await page.keyboard.press("End");
    await page.getByText(/^smol: perplexity 24.3.*on the front/).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.getByText(/^smol-pip-20-lora: perplexity 36.2.*on the front/).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.getByText(/^smol-small: perplexity 51.4.*on the front/).waitFor();
    const save = async (as: string) => {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: `as ${as}` }).click()]);
      return textOf(download);
    };
    const lines = (await save("CSV"))
      .trim()
      .split("\r\n")
      .slice(1)
      .map((line) => line.split(","));
    assert.equal(lines.length, 8);
    const front = lines.filter((line) => line.at(-1) === "1").map(([, name]) => name);
    assert.deepEqual(front, ["smol-small", "smol-pip-20-lora", "smol"]);
    const svg = await save("SVG");
    assert.equal(svg.match(/<circle/g)?.length, 4);
    assert.doesNotMatch(svg, /var\(|class=/);
    // Faster is better: then the limit is a least, and the front goes the other way.
    await page.getByLabel("What it costs").selectOption("speed");
    await page.getByLabel("At least, tokens/s").fill("45");
    await page.getByText(/Best with at least 45: smol-pip-20-lora/).waitFor();
    await plot.or(page.getByRole("application")).focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(/#\/models\//);
  },
);

test("the family leaves as a drawing of all of it, and two chosen by keys are compared", inBrowser, async () => {
  const { page } = web.there;
  await web.there.go("/", "Family");
  await page.getByRole("treeitem", { name: /^smol-pip-20\s?,/ }).waitFor();
  const [svg] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Family as SVG" }).click()]);
  const drawing = await textOf(svg);
  const { totalCount } = (await web.api.data("{ models { totalCount } }")).models;
  assert.equal(drawing.match(/<g>/g)?.length, totalCount);
  assert.match(drawing, /fill="rgb\(\d+, \d+, \d+\)"/);
  assert.doesNotMatch(drawing, /<img/);
  await page.getByRole("tree").focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("Space");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Space");
  await page.getByRole("link", { name: "Compare 2" }).press("Enter");
  await page
    .getByText("×1.", { exact: false })
    .or(page.getByText("×2.", { exact: false }))
    .first()
    .waitFor();
  await page.getByText("Nothing: all structures are there.").waitFor();
});

test("start: what is typed stays, bad input is said beside its field, and a run starts", inBrowser, async () => {
  const { page } = web.there;
  await web.there.go(`/start?do=PRUNING&model=${web.seeded.root.id}`, "Start");
  const [targetRatio, samples] = [page.getByLabel("Target ratio"), page.getByLabel("Samples")];
  await targetRatio.waitFor();
  assert.equal(await targetRatio.inputValue(), "0.2");
  await page.getByText("Calibration texts, 1 to 1,024").waitFor();
  await web.there.check("start");
  await targetRatio.fill("1.5");
  await samples.fill("3");
  await page.getByLabel("Dataset").selectOption({ index: 1 });
  await page.getByRole("button", { name: "Prune" }).last().click();
  const said = page.getByText(/targetRatio must lie/).first();
  await said.waitFor();
  assert.equal(await targetRatio.getAttribute("aria-invalid"), "true");
  // Elsewhere and back, and after a reload, it is still there.
  await page.getByRole("button", { name: "Evaluate" }).click();
  await page.getByLabel("Max items").waitFor();
  await page.getByLabel("Against").check();
  await page.getByLabel("New tokens", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Prune" }).first().click();
  await page.reload();
  await samples.waitFor();
  assert.equal(await samples.inputValue(), "3");
  await targetRatio.fill("0.5");
  await page.getByRole("button", { name: "Prune" }).last().click();
  await page.waitForURL(/#\/runs\//);
  const id = page.url().split("/runs/")[1] as string;
  const { pruningRun } = await web.api.data("query($id: ID!) { pruningRun(id: $id) { options { targetRatio samples } } }", { id });
  assert.deepEqual(pruningRun.options, { targetRatio: 0.5, samples: 3 });
});

test("start: a model is compressed by a form of the schema, and its run shows each matrix as it comes", inBrowser, async () => {
  const { page } = web.there;
  await web.there.go(`/start?do=COMPRESSION&model=${web.seeded.root.id}`, "Start");
  await page.getByLabel("Block size").waitFor();
  assert.equal(await page.getByLabel("Block size").inputValue(), "32");
  await web.there.check("start-compression");
  await page.getByRole("button", { name: "Compress" }).last().click();
  await page
    .getByText(/dataset must be given/)
    .first()
    .waitFor();
  await page.getByLabel("Dataset").selectOption({ index: 1 });
  await page.getByRole("button", { name: "Compress" }).last().click();
  await page.waitForURL(/#\/runs\//);
  const id = page.url().split("/runs/")[1] as string;
  await page.getByText("INT4 GPTQ").waitFor();
  const { store } = web.api.services;
  const run = await claimRun(store, id);
  const product = {
    node: "",
    layer: 0,
    inputs: 576,
    outputs: 576,
    relativeError: 0.0123,
    zeroRatio: 0.004,
    bytesBefore: 1_327_104,
    bytesAfter: 212_000,
  };
  const products = ["q", "k"].map((name) => ({ ...product, parameter: `layers.0.${name}.weight`, certificate: null }));
  const step = { step: 1, steps: 2, products, estimatedMsLeft: 60_000 };
  if (run) {
    await recordCompressionStart(store, run, { executionProvider: "CPU", steps: 2, tokens: 16_384 });
    await recordCompressed(store, run, step, { sha256: sha256("a step"), sizeBytes: 1 });
  }
  await page.getByText("Runs on CPU: 2 steps, by 16,384 tokens").waitFor();
  await page.getByText("Step 1 of 2: layers.0.q.weight (error 1.2%), layers.0.k.weight (error 1.2%)").waitFor();
  const rows = page.getByRole("table", { name: "What was compressed, by matrix" }).getByRole("row");
  await until("both matrices are there", async () => (await rows.count()) === 3);
  assert.match(await rows.nth(1).innerText(), /layers\.0\.q\.weight\s+1\.2%\s+0\.4%\s+1\.33 MB → 212 kB/);
  await web.there.check("run-compression");
  await web.api.data("mutation($id: ID!) { cancelRun(input: { id: $id }) { run { id } } }", { id });
  await web.api.data("mutation($id: ID!) { deleteRun(input: { id: $id }) { deletedId } }", { id });
  await page.getByRole("heading", { name: "There is no such run" }).waitFor();
});

test("start: files of this computer become an import, with paths as in their folder", inBrowser, async () => {
  const { page } = web.there;
  await web.there.go("/start?do=IMPORT", "Start");
  await page.getByLabel("A Hub").check();
  await page.getByLabel(/^Repository/).waitFor();
  await page.getByLabel("Files of this computer").check();
  await web.there.check("start-import");
  const folder = await mkdtemp(join(tmpdir(), "espalier-dropped-"));
  try {
    await mkdir(join(folder, "onnx"));
    await writeFile(join(folder, "config.json"), "{}");
    await writeFile(join(folder, "onnx", "model.onnx"), Buffer.alloc(100_000, 7));
    await page.getByLabel("Choose a folder").setInputFiles(folder);
    await page.getByText("2 files, 100 kB").waitFor();
    await page.getByLabel("Name").fill("from my computer");
    await page.getByRole("button", { name: "Import" }).last().click();
    await page.waitForURL(/#\/runs\//);
    const id = page.url().split("/runs/")[1] as string;
    const { options } = await web.api.services.store.prisma.run.findUniqueOrThrow({ where: { id } });
    const { from, name } = options as unknown as { from: { uploadId: string }; name: string };
    assert.equal(name, "from my computer");
    const { upload } = await web.api.data("query($id: ID!) { upload(id: $id) { files { path receivedBytes } } }", { id: from.uploadId });
    const sorted = upload.files.sort((a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : 1));
    assert.deepEqual(sorted, [
      { path: "config.json", receivedBytes: 2 },
      { path: "onnx/model.onnx", receivedBytes: 100_000 },
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("playground: a prompt goes on by two seeds, tokens tell their chances, and what is too long is stopped", inBrowser, async () => {
  const { page } = web.there;
  const query = 'mutation { registerModel(input: { path: "ahab" }) { model { id } } }';
  const { registerModel } = await web.api.data(query);
  await web.there.go(`/playground?model=${registerModel.model.id}`, "Playground");
  await page.getByLabel("Prompt", { exact: true }).fill("The whale");
  await page.getByLabel("Max tokens").fill("12");
  await page.getByLabel("N", { exact: true }).fill("2");
  await page.getByLabel("Temperature").fill("1");
  await page.getByLabel("Seed").fill("7");
  await page.getByRole("button", { name: "Write" }).click();
  const texts = page.getByRole("region", { name: /^Text \d$/ });
  await page.getByText("12 tokens after").nth(1).waitFor();
  await page.getByRole("heading", { name: "Seed 8" }).waitFor();
  const input = {
    modelId: registerModel.model.id,
    prompt: { text: "The whale" },
    maxTokens: 12,
    n: 2,
    temperature: 1,
    seed: 7,
    topLogprobs: 5,
  };
  const asked = "mutation($input: GenerateInput!) { generate(input: $input) { choices { text logprobs { text logprob } } } }";
  const { generate } = await web.api.data(asked, { input });
  const written = page.locator("section.text");
  for (const i of [0, 1]) assert.equal(await written.nth(i).innerText(), generate.choices[i].text);
  await written.first().focus();
  await page.keyboard.press("ArrowRight");
  const [first] = generate.choices[0].logprobs;
  const chance = new Intl.NumberFormat("en-US", { style: "percent", maximumFractionDigits: 1 }).format(Math.exp(first.logprob));
  await page
    .getByText(`“${first.text.trim()}” ${chance}`)
    .or(page.getByText(`“${first.text}” ${chance}`))
    .first()
    .waitFor();
  assert.equal(await texts.count(), 2);
  // Bad input is said beside its field; a long text is stopped and stays as far as it came.
  await page.getByLabel("Temperature").fill("11");
  await page.getByRole("button", { name: "Write" }).click();
  await page
    .getByText(/temperature must/)
    .first()
    .waitFor();
  await page.getByLabel("Temperature").fill("1");
  await page.getByLabel("Max tokens").fill("4096");
  await page.getByRole("button", { name: "Write" }).click();
  await page.getByText("Writing …").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("button", { name: "Stop" }).waitFor({ state: "detached" });
  assert.ok((await written.first().innerText()).length > 0);
  assert.equal(await page.getByLabel("Prompt", { exact: true }).inputValue(), "The whale");
  await web.there.check("playground");
});

test("nothing was wrong in the browser's eyes", inBrowser, () => web.there.close());
