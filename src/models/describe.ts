import { EspalierError } from "../errors.ts";
import { type Answer, type ModelTask, seesAll, taskOf } from "../model-task.ts";
import { intOf } from "../onnx/attributes.ts";
import { producers } from "../onnx/edit.ts";
import { type DataType, type Graph, type Model, operatorKey } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import { specialise } from "../runtime/specialise.ts";
import { bindingOf } from "../signature/binding.ts";
import { cacheLayers } from "../signature/caches.ts";
import { signatureOf } from "../signature/signature.ts";
import { type Discovery, discover } from "../structures/discover.ts";
import { divide, removeStructures } from "../structures/divide.ts";
import { type Obstacle, type StructureGroup, structureKinds } from "../structures/structure.ts";
import { scoringObstacle } from "./scoring-obstacle.ts";
import type { Architecture, InspectedModel } from "./types.ts";

/** What a model is, apart from its files. */
export interface Facts extends Omit<InspectedModel, "digest" | "files" | "sizeBytes" | "notes"> {
  /** Why layers have no structures of a kind that can go. */
  readonly obstacles: readonly Obstacle[];
}

/** Operator to number of nodes, in the order of first use. */
export function operatorCounts(graph: Graph): Record<string, number> {
  const counts = new Map<string, number>();
  for (const node of graph.nodes) counts.set(operatorKey(node), (counts.get(operatorKey(node)) ?? 0) + 1);
  return Object.fromEntries(counts);
}

/** What is known of a model beside its graph. */
export interface Known {
  /** Its context length, which a graph cannot say. */
  readonly length: number | null;
  /** What keeps it from being pruned, as far as that is known. */
  readonly obstacle: EspalierError | null;
  /** What a short run showed; null if there was none: then it counts as causal. */
  readonly answer: Answer | null;
}

/**
 * What a graph says of itself.
 *
 * @throws EspalierError as `discover`
 */
export async function describe(model: Model, read: TensorReader, known: Known): Promise<Facts> {
  const { graph } = model;
  const found = discover(model, read);
  const { layers, parameterCount, anatomy } = found;
  const { groups, hiddenSize, ...divided } = await parts(model, found);
  const architecture = architectureOf(model, anatomy.flow.stream, layers, known, hiddenSize);
  const uncut = await uncuttable(model, read, groups, architecture.task, found);
  const structures = [...found.structures, ...groups.filter((g) => !uncut.has(g.kind))];
  const stuck = groups.flatMap(({ kind, layer }): Obstacle[] => (uncut.has(kind) ? [{ kind, layer, reason: uncut.get(kind) ?? "" }] : []));
  const obstacles = [...found.obstacles, ...divided.obstacles, ...stuck];
  const obstacle =
    known.obstacle ??
    (structures.length === 0 ? nothingToRemove(obstacles) : await scoringObstacle(model, found, structures, architecture.task));
  return {
    parameterCount,
    opset: model.opsets[""] ?? 0,
    operators: operatorCounts(graph),
    structures,
    obstacles,
    architecture,
    pruningObstacle: obstacle && { code: obstacle.code, message: obstacle.message },
  };
}

const nothingToRemove = (obstacles: readonly Obstacle[]): EspalierError =>
  new EspalierError(
    "NO_STRUCTURES",
    `the model can be served but not pruned: nothing of it goes by itself (${[...new Set(obstacles.map((o) => `${o.kind}: ${o.reason}`))].join("; ")})`,
  );

/**
 * @param stream values that depend on the tokens
 * @param width of the residual stream, where it is known
 */
export function architectureOf(
  { graph }: Model,
  stream: ReadonlySet<string>,
  layers: number,
  { length: contextLength, answer }: Pick<Known, "length" | "answer">,
  width?: number,
): Architecture {
  const embedding = embeddingOf(graph, stream);
  const [vocabularySize, hiddenSize] = [embedding?.rows ?? 0, width ?? embedding?.columns ?? 0];
  return {
    task: answer ? taskOf(answer, { vocabularySize, hiddenSize }) : "CAUSAL_LM",
    layers,
    hiddenSize,
    vocabularySize,
    cache: cacheLayers(signatureOf(graph.inputs).caches),
    contextLength,
    dataType: embedding?.dataType ?? "float32",
  };
}

