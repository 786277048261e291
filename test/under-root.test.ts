import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { placeUnder, within } from "../src/under-root.ts";

let folder: string;
let root: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-root-"));
  root = join(folder, "root");
  await mkdir(join(root, "..dotted"), { recursive: true });
  await writeFile(join(folder, "secret"), "");
  await symlink(join(folder, "secret"), join(root, "link"));
  await symlink(join(root, "..dotted"), join(root, "inner"));
});
after(() => rm(folder, { recursive: true, force: true }));

describe("a path under a root", () => {
  for (const path of ["a", "a/../b", "..dotted", "..dotted/x", "a/..b", "."])
    it(`stays inside: ${path}`, () => assert.equal(placeUnder(root, path, "MODEL"), join(root, path)));

  for (const path of ["..", "../root2", "../x", "a/../..", "/etc/passwd", "a\0b"])
    for (const kind of ["MODEL", "DATASET"] as const)
      it(`is refused: ${JSON.stringify(path)} of the ${kind} root`, () =>
        assert.throws(() => placeUnder(root, path, kind), { code: `PATH_OUTSIDE_${kind}_ROOT`, message: /must be relative to the/ }));

  it("is looked at where links lead, and no further than the root", async () => {
    assert.ok((await within(root, join(root, "inner"), "MODEL"))?.isDirectory());
    assert.equal(await within(root, join(root, "nothing"), "MODEL"), null);
    await assert.rejects(within(root, join(root, "link"), "DATASET"), {
      code: "PATH_OUTSIDE_DATASET_ROOT",
      message: /"link" lies outside/,
    });
  });
});
