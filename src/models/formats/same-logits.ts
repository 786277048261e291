import { join } from "node:path";
import { EspalierError } from "../../errors.ts";
import { atFullPrecision } from "../../onnx/accuracy-level.ts";
import { decode } from "../../onnx/decode.ts";
import { constantsFirst } from "../../onnx/edit.ts";
import { isHalfPrecision, type Model } from "../../onnx/ir.ts";
import { canonical } from "../../onnx/passes/canonical.ts";
import { modelSource } from "../../runtime/model-source.ts";
import { openSession, type TensorValue } from "../../runtime/session.ts";
import { emptyCache } from "../../signature/caches.ts";
import { feedsOf } from "../../signature/feeds.ts";
import { logitsByToken, logitsOf } from "../../signature/logits.ts";
import { signatureOf } from "../../signature/signature.ts";
import { readModelConfig } from "../../text/model-config.ts";
import { graphOfFolder } from "../blueprints/graph-of-folder.ts";
import { withoutTurning } from "../without-turning.ts";
import type { ExportSource } from "./format.ts";

/** How far logits may be apart, of the largest: both graphs compute in float32, in another order; what is stored in 16 bits is rounded. */
const tolerance = { float32: 1e-4, half: 1e-2 } as const;

/** How many tokens the texts have: past the windows of small models, and enough for positions to tell; fewer where a model takes fewer. */
const longest = 64;
const longestUnknown = 12;

/** Two texts of ids from all over the vocabulary. */
const rowsOf = (vocabulary: number, length: number): number[][] =>
  [1, 2].map((seed) => Array.from({ length }, (_, i) => (seed * 7 + i * i * 31 + i * 3) % Math.max(1, vocabulary)));

/** Logits [B * T][V] of a few fixed texts. Weights are mapped and not copied, so that memory stays that of the graph. */
async function logits(model: Model, folder: string, rows: readonly (readonly number[])[]): Promise<Float32Array[]> {
  const fitting = withoutTurning(model);
  const source = modelSource({ ...fitting, graph: constantsFirst(fitting.graph) }, folder, "CPU");
  const session = await openSession(source, {
    executionProvider: "CPU",
    threads: 1,
    lean: true,
    native: { enableCpuMemArena: false },
  });
  try {
    const signature = signatureOf(session.inputs);
    const { name } = logitsOf(session.outputs);
    const given = await session.run({ ...feedsOf(signature, rows, 0), ...emptyCache(signature.caches, rows.length) }, [name]);
    return logitsByToken(given[name] as TensorValue, rows.length, rows[0]?.length ?? 0);
  } finally {
    await session.close();
  }
}

/**
 * Proves that a folder of a family's weights is the model: the graph that is built from it anew gives the model's logits.
 *
 * @param folder holds config.json and `.safetensors`
 * @param within how far logits may be apart, of the largest, where the files keep less than the model does; and how long texts may be
 * @throws EspalierError EXPORT_MISMATCH if it gives others
 */
export async function requireSameLogits(
  source: ExportSource,
  folder: string,
  within: { readonly allowed?: number | undefined; readonly length?: number } = {},
): Promise<void> {
  const { contextLength } = await readModelConfig(source.folder);
  const rows = rowsOf(source.vocabularySize, Math.min(longest, contextLength ?? longestUnknown, within.length ?? longest));
  // Codes round what they are given to 8 bits, which the files' weights do not.
  const expected = await logits(atFullPrecision(source.model), source.graphFolder, rows);
  const { model: built } = canonical(decode((await graphOfFolder({ root: folder, folder })).bytes));
  const found = await logits(built, folder, rows);
  const half = [...source.model.graph.initializers.values(), ...source.model.graph.inputs].some((t) => isHalfPrecision(t.dataType));
  const allowed = within.allowed ?? (half ? tolerance.half : tolerance.float32);
  let [largest, apart] = [0, 0];
  for (const [i, values] of expected.entries())
    for (const [v, value] of values.entries()) {
      largest = Math.max(largest, Math.abs(value));
      const difference = Math.abs(value - (found[i]?.[v] ?? Number.NaN));
      apart = difference <= apart ? apart : difference;
    }
  if (apart <= allowed * largest) return;
  throw new EspalierError(
    "EXPORT_MISMATCH",
    `the graph that is built from the written files gives logits that differ by ${apart} of ${largest} from the model's, which is more than ${allowed} of them: ` +
      "config.json describes another model than the graph. Nothing was stored",
    { apart, largest, allowed, file: join("config.json") },
  );
}