/**
 * Kinds of which the first in each layer cannot be cut out together, and why: a graph may count heads by a constant, in arithmetic on shapes that axes do not see.
 * Looked at where tokens see all others; exports of causal models are of few forms, and all are tried.
 */
async function uncuttable(
  model: Model,
  read: TensorReader,
  groups: readonly StructureGroup[],
  task: ModelTask,
  { anatomy, parameters }: Discovery,
): Promise<ReadonlyMap<StructureGroup["kind"], string>> {
  const found = new Map<StructureGroup["kind"], string>();
  for (const kind of seesAll(task) ? new Set(groups.map((g) => g.kind)) : []) {
    const first = groups.filter((g) => g.kind === kind && g.count > 1);
    try {
      const cut = await removeStructures(model, first, read);
      await specialise(cut, bindingOf(cut, 2, 8, [...parameters.keys()], true), [anatomy.logits]);
    } catch (error) {
      if (!(error instanceof EspalierError)) throw error;
      found.set(kind, `without some of them the graph does not fit together: ${error.message}`);
    }
  }
  return found;
}

/** What axes tell of a model: the width of its residual stream, where it is known, which need not be that of its embedding. */
interface Parts {
  readonly groups: readonly StructureGroup[];
  readonly obstacles: readonly Obstacle[];
  readonly hiddenSize: number | undefined;
}

/** Heads and channels, or why there are none: a model that has none is pruned by layers and branches. */
async function parts(model: Model, { anatomy, parameters }: Discovery): Promise<Parts> {
  try {
    const { groups, divisions } = await divide(model, anatomy, parameters);
    const plain = groups.map(({ branch, leaf, slices, experts, ...group }): StructureGroup => group);
    const place = (g: StructureGroup) => structureKinds.indexOf(g.kind);
    const residualStream = divisions.types.get(anatomy.places[0]?.branches[0]?.sum ?? "");
    return { groups: plain.sort((a, b) => place(a) - place(b)), obstacles: divisions.obstacles, hiddenSize: residualStream?.shape.at(-1) };
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    const reason = error.message;
    const branches = anatomy.places.filter((p) => p.kind !== "LAYER");
    return {
      groups: [],
      hiddenSize: undefined,
      obstacles: branches.map(({ kind, layer }) => ({ kind: kind === "ATTENTION" ? "HEAD" : "CHANNEL", layer, reason })),
    };
  }
}

const lookups: ReadonlySet<string> = new Set(["Gather", "com.microsoft::GatherBlockQuantized"]);

/** The table that the token ids are looked up in: rows V, columns H. Tied to a head, it may be stored the other way round. */
function embeddingOf(graph: Graph, stream: ReadonlySet<string>): { rows: number; columns: number; dataType: DataType } | null {
  const lookup = graph.nodes.find(
    (n) => lookups.has(operatorKey(n)) && !stream.has(n.inputs[0] as string) && stream.has(n.inputs[1] as string),
  );
  if (!lookup) return null;
  const stored = graph.initializers.get(lookup.inputs[0] as string);
  const scales = operatorKey(lookup) === "Gather" ? undefined : graph.initializers.get(lookup.inputs[2] as string);
  // Codes, several of which whole bytes hold; what is looked up has the type of their scales.
  if (stored && scales) {
    const inEach = stored.dataType === "uint8" ? 8 / intOf(lookup, "bits", 4) : 1;
    return { rows: stored.dims[0] ?? 0, columns: (stored.dims[1] ?? 0) * inEach, dataType: scales.dataType };
  }
  if (stored) return { rows: stored.dims[0] ?? 0, columns: stored.dims[1] ?? 0, dataType: stored.dataType };
  const turn = producers(graph).get(lookup.inputs[0] as string);
  const turned = turn?.opType === "Transpose" ? graph.initializers.get(turn.inputs[0] as string) : undefined;
  return turned ? { rows: turned.dims[1] ?? 0, columns: turned.dims[0] ?? 0, dataType: turned.dataType } : null;
}
