import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { EspalierError } from "../../src/errors.ts";
import { finished } from "../../src/finished.ts";
import { importModel } from "../../src/models/import/import-model.ts";
import { createToken } from "../../src/store/tokens.ts";
import { ahabFolder } from "../support/ahab.ts";
import { bearing, type TestApi, testApi } from "../support/api.ts";
import { tar } from "../support/tar.ts";
import { until } from "../support/wait.ts";
import { zip } from "../support/zip.ts";

interface SentFile {
  readonly path: string;
  readonly url: string;
  readonly receivedBytes: number;
}

const paths = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "onnx/model.onnx"];
const read = async (path: string) => ({ path, bytes: await readFile(join(ahabFolder, path)) });
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

let api: TestApi;
let base: string;
let files: { path: string; bytes: Buffer }[];
before(async () => {
  api = await testApi({ uploadBytes: 40 * 2 ** 20, server: { recheckMs: 20 } });
  base = new URL(api.url).origin;
  files = await Promise.all(paths.map(read));
});
after(() => api.close());

const create = `mutation ($files: [UploadFileInput!]!) { createUpload(input: { files: $files }) {
  upload { id sizeBytes files { path url receivedBytes } } } }`;
const announce = async (of: { path: string; bytes: Uint8Array }[], digests = true) =>
  (
    await api.data(create, {
      files: of.map(({ path, bytes }) => ({ path, sizeBytes: bytes.length, sha256: digests ? sha256(bytes) : null })),
    })
  ).createUpload.upload as { id: string; sizeBytes: number; files: SentFile[] };

const send = (url: string, bytes: Uint8Array, headers: Record<string, string> = {}) =>
  fetch(base + url, { method: "PUT", body: bytes as unknown as string, headers });

/** Sends all, and gives the upload's id. */
async function sent(of: { path: string; bytes: Uint8Array }[]): Promise<string> {
  const upload = await announce(of);
  for (const [i, { url }] of upload.files.entries()) assert.equal((await send(url, of[i]?.bytes as Uint8Array)).status, 201);
  return upload.id;
}

const start = `mutation ($source: ModelSourceInput!, $name: String, $key: String) {
  startImport(input: { source: $source, name: $name, idempotencyKey: $key }) { run { id kind source status } } }`;
const startImport = async (source: object, more: object = {}): Promise<string> =>
  (await api.data(start, { source, ...more })).startImport.run.id;

const runOf = `query ($id: ID!) { run(id: $id) { id kind status progress executionProvider error { code message } resultModel { id name digest remarks parent { id } producedBy { id } } ... on ImportRun { source name } } }`;
const over = async (id: string) => {
  let run: Awaited<ReturnType<TestApi["data"]>>;
  await until("the import is over", async () => {
    ({ run } = await api.data(runOf, { id }));
    return !["QUEUED", "RUNNING"].includes(run.status);
  });
  return run;
};
const leftIn = async (folder: string) => (await readdir(join(api.services.dataDirectory, folder)).catch(() => [])).sort();
/** What was sent goes just after the run has succeeded. */
const nothingIsLeft = () =>
  until("nothing is left of it", async () =>
    (await Promise.all(["uploads", "exports", "imports"].map(leftIn))).every((names) => names.length === 0),
  );
const codeOf = async (query: string, variables: object) => {
  const { errors } = await api.ask(query, variables as Record<string, unknown>);
  return [errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]];
};

