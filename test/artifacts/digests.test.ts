import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Digests } from "../../src/artifacts/digests.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-digests-"));
});
after(() => rm(folder, { recursive: true }));

const expected = (bytes: Buffer) => ({ sha256: createHash("sha256").update(bytes).digest("hex"), sizeBytes: bytes.length });

for (const [where, large] of [
  ["on threads", 1],
  ["without a thread", 1 << 30],
] as const) {
  test(`files are read, and copied while they are read: ${where}`, async () => {
    const digests = new Digests(large);
    try {
      // Of no bytes, of less than is read at once, of just that, and of more.
      const files = [0, 1, (1 << 20) - 1, 1 << 20, (3 << 20) + 5].map((size) => ({
        path: join(folder, `${size}`),
        bytes: randomBytes(size),
      }));
      for (const { path, bytes } of files) await writeFile(path, bytes);
      const found = await Promise.all(files.flatMap(({ path }) => [digests.of(path), digests.copy(path, `${path}.${large}`)]));
      assert.deepEqual(
        found,
        files.flatMap(({ bytes }) => [expected(bytes), expected(bytes)]),
      );
      for (const { path, bytes } of files) assert.deepEqual(await readFile(`${path}.${large}`), bytes);
    } finally {
      await digests.end();
    }
  });

  test(`what cannot be read is told to who asks: ${where}`, async () => {
    const digests = new Digests(large);
    try {
      await assert.rejects(digests.of(join(folder, "nothing")), { code: "ENOENT" });
      await assert.rejects(digests.of(folder), { code: "EISDIR" });
      const path = join(folder, "there");
      await writeFile(path, "it is there");
      await assert.rejects(digests.copy(path, join(folder, "no/such/folder")), { code: "ENOENT" });
      // The next is read all the same.
      assert.deepEqual(await digests.of(path), expected(Buffer.from("it is there")));
    } finally {
      await digests.end();
    }
  });
}

test("a file is read once, by whatever name", async () => {
  const digests = new Digests();
  const [path, other] = [join(folder, "once"), join(folder, "link")];
  await writeFile(path, "first");
  await symlink(path, other);
  const first = await digests.of(path);
  await writeFile(path, "second");
  assert.deepEqual(await digests.of(other), first);
  await digests.end();
});

test("who is ended leaves nobody waiting", async () => {
  const digests = new Digests(1);
  const path = join(folder, "long");
  await writeFile(path, randomBytes(64 << 20));
  const waiting = digests.of(path);
  while ((await stat(path)).size === 0);
  const refused = assert.rejects(waiting);
  // Once it has begun.
  await new Promise((resolve) => setTimeout(resolve, 20));
  await digests.end();
  await refused;
});
