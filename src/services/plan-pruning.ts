import { EspalierError } from "../errors.ts";
import { smallest } from "../large-lists.ts";
import { mean } from "../pruning/mean.ts";
import { leastKept, type PruningOptions, prunesParts, structuresAtOnce } from "../pruning/options.ts";
import { likePruningRuns, type MeasuredRun } from "../store/measured-runs.ts";
import type { ModelRecord } from "../store/models.ts";
import type { PruningRunRecord } from "../store/pruning-runs.ts";
import { structuresOfModels } from "../store/references.ts";
import { type PruningRequest, readyPruning, type StartServices } from "./start-pruning.ts";

type StructureKind = PruningOptions["structureKinds"][number];

/** Structures of one kind that may go. */
export interface PlannedStructures {
  readonly kind: StructureKind;
  /** How many there are outside the protected layers. */
  readonly count: number;
  /** How many of them may go at most, were they alone. */
  readonly removable: number;
  /** Parameters of those that may go. */
  readonly parameterCount: number;
}

/** What a pruning run would do, as far as that can be told before any score is known. */
export interface PruningPlan {
  readonly model: ModelRecord;
  /** Whether the model is still being made, so that counts are of the one that it is made from. */
  readonly isPending: boolean;
  readonly targetParameterCount: number;
  /** Share of the parameters that may go at most, 0 to 1. */
  readonly reachableRatio: number;
  readonly structures: readonly PlannedStructures[];
  readonly structuresPerIteration: number;
  /** If the largest structures go first, and if the smallest do. */
  readonly fewestIterations: number;
  readonly mostIterations: number;
  /** For as many; null where no such run was measured. */
  readonly leastMs: number | null;
  readonly mostMs: number | null;
  readonly measuredBy: readonly PruningRunRecord[];
}

/** As the store has structures of one size. */
type Stored = Awaited<ReturnType<typeof structuresOfModels>>[number][number];

/** Structures of one size, of which so many may go. */
interface Group {
  readonly kind: StructureKind;
  readonly layer: number;
  readonly count: number;
  readonly removable: number;
  readonly parameterCount: number;
  /** Of the weights that go with them. */
  readonly parameters: readonly string[];
}

/**
 * What a request would do, checked as if it were started; nothing is stored.
 *
 * @throws EspalierError what `readyPruning` throws
 */
export async function planPruning(services: StartServices, request: PruningRequest, owner: string | null): Promise<PruningPlan> {
  const { prisma } = services.store;
  const { model, isPending, options, takenOver } = await readyPruning(services, request, owner);
  if (!model)
    throw new EspalierError("BAD_USER_INPUT", "nothing can be told of a model before it is imported", {
      argument: "input.subject.resultOf",
    });
  const [stored = []] = await structuresOfModels(prisma, [model.id]);
  const isOpen = (layer: number) => layer >= options.protectFirst && layer < model.architecture.layers - options.protectLast;
  const groups = stored.filter(({ layer }) => isOpen(layer)).map((group): Group => ({ ...group, removable: removable(group, options) }));
  const chosen = groups.filter(({ kind }) => options.structureKinds.includes(kind));
  const total = model.parameterCount;
  const targetParameterCount = Math.floor(total * (1 - options.targetRatio));
  const candidates = chosen.reduce((sum, group) => sum + (group.removable > 0 ? group.count : 0), 0);
  const structuresPerIteration = structuresAtOnce(options, candidates);
  const iterations = (largestFirst: boolean) =>
    Math.max(0, Math.ceil(structuresNeeded(chosen, total - targetParameterCount, largestFirst) / structuresPerIteration) - takenOver);
  const [fewestIterations, mostIterations] = [iterations(true), iterations(false)];
  const measured = await likePruningRuns(prisma, { method: request.method, parameterCount: total, provider: options.executionProvider });
  const perUnit = measured.length === 0 ? null : mean(measured.map(costPerUnit));
  const time = (count: number) => (perUnit === null ? null : perUnit * count * unit(options, (total + targetParameterCount) / 2));
  return {
    model,
    isPending,
    targetParameterCount,
    reachableRatio: reachable(groups, options) / total,
    structures: byKind(chosen, options),
    structuresPerIteration,
    fewestIterations,
    mostIterations,
    leastMs: time(fewestIterations),
    mostMs: time(mostIterations),
    measuredBy: measured.map(({ run }) => run),
  };
}

