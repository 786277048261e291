import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { createToken } from "../../src/store/tokens.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { nodeArguments } from "../support/checkout.ts";

let api: TestApi;
let folder: string;
before(async () => {
  api = await testApi();
  folder = await mkdtemp(join(tmpdir(), "espalier-export-"));
  await api.data('mutation { registerModel(input: { source: { path: "ahab" }, name: "ahab" }) { model { id } } }');
});
after(async () => {
  await api.close();
  await rm(folder, { recursive: true });
});

const run = (args: readonly string[], token = "") => command(["export", ...args], token);

async function command(args: readonly string[], token = "") {
  const env = { ...process.env, ESPALIER_TOKEN: token };
  const child = spawn(process.execPath, [...nodeArguments("src/main"), ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const [out, err, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { out, err, status };
}

test("a model is exported into a folder by a command, with a token and without", async () => {
  const server = new URL(api.url).origin;
  const to = join(folder, "one");
  const { out, err, status } = await run(["ahab", "--format", "SAFETENSORS", "--to", to, "--server", server]);
  assert.equal(status, 0, err);
  assert.match(out, /files, .* MB, are in /);
  assert.deepEqual((await readdir(to)).sort(), [
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
  ]);
  assert.equal(JSON.parse(await readFile(join(to, "config.json"), "utf8")).model_type, "llama");

  const again = await run(["ahab", "--format", "SAFETENSORS", "--to", to, "--server", server]);
  assert.deepEqual([again.status, /is not empty/.test(again.err)], [2, true]);
  const nobody = await run(["nobody", "--format", "ONNX", "--to", join(folder, "two"), "--server", server]);
  assert.deepEqual([nobody.status, /there is no model "nobody"/.test(nobody.err)], [2, true]);
  assert.deepEqual(await readdir(folder), ["one"]);

  const { secret } = await createToken(api.services.store.prisma, { name: "writer", role: "GENERATE", expiresAt: null });
  const { models } = (await api.ask("{ models { nodes { repository } } }", {}, secret)).data;
  const named = [models.nodes[0].repository, "--format", "ONNX", "--to", join(folder, "two"), "--server", server];
  const shown = await run(named, secret);
  assert.equal(shown.status, 0, shown.err);
  assert.deepEqual(await readdir(join(folder, "two", "onnx")), ["model.onnx"]);
});

test("a model is pruned, healed, compressed and measured by commands", async () => {
  const { secret } = await createToken(api.services.store.prisma, { name: "pruner", role: "PRUNE", expiresAt: null });
  const server = ["--server", new URL(api.url).origin];
  const pruned = await command(
    ["prune", "ahab", "--ratio", "0.1", "--kinds", "CHANNEL", "--method", "MAGNITUDE_L2", "--name", "thin", ...server],
    secret,
  );
  assert.equal(pruned.status, 0, pruned.err);
  const healed = await command(["heal", "thin", "--steps", "2", "--method", "NORMS", "--name", "healed", ...server], secret);
  assert.equal(healed.status, 0, healed.err);
  const [, id] = /^healed: [\d,]+ parameters, id (\S+)\n {2}loss of texts held back \d+\.\d{3} -> \d+\.\d{3}/m.exec(healed.out) ?? [];
  const { model } = (await api.ask("query ($id: ID!) { model(id: $id) { name parent { name } } }", { id }, secret)).data;
  assert.deepEqual(model, { name: "healed", parent: { name: "thin" } });
  const to = join(folder, "small");
  const compressed = await command(
    ["compress", "healed", "--method", "rtn", "--scheme", "int8", "--name", "small", "--to", to, ...server],
    secret,
  );
  assert.equal(compressed.status, 0, compressed.err);
  const sizes = /^small: id \S+\n {2}weights ([\d.]+) MB -> ([\d.]+) MB, \d+\.\d% of them 0\n/m.exec(compressed.out) ?? [];
  assert.ok(Number(sizes[2]) < 0.5 * Number(sizes[1]), compressed.out);
  assert.ok((await readdir(join(to, "onnx"))).includes("model.onnx"));
  const again = await command(["compress", "healed", "--to", to, ...server], secret);
  assert.deepEqual([again.status, /is not empty/.test(again.err)], [2, true]);
  const measured = await command(["evaluate", "small", "--max-tokens", "500", ...server], secret);
  assert.equal(measured.status, 0, measured.err);
  assert.match(measured.out, /^small on literature-heldout: perplexity \d+\.\d\d, \d+\.\d% of next tokens right, \d+ tokens read, /m);
});
