import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decode } from "../../src/onnx/decode.ts";
import type { Model } from "../../src/onnx/ir.ts";

/** What PyTorch says of an exported model. */
export interface Expected {
  readonly parameterCount: number;
  readonly layers: number;
  /** Of queries. */
  readonly heads: number;
  readonly kvHeads: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  /** Of each layer, how many experts tokens choose from, and how many parts of an MLP all are sent to besides. */
  readonly experts?: readonly [chosenFrom: number, shared: number];
  readonly vocabularySize: number;
  /** Whether a norm of all heads together keeps each from going by itself. */
  readonly headsTogether?: boolean;
  readonly layerParameters: readonly { readonly layer: number; readonly attention: number; readonly mlp: number }[];
  /** Absent where PyTorch's own were not kept. */
  readonly tokens?: readonly (readonly number[])[];
  readonly logits?: readonly (readonly (readonly number[])[])[];
}

/** A tiny model with random weights as an exporter wrote it (scripts/fixtures). */
export interface Fixture {
  /** exporter/family */
  readonly name: string;
  readonly folder: string;
  read(): { readonly model: Model; readonly expected: Expected };
}

/** How many heads go one by one: key and value with the queries that share them, or the queries of the only key and value. */
export function headsOf({ heads, kvHeads }: Expected, removed = 0): number {
  const groups = kvHeads - (kvHeads > 1 ? removed : 0);
  return groups > 1 ? groups : heads / kvHeads - (kvHeads > 1 ? 0 : removed);
}

const root = fileURLToPath(new URL("../fixtures/exporters/", import.meta.url));
const foldersOf = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();

export const fixtures: readonly Fixture[] = foldersOf(root)
  .flatMap((exporter) => foldersOf(join(root, exporter)).map((family) => `${exporter}/${family}`))
  .filter((name) => existsSync(join(root, name, "model.onnx")))
  .map((name) => ({
    name,
    folder: join(root, name),
    read: () => ({
      model: decode(readFileSync(join(root, name, "model.onnx"))),
      expected: JSON.parse(readFileSync(join(root, name, "expected.json"), "utf8")) as Expected,
    }),
  }));

/** By exporter and family, the exporter's own words where it refused. */
export const refusedByExporter = JSON.parse(readFileSync(join(root, "refused.json"), "utf8")) as Readonly<
  Record<string, Readonly<Record<string, string>>>
>;
