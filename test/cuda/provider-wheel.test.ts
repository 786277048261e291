import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { crc32 } from "node:zlib";
import { installProvider, UnfitWheel } from "../../scripts/checks/cuda/provider-wheel.ts";

const folder = mkdtempSync(join(tmpdir(), "espalier-wheel-"));
after(() => rmSync(folder, { recursive: true }));

/** A ZIP archive of files that are stored as they are (APPNOTE.TXT 4.3). */
function zip(files: Readonly<Record<string, string>>): Buffer {
  const [bodies, directory]: [Buffer[], Buffer[]] = [[], []];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const [key, data] = [Buffer.from(name), Buffer.from(text)];
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(key.length, 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    directory.push(Buffer.from("PK\x01\x02\x14\0", "latin1"), common, place, key);
    bodies.push(Buffer.from("PK\x03\x04", "latin1"), common, key, data);
    offset += 30 + key.length + data.length;
  }
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", 0, "latin1");
  end.writeUInt16LE(Object.keys(files).length, 8);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...bodies, ...directory, end]);
}

const built = (commit: string) => `\0ORT Build Info: git-branch=HEAD, git-commit-id=${commit}, build type=Release\0`;
const npmLibrary = join(folder, "libonnxruntime.so.1");
writeFileSync(npmLibrary, built("f2c39fe2f"));

const wheel = {
  "onnxruntime/capi/build_and_package_info.py": "package_name = 'onnxruntime-gpu'\n__version__ = '1.30.0'\ncuda_version = '13.0'\n",
  "onnxruntime/capi/libonnxruntime.so.1.30.0": `${"x".repeat(100_000)}${built("f2c39fe2f")}`,
  "onnxruntime/capi/libonnxruntime_providers_cuda.so": "cuda",
  "onnxruntime/capi/libonnxruntime_providers_shared.so": "shared",
};

function install(files: Readonly<Record<string, string>> | Buffer, name: string) {
  const path = join(folder, `${name}.whl`);
  writeFileSync(path, Buffer.isBuffer(files) ? files : zip(files));
  const destination = join(folder, name);
  return { destination, done: installProvider(path, npmLibrary, "1.30.0", destination) };
}

test("a wheel of the same version and commit gives its two libraries", async () => {
  const { destination, done } = install(wheel, "right");
  assert.deepEqual(await done, { version: "1.30.0", commit: "f2c39fe2f", cudaVersion: "13.0" });
  assert.deepEqual(readdirSync(destination).sort(), ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so"]);
  assert.equal(readFileSync(join(destination, "libonnxruntime_providers_cuda.so"), "utf8"), "cuda");
});

const { "onnxruntime/capi/libonnxruntime_providers_shared.so": _, ...incomplete } = wheel;
const information = "onnxruntime/capi/build_and_package_info.py";
const wrong: Readonly<Record<string, [Readonly<Record<string, string>> | Buffer, RegExp]>> = {
  "another version": [{ ...wheel, [information]: wheel[information].replace("1.30.0", "1.29.1") }, /version 1[.]29[.]1, .* 1[.]30[.]0/],
  "another package": [{ ...wheel, [information]: wheel[information].replace("-gpu", "") }, /of "onnxruntime"/],
  "another commit": [{ ...wheel, "onnxruntime/capi/libonnxruntime.so.1.30.0": built("0123456ab") }, /commit 0123456ab, .* f2c39fe2f/],
  "no commit": [{ ...wheel, "onnxruntime/capi/libonnxruntime.so.1.30.0": "" }, /does not say which commit/],
  "no provider": [incomplete, /holds no .*providers_shared/],
  "no archive": [Buffer.from("no archive"), /cannot be opened/],
};
for (const [name, [files, reason]] of Object.entries(wrong))
  test(`a wheel with ${name} is refused, and nothing is left of it`, async () => {
    const { destination, done } = install(files, name.replaceAll(" ", "-"));
    await assert.rejects(done, (error) => error instanceof UnfitWheel && reason.test(error.message));
    assert.deepEqual(existsSync(destination) ? readdirSync(destination) : [], []);
  });