test("files that a client sends become the model that the same folder is, and go", async () => {
  const upload = await announce(files);
  assert.equal(
    upload.sizeBytes,
    files.reduce((n, { bytes }) => n + bytes.length, 0),
  );
  const [first] = upload.files as [SentFile];
  assert.deepEqual(await codeOf(start, { source: { uploadId: upload.id } }), ["UPLOAD_INCOMPLETE", "input.source.uploadId"]);
  for (const [i, { url, path }] of upload.files.entries()) {
    const { bytes } = files[i] as (typeof files)[0];
    if (path !== "onnx/model.onnx") assert.equal((await send(url, bytes)).status, 201);
    else {
      // In pieces, each from where the last ended, as HEAD tells.
      const half = Math.floor(bytes.length / 2);
      const begun = await send(url, bytes.subarray(0, half), { "content-range": `bytes 0-${half - 1}/${bytes.length}` });
      assert.equal(begun.status, 202);
      assert.deepEqual(await begun.json(), { receivedBytes: half, sizeBytes: bytes.length });
      const wrong = await send(url, bytes.subarray(half + 1), { "content-range": `bytes ${half + 1}-${bytes.length - 1}/${bytes.length}` });
      assert.equal(wrong.status, 409);
      const { headers } = await fetch(base + url, { method: "HEAD" });
      assert.equal(headers.get("upload-offset"), String(half));
      assert.equal(headers.get("upload-length"), String(bytes.length));
      const rest = await send(url, bytes.subarray(half), { "content-range": `bytes ${half}-${bytes.length - 1}/${bytes.length}` });
      assert.equal(rest.status, 201);
    }
  }
  const { upload: there } = await api.data(`query ($id: ID!) { upload(id: $id) { files { path receivedBytes } } }`, { id: upload.id });
  assert.deepEqual(
    there.files,
    files.map(({ path, bytes }) => ({ path, receivedBytes: bytes.length })),
  );
  assert.match(first.url, new RegExp(`^/uploads/${upload.id}/config.json$`));

  const id = await startImport({ uploadId: upload.id }, { name: "sent" });
  const told: { __typename: string; file?: string; progress?: number }[] = [];
  for await (const { data } of api.socket().iterate({
    query: `subscription ($id: ID!) { runProgress(runId: $id) { __typename ... on ImportProgressed { file doneBytes totalBytes progress } } }`,
    variables: { id },
  }))
    told.push((data as { runProgress: (typeof told)[0] }).runProgress);
  assert.equal(told[0]?.__typename, "RunStarted");
  assert.equal(told.at(-1)?.__typename, "RunSucceeded");
  assert.ok(
    told.some(({ __typename, file }) => __typename === "ImportProgressed" && paths.includes(file as string)),
    JSON.stringify(told),
  );
  const { run } = await api.data(runOf, { id });
  assert.equal(run.kind, "IMPORT");
  assert.equal(run.progress, 1);
  assert.equal(run.source, `upload ${upload.id}`);
  assert.equal(run.resultModel.name, "sent");
  assert.equal(run.resultModel.parent, null);
  assert.equal(run.resultModel.producedBy.id, id);
  await nothingIsLeft();
  assert.deepEqual(await codeOf(`query ($id: ID!) { upload(id: $id) { id } }`, { id: upload.id }), ["UPLOAD_NOT_FOUND", "id"]);

  // By path it is the same bytes, but for files that were not sent; imported again it is the same model.
  const again = await over(await startImport({ uploadId: await sent(files) }, { name: "sent again" }));
  assert.equal(again.resultModel.id, run.resultModel.id);
  const { deleteModel } = await api.data(`mutation ($id: ID!) { deleteModel(input: { id: $id }) { deletedId } }`, {
    id: run.resultModel.id,
  });
  assert.equal(deleteModel.deletedId, run.resultModel.id);
});

const register = `mutation ($input: RegisterModelInput!) { registerModel(input: $input) { model { id name digest producedBy { id } } } }`;

test("an upload is registered at once, and goes; what is wrong with it is the answer, and it stays", async () => {
  const { registerModel: folder } = await api.data(register, { input: { source: { path: "ahab" } } });
  await api.data(`mutation ($id: ID!) { deleteModel(input: { id: $id }) { deletedId } }`, { id: folder.model.id });
  const uploadId = await sent(files);
  const { registerModel } = await api.data(register, { input: { source: { uploadId }, name: "at once" } });
  assert.equal(registerModel.model.name, "at once");
  assert.equal(registerModel.model.producedBy, null);
  await nothingIsLeft();
  await api.data(`mutation ($id: ID!) { deleteModel(input: { id: $id }) { deletedId } }`, { id: registerModel.model.id });

  const broken = files.map((file) => (file.path === "config.json" ? { ...file, bytes: Buffer.from("{") } : file));
  const brokenId = await sent(broken);
  assert.deepEqual(await codeOf(register, { input: { source: { uploadId: brokenId } } }), ["INVALID_JSON", "input.source.uploadId"]);
  assert.deepEqual(await leftIn("uploads"), [brokenId]);
  await api.data(`mutation ($id: ID!) { deleteUpload(input: { id: $id }) { deletedId } }`, { id: brokenId });
});

test("a model that is too large to be answered for at once is sent to startImport, before its weights are read", async () => {
  const dataDirectory = join(api.services.dataDirectory, "small");
  const uploaded = { kind: "UPLOAD", folder: "/nowhere", files: [{ path: "model.gguf", sizeBytes: 1001, sha256: null }] } as const;
  const sources = [{ kind: "PATH", modelRoot: join(ahabFolder, ".."), path: "ahab" } as const, uploaded];
  for (const source of sources) {
    const request = { dataDirectory, source, scratch: join(dataDirectory, "scratch"), mostBytes: 1000 };
    const refused = finished(importModel(request, new AbortController().signal));
    await assert.rejects(refused, ({ code, message }: EspalierError) => code === "MODEL_TOO_LARGE" && /startImport/.test(message));
  }
  assert.deepEqual(await leftIn("small/artifacts"), []);
});

