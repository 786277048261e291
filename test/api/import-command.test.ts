import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { createToken } from "../../src/store/tokens.ts";
import { ahabFolder } from "../support/ahab.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { nodeArguments } from "../support/checkout.ts";

let api: TestApi;
let folder: string;
before(async () => {
  api = await testApi({ server: { recheckMs: 20 } });
  folder = await mkdtemp(join(tmpdir(), "espalier-test-"));
});
after(async () => {
  await api.close();
  await rm(folder, { recursive: true });
});

/** `espalier import` of someone who stands in the folder. */
async function run(args: readonly string[], environment: Record<string, string> = {}) {
  const { INIT_CWD: _, ...own } = process.env;
  const child = spawn(process.execPath, [...nodeArguments("src/main"), "import", ...args, "--server", new URL("/", api.url).href], {
    cwd: folder,
    env: { ...own, ...environment },
  });
  const [out, err, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { out, err, status };
}
const models = async () => (await api.data(`{ models { nodes { id name files { path } } } }`)).models.nodes;

test("a folder of this machine becomes a model of the server", async () => {
  await cp(ahabFolder, join(folder, "whale"), { recursive: true });
  await rm(join(folder, "whale/model.safetensors"));
  await writeFile(join(folder, "whale/diary.txt"), "nobody's business");
  const { out, err, status } = await run(["whale"]);
  assert.equal(status, 0, err);
  const [model] = await models();
  assert.match(out, new RegExp(`^whale: 1,415,520 parameters, id ${model.id}\n`));
  const paths = model.files.map(({ path }: { path: string }) => path);
  assert.ok(paths.includes("onnx/model.onnx") && paths.includes("tokenizer.json") && !paths.includes("diary.txt"), `${paths}`);
  assert.deepEqual(await readdir(join(api.services.dataDirectory, "uploads")), []);
});

test("safetensors are preferred, and a graph that is named is taken", async () => {
  await cp(ahabFolder, join(folder, "both"), { recursive: true });
  assert.equal((await run(["both", "--name", "from safetensors"])).status, 0);
  assert.equal((await run(["both/onnx/model.onnx"])).status, 0);
  const found = await models();
  const named = found.find(({ name }: { name: string }) => name === "from safetensors");
  assert.ok(
    named.files.some(({ path }: { path: string }) => path === "model.safetensors"),
    JSON.stringify(named),
  );
});

test("what cannot be brought is said", async () => {
  const nothing = await run(["no such folder"]);
  assert.equal(nothing.status, 1);
  assert.match(nothing.err, /there is nothing at no such folder.*\[MODEL_NOT_FOUND\]/);
  await cp(join(ahabFolder, "config.json"), join(folder, "config.json"));
  assert.match((await run(["."])).err, /\[MODEL_NOT_FOUND\]/);
  const { secret } = await createToken(api.services.store.prisma, { name: "one", role: "PRUNE", expiresAt: null });
  assert.match((await run(["whale"])).err, /\[UNAUTHENTICATED\]/);
  const shown = await run(["whale"], { ESPALIER_TOKEN: secret });
  assert.equal(shown.status, 0, shown.err);
});
