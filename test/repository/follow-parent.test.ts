import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

const followParent = new URL("../../scripts/shared/follow-parent.mjs", import.meta.url).href;

test("what a command's server is preloaded with is not handed on to the processes that it forks", () => {
  const out = execFileSync(process.execPath, ["--enable-source-maps", "--import", followParent, "-p", "JSON.stringify(process.execArgv)"]);
  const inherited = JSON.parse(out.toString()) as string[];
  assert.ok(inherited.includes("--enable-source-maps"), `${inherited}`);
  assert.ok(!inherited.includes(followParent) && !inherited.includes("--import"), `${inherited}`);
});
