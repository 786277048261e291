import type { CompressionMethod } from "../compression/methods/method.ts";
import { blockSizes, type CompressionOptions } from "../compression/options.ts";
import type { ModelRecord } from "../store/models.ts";
import { lengthRule, type Requirement } from "./validate.ts";

const at = (name: keyof CompressionOptions): string => `input.options.${name}`;

/** What a compression run's options must be for a model and a method. */
export function compressionRules(
  o: CompressionOptions,
  method: CompressionMethod,
  architecture: ModelRecord["architecture"],
): Requirement[] {
  return [
    ["input.scheme", method.schemes.includes(o.scheme), `must be one that ${method.name} makes: ${method.schemes.join(", ")}`],
    [at("blockSize"), blockSizes.includes(o.blockSize), `must be ${blockSizes.join(", ")}`],
    [at("sparsity"), o.sparsity > 0 && o.sparsity < 1, "must lie between 0 and 1, both excluded"],
    [at("samples"), o.samples >= 1 && o.samples <= 4096, "must be from 1 to 4,096"],
    lengthRule(at("sequenceLength"), o.sequenceLength, architecture),
    [at("damping"), o.damping > 0 && o.damping <= 1, "must be above 0 and no more than 1"],
  ];
}
