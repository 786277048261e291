import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { createGunzip } from "node:zlib";
import { AutoTokenizer, env, pipeline } from "@huggingface/transformers";
import { extract } from "tar-stream";
import { createToken } from "../../src/store/tokens.ts";
import { ahabFolder } from "../support/ahab.ts";
import { type Answer, type TestApi, testApi } from "../support/api.ts";
import { runPython, withoutPackages } from "../support/python.ts";
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

for (const [ending, type] of [
  ["tar", "application/x-tar"],
  ["tar.gz", "application/gzip"],
] as const)
  test(`a model's folder is had as an archive: .${ending}`, async () => {
    const answer = await get(model.archiveUrl.replace(/tar$/, ending));
    assert.equal(answer.headers.get("content-type"), type);
    assert.ok(answer.headers.get("content-disposition")?.endsWith(`.${ending}"`));
    const entries = extract();
    const sent = Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0]);
    if (ending === "tar") sent.pipe(entries);
    else sent.pipe(createGunzip()).pipe(entries);
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
      input: { modelId: model.id, prompt: { text: prompt }, maxTokens: 12, temperature: 0 },
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

/** As llama.cpp's common/hf-cache.cpp and download.cpp ask: the branch's commit, all files by it, then HEAD and ranges of each. */
async function asLlamaCpp(token?: string): Promise<Buffer> {
  const shown = { "user-agent": "llama-cpp/b1", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
  const json = async (path: string) => {
    const answer = await get(path, { headers: { ...shown, accept: "application/json" } });
    assert.equal(answer.status, 200, path);
    return answer.json();
  };
  const { branches } = (await json(`/api/models/${model.repository}/refs`)) as { branches: { name: string; targetCommit: string }[] };
  const commit = branches.find(({ name }) => name === "main")?.targetCommit ?? "";
  assert.match(commit, /^[0-9a-f]{40}$/);
  const tree = (await json(`/api/models/${model.repository}/tree/${commit}?recursive=true`)) as {
    type: string;
    path: string;
    lfs?: { oid: string };
  }[];
  const file = tree.find(({ type, path }) => type === "file" && path === graph().path);
  assert.equal(file?.lfs?.oid, graph().sha256);
  const url = `/${model.repository}/resolve/${commit}/${file?.path}`;
  const head = await get(url, { method: "HEAD", headers: shown });
  assert.deepEqual(
    [head.status, head.headers.get("etag"), Number(head.headers.get("content-length")), head.headers.get("accept-ranges")],
    [200, `"${graph().sha256}"`, graph().sizeBytes, "bytes"],
  );
  const [begun, rest] = [
    await get(url, { headers: { ...shown, range: "bytes=0-999" } }),
    await get(url, { headers: { ...shown, range: "bytes=1000-" } }),
  ];
  assert.deepEqual([begun.status, rest.status], [206, 206]);
  return Buffer.concat([Buffer.from(await begun.arrayBuffer()), Buffer.from(await rest.arrayBuffer())]);
}

test("what llama.cpp's downloader asks is answered", async () => assert.equal(sha256(await asLlamaCpp()), graph().sha256));

const asPython = (token: string | null): Promise<Record<string, unknown>> =>
  runPython("load_hub.py", { endpoint: base, repository: model.repository, token, file: graph().path });

function requireAll(found: Record<string, unknown>): void {
  const paths = model.files.map(({ path }) => path);
  const commit = model.digest.slice(0, 40);
  assert.deepEqual(found["whole"], Object.fromEntries(model.files.map(({ path, sha256: digest }) => [path, digest])));
  assert.deepEqual(found["some"], paths.filter((path) => path.endsWith(".json")).sort());
  assert.deepEqual([found["sha"], found["branches"]], [commit, [["main", commit]]]);
  assert.deepEqual(found["files"], [...paths].sort());
  assert.deepEqual(found["tree"], ["onnx", ...paths].sort());
  assert.deepEqual(found["paths"], [[graph().path, graph().sizeBytes]]);
  assert.deepEqual(found["exists"], [true, false, false]);
  assert.deepEqual(
    found["globbed"],
    paths
      .filter((path) => path.endsWith(".json"))
      .map((path) => `${model.repository}/${path}`)
      .sort(),
  );
  const top = new Set(paths.map((path) => `${model.repository}/${path.split("/")[0]}`));
  assert.deepEqual([found["listed"], found["index"]], [[...top].sort(), "absent"]);
  assert.equal(found["size"], graph().sizeBytes);
}

test("huggingface_hub finds and fetches a model, as transformers and vLLM do by it", {
  skip: withoutPackages("huggingface_hub"),
}, async () => {
  const found = await asPython(null);
  requireAll(found);
  const bytes = Buffer.from(await (await get(graph().url)).arrayBuffer());
  assert.equal(found["piece"], bytes.subarray(5, 25).toString("hex"));
});

test("which paths there are is asked with a form, and only with paths", async () => {
  const ask = (body: string, type: string) =>
    get(`/api/models/${model.repository}/paths-info/main`, { method: "POST", headers: { "content-type": type }, body });
  const form = "application/x-www-form-urlencoded";
  const found = (await (await ask("paths=onnx&paths=config.json&paths=no&expand=False", form)).json()) as { path: string }[];
  assert.deepEqual(found.map(({ path }) => path).sort(), ["config.json", "onnx"]);
  assert.equal((await ask(JSON.stringify({ paths: ["onnx"] }), "application/json")).status, 200);
  assert.equal((await ask(JSON.stringify({ paths: [1] }), "application/json")).status, 400);
  // No other route takes forms, which pages of other sites can send.
  const elsewhere = await get("/graphql", { method: "POST", headers: { "content-type": form }, body: "query={__typename}" });
  assert.equal(elsewhere.status, 415);
});

test("where there are tokens, files are for those who show one", async () => {
  const { secret } = await createToken(api.services.store.prisma, { name: "reader", role: "READ", expiresAt: null });
  await until("the token is known of", async () => (await get(graph().url, { method: "HEAD" })).status === 401);
  const allowed = await get(graph().url, { headers: { authorization: `Bearer ${secret}` }, method: "HEAD" });
  assert.equal(allowed.status, 200);
  // In the form of the Hub's own tokens, which is all that llama.cpp shows.
  assert.equal(sha256(await asLlamaCpp(`hf_${Buffer.from(secret).toString("hex")}`)), graph().sha256);
  // transformers.js sends its own token to huggingface.co alone.
  const kept = { remoteHost: env.remoteHost, allowLocalModels: env.allowLocalModels, useFSCache: env.useFSCache, fetch: env.fetch };
  const showing: typeof fetch = (url, init) => {
    const headers = new Headers(init?.headers);
    headers.set("authorization", `Bearer ${secret}`);
    return fetch(url, { ...init, headers });
  };
  try {
    Object.assign(env, { remoteHost: base, allowLocalModels: false, useFSCache: false, fetch: showing });
    assert.ok(await AutoTokenizer.from_pretrained(model.repository));
    Object.assign(env, { fetch: kept.fetch });
    await assert.rejects(AutoTokenizer.from_pretrained(model.repository, { revision: model.digest.slice(0, 40) }), /401|[Uu]nauthorized/);
  } finally {
    Object.assign(env, kept);
  }
  if (withoutPackages("huggingface_hub")) return;
  requireAll(await asPython(secret));
  assert.deepEqual(await asPython(null), { refused: "HfHubHTTPError", status: 401 });
});
