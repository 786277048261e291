import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, cp, lstat, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { platformPackage, postgresBinaries, postgresUser } from "../../src/postgres/binaries.ts";
import { temporaryFolder } from "../support/database.ts";

let folder: string;
before(async () => {
  folder = await temporaryFolder();
});
after(() => rm(folder, { recursive: true }));

/** The package as npm unpacks it when it runs no install scripts: without links. */
async function unpack(name: string): Promise<string> {
  const native = join(folder, name, "native");
  await cp((await platformPackage()).native, native, { recursive: true, verbatimSymlinks: true });
  for (const file of await readdir(join(native, "lib"))) {
    const path = join(native, "lib", file);
    if ((await lstat(path)).isSymbolicLink()) await rm(path);
  }
  return native;
}

/** Fails if a library is missing, or a file cannot be read by the user that runs it. */
async function assertRuns(binaries: string): Promise<void> {
  const { stdout } = await promisify(execFile)(join(binaries, "bin", "initdb"), ["--version"], { ...postgresUser, cwd: folder });
  assert.match(stdout, /PostgreSQL\) 18/);
}

test("a package whose install script did not run is used where it lies", async () => {
  const native = await unpack("in-place");
  if (process.platform === "linux") await assert.rejects(assertRuns(native), /shared libraries/);
  assert.equal(await postgresBinaries({ native, version: "1" }, join(folder, "copies")), native);
  await assertRuns(native);
});

test("a package in a folder closed to the server's user is copied, once, even by several at once", {
  skip: process.getuid?.() !== 0 && "only root's server runs as another user",
}, async () => {
  const native = await unpack("closed");
  await chmod(join(folder, "closed"), 0o700);
  const copies = join(folder, "copies");
  await mkdir(copies);
  const source = { native, version: "1" };
  const made = await Promise.all([1, 2].map(() => postgresBinaries(source, copies)));
  assert.deepEqual(made, [join(copies, "postgres-1"), join(copies, "postgres-1")]);
  assert.equal(await postgresBinaries(source, copies), join(copies, "postgres-1"));
  assert.deepEqual(await readdir(copies), ["postgres-1"], "no drafts are left");
  await assertRuns(join(copies, "postgres-1"));
});
