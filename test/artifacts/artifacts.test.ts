import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { type Artifacts, openArtifacts, settleArtifacts } from "../../src/artifacts/artifacts.ts";
import { materialise } from "../../src/artifacts/model-files.ts";
import { storeAhab } from "../support/ahab.ts";
import { type S3Server, s3Server } from "../support/s3.ts";

let folder: string;
let s3: S3Server;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-artifacts-"));
  s3 = await s3Server();
});
after(async () => {
  await s3.close();
  await rm(folder, { recursive: true });
});

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

async function listed(artifacts: Artifacts) {
  const found: { sha256: string; sizeBytes: number }[] = [];
  for await (const { sha256: digest, sizeBytes } of artifacts.list()) found.push({ sha256: digest, sizeBytes });
  return found;
}

/** A machine's data directory. */
async function machine(name: string, address: string | null): Promise<string> {
  const dataDirectory = join(folder, name);
  await settleArtifacts(dataDirectory, address);
  return dataDirectory;
}

for (const kind of ["a directory", "S3"] as const)
  test(`a file of the server's own is taken without a copy: ${kind}`, async () => {
    const dataDirectory = await machine(`taken ${kind}`, kind === "S3" ? s3.address : null);
    const artifacts = await openArtifacts(dataDirectory);
    const bytes = randomBytes(3 << 20);
    const [first, second] = [join(folder, `${kind}-1`), join(folder, `${kind}-2`)];
    for (const source of [first, second]) await writeFile(source, bytes);
    const expected = { sha256: sha256(bytes), sizeBytes: bytes.length };
    // At once, as two runs would.
    assert.deepEqual(await Promise.all([artifacts.take(first), artifacts.take(second)]), [expected, expected]);
    const there = await stat((await artifacts.path(expected.sha256)) as string);
    assert.ok([(await stat(first)).ino, (await stat(second)).ino].includes(there.ino), "it is the same file");
    assert.equal(there.mode & 0o777, 0o400);
    await rm(first);
    await rm(second);
    assert.deepEqual(await buffer(await artifacts.read(expected.sha256)), bytes);
    // What is there already stays.
    await writeFile(first, bytes);
    assert.deepEqual(await artifacts.take(first), expected);
    assert.equal((await stat((await artifacts.path(expected.sha256)) as string)).ino, there.ino);
    await artifacts.remove(expected.sha256);
  });

for (const kind of ["a directory", "S3"] as const)
  test(`artifacts in ${kind} are added once, found, read, listed and removed`, async () => {
    const artifacts = await openArtifacts(await machine(`contract ${kind}`, kind === "S3" ? s3.address : null));
    // Larger than a part of an upload.
    const bytes = randomBytes(6 << 20);
    const source = join(folder, "source");
    await writeFile(source, bytes);
    const expected = { sha256: sha256(bytes), sizeBytes: bytes.length };
    assert.equal(await artifacts.has(expected.sha256), false);
    assert.equal(await artifacts.path(expected.sha256), null);
    assert.deepEqual(await listed(artifacts), []);
    const added = await Promise.all([1, 2, 3].map(() => artifacts.add(source)));
    assert.deepEqual(added, [expected, expected, expected]);
    assert.equal(await artifacts.has(expected.sha256), true);
    assert.deepEqual(await readFile((await artifacts.path(expected.sha256)) ?? ""), bytes);
    assert.deepEqual(await buffer(await artifacts.read(expected.sha256)), bytes);
    assert.deepEqual(await listed(artifacts), [expected]);
    await artifacts.remove(expected.sha256);
    await artifacts.remove(expected.sha256);
    assert.deepEqual(
      [await artifacts.has(expected.sha256), await artifacts.path(expected.sha256), await listed(artifacts)],
      [false, null, []],
    );
  });

test("machines that share S3 share models: what one stores, another makes a folder of", async () => {
  const [here, there] = [await machine("here", s3.address), await machine("there", s3.address)];
  const model = await storeAhab(here);
  const place = await materialise({ ...model, dataDirectory: there });
  for (const { path, sha256: digest } of model.files) assert.equal(sha256(await readFile(join(place, path))), digest);
});

test("bytes that were spoilt on the way or in the bucket are not believed", async () => {
  const [here, there] = [await machine("spoilt here", s3.address), await machine("spoilt there", s3.address)];
  const source = join(folder, "to be spoilt");
  await writeFile(source, "right");
  const artifacts = await openArtifacts(here);
  const { sha256: digest } = await artifacts.add(source);
  // The bucket's object is replaced by that of other bytes.
  const { client, bucket, prefix } = artifacts as unknown as {
    client: { send(command: object): Promise<unknown> };
    bucket: string;
    prefix: string;
  };
  const { PutObjectCommand } = await import("@aws-sdk/client-s3");
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: prefix + digest, Body: "wrong" }));
  const other = await openArtifacts(there);
  await assert.rejects(other.path(digest), { code: "ARTIFACT_CORRUPT" });
  assert.equal(await (await openArtifacts(here)).path(digest), join(here, "artifacts", digest), "the copy that was made before is right");
});

test("a data directory remembers where its artifacts lie, and is not told otherwise by accident", async () => {
  const dataDirectory = await machine("settled", s3.address);
  await settleArtifacts(dataDirectory, s3.address);
  await settleArtifacts(dataDirectory, null);
  await assert.rejects(settleArtifacts(dataDirectory, "s3://elsewhere"), { code: "ARTIFACTS_ELSEWHERE" });
});