const removable = ({ kind, count, leastLeft }: Stored, options: PruningOptions): number =>
  prunesParts({ structureKinds: [kind] }) ? Math.max(0, count - Math.max(leastKept(options, count), leastLeft ?? 1)) : count;

/** Parameters that may go at most: those of layers hold those of their branches, and those of branches what lies in them. */
function reachable(groups: readonly Group[], { structureKinds, protectFirst, protectLast }: PruningOptions): number {
  const sum = (kind: StructureKind) =>
    groups.filter((group) => group.kind === kind).reduce((n, group) => n + group.removable * group.parameterCount, 0);
  const isChosen = (kind: StructureKind) => structureKinds.includes(kind);
  // The last attention of a model stays.
  const attentions = groups.filter(({ kind }) => kind === "ATTENTION").map(({ parameterCount }) => parameterCount);
  const last = protectFirst + protectLast > 0 ? 0 : smallest(attentions.length > 0 ? attentions : [0]);
  if (isChosen("LAYER")) {
    const layers = groups.filter(({ kind }) => kind === "LAYER").map(({ parameterCount }) => parameterCount);
    // Where branches cannot go by themselves, it stays with its layer.
    const alone = isChosen("MLP") ? last : protectFirst + protectLast > 0 ? 0 : smallest(layers);
    return layers.reduce((n, size) => n + size, 0) - alone;
  }
  const attention = isChosen("ATTENTION") ? sum("ATTENTION") - last : isChosen("HEAD") ? sum("HEAD") : 0;
  if (isChosen("MLP")) return attention + sum("MLP");
  // Channels of experts that go have gone with them; those of a shared expert stay.
  const staying = (channels: Group) => {
    const experts = isChosen("EXPERT") ? groups.filter((g) => g.kind === "EXPERT" && g.layer === channels.layer) : [];
    const own = experts.find(({ parameters }) => channels.parameters.every((name) => parameters.includes(name)));
    return own ? 1 - own.removable / own.count : 1;
  };
  const channels = groups.filter(({ kind }) => kind === "CHANNEL" && isChosen(kind));
  return (
    attention +
    (isChosen("EXPERT") ? sum("EXPERT") : 0) +
    channels.reduce((n, group) => n + group.removable * group.parameterCount * staying(group), 0)
  );
}

/** How many structures have to go, one after another by their size, for so many parameters. All that may, if they do not suffice. */
function structuresNeeded(groups: readonly Group[], parameters: number, largestFirst: boolean): number {
  const sorted = groups
    .filter(({ parameterCount }) => parameterCount > 0)
    .sort((a, b) => (a.parameterCount - b.parameterCount) * (largestFirst ? -1 : 1));
  let [left, needed] = [parameters, 0];
  for (const { removable, parameterCount } of sorted) {
    const taken = Math.min(removable, Math.ceil(left / parameterCount));
    needed += taken;
    left -= taken * parameterCount;
    if (left <= 0) break;
  }
  return needed;
}

function byKind(groups: readonly Group[], { protectFirst, protectLast }: PruningOptions): PlannedStructures[] {
  return [...new Set(groups.map(({ kind }) => kind))].map((kind) => {
    const own = groups.filter((group) => group.kind === kind);
    const sum = (of: (group: Group) => number) => own.reduce((n, group) => n + of(group), 0);
    // The last attention of a model stays, and by layers alone the layer around it.
    const keepsOne = (kind === "LAYER" || kind === "ATTENTION") && protectFirst + protectLast === 0;
    return {
      kind,
      count: sum(({ count }) => count),
      removable: sum((group) => group.removable) - (keepsOne ? 1 : 0),
      parameterCount:
        sum((group) => group.removable * group.parameterCount) - (keepsOne ? smallest(own.map((group) => group.parameterCount)) : 0),
    };
  });
}

/** What an iteration costs goes, roughly, with the parameters that are there and the tokens that are seen. */
const unit = ({ samples, sequenceLength }: Pick<PruningOptions, "samples" | "sequenceLength">, parameters: number): number =>
  parameters * samples * sequenceLength;

const costPerUnit = ({ run, baseParameters, iterations, ms }: MeasuredRun): number =>
  ms / (iterations * unit(run.options, baseParameters * (1 - run.removedRatio / 2)));
