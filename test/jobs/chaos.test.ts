import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { test } from "node:test";
import { chaos } from "../../scripts/checks/chaos/chaos.ts";
import { temporaryFolder } from "../support/database.ts";

const seed = 5;

// `npm run chaos` is the long form.
test(`20 times kill -9, of workers, compute processes, APIs and Postgres, and no run notices (seed ${seed})`, {
  skip: !existsSync("/proc/self/stat") && "processes are found through /proc",
}, async () => {
  const dataDirectory = await temporaryFolder();
  const lines: string[] = [];
  try {
    const report = await chaos({ dataDirectory, kills: 20, seed, runs: 3, meanPauseMs: 500, say: (line) => lines.push(line) });
    assert.equal(
      Object.values(report.kills).reduce((a, b) => a + b),
      20,
    );
    for (const [victim, count] of Object.entries(report.kills)) assert.ok(count >= 2, `${victim} was killed ${count} times`);
    assert.ok(report.runs >= 3 && report.attempts > report.runs, JSON.stringify(report));
    await rm(dataDirectory, { recursive: true });
  } catch (error) {
    console.error(`seed ${seed}; data and log in ${dataDirectory}\n${lines.join("\n")}`);
    throw error;
  }
});
