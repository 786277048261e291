import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { checkout } from "../support/checkout.ts";

// What a stranger does first, held to what README promises of it.
const data = mkdtempSync(join(tmpdir(), "espalier-demo-"));
const running = new Set<ChildProcess>();

function demo(...args: string[]): ChildProcess & { readonly output: () => string } {
  const child = spawn(process.execPath, ["dist/main.js", "demo", "--data", data, ...args], { cwd: checkout });
  running.add(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  return Object.assign(child, { output: () => output });
}

/** The numbers of a row of the table: before, pruned, its change in percent, healed, its change. */
function row(output: string, name: string): readonly [number, number, number, number, number] {
  const line = output.split("\n").find((l) => l.trim().startsWith(name)) ?? assert.fail(`no row "${name}" in:\n${output}`);
  const found = [...line.slice(line.indexOf(name) + name.length).matchAll(/[\d,.]+/g)].map((m) => Number(m[0].replaceAll(",", "")));
  return found as never;
}

before(() => {
  const { status, stdout } = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], {
    cwd: checkout,
    encoding: "utf8",
  });
  assert.equal(status, 0, stdout);
});
after(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(data, { recursive: true, force: true });
});

describe("the demo", () => {
  it("prunes the bundled model through the API and ends", { timeout: 300_000 }, async () => {
    const child = demo("--once");
    const [code] = await once(child, "close");
    const output = child.output();
    assert.equal(code, 0, output);
    assert.match(output, /^Watch it all in the dashboard: http:\/\/127\.0\.0\.1:\d+\n/, "where to watch it comes first");

    const [parameters, left] = row(output, "parameters");
    assert.equal(parameters, 1_415_520);
    assert.ok(left / parameters > 0.75 && left / parameters < 0.85, `${left} of ${parameters} parameters are left`);
    const [accuracy, kept] = row(output, "next-token accuracy, held-out");
    assert.ok(kept / accuracy >= 0.8, `accuracy went from ${accuracy}% to ${kept}%`);
    const [whole, pruned, , healed] = row(output, "perplexity, held-out");
    const wonBack = Math.log(pruned / healed) / Math.log(pruned / whole);
    assert.ok(wonBack > 0.4, `perplexity went from ${whole} to ${pruned}, and healed to ${healed}`);
    assert.equal(row(output, "parameters")[3], left, "a healed model is as large as the pruned one");
    const [bytes, bytesLeft] = row(output, "file size");
    assert.ok(bytesLeft < 0.86 * bytes, `the file went from ${bytes} to ${bytesLeft} MB`);
    const speeds = row(output, "tokens/s, decoding");
    assert.ok(speeds[0] > 0 && speeds[1] > 0 && speeds[3] > 0);
    assert.match(output, /iteration 1: removed LAYER \d+ \(score [\d.e-]+\)/);
    assert.match(output, /Lineage:\n {2}ahab, 1,415,520 parameters, [\w-]+\n {4}└ /);
  });

  it("takes its server along when it is killed", { timeout: 120_000 }, async () => {
    const child = demo();
    while (!/Registered ahab/.test(child.output())) {
      assert.equal(child.exitCode, null, child.output());
      await once(child.stdout as NodeJS.ReadableStream, "data");
    }
    const url = /http:\S+/.exec(child.output())?.[0] ?? assert.fail(child.output());
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    child.kill("SIGKILL");
    await once(child, "exit");
    const until = Date.now() + 30_000;
    const answers = () =>
      fetch(`${url}/healthz`).then(
        () => true,
        () => false,
      );
    while (await answers()) {
      assert.ok(Date.now() < until, "the server outlived the demo");
      await delay(100);
    }
  });
});
