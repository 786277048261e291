import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { WebSocket } from "ws";
import { nodeArguments } from "../support/checkout.ts";
import { temporaryFolder } from "../support/database.ts";

function run(environment: Record<string, string>): ChildProcess {
  const env = { ...process.env, DATABASE_URL: "", LOG_LEVEL: "warn", ...environment };
  return spawn(process.execPath, [...nodeArguments("src/main"), "start"], { env, stdio: ["ignore", "pipe", "pipe"] });
}

test("the program says where it answers, and stops in good order at SIGTERM", async () => {
  const folder = await temporaryFolder();
  const child = run({ PORT: "0", ESPALIER_DATA_DIRECTORY: folder });
  try {
    assert.ok(child.stdout && child.stderr);
    const complaints = text(child.stderr);
    const [said] = (await Promise.race([once(child.stdout, "data"), once(child, "exit")])) as [Buffer];
    const [url] = /http:\/\/127\.0\.0\.1:\d+\/graphql/.exec(String(said)) ?? [];
    assert.ok(url, String(said));
    const health = await fetch(url.replace("/graphql", "/healthz"));
    assert.deepEqual([health.status, await health.json()], [200, { ready: true }]);
    const socket = new WebSocket(url.replace("http", "ws"), "graphql-transport-ws");
    await once(socket, "open");
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    const [closeCode] = await once(socket, "close");
    assert.equal(closeCode, 1001);
    assert.deepEqual(await exit, [0, null]);
    assert.equal(await complaints, "");
  } finally {
    child.kill("SIGKILL");
    await rm(folder, { recursive: true });
  }
});

test("what keeps it from starting is said in a sentence, and the status is 1", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as { port: number };
  const folder = await temporaryFolder();
  try {
    for (const [environment, words] of [
      [{ PORT: "no" }, /PORT must be a number from 0 to 65535 \[BAD_CONFIGURATION\]/],
      [{ DATABASE_URL: "postgres://127.0.0.1:1/nowhere" }, /DATABASE_UNREACHABLE/],
      [{ PORT: String(port) }, /cannot listen on 127\.0\.0\.1, port \d+: .*EADDRINUSE.* \[CANNOT_LISTEN\]/],
    ] as const) {
      const child = run({ ESPALIER_DATA_DIRECTORY: folder, LOG_LEVEL: "silent", ...environment });
      assert.ok(child.stderr);
      const [words_, [status]] = await Promise.all([text(child.stderr), once(child, "exit")]);
      assert.match(words_, words);
      assert.equal(status, 1);
      assert.doesNotMatch(words_, /^\s+at /m);
    }
  } finally {
    taken.close();
    await rm(folder, { recursive: true });
  }
});
