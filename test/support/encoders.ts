import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ModelTask } from "../../src/model-task.ts";
import type { View } from "../../src/text/view.ts";

type ByLayer<Of> = readonly (readonly Of[])[];

/** What PyTorch and the tokenizers library say of an encoder: scripts/fixtures/encoders.py. */
export interface ExpectedEncoder {
  readonly task: ModelTask;
  readonly parameterCount: number;
  readonly texts: readonly string[];
  readonly pairs: readonly (readonly string[])[];
  /** Ids and types of the texts, then of the pairs. */
  readonly encoded: readonly (readonly (readonly number[])[])[];
  readonly rows: readonly (readonly number[])[];
  /** Of each row by token, or by text. */
  readonly answers: readonly (readonly (number | readonly number[])[])[];
  readonly samples?: readonly (readonly [View & { readonly direction?: readonly number[] }, View])[];
  /** Squared norms of differences of gradients, by sample and layer. */
  readonly scores?: {
    readonly layers: ByLayer<number>;
    readonly norms: ByLayer<number>;
    readonly heads: ByLayer<readonly number[]>;
    readonly channels: ByLayer<readonly number[]>;
    readonly losses: readonly (readonly number[])[];
  };
}

export const encoderRoot = fileURLToPath(new URL("../fixtures/encoders/", import.meta.url));

export const encoderFixtures = readdirSync(encoderRoot).map((name) => {
  const folder = join(encoderRoot, name);
  return { name, folder, expected: JSON.parse(readFileSync(join(folder, "expected.json"), "utf8")) as ExpectedEncoder };
});
