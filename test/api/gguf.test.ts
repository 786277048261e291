import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { unlessAbsent } from "../../src/unless-absent.ts";
import { type TestApi, testApi } from "../support/api.ts";

const tiny = fileURLToPath(new URL("../fixtures/gguf/tiny.gguf", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "espalier-gguf-"));
mkdirSync(join(root, "alone"));
cpSync(tiny, join(root, "alone", "tiny.gguf"));
cpSync(tiny, join(root, "alone", "..", "named.gguf"));
mkdirSync(join(root, "two"));
for (const name of ["a", "b"]) cpSync(tiny, join(root, "two", `${name}.gguf`));
writeFileSync(join(root, "broken.gguf"), readFileSync(tiny).subarray(0, 50_000));

let api: TestApi;
before(async () => {
  api = await testApi({ modelRoot: root });
});
after(async () => {
  await api.close();
  rmSync(root, { recursive: true });
});

const register = `mutation($input: RegisterModelInput!) { registerModel(input: $input) { model {
  id parameterCount remarks files { path } architecture { vocabularySize contextLength } } } }`;
const scratch = (): readonly string[] => {
  try {
    return readdirSync(join(api.services.dataDirectory, "exports"));
  } catch (error) {
    return unlessAbsent(error as NodeJS.ErrnoException) ?? [];
  }
};

test("a GGUF file is registered by its path and by its folder, and writes", async () => {
  const { model } = (await api.data(register, { input: { path: "alone" } })).registerModel;
  assert.equal(model.parameterCount, 49_344);
  assert.deepEqual(model.architecture, { vocabularySize: 288, contextLength: 64 });
  assert.match(model.remarks.join(), /were quantised \(Q4_0, Q4_1, Q5_0, Q5_1, Q8_0\); they are kept as float16/);
  const paths = model.files.map((f: { path: string }) => f.path).sort();
  assert.deepEqual(paths, ["config.json", "model.onnx", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
  const named = (await api.data(register, { input: { path: "named.gguf" } })).registerModel.model;
  assert.equal(named.id, model.id);
  const query = "mutation($input: GenerateInput!) { generate(input: $input) { summary { completionTokens } } }";
  const { summary } = (await api.data(query, { input: { modelId: model.id, prompt: { text: "and the" }, maxTokens: 4 } })).generate;
  assert.ok(summary.completionTokens > 0);
  assert.deepEqual(scratch(), []);
});

test("a broken file, and one of two, are refused, and nothing is left behind", async () => {
  const codeOf = async (path: string) => (await api.ask(register, { input: { path } })).errors?.[0] ?? assert.fail("it was not refused");
  const broken = await codeOf("broken.gguf");
  assert.equal(broken.extensions.code, "INVALID_GGUF");
  assert.match(broken.message, /broken.gguf: tensor "[\w.]+" of type \w+ and shape .* ends at byte \d+, but the file has 50000 bytes/);
  const two = await codeOf("two");
  assert.deepEqual([two.extensions.code, /it holds a.gguf, b.gguf: name the one you mean/.test(two.message)], ["MODEL_NOT_FOUND", true]);
  assert.deepEqual(scratch(), []);
});
