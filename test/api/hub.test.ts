import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { AutoTokenizer, env, pipeline } from "@huggingface/transformers";
import { extract } from "tar-stream";
import { createToken } from "../../src/store/tokens.ts";
import { ahabFolder } from "../support/ahab.ts";
import { type Answer, type TestApi, testApi } from "../support/api.ts";
import { until } from "../support/wait.ts";

interface File {
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly url: string;
}

let api: TestApi;
let base: string;
let model: {
  readonly id: string;
  readonly digest: string;
  readonly repository: string;
  readonly archiveUrl: string;
  readonly files: File[];
};

before(async () => {
  api = await testApi({ worker: false, server: { recheckMs: 20 } });
  base = new URL(api.url).origin;
  await api.data(`mutation { registerModel(input: { source: { path: "ahab" }, name: "Ahab, the 1st" }) { __typename } }`);
  const { models } = await api.data(`{ models { nodes { id digest repository archiveUrl files { path sha256 sizeBytes url } } } }`);
  [model] = models.nodes;
});
after(() => api.close());

const get = (path: string, init: RequestInit = {}) => fetch(base + path, init);
// biome-ignore lint/suspicious/noExplicitAny: tests read answers as they come
const read = async (path: string): Promise<any> => (await get(path)).json();
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const graph = (): File => model.files.find(({ path }) => path === "onnx/model.onnx") as File;

test("every file of a model is had at its address, whole and by range", async () => {
  assert.match(model.repository, new RegExp(`^espalier/ahab-the-1st-${model.digest.slice(0, 10)}$`));
  for (const file of model.files) {
    const answer = await get(file.url);
    assert.equal(answer.status, 200);
    assert.equal(sha256(new Uint8Array(await answer.arrayBuffer())), file.sha256, file.path);
    assert.equal(answer.headers.get("etag"), `"${file.sha256}"`);
    assert.equal(answer.headers.get("x-repo-commit"), model.digest.slice(0, 40));
  }
  const { url, sizeBytes, sha256: digest } = graph();
  const head = await get(url, { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(head.headers.get("content-length"), String(sizeBytes));
  assert.equal(head.headers.get("x-linked-size"), String(sizeBytes));
  const whole = await readFile(join(ahabFolder, "onnx/model.onnx"));
  const part = await get(url, { headers: { range: "bytes=1000-1999" } });
  assert.equal(part.status, 206);
  assert.equal(part.headers.get("content-range"), `bytes 1000-1999/${sizeBytes}`);
  assert.deepEqual(Buffer.from(await part.arrayBuffer()), whole.subarray(1000, 2000));
  const rest = await get(url, { headers: { range: `bytes=${sizeBytes - 10}-`, "if-range": `"${digest}"` } });
  assert.deepEqual(Buffer.from(await rest.arrayBuffer()), whole.subarray(-10));
  // A range of bytes that have changed meanwhile would be of no use.
  const changed = await get(url, { headers: { range: "bytes=5-", "if-range": '"another"' } });
  assert.equal(changed.status, 200);
  assert.equal((await changed.arrayBuffer()).byteLength, sizeBytes);
  const beyond = await get(url, { headers: { range: `bytes=${sizeBytes}-` } });
  assert.equal(beyond.status, 416);
  const known = await get(url, { headers: { "if-none-match": `"x", "${digest}"` } });
  assert.equal(known.status, 304);
});

test("what a model holds is no page of this server", async () => {
  const answer = await get(graph().url);
  await answer.arrayBuffer();
  assert.match(answer.headers.get("content-disposition") ?? "", /^attachment/);
  assert.match(answer.headers.get("content-security-policy") ?? "", /sandbox/);
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
});

test("a model's folder is had as an archive", async () => {
  const answer = await get(model.archiveUrl);
  assert.equal(answer.headers.get("content-type"), "application/x-tar");
  const entries = extract();
  Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0]).pipe(entries);
  const found = new Map<string, string>();
  for await (const entry of entries) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    found.set(entry.header.name, sha256(Buffer.concat(chunks)));
  }
  const folder = model.repository.split("/")[1];
  assert.deepEqual(found, new Map(model.files.map(({ path, sha256: digest }) => [`${folder}/${path}`, digest])));
});

