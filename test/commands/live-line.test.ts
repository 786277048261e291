import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { program } from "../support/checkout.ts";

test("on a pipe the output is what lasts; how it goes is told beside it", () => {
  const module = pathToFileURL(program("src/commands/shared/display")).href;
  const source = `const { LiveLine } = await import(${JSON.stringify(module)});
    for (const quiet of [0, 60_000]) { const live = new LiveLine(quiet); live.update("half of " + quiet); live.line("done"); }`;
  const { stdout, stderr, status } = spawnSync(process.execPath, [...process.execArgv, "--input-type=module", "-e", source], {
    encoding: "utf8",
  });
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "done\ndone\n", stderr: "half of 0\n" });
});
