import assert from "node:assert/strict";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { withoutPaths } from "../../src/compute/without-paths.ts";

const program = fileURLToPath(new URL("../..", import.meta.url));

test("what libraries say of files begins within the folders that a request is about; names of nodes stay", () => {
  const strip = withoutPaths({ model: { dataDirectory: "/srv/espalier/data", files: [] }, scratch: "/srv/espalier/data/exports/x" });
  const said = (text: string) => strip({ message: text, details: { reason: [text], bytes: 3, none: null } });
  for (const [text, told] of [
    [
      "Load model from /srv/espalier/data/models/abc/model.onnx failed: /model/layers.0/MatMul",
      "Load model from models/abc/model.onnx failed: /model/layers.0/MatMul",
    ],
    ["cannot write /srv/espalier/data/exports/x/model.onnx", "cannot write model.onnx"],
    [`${join(program, "node_modules/onnxruntime-node/bin/x.so")}: cannot open`, "node_modules/onnxruntime-node/bin/x.so: cannot open"],
    [`${join(tmpdir(), "a")} is there no more`, "a is there no more"],
    ["nothing of ours", "nothing of ours"],
    ["/srv/espalier/data is full", ". is full"],
    ["/srv/espalier/data-of-others/x and /srv/espalier/data.old", "/srv/espalier/data-of-others/x and /srv/espalier/data.old"],
  ] as const)
    assert.deepEqual(said(text), { message: told, details: { reason: [told], bytes: 3, none: null } });
});

test("a folder reached by a link is told by neither of its names", () => {
  const folder = mkdtempSync(join(tmpdir(), "espalier-paths-"));
  const elsewhere = mkdtempSync("/var/tmp/espalier-paths-");
  try {
    symlinkSync(elsewhere, join(folder, "models"));
    const strip = withoutPaths({ modelRoot: join(folder, "models"), path: "a" });
    assert.equal(strip(`${elsewhere}/a/model.onnx, ${folder}/models/a/model.onnx`), "a/model.onnx, a/model.onnx");
  } finally {
    for (const made of [folder, elsewhere]) rmSync(made, { recursive: true });
  }
});
