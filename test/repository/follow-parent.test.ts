import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { program } from "../support/checkout.ts";

const followParent = pathToFileURL(program("src/commands/shared/follow-parent")).href;

test("what a command's server is preloaded with is not handed on to the processes that it forks", () => {
  const flags = ["--enable-source-maps", "--import", "tsx"];
  const out = execFileSync(process.execPath, [...flags, "--import", followParent, "-p", "JSON.stringify(process.execArgv)"]);
  assert.deepEqual((JSON.parse(out.toString()) as string[]).slice(0, 4), [...flags, "-p"]);
});
