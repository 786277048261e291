import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { bearing } from "../support/api.ts";
import { nodeArguments } from "../support/checkout.ts";
import { temporaryFolder } from "../support/database.ts";

let folder: string;
before(async () => {
  folder = await temporaryFolder();
});
after(() => rm(folder, { recursive: true }));

function start(args: readonly string[], environment: Record<string, string> = {}) {
  const env = { ...process.env, DATABASE_URL: "", LOG_LEVEL: "trace", PORT: "0", ESPALIER_DATA_DIRECTORY: folder, ...environment };
  return spawn(process.execPath, [...nodeArguments("src/main"), ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
}

async function run(args: readonly string[], environment?: Record<string, string>) {
  const child = start(args, environment);
  const [out, err, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { out, err, status };
}

/** Starts the server, asks it something with a token, and stops it: what it wrote, and the answer's status. */
async function serve(environment: Record<string, string>, tokenOf: (out: string) => string | undefined = () => undefined) {
  const child = start(["start"], environment);
  let [out, err] = ["", ""];
  child.stderr.on("data", (data) => (err += data));
  const exit = once(child, "exit");
  try {
    await new Promise<void>((resolve, reject) => {
      child.stdout.on("data", (data) => {
        out += data;
        if (/answers at/.test(out)) resolve();
      });
      void exit.then(() => reject(new Error(err)));
    });
    const url = /http:\S+/.exec(out)?.[0] as string;
    const headers = { "content-type": "application/json", ...bearing(tokenOf(out)) };
    const { status } = await fetch(url, { method: "POST", headers, body: '{"query":"{ tokens { nodes { id } } }"}' });
    return { out, status };
  } finally {
    child.kill("SIGTERM");
    await exit;
    assert.doesNotMatch(err, /esp_[\w-]{43}/);
  }
}

const tokenIn = (out: string): string | undefined => /esp_[\w-]{43}/.exec(out)?.[0];

test("a server that others would reach does not start before there is a token, unless it is told to stay open", async () => {
  const refused = await run(["start"], { HOST: "0.0.0.0" });
  assert.equal(refused.status, 1);
  assert.match(refused.err, /npx espalier token create .*ESPALIER_OPEN=true \[NO_TOKEN\]/);
  // An address that says not of itself that it is this machine's own.
  assert.equal((await serve({ HOST: "127.1", ESPALIER_OPEN: "true" })).status, 200);
});

test("told to make the first token, a server prints an administrator's once, and lets nobody in without", async () => {
  const first = await serve({ HOST: "127.1", ESPALIER_FIRST_TOKEN: "true" }, tokenIn);
  assert.equal(first.status, 200);
  assert.match(first.out, /administrator's token, shown this once: esp_/);
  const again = await serve({ HOST: "127.1", ESPALIER_FIRST_TOKEN: "true" });
  assert.deepEqual([again.status, tokenIn(again.out)], [401, undefined]);
});

test("the command makes tokens, lists them without showing them, and withdraws them", async () => {
  const { out, err, status } = await run(["token", "create", "--name", "for ci", "--role", "READ", "--days", "30"]);
  assert.equal(status, 0, err);
  assert.match(out, /^esp_[\w-]{43}\n$/);
  assert.match(err, /"for ci" \([0-9a-f-]{36}\) has the role READ until 2/);
  const [id] = /[0-9a-f-]{36}/.exec(err) as RegExpExecArray;
  const listed = await run(["token", "list"]);
  assert.match(listed.out, new RegExp(`${id} .*READ.* until .*for ci`));
  assert.match(listed.out, /ADMIN.* for good .*administrator/);
  assert.equal(tokenIn(listed.out), undefined);
  assert.match((await run(["token", "revoke", id])).out, /"for ci" is withdrawn/);
  assert.match((await run(["token", "list"])).out, new RegExp(`${id} .* withdrawn `));
});

test("a call that is not understood changes nothing and says how it is called", async () => {
  for (const [args, words] of [
    [[], /Say what to do/],
    [["make"], /Unknown argument: make/],
    [["create", "--role", "READ"], /Missing required argument: name/],
    [["create", "--name", "x", "--role", "ROOT"], /Argument: role, Given: "ROOT", Choices: "READ", "GENERATE", "PRUNE", "ADMIN"/],
    [["create", "--name", "x", "--role", "READ", "--days", "0"], /--days must be/],
    [["create", "--name", "x", "--role", "READ", "--for-ever"], /for-ever/],
    [["revoke"], /Not enough non-option arguments/],
    [["list", "x"], /Unknown argument: x/],
    [["list", "--name", "x"], /Unknown argument: name/],
  ] as const) {
    const { out, err, status } = await run(["token", ...args], { ESPALIER_DATA_DIRECTORY: `${folder}/never` });
    assert.deepEqual([out, status], ["", 2]);
    assert.match(err, words);
    assert.match(err, /^espalier token.*\n\n.*Options:/s);
  }
});
