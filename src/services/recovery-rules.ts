import { objectives } from "../recovery/objectives.ts";
import type { RecoveryOptions } from "../recovery/options.ts";
import type { ModelRecord } from "../store/models.ts";
import { lengthRule, type Requirement } from "./validate.ts";

const at = (name: string): string => `input.options.${name}`;

/** The rule for a number within bounds, both included. */
const within = (name: keyof RecoveryOptions, value: number, least: number, most: number): Requirement => [
  at(name),
  value >= least && value <= most,
  `must be from ${least.toLocaleString("en-US")} to ${most.toLocaleString("en-US")}`,
];

const above0 = (name: keyof RecoveryOptions, value: number, most: number): Requirement => [
  at(name),
  value > 0 && value <= most,
  `must be above 0 and no more than ${most.toLocaleString("en-US")}`,
];

/** What a recovery run's options must be for a model. */
export function recoveryRules(o: RecoveryOptions, architecture: ModelRecord["architecture"]): Requirement[] {
  const weights = objectives.map(({ name }) => [name, o.objectives[name]] as const);
  return [
    ...weights.map(([name, weight]): Requirement => [at(`objectives.${name}`), weight >= 0 && weight <= 1000, "must be from 0 to 1,000"]),
    [at("objectives"), weights.some(([, weight]) => weight > 0), "must have one that counts: all are 0"],
    above0("temperature", o.temperature, 100),
    within("rank", o.rank, 1, Math.min(1024, architecture.hiddenSize || 1024)),
    above0("alpha", o.alpha, 65_536),
    [at("adapt"), o.adapt.length > 0 && new Set(o.adapt).size === o.adapt.length, "must name at least one kind of branch, each once"],
    within("steps", o.steps, 1, 1_000_000),
    within("batchSize", o.batchSize, 1, 1024),
    within("accumulate", o.accumulate, 1, 1024),
    within("activationBytes", o.activationBytes ?? 2 ** 32, 2 ** 24, 2 ** 40),
    lengthRule(at("sequenceLength"), o.sequenceLength, architecture),
    above0("learningRate", o.learningRate ?? 1, 1),
    within("warmupSteps", o.warmupSteps, 0, 1_000_000),
    within("weightDecay", o.weightDecay, 0, 1),
    above0("maxGradientNorm", o.maxGradientNorm, 1e6),
    within("checkEverySteps", o.checkEverySteps, 1, 1_000_000),
    within("heldBackTexts", o.heldBackTexts, 1, 4096),
    within("patience", o.patience, 1, 1_000_000),
  ];
}
