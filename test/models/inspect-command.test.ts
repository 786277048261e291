import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { encode } from "../../src/onnx/encode.ts";
import type { Tensor } from "../../src/onnx/ir.ts";
import { ahabFolder } from "../support/ahab.ts";
import { nodeArguments } from "../support/checkout.ts";
import { readModel } from "../support/models.ts";

const folder = mkdtempSync(join(tmpdir(), "espalier-inspect-"));
after(() => rmSync(folder, { recursive: true }));

/** Without what `npm test` says of itself. */
const { INIT_CWD: _, npm_package_json: __, ...outside } = process.env;

/** The command as a user calls it, from a folder of theirs. */
function inspect(path: string, cwd = folder, environment: Record<string, string> = {}): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...nodeArguments("src/main"), "inspect", path], {
    cwd,
    encoding: "utf8",
    env: { ...outside, ...environment },
  });
  return { status, output: stdout + stderr };
}

/** The numbers at the end of the lines that begin so. */
const numbers = (output: string, line: RegExp): number[] =>
  output
    .split("\n")
    .filter((l) => line.test(l))
    .map((l) => Number(/[\d,]+$/.exec(l)?.[0].replaceAll(",", "")));
const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

describe("espalier inspect", () => {
  it("shows what the bundled model is and that all of it adds up", () => {
    const { status, output } = inspect(ahabFolder);
    assert.equal(status, 0, output);
    assert.match(output, /opset ai\.onnx 17/);
    assert.deepEqual(numbers(output, /^ {2}MatMul/), [109]);
    assert.match(output, /context +512/);
    assert.match(output, /cache +12 x 2 heads of 24/);
    const layers = numbers(output, /^ {2}layer \d/);
    assert.equal(layers.length, 12);
    assert.equal(total(numbers(output, /^ {4}(attention|mlp) \d/)), total(layers));
    assert.deepEqual(numbers(output, /^ {2}whole/), [total(layers) + total(numbers(output, /^ {2}the rest/))]);
    assert.deepEqual(numbers(output, /^ {2}whole/), [1_415_520]);
    assert.match(output, /can be removed: 12 LAYERs, 12 ATTENTIONs, 12 MLPs, 24 HEADs, 3,072 CHANNELs/);
    assert.deepEqual(numbers(output, /^ {6}2 heads of 13,824/), Array(12).fill(2 * 13_824));
    assert.deepEqual(numbers(output, /^ {6}256 channels of 288/), Array(12).fill(256 * 288));
    assert.match(output, /can be pruned/);
  });

  it("goes on after a fault: names every operator and file that stands in the way, and still shows the structures", () => {
    const model = readModel(ahabFolder);
    const away = ([name, t]: [string, Tensor]): [string, Tensor] => [
      name,
      t.data.kind === "inline" && t.dims.length === 2
        ? { ...t, data: { kind: "external", location: "weights.bin", offset: 0, length: t.data.bytes.length } }
        : t,
    ];
    const graph = {
      ...model.graph,
      initializers: new Map([...model.graph.initializers].map(away)),
      nodes: model.graph.nodes.map((n) => (n.opType === "Softmax" ? { ...n, opType: "Hardmax" } : n)),
    };
    mkdirSync(join(folder, "broken"));
    writeFileSync(join(folder, "broken", "model.onnx"), encode({ ...model, opsets: { "": 12 }, graph }));
    writeFileSync(join(folder, "broken", "config.json"), "{");
    const { status, output } = inspect("broken");
    assert.equal(status, 1, output);
    for (const fault of [
      /INVALID_JSON: config\.json/,
      /MISSING_EXTERNAL_DATA: .*weights\.bin/,
      /UNSUPPORTED_OPSET: .*12/,
      /UNSUPPORTED_OPERATORS: .*Hardmax \(\/layers\.0\/self_attn\/Softmax.*and 9 more/,
    ])
      assert.match(output, fault);
    // Without the weights, the head is not known to repeat the embedding.
    assert.deepEqual(numbers(output, /^ {2}whole/), [1_415_520 + 2048 * 96]);
    assert.match(output, /matrices that are tied cannot be told/);
  });

  it("says what is no model at all", () => {
    writeFileSync(join(folder, "text.onnx"), "no model");
    assert.match(inspect("text.onnx").output, /INVALID_ONNX/);
    const { status, output } = inspect("nowhere");
    assert.equal(status, 2);
    assert.match(output, /nothing at .*nowhere/);
  });

  it("takes paths from where npm was called, which runs a checkout's scripts in the checkout", () => {
    const root = fileURLToPath(new URL("../..", import.meta.url));
    writeFileSync(join(folder, "here.onnx"), "no model");
    const { output } = inspect("here.onnx", root, { INIT_CWD: folder, npm_package_json: join(root, "package.json") });
    assert.match(output, /INVALID_ONNX/);
    // Under the npm of another package the folder counts in which the command runs.
    const other = inspect("here.onnx", root, { INIT_CWD: folder, npm_package_json: join(folder, "package.json") });
    assert.match(other.output, /nothing at /);
  });
});
