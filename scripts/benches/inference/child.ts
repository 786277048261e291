import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { exportPruned } from "../../../src/models/export.ts";
import { decode } from "../../../src/onnx/decode.ts";
import { tensorReader } from "../../../src/onnx/read-tensor.ts";
import { discover } from "../../../src/structures/discover.ts";

export interface Child {
  readonly folder: string;
  readonly parentParameters: number;
  readonly parameters: number;
  remove(): void;
}

/** A child of the model: every fourth layer removed. */
export async function childOf(folder: string): Promise<Child> {
  const destination = mkdtempSync(join(tmpdir(), "espalier-child-"));
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((f) => f.isFile())
    .map((f) => ({ path: relative(folder, join(f.parentPath, f.name)) }));
  const graph = join(folder, files.find((f) => f.path.endsWith(".onnx"))?.path ?? "");
  const model = decode(readFileSync(graph));
  const { parameterCount, structures } = discover(model, tensorReader(dirname(graph)));
  const removed = structures.filter(({ kind, index }) => kind === "LAYER" && index % 4 === 1);
  await exportPruned({ model, folder, files, removed: removed.map(({ kind, index }) => ({ kind, index })), destination });
  return {
    folder: destination,
    parentParameters: parameterCount,
    parameters: parameterCount - removed.reduce((n, s) => n + s.parameterCount, 0),
    remove: () => rmSync(destination, { recursive: true, force: true }),
  };
}
