import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { unpack } from "../../src/models/import/unpack.ts";
import { tar } from "../support/tar.ts";
import { zip } from "../support/zip.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-test-"));
});
after(() => rm(folder, { recursive: true }));

let count = 0;
/** Unpacks an archive of such bytes. @returns the folder that it was unpacked to */
async function unpacked(ending: string, bytes: Uint8Array, signal = new AbortController().signal): Promise<string> {
  const [file, into] = [join(folder, `${++count}.${ending}`), join(folder, `into-${count}`)];
  await writeFile(file, bytes);
  await unpack(file, `model.${ending}`, into, signal);
  return into;
}

const some = [
  { name: "config.json", bytes: Buffer.from("{}") },
  { name: "./onnx/model.onnx", bytes: Buffer.alloc(3 * 2 ** 20, 7) },
  { name: "onnx/empty", bytes: Buffer.alloc(0) },
  { name: `${"deep/".repeat(30)}file`, bytes: Buffer.from("a name of over 100 characters") },
  { name: "onnx/", type: "directory" as const },
  { name: "._config.json", bytes: Buffer.from("what macOS puts there") },
  { name: "__MACOSX/config.json", bytes: Buffer.from("and there") },
];
const files = () => some.filter(({ name, bytes }) => bytes && !name.startsWith("_") && !name.startsWith("._"));

const makers: Record<string, () => Promise<Buffer> | Buffer> = {
  tar: () => tar(some),
  zip: () => zip(files().map(({ name, bytes }) => ({ path: name, bytes: bytes as Buffer }))),
};
for (const [ending, make] of Object.entries(makers))
  test(`files are unpacked as they were packed: .${ending}`, async () => {
    const into = await unpacked(ending, await make());
    for (const { name, bytes } of files()) assert.deepEqual(await readFile(join(into, name)), bytes, name);
    const there = await readdir(into, { recursive: true, withFileTypes: true });
    assert.equal(there.filter((entry) => entry.isFile()).length, files().length);
  });

test("what nobody waits for any more is not unpacked on", async () => {
  const left = new Error("left");
  await assert.rejects(unpacked("tar", await tar(some), AbortSignal.abort(left)), left);
});

const zeros = Buffer.alloc(100 * 2 ** 20);
/** What must not be unpacked: what it is, the archive, and what the refusal says. */
const hostile: readonly [string, string, () => Promise<Buffer> | Buffer, RegExp][] = [
  ["a path that leads out", "tar", () => tar([{ name: "../out", bytes: Buffer.from("x") }]), /no path inside/],
  ["an absolute path", "tar", () => tar([{ name: "/etc/passwd", bytes: Buffer.from("x") }]), /no path inside/],
  ["a link", "tar", () => tar([{ name: "config.json", type: "symlink", linkname: "/etc/passwd" }]), /link or a device/],
  ["a hard link", "tar", () => tar([{ name: "config.json", type: "link", linkname: "/etc/passwd" }]), /link or a device/],
  ["a device", "tar", () => tar([{ name: "model.onnx", type: "character-device" }]), /link or a device/],
  ["a pipe", "tar", () => tar([{ name: "config.json", type: "fifo" }]), /link or a device/],
  [
    "a path twice",
    "tar",
    () =>
      tar([
        { name: "a", bytes: Buffer.from("x") },
        { name: "A", bytes: Buffer.from("y") },
      ]),
    /twice/,
  ],
  [
    "a file that is a folder too",
    "tar",
    () =>
      tar([
        { name: "a", bytes: Buffer.from("x") },
        { name: "a/b", bytes: Buffer.from("y") },
      ]),
    /twice/,
  ],
  [
    "a long header",
    "tar",
    () => tar([{ name: "a", pax: { comment: "x".repeat(100_000) }, bytes: Buffer.from("x") }]),
    /header at byte 0 has/,
  ],
  ["an end in the middle", "tar", async () => (await tar(some)).subarray(0, 300_000), /cannot be unpacked/],
  ["no archive", "tar", () => Buffer.from("not a tar".repeat(1000)), /cannot be unpacked/],
  ["nothing", "tar", () => tar([]), /holds no file/],
  [
    "too many files",
    "tar",
    () => tar(Array.from({ length: 1100 }, (_, i) => ({ name: `f${i}`, bytes: Buffer.from("x") }))),
    /more than 1000 files/,
  ],
  ["a path that leads out", "zip", () => zip([{ path: "../out", bytes: Buffer.from("x") }]), /invalid relative path/],
  ["a link", "zip", () => zip([{ path: "config.json", bytes: Buffer.from("/etc/passwd"), mode: 0o120777 }]), /link or a device/],
  ["a bomb", "zip", () => zip([{ path: "model.onnx", bytes: zeros }]), /would unpack to 104857600/],
  ["a bomb that lies", "zip", () => zip([{ path: "model.onnx", bytes: zeros.subarray(0, 2 ** 20), size: 10 }]), /bytes|size/],
  ["a secret", "zip", () => zip([{ path: "config.json", bytes: Buffer.from("x"), flags: 0x801 }]), /encrypted/],
  ["no archive", "zip", () => Buffer.from("not a zip".repeat(1000)), /cannot be unpacked/],
];
for (const [what, ending, make, says] of hostile)
  test(`an archive is refused that holds ${what}: .${ending}`, async () => {
    const before = await readdir(folder);
    await assert.rejects(
      async () => unpacked(ending, await make()),
      (error: { readonly code?: string; readonly message: string }) => {
        assert.equal(error.code, "INVALID_ARCHIVE", String(error));
        assert.match(error.message, says);
        return true;
      },
    );
    // What would write too much is found out before anything is written; what lies, while it is.
    const made = (await readdir(folder)).filter((name) => name.startsWith("into-") && !before.includes(name));
    for (const name of made) assert.ok(what.includes("lies") || what.includes("middle"), `${name} was made`);
  });
