import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decode } from "../../src/onnx/decode.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { checkout } from "./checkout.ts";

/** A real model to test on: bundled, or beside the checkout and perhaps absent. */
export interface TestModel {
  readonly name: string;
  readonly folder: string;
  /** Why tests of it are skipped, or false. */
  readonly skip: string | false;
}

const beside = (name: string): TestModel => {
  const folder = join(checkout, "..", "shared", "models", name);
  return { name, folder, skip: existsSync(folder) ? false : `${name} is not beside this checkout` };
};

export const testModels: readonly TestModel[] = [
  { name: "ahab", folder: join(checkout, "models", "ahab"), skip: false },
  beside("tinystories-656k"),
  beside("stories260k"),
];

export const readModel = (folder: string): Model => decode(readFileSync(join(folder, "onnx", "model.onnx")));
