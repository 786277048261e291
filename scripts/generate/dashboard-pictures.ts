/**
 * Makes the pictures of docs/dashboard.md from what really happens: the demo's models, a few more that are pruned by other methods, each measured
 * on held-out text. Takes some minutes, and needs Chromium.
 *
 *     npm run build && node --import tsx scripts/generate/dashboard-pictures.ts
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { type Client, connect } from "../../src/commands/shared/client.ts";
import { followRun } from "../../src/commands/shared/follow-run.ts";
import { launch } from "../../test/support/chromium.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const images = join(root, "docs", "images");

/** The demo's server, once it has told its story. */
async function demo(data: string) {
  const child = spawn(process.execPath, ["dist/main.js", "demo", "--data", data], { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) {
    output += chunk;
    if (/Ctrl-C ends the server/.test(output)) break;
  }
  const origin = /http:\/\/\S+?:\d+/.exec(output)?.[0];
  if (!origin) throw new Error(`the demo ended early:\n${output}`);
  return {
    origin,
    async stop() {
      child.kill("SIGTERM");
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}

/** Starts a run and waits for its end. */
async function done(client: Client, field: string, inputType: string, input: object): Promise<string> {
  const mutation = `mutation ($input: ${inputType}!) { ${field}(input: $input) { run { id } } }`;
  const started = await client.request<Record<string, { run: { id: string } }>>(mutation, { input });
  const { id } = started[field]?.run ?? { id: "" };
  for await (const _ of followRun(client, id, ""));
  return id;
}

/** A child by a method, measured; its run. */
async function pruned(client: Client, modelId: string, method: string, structureKinds: readonly string[]): Promise<string> {
  const id = await done(client, "startPruning", "StartPruningInput", {
    ...{ subject: { modelId }, method, dataset: { name: "literature-train" } },
    options: { targetRatio: 0.2, structureKinds },
  });
  await done(client, "startEvaluation", "StartEvaluationInput", { subject: { resultOf: id }, dataset: { name: "literature-heldout" } });
  return id;
}

const data = mkdtempSync(join(tmpdir(), "espalier-pictures-"));
const { origin, stop } = await demo(data);
const client = connect(`${origin}/graphql`);
const browser = await launch();
try {
  const { models } = await client.request<{ models: { nodes: { id: string }[] } }>(
    "{ models(first: 1, orderBy: OLDEST_FIRST) { nodes { id } } }",
  );
  const modelId = models.nodes[0]?.id ?? "";
  const { runs } = await client.request<{ runs: { nodes: { id: string; resultModel: { id: string } }[] } }>(
    "{ runs(first: 1, filter: { kinds: [PRUNING] }) { nodes { id ... on PruningRun { resultModel { id } } } } }",
  );
  const byLayers = runs.nodes[0];
  const byHeads = await pruned(client, modelId, "PIP", ["HEAD", "CHANNEL"]);
  for (const method of ["BLOCK_INFLUENCE", "RANDOM"]) await pruned(client, modelId, method, ["LAYER"]);

  mkdirSync(images, { recursive: true });
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 }, reducedMotion: "reduce" });
  const shot = async (name: string, address: string, ready: (page: Page) => Promise<unknown>) => {
    await page.goto(`${origin}/#${address}`);
    await ready(page);
    await page.screenshot({ path: join(images, `${name}.png`) });
  };
  await page.goto(`${origin}/`);
  const words = (text: string | RegExp) => (on: Page) => on.getByText(text).first().waitFor();
  await shot("family", "/", words(/RANDOM/));
  await shot("run", `/runs/${byLayers?.id}`, words("Lowest scores"));
  await shot("model", `/models/${byLayers?.resultModel.id}`, words("What can be removed"));
  await shot("structures", `/structures?run=${byHeads}&kind=CHANNEL`, (on) => on.locator("canvas").first().waitFor());
  const { run } = await client.request<{ run: { resultModel: { id: string } } }>(
    "query ($id: ID!) { run(id: $id) { ... on PruningRun { resultModel { id } } } }",
    { id: byHeads },
  );
  const compared = new URLSearchParams(
    [modelId, byLayers?.resultModel.id ?? "", run.resultModel.id].map((id): [string, string] => ["model", id]),
  );
  await shot("compare", `/compare?${compared}&kind=CHANNEL`, async (on) => {
    await on.setViewportSize({ width: 1280, height: 1860 });
    await on.getByLabel("Prompt", { exact: true }).fill("The white whale");
    await on.getByLabel("Tokens", { exact: true }).fill("40");
    await on.getByRole("button", { name: "Write", exact: true }).click();
    await on.getByText("are marked").nth(1).waitFor();
    await on.locator("section.text").nth(1).focus();
    for (let i = 0; i < 2; i++) await on.keyboard.press("ArrowDown");
    await on.evaluate("scrollTo(0, 0)");
  });
  await page.setViewportSize({ width: 1280, height: 860 });
  await shot("trade-off", "/tradeoff?limit=6", words(/Best with/));
  await shot("start", `/start?do=PRUNING&model=${modelId}`, (on) => on.getByLabel("Target ratio").waitFor());
  await shot("datasets", "/datasets", words("literature-train"));
  await shot("queue", "/queue", words("process"));
  await shot("settings", "/settings", words("ESPALIER_ROLE"));
  await shot("playground", `/playground?model=${modelId}`, async (on) => {
    await on.getByLabel("Prompt", { exact: true }).fill("The white whale");
    await on.getByLabel("Max tokens").fill("60");
    await on.getByLabel("N", { exact: true }).fill("2");
    await on.getByLabel("Temperature").fill("1");
    await on.getByLabel("Seed").fill("1");
    await on.getByRole("button", { name: "Write" }).click();
    await on.getByText("60 tokens after").nth(1).waitFor();
    await on.locator("section.text").first().focus();
    for (let i = 0; i < 6; i++) await on.keyboard.press("ArrowRight");
  });
} finally {
  await browser.close();
  await client.close();
  await stop();
  rmSync(data, { recursive: true, force: true });
}