test("a model is told of as the Hub tells of one", async () => {
  const info = await read(`/api/models/${model.repository}/revision/main`);
  assert.equal(info.id, model.repository);
  assert.equal(info.sha, model.digest.slice(0, 40));
  assert.deepEqual(
    info.siblings.map((s: { rfilename: string }) => s.rfilename),
    model.files.map((f) => f.path),
  );
  const paths = async (path: string) => {
    const tree = await read(`/api/models/${model.repository}/tree/${info.sha}${path}`);
    return tree.map((entry: { path: string }) => entry.path);
  };
  const top = model.files.map((f) => f.path).filter((path) => !path.includes("/"));
  assert.deepEqual(await paths(""), ["onnx", ...top]);
  assert.deepEqual(await paths("/onnx"), ["onnx/model.onnx"]);
  assert.deepEqual(await paths("?recursive=true"), ["onnx", ...model.files.map((f) => f.path)]);
});

test("a model is found by its digest, whatever it was called", async () => {
  const named = (name: string) => `/espalier/${name}${model.digest.slice(0, 10)}/resolve/${model.digest.slice(0, 40)}/config.json`;
  for (const path of [named("an-older-name-"), named("")]) assert.equal((await get(path, { method: "HEAD" })).status, 200, path);
});

test("what is not there is told by the Hub's codes, and no path leads elsewhere", async () => {
  const wrong: [path: string, code: string, hub: string | null][] = [
    [`/espalier/nothing-0000000000/resolve/main/config.json`, "MODEL_NOT_FOUND", "RepoNotFound"],
    [`/somebody/${model.repository.split("/")[1]}/resolve/main/config.json`, "MODEL_NOT_FOUND", "RepoNotFound"],
    [`/api/models/espalier/${model.digest.slice(0, 9)}`, "MODEL_NOT_FOUND", "RepoNotFound"],
    [`/${model.repository}/resolve/v1/config.json`, "REVISION_NOT_FOUND", "RevisionNotFound"],
    [`/${model.repository}/resolve/main/adapter_config.json`, "FILE_NOT_FOUND", "EntryNotFound"],
    [`/${model.repository}/resolve/main/..%2f..%2fpackage.json`, "FILE_NOT_FOUND", "EntryNotFound"],
    [`/${model.repository}/resolve/main/${encodeURIComponent("鯨")}%0d%0a`, "FILE_NOT_FOUND", "EntryNotFound"],
    [`/${model.repository}/resolve/main/%00`, "FILE_NOT_FOUND", "EntryNotFound"],
  ];
  for (const [path, code, hub] of wrong) {
    const answer = await get(path);
    assert.equal(answer.status, 404, path);
    assert.equal(answer.headers.get("x-error-code"), hub, path);
    const { errors } = (await answer.json()) as Answer;
    assert.equal(errors?.[0]?.extensions["code"], code, path);
  }
});

test("transformers.js loads a model from here, and writes what the server writes", async () => {
  const cache = await mkdtemp(join(tmpdir(), "espalier-hub-"));
  const kept = { remoteHost: env.remoteHost, cacheDir: env.cacheDir, allowLocalModels: env.allowLocalModels };
  Object.assign(env, { remoteHost: base, cacheDir: cache, allowLocalModels: false });
  try {
    const prompt = "The whale";
    const { generate } = await api.data(`mutation($input: GenerateInput!) { generate(input: $input) { text } }`, {
      input: { modelId: model.id, prompt, maxTokens: 12, temperature: 0 },
    });
    const write = await pipeline("text-generation", model.repository, { dtype: "fp32", device: "cpu" });
    // The server begins a text as the model's documents begin.
    const [written] = (await write(`<|endoftext|>${prompt}`, { max_new_tokens: 12, do_sample: false })) as { generated_text: string }[];
    assert.equal(written?.generated_text, prompt + generate.text);
    await write.dispose();
    assert.ok(await AutoTokenizer.from_pretrained(model.repository));
  } finally {
    Object.assign(env, kept);
    await rm(cache, { recursive: true, force: true });
  }
});

test("where there are tokens, files are for those who show one", async () => {
  const { secret } = await createToken(api.services.store.prisma, { name: "reader", role: "READ", expiresAt: null });
  await until("the token is known of", async () => (await get(graph().url, { method: "HEAD" })).status === 401);
  const allowed = await get(graph().url, { headers: { authorization: `Bearer ${secret}` }, method: "HEAD" });
  assert.equal(allowed.status, 200);
});