test("a folder of the server is imported, once for a key", async () => {
  const { registerModel } = await api.data(
    `mutation { registerModel(input: { source: { path: "ahab" } }) { model { id digest producedBy { id } } } }`,
  );
  assert.equal(registerModel.model.producedBy, null);
  const id = await startImport({ path: "ahab" }, { key: "one" });
  assert.equal(await startImport({ path: "ahab" }, { key: "one" }), id);
  assert.deepEqual(await codeOf(start, { source: { path: "elsewhere" }, key: "one" }), ["IDEMPOTENCY_KEY_REUSED", "input.idempotencyKey"]);
  const run = await over(id);
  assert.equal(run.resultModel.id, registerModel.model.id);
  assert.deepEqual([run.source, run.name], ["path ahab", "ahab"]);
  const lost = await over(await startImport({ path: "nothing-here" }));
  assert.equal(lost.error.code, "MODEL_NOT_FOUND");
  const out = await over(await startImport({ path: "../secret" }));
  assert.equal(out.error.code, "PATH_OUTSIDE_MODEL_ROOT");
  // Nothing can be made of a model before it is known what it is.
  const waiting = await startImport({ path: "ahab" });
  const prune = `mutation ($id: ID!) { startPruning(input: { subject: { resultOf: $id }, method: PIP, options: { targetRatio: 0.1 }, dataset: { name: "literature-train" } }) { run { id } } }`;
  const { data, errors } = await api.ask(prune, { id: waiting });
  if (!data) assert.equal(errors?.[0]?.extensions["argument"], "input.subject.resultOf", JSON.stringify(errors));
  await over(waiting);
});

const inTar = () => tar(files.map(({ path, bytes }) => ({ name: `my-model/${path}`, bytes })));
const inZip = () => zip(files.map(({ path, bytes }) => ({ path: `./my-model/${path}`, bytes })));

for (const [ending, make] of [
  ["tar", inTar],
  ["zip", inZip],
] as const)
  test(`an archive becomes a model: .${ending}`, async () => {
    const bytes = await make();
    const run = await over(await startImport({ uploadId: await sent([{ path: `my model.${ending}`, bytes }]) }));
    assert.equal(run.error, null);
    assert.equal(run.resultModel.name, "my model");
    await nothingIsLeft();
  });

test("an archive that is refused leaves nothing", async () => {
  const bytes = await tar([{ name: "../out", bytes: Buffer.from("x") }]);
  const uploadId = await sent([{ path: "model.tar", bytes }]);
  const { error } = await over(await startImport({ uploadId }));
  assert.equal(error.code, "INVALID_ARCHIVE");
  assert.match(error.message, /"model\.tar" holds "\.\.\/out"/);
  assert.deepEqual(await leftIn("exports"), []);
  await api.data(`mutation ($id: ID!) { deleteUpload(input: { id: $id }) { deletedId } }`, { id: uploadId });
});

test("bytes of another digest are refused, and can be sent again", async () => {
  const upload = await announce(files);
  const [config, ...others] = upload.files as [SentFile, ...SentFile[]];
  const spoilt = Buffer.from(files[0]?.bytes as Buffer);
  spoilt[10] = (spoilt[10] as number) ^ 1;
  await send(config.url, spoilt);
  for (const [i, { url }] of others.entries()) await send(url, files[i + 1]?.bytes as Buffer);
  const id = await startImport({ uploadId: upload.id }, { name: "spoilt" });
  const run = await over(id);
  assert.equal(run.error.code, "DIGEST_MISMATCH");
  assert.match(run.error.message, /config\.json/);
  assert.equal((await send(config.url, files[0]?.bytes as Buffer)).status, 201);
  await api.data(`mutation ($id: ID!) { resumeRun(input: { id: $id }) { run { id } } }`, { id });
  assert.equal((await over(id)).status, "SUCCEEDED");
});

