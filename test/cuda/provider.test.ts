import assert from "node:assert/strict";
import { test } from "node:test";
import { EspalierError } from "../../src/errors.ts";
import { resolveProvider } from "../../src/runtime/providers.ts";

/** Whether this machine has what CUDA needs; AUTO's answer says so, and CUDA must agree with it. */
const automatic = await resolveProvider("AUTO");

test("CPU is the CPU", async () => assert.equal(await resolveProvider("CPU"), "CPU"));

test("CUDA without its libraries fails and says what to install", { skip: automatic === "CUDA" && "CUDA works here" }, async () => {
  assert.equal(automatic, "CPU");
  await assert.rejects(resolveProvider("CUDA"), (error) => {
    assert.ok(error instanceof EspalierError);
    assert.equal(error.code, "EXECUTION_PROVIDER_UNAVAILABLE");
    for (const word of ["NVIDIA driver", "CUDA provider", "cuDNN", "docs/cuda.md"]) assert.ok(error.message.includes(word), error.message);
    // Who reads it may be far from the machine.
    assert.doesNotMatch(error.message, /node_modules|npm |node /);
    assert.equal(error.details["executionProvider"], "CUDA");
    return true;
  });
});

test("CUDA is taken by AUTO where it works", { skip: automatic === "CPU" && "no CUDA here" }, async () => {
  assert.equal(await resolveProvider("CUDA"), "CUDA");
});
