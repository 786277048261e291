import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { installedSizes, installPacked, pack, sizesInWords } from "../../scripts/package/package.ts";
import { type Client, connect } from "../../src/commands/shared/client.ts";
import { temporaryFolder } from "../support/database.ts";
import { until } from "../support/wait.ts";

// What someone does who has the packed file, Node and npm, and nothing else.
const folder = realpathSync(await temporaryFolder());
after(() => rmSync(folder, { recursive: true, force: true }));
const home = join(folder, "home");

/** No setting of whoever runs the tests, and nothing of npm that could lead back into the checkout. */
const environment = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(ESPALIER_|npm_|INIT_CWD$|HOST$|DATABASE_URL$)/.test(name))),
  PORT: "0",
  LOG_LEVEL: "warn",
};

function call(program: string, ...args: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: home, env: environment, encoding: "utf8" });
  return { status, out: stdout, err: stderr };
}

const noRegistry = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED/;

/** The main job, as a client. */
async function work(client: Client): Promise<string> {
  type Registered = { registerModel: { model: { id: string; parameterCount: number } } };
  const register = `mutation { registerModel(input: { source: { path: "ahab" } }) { model { id parameterCount } } }`;
  const {
    registerModel: { model },
  } = await client.request<Registered>(register);
  const prune = "mutation ($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }";
  const options = { targetRatio: 0.05, structureKinds: ["LAYER"], samples: 2, sequenceLength: 32 };
  const input = { subject: { modelId: model.id }, dataset: { name: "literature-train" }, options };
  const {
    startPruning: { run },
  } = await client.request<{ startPruning: { run: { id: string } } }>(prune, { input });
  const follow = `subscription ($id: ID!) { runProgress(runId: $id) {
    ... on PruningSucceeded { resultModel { id parameterCount } } ... on RunFailed { error { message } } } }`;
  type Event = { resultModel?: { id: string; parameterCount: number }; error?: { message: string } };
  let last: Event = {};
  for await (const { runProgress } of client.subscribe<{ runProgress: Event }>(follow, { id: run.id })) last = runProgress;
  const child = last.resultModel ?? assert.fail(last.error?.message);
  assert.ok(child.parameterCount <= 0.95 * model.parameterCount);
  const generate = "mutation ($input: GenerateInput!) { generate(input: $input) { text } }";
  type Written = { generate: { text: string } };
  return (await client.request<Written>(generate, { input: { modelId: child.id, prompt: { text: "The whale" }, maxTokens: 8 } })).generate
    .text;
}

test("the packed file, installed in an empty folder, is the whole program", { timeout: 900_000 }, async (t) => {
  const file = pack(folder);
  try {
    installPacked(file, home);
  } catch (error) {
    if (!noRegistry.test((error as Error).message)) throw error;
    return t.skip("neither npm's cache nor a registry in reach has the packages to install it with");
  }
  const espalier = join(home, "node_modules/.bin/espalier");

  await t.test("brings nothing that is for development only, and stays small", () => {
    const sizes = installedSizes(home);
    t.diagnostic(`\n${sizesInWords(sizes)}`);
    const names = sizes.map(([name]) => name);
    for (const name of ["prisma", "@prisma/engines", "typescript", "tsx", "graphiql", "react", "@biomejs/biome"])
      assert.ok(!names.includes(name), name);
    assert.ok(names.includes("espalier") && names.includes("onnxruntime-node"));
    const bytes = sizes.reduce((sum, [, size]) => sum + size, 0);
    assert.ok(bytes < 600e6, `${bytes} bytes`);
  });

  await t.test("says what each command takes, and completes", () => {
    const help = call("npx", "espalier", "--help");
    assert.equal(help.status, 0, help.err);
    const commands = [...help.out.matchAll(/^ {2}espalier (\w+)/gm)].map((m) => m[1] as string);
    assert.deepEqual(commands, [
      "completion",
      "start",
      "api",
      "worker",
      "demo",
      "import",
      "prune",
      "heal",
      "compress",
      "evaluate",
      "export",
      "inspect",
      "compare",
      "token",
      "fsck",
    ]);
    // yargs' own prints its script in any case.
    for (const command of commands.filter((name) => name !== "completion")) {
      const { status, out } = call(espalier, command, "--help");
      assert.equal(status, 0, command);
      assert.match(out, new RegExp(`^espalier ${command}`));
    }
    assert.match(call(espalier, "completion").out, /complete .*espalier/);
    assert.deepEqual(call(espalier, "--get-yargs-completions", "espalier", "token", "create", "--role", "").out.split("\n").slice(0, 2), [
      "READ",
      "GENERATE",
    ]);
    assert.deepEqual(readdirSync(home).sort(), ["node_modules", "package-lock.json", "package.json"]);
  });

  await t.test("starts, prunes the bundled model, lets the child write, and stops in good order", async () => {
    const child = spawn(espalier, ["start"], { cwd: home, env: environment, stdio: ["ignore", "pipe", "pipe"] });
    const complaints = text(child.stderr);
    const exit = once(child, "exit");
    try {
      let said = "";
      child.stdout.on("data", (more) => (said += more));
      await until("the server says where it answers", async () => {
        assert.equal(child.exitCode, null, said);
        return /registered from/.test(said);
      });
      const url = /http:\S+/.exec(said)?.[0] ?? assert.fail(said);
      assert.ok((await fetch(new URL("/graphiql/graphiql.js", url))).ok);
      const script =
        /src="([^"]+[.]js)"/.exec(await (await fetch(new URL("/", url))).text())?.[1] ?? assert.fail("the dashboard is not there");
      assert.ok((await fetch(new URL(script, url))).ok);
      const client = connect(url);
      assert.notEqual(await work(client), "");
      await client.close();
    } finally {
      child.kill("SIGTERM");
    }
    assert.deepEqual(await exit, [0, null]);
    assert.equal(await complaints, "");
    assert.ok(existsSync(join(home, "data")));
  });

  await t.test("looks after what the server left", () => {
    const checked = call(espalier, "fsck");
    assert.deepEqual([checked.status, checked.out], [0, "The database and the files agree.\n"], checked.err);
    assert.deepEqual(call(espalier, "token", "list"), { status: 0, out: "", err: "" });
    assert.match(call(espalier, "inspect", "node_modules/espalier/models/ahab").out, /can be pruned/);
  });
});
