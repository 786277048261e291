import { recoveryMethodNamed, trainedMethods } from "../recovery/methods/index.ts";
import { isTrained, type RecoveryMethod } from "../recovery/methods/method.ts";
import { objectives } from "../recovery/objectives.ts";
import { defaultRecoveryOptions, type RecoveryOptions } from "../recovery/options.ts";
import { type ModelRecord, taskOfModel } from "../store/models.ts";
import type { Database } from "../store/store.ts";
import type { SelfTextOptions } from "../text/self-text-options.ts";
import { requireTask } from "./task-rules.ts";
import { isQuantised, requireGradients } from "./unquantised.ts";
import { lengthRule, type Requirement, requireAll } from "./validate.ts";

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

/** Whether what a method trains stands beside matrices, so that they may be codes. */
export const trainsBesideCodes = (method: RecoveryMethod): boolean => isTrained(method) && method.besideCodes === true;

const besideCodes = trainedMethods.filter(trainsBesideCodes).map(({ name }) => name);

/** What a client asks for. `rank` null: the usual one, or the model's width where that is less. */
export type AskedRecovery = Omit<RecoveryOptions, "teacherId" | "rank"> & { readonly rank: number | null };

/** The usual rank, where the model is that wide. */
export const rankFor = ({ hiddenSize }: ModelRecord["architecture"]): number =>
  Math.min(defaultRecoveryOptions.rank, hiddenSize || Infinity);

/** What a recovery run's options must be. */
export function recoveryRules(o: AskedRecovery): Requirement[] {
  const weights = objectives.map(({ name }) => [name, o.objectives[name]] as const);
  return [
    ...weights.map(([name, weight]): Requirement => [at(`objectives.${name}`), weight >= 0 && weight <= 1000, "must be from 0 to 1,000"]),
    [at("objectives"), weights.some(([, weight]) => weight > 0), "must have one that counts: all are 0"],
    above0("temperature", o.temperature, 100),
    within("rank", o.rank ?? 1, 1, 1024),
    above0("alpha", o.alpha, 65_536),
    [at("adapt"), o.adapt.length > 0 && new Set(o.adapt).size === o.adapt.length, "must name at least one kind of branch, each once"],
    within("steps", o.steps, 1, 1_000_000),
    within("batchSize", o.batchSize, 1, 1024),
    within("accumulate", o.accumulate, 1, 1024),
    within("activationBytes", o.activationBytes ?? 2 ** 32, 2 ** 24, 2 ** 40),
    above0("learningRate", o.learningRate ?? 1, 1),
    within("warmupSteps", o.warmupSteps, 0, 1_000_000),
    within("weightDecay", o.weightDecay, 0, 1),
    above0("maxGradientNorm", o.maxGradientNorm, 1e6),
    within("checkEverySteps", o.checkEverySteps, 1, 1_000_000),
    within("heldBackTexts", o.heldBackTexts, 1, 4096),
    within("patience", o.patience, 1, 1_000_000),
  ];
}

/** What the teacher may be asked to write. */
export function selfRules(self: SelfTextOptions, options: AskedRecovery): Requirement[] {
  const at = (name: keyof SelfTextOptions) => `input.dataset.self.${name}`;
  const needed = Math.max(1024, (options.heldBackTexts + options.batchSize * options.accumulate) * options.sequenceLength);
  const { tokens, textTokens, prompts, randomTokens, temperature, topP } = self;
  return [
    [
      at("tokens"),
      tokens >= needed && tokens <= 4_194_304,
      `must be from ${needed.toLocaleString("en-US")}, which a step and the texts held back need, to 4,194,304`,
    ],
    [at("prompts"), prompts.length <= 1000 && prompts.every((p) => p.length <= 2000), "must be at most 1,000, of up to 2,000 characters"],
    [
      at("randomTokens"),
      randomTokens >= 0 && randomTokens <= 64 && randomTokens < textTokens,
      "must be from 0 to 64, and less than textTokens",
    ],
    [at("temperature"), temperature > 0 && temperature <= 2, "must be above 0 and up to 2"],
    [at("topP"), topP > 0 && topP <= 1, "must be above 0 and up to 1"],
  ];
}

/**
 * Requires of a model that a run with such options can heal it.
 *
 * @param self what the teacher is to write; null if there is a dataset
 * @param method of healing: some let matrices be codes
 * @throws EspalierError BAD_USER_INPUT; what keeps the model's gradients from being had
 */
export async function requireHealable(
  db: Database,
  model: ModelRecord,
  { rank, sequenceLength }: Pick<AskedRecovery, "rank" | "sequenceLength">,
  self: SelfTextOptions | null,
  method: string,
): Promise<void> {
  requireTask(taskOfModel(model), ["CAUSAL_LM"], "be healed");
  // Codes that are unpacked to train with; what else is quantised has no gradients, whatever is trained.
  const isCoded = isQuantised(model) && "com.microsoft::MatMulNBits" in model.operators;
  const instead = isCoded ? `; or heal it by ${besideCodes.join(" or ")}, which leave its codes as they are` : "";
  if (!isCoded || !trainsBesideCodes(recoveryMethodNamed(method))) await requireGradients(db, model, instead);
  const { architecture } = model;
  const longest = architecture.contextLength ?? 65_536;
  const isShort = !self || (self.textTokens >= 8 && self.textTokens <= longest);
  requireAll([
    within("rank", rank ?? rankFor(architecture), 1, Math.min(1024, architecture.hiddenSize || 1024)),
    lengthRule(at("sequenceLength"), sequenceLength, architecture),
    ["input.dataset.self.textTokens", isShort, `must be from 8 to the model's context length, ${longest}`],
  ]);
}