test("what is announced wrongly is refused at once", async () => {
  const one = { path: "a", sizeBytes: 1 };
  for (const [what, argument] of [
    [[], "input.files"],
    [[{ ...one, path: "../a" }], "input.files.0.path"],
    [[one, { ...one, path: "/a" }], "input.files.1.path"],
    [[{ ...one, path: "a\u0000b" }], undefined],
    [[{ ...one, path: "a\\b" }], "input.files.0.path"],
    [[{ ...one, path: "" }], "input.files.0.path"],
    [[{ ...one, path: "a//b" }], "input.files.0.path"],
    [[{ ...one, path: "x".repeat(300) }], "input.files.0.path"],
    [[one, one], "input.files"],
    [[one, { ...one, path: "a/b" }], "input.files"],
    [[{ ...one, sizeBytes: -1 }], "input.files.0.sizeBytes"],
    [[{ ...one, sha256: "abc" }], "input.files.0.sha256"],
  ] as const) {
    const [code, at] = await codeOf(create, { files: what });
    assert.ok(code === "BAD_USER_INPUT", JSON.stringify([what, code]));
    if (argument) assert.equal(at, argument);
  }
  for (const hub of [{ repository: "../etc" }, { repository: "a/b/c" }, { repository: "a b" }, { repository: "" }])
    assert.deepEqual(await codeOf(start, { source: { hub } }), ["BAD_USER_INPUT", "input.source.hub.repository"]);
  assert.deepEqual(await codeOf(start, { source: { hub: { repository: "a/b", revision: "../x" } } }), [
    "BAD_USER_INPUT",
    "input.source.hub.revision",
  ]);
  assert.deepEqual(await codeOf(start, { source: { uploadId: "01234567-89ab-7def-8123-456789abcdef" } }), [
    "UPLOAD_NOT_FOUND",
    "input.source.uploadId",
  ]);
});

test("a client may have so much under way; more than was announced is not taken", async () => {
  const upload = await announce([{ path: "a", bytes: new Uint8Array(30 * 2 ** 20) }], false);
  const { errors } = await api.ask(create, { files: [{ path: "b", sizeBytes: 11 * 2 ** 20 }] });
  assert.equal(errors?.[0]?.extensions["code"], "UPLOAD_TOO_LARGE");
  const [{ url }] = upload.files as [SentFile];
  await api.data(`mutation ($id: ID!) { deleteUpload(input: { id: $id }) { deletedId } }`, { id: upload.id });
  assert.equal((await send(url, Buffer.from("x"))).status, 404);
  const small = await announce([{ path: "a", bytes: Buffer.from("abc") }]);
  const [file] = small.files as [SentFile];
  assert.equal((await send(file.url, Buffer.from("abcd"))).status, 413);
  assert.equal((await send(file.url, Buffer.from("abc"), { "content-range": "bytes 2-1/3" })).status, 400);
  assert.equal((await send(file.url, Buffer.from("abc"), { "content-range": "bytes 0-1/3" })).status, 400);
  assert.equal((await send(`${file.url}x`, Buffer.from("abc"))).status, 404);
});

test("a client may announce so many uploads", async () => {
  const { prisma } = api.services.store;
  await prisma.upload.deleteMany();
  const one = { files: [], sizeBytes: 0, expiresAt: new Date(Date.now() + 60_000) };
  await prisma.upload.createMany({ data: Array.from({ length: 99 }, () => one) });
  await announce([{ path: "a", bytes: Buffer.from("abc") }]);
  assert.deepEqual((await codeOf(create, { files: [{ path: "a", sizeBytes: 1 }] }))[0], "TOO_MANY_UPLOADS");
  // Those that nobody has gone on with go first.
  await prisma.upload.updateMany({ data: { expiresAt: new Date(0) } });
  await announce([{ path: "a", bytes: Buffer.from("abc") }]);
  assert.equal(await prisma.upload.count(), 1);
});

test("an upload is its client's own", async () => {
  const { prisma } = api.services.store;
  const tokenOf = async (role: "PRUNE" | "GENERATE" | "ADMIN") => (await createToken(prisma, { name: role, role, expiresAt: null })).secret;
  const [mine, theirs, reader, admin] = [await tokenOf("PRUNE"), await tokenOf("PRUNE"), await tokenOf("GENERATE"), await tokenOf("ADMIN")];
  const { data } = await api.ask(create, { files: [{ path: "a", sizeBytes: 3 }] }, mine);
  const [{ url }] = data.createUpload.upload.files;
  const put = (token?: string) => fetch(base + url, { method: "PUT", body: "abc", headers: bearing(token) });
  assert.equal((await put()).status, 401);
  assert.equal((await put(reader)).status, 403);
  assert.equal((await put(theirs)).status, 404);
  assert.equal((await put(admin)).status, 201);
  assert.equal((await put(mine)).status, 201);
  const seen = await api.ask(`query ($id: ID!) { upload(id: $id) { id } }`, { id: data.createUpload.upload.id }, theirs);
  assert.equal(seen.errors?.[0]?.extensions["code"], "UPLOAD_NOT_FOUND");
});
