import { methodNamed, methods } from "../pruning/methods/index.ts";
import type { Method } from "../pruning/methods/method.ts";
import { type PruningOptions, prunesParts } from "../pruning/options.ts";
import type { ModelRecord } from "../store/models.ts";
import { structuresOfModels } from "../store/references.ts";
import type { Database } from "../store/store.ts";
import { requireGradients } from "./unquantised.ts";
import { lengthRule, type Requirement, requireAll } from "./validate.ts";

const at = (name: string): string => `input.options.${name}`;

const isFrom1 = (n: number, most: number): boolean => n >= 1 && n <= most;

function uniformRules(options: PruningOptions): Requirement[] {
  const { uniform, protectFirst, protectLast } = options;
  if (!uniform) return [];
  return [
    [at("uniform.expertMultiple"), isFrom1(uniform.expertMultiple ?? 1, 1024), "must be from 1 to 1,024"],
    [at("uniform.headMultiple"), isFrom1(uniform.headMultiple, 1024), "must be from 1 to 1,024"],
    [at("uniform.channelMultiple"), isFrom1(uniform.channelMultiple, 65_536), "must be from 1 to 65,536"],
    [at("uniform"), prunesParts(options), "is about EXPERT, HEAD and CHANNEL, and structureKinds names none of them"],
    [at("uniform"), protectFirst === 0 && protectLast === 0, "cannot be had while layers are protected: all layers keep equally many"],
  ];
}

/** Of what starts from another method's scores and draws masks. */
function learningRules({ startFrom, masks, structureKinds }: PruningOptions, method: Method): Requirement[] {
  const learning = methods.filter((m) => m.learnsFromMasks).map((m) => m.name);
  const only = `is of ${learning.join(", ")} alone`;
  const start = startFrom === null ? null : methodNamed(startFrom);
  return [
    [at("startFrom"), !start || method.learnsFromMasks === true, only],
    [at("startFrom"), !start?.learnsFromMasks, `must be a method that scores without a start: not ${learning.join(", ")}`],
    [
      at("startFrom"),
      !start || structureKinds.every((kind) => start.kinds.includes(kind)),
      `must be able to score what structureKinds names: ${startFrom} scores ${start?.kinds.join(", ")}`,
    ],
    [at("masks"), masks === null || method.learnsFromMasks === true, only],
    [at("masks"), masks === null || (masks >= 8 && masks <= 1e6), "must be from 8 to 1,000,000"],
  ];
}

/** What a run's options must be for a method. */
export function optionRules(o: PruningOptions, method: Method): Requirement[] {
  return [
    [at("targetRatio"), o.targetRatio > 0 && o.targetRatio < 1, "must lie between 0 and 1, both excluded"],
    [at("structureKinds"), o.structureKinds.length > 0, "must name at least one kind"],
    [at("structureKinds"), new Set(o.structureKinds).size === o.structureKinds.length, "must name each kind once"],
    [
      at("structuresPerIteration"),
      o.structuresPerIteration > 0 && o.structuresPerIteration <= 1e6,
      "must be above 0 and no more than 1,000,000",
    ],
    [
      at("structuresPerIteration"),
      o.structuresPerIteration < 1 || Number.isInteger(o.structuresPerIteration),
      "must be a whole number, or a share below 1",
    ],
    [at("minKeepRatio"), o.minKeepRatio >= 0 && o.minKeepRatio < 1, "must be at least 0 and below 1"],
    ...uniformRules(o),
    ...learningRules(o, method),
    [at("samples"), isFrom1(o.samples, 1024), "must be from 1 to 1024"],
    [at("perturbation.rate"), o.perturbation.rate > 0 && o.perturbation.rate <= 1, "must be above 0 and no more than 1"],
    [at("protectFirst"), o.protectFirst >= 0, "must not be negative"],
    [at("protectLast"), o.protectLast >= 0, "must not be negative"],
    [
      at("structureKinds"),
      o.structureKinds.every((kind) => method.kinds.includes(kind)),
      `must be of those that ${method.name} can score: ${method.kinds.join(", ")}`,
    ],
    [
      at("restore"),
      o.restore === "NONE" || o.restore === method.restore || prunesParts(o),
      "makes up for HEAD and CHANNEL, and structureKinds names neither",
    ],
    [
      at("normalization"),
      !method.among || o.normalization === "NONE",
      `must be NONE or left out: scores of ${method.name} are distances from a mean, which dividing would put in another order`,
    ],
  ];
}

/**
 * Requires of a model that a run with such options can prune it: some have no heads or channels that can go.
 *
 * @throws EspalierError BAD_USER_INPUT; what keeps the model from being pruned
 */
export async function requirePrunable(
  db: Database,
  model: ModelRecord,
  { structureKinds, sequenceLength, protectFirst, protectLast }: PruningOptions,
): Promise<void> {
  await requireGradients(db, model);
  const { id, architecture } = model;
  const { layers } = architecture;
  const free = layers - protectFirst - protectLast;
  requireAll([
    lengthRule(at("sequenceLength"), sequenceLength, architecture),
    [at("protectFirst"), free > 0, `and protectLast must leave some of the model's ${layers} layers unprotected`],
  ]);
  const [structures = []] = await structuresOfModels(db, [id]);
  const known = new Set(structures.map(({ kind }) => kind));
  requireAll(
    structureKinds.map(
      (kind): Requirement => [
        at("structureKinds"),
        known.has(kind),
        `names ${kind}, of which the model has none that can go; it has ${[...known].join(", ") || "none of any kind"}`,
      ],
    ),
  );
}
