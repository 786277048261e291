import { compressionMethods } from "../compression/methods/index.ts";
import type { CompressionMethod } from "../compression/methods/method.ts";
import {
  blockSizes,
  type CompressionOptions,
  defaultCompressionOptions,
  headBits,
  schemeOptions,
  schemes,
  textOptions,
} from "../compression/options.ts";
import { EspalierError } from "../errors.ts";
import { type ModelRecord, taskOfModel } from "../store/models.ts";
import type { Database } from "../store/store.ts";
import { requireTask } from "./task-rules.ts";
import { requireUnquantised } from "./unquantised.ts";
import { lengthRule, type Requirement, requireAll } from "./validate.ts";

const at = (name: keyof CompressionOptions): string => `input.options.${name}`;

/** Options that say nothing with a scheme, a pattern or a method must be left as they are. */
function unreadRules(o: CompressionOptions, method: CompressionMethod): Requirement[] {
  const optionsOf = ({ options, needsGram }: CompressionMethod) => [...options, ...(needsGram ? textOptions : [])];
  const isDefault = (name: keyof CompressionOptions) => o[name] === defaultCompressionOptions[name];
  return (Object.keys(defaultCompressionOptions) as (keyof typeof defaultCompressionOptions)[]).flatMap((name): Requirement[] => {
    const reads = (names: readonly string[]) => names.includes(name);
    const ofSchemes = schemes.filter((scheme) => reads(schemeOptions[scheme]));
    const ofMethods = compressionMethods.filter((m) => reads(optionsOf(m))).map((m) => m.name);
    const isRead = (ofSchemes.length === 0 || ofSchemes.includes(o.scheme)) && (ofMethods.length === 0 || ofMethods.includes(method.name));
    const of = ofSchemes.length > 0 ? `what becomes ${ofSchemes.join(", ")}` : `the methods ${ofMethods.join(", ")}`;
    return [[at(name), isRead || isDefault(name), `is of ${of}: leave it out with ${ofSchemes.length > 0 ? o.scheme : method.name}`]];
  });
}

/** What a compression run's options must be for a method. */
export function compressionRules(o: CompressionOptions, method: CompressionMethod): Requirement[] {
  return [
    ["input.scheme", method.schemes.includes(o.scheme), `must be one that ${method.name} makes: ${method.schemes.join(", ")}`],
    [at("blockSize"), blockSizes.includes(o.blockSize), `must be ${blockSizes.join(", ")}`],
    ...unreadRules(o, method),
    [
      at("sparsity"),
      o.pattern === "UNSTRUCTURED" || o.sparsity === defaultCompressionOptions.sparsity,
      "is of the pattern UNSTRUCTURED: leave it out with others",
    ],
    [at("headBits"), headBits.includes(o.headBits), `must be ${headBits.join(" or ")}`],
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
