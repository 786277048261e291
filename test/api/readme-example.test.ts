import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { readContainer } from "../../src/models/gguf/container.ts";
import { testApi } from "../support/api.ts";
import { checkout, nodeArguments } from "../support/checkout.ts";
import { runLlamaCpp, withoutLlamaCpp } from "../support/llama-cpp.ts";

test("README's three commands take a folder of safetensors to a pruned GGUF file that llama.cpp loads", async () => {
  const lines = (await readFile(join(checkout, "README.md"), "utf8")).split("\n");
  const commands = lines.flatMap((line) => /^npm run (import|prune|export) -- (.*)$/.exec(line)?.slice(1, 3) ?? []);
  assert.equal(commands.length, 6);
  const api = await testApi();
  const folder = await mkdtemp(join(tmpdir(), "espalier-readme-"));
  try {
    await symlink(join(checkout, "models"), join(folder, "models"));
    const { INIT_CWD: _, ...env } = process.env;
    for (let i = 0; i < commands.length; i += 2) {
      const args = [commands[i] as string, ...(commands[i + 1] as string).split(" "), "--server", new URL("/", api.url).href];
      const child = spawn(process.execPath, [...nodeArguments("src/main"), ...args], {
        cwd: folder,
        env,
        stdio: ["ignore", "pipe", "pipe"],
      });
      const [out, err, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
      assert.equal(status, 0, `${args.join(" ")}: ${out}${err}`);
    }
    assert.deepEqual((await readdir(join(folder, "whale-small"))).sort(), ["README.md", "model-Q8_0.gguf", "removed.svg"]);
    const path = join(folder, "whale-small", "model-Q8_0.gguf");
    const { metadata } = readContainer(path, "model-Q8_0.gguf");
    assert.ok(Number(metadata.get("llama.feed_forward_length")) < 256, "channels are gone from all layers alike");
    if (withoutLlamaCpp) return;
    const [answer] = await runLlamaCpp([{ path, prompt: "Call me", vocabulary: 2048, count: 8 }]);
    assert.equal(answer?.refused, undefined);
    assert.equal(answer?.text.length, 8);
  } finally {
    await api.close();
    await rm(folder, { recursive: true });
  }
});
