import type { CompressionMethod } from "../compression/methods/method.ts";
import { blockSizes, type CompressionOptions } from "../compression/options.ts";
import { EspalierError } from "../errors.ts";
import { type ModelRecord, taskOfModel } from "../store/models.ts";
import type { Database } from "../store/store.ts";
import { requireTask } from "./task-rules.ts";
import { requireUnquantised } from "./unquantised.ts";
import { lengthRule, type Requirement, requireAll } from "./validate.ts";

const at = (name: keyof CompressionOptions): string => `input.options.${name}`;

/** What a compression run's options must be for a method. */
export function compressionRules(o: CompressionOptions, method: CompressionMethod): Requirement[] {
  return [
    ["input.scheme", method.schemes.includes(o.scheme), `must be one that ${method.name} makes: ${method.schemes.join(", ")}`],
    [at("blockSize"), blockSizes.includes(o.blockSize), `must be ${blockSizes.join(", ")}`],
    [at("sparsity"), o.sparsity > 0 && o.sparsity < 1, "must lie between 0 and 1, both excluded"],
    [at("samples"), o.samples >= 1 && o.samples <= 4096, "must be from 1 to 4,096"],
    [at("damping"), o.damping > 0 && o.damping <= 1, "must be above 0 and no more than 1"],
  ];
}

/**
 * Requires of a model that a run with such options can compress it.
 *
 * Of fewer tokens than a product has inputs, statistics say nothing of some directions. Most products have as many inputs as the model is wide; the rest is seen
 * when texts are read.
 *
 * @throws EspalierError QUANTISED_WEIGHTS; BAD_USER_INPUT; CALIBRATION_TOO_SHORT
 */
export async function requireCompressible(
  db: Database,
  model: ModelRecord,
  o: CompressionOptions,
  { needsGram }: CompressionMethod,
): Promise<void> {
  if (needsGram) requireTask(taskOfModel(model), ["CAUSAL_LM"], "be compressed by what its products are given");
  await requireUnquantised(db, model);
  const { hiddenSize: width } = model.architecture;
  requireAll([lengthRule(at("sequenceLength"), o.sequenceLength, model.architecture)]);
  const tokens = o.samples * o.sequenceLength;
  if (!needsGram || tokens >= width) return;
  throw new EspalierError(
    "CALIBRATION_TOO_SHORT",
    `${o.samples} samples of ${o.sequenceLength} tokens are ${tokens}, and statistics of products with ${width} inputs need as many tokens at least`,
    { argument: at("samples"), neededTokens: width, tokens },
  );
}
