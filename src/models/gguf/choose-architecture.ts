import { EspalierError } from "../../errors.ts";
import { smallest } from "../../large-lists.ts";
import type { Activation, Blueprint } from "../blueprints/blueprint.ts";
import { blueprintOf } from "../blueprints/graph-of-folder.ts";
import type { Architecture, Fields } from "./architectures/architecture.ts";
import { architectures, withoutArchitecture } from "./architectures/index.ts";
import { Facts } from "./facts.ts";
import { ggufPlans, type Weighted } from "./gguf-plans.ts";
import { metadataOf } from "./metadata-of-blueprint.ts";
import { type Difference, differences } from "./same-blueprint.ts";
import type { Plan } from "./tensor-plan.ts";
import { asRead, type TypedMetadata } from "./write-container.ts";

/** A model as a GGUF file can say it. */
export interface Chosen {
  readonly architecture: Architecture;
  /** Under the architecture's own keys. */
  readonly metadata: TypedMetadata;
  readonly plans: readonly Plan[];
  /** What users should know of it. */
  readonly notes: readonly string[];
}

/** What is to be said. */
export interface Model {
  readonly blueprint: Blueprint;
  /** Its config.json. */
  readonly config: Fields;
  /** The longest text it was made for, in tokens. */
  readonly context: number;
  readonly weighted: Weighted;
}

/** Activations that llama.cpp takes for one another, by their names in config.json. */
const alike: Partial<Record<Activation, string>> = { GELU: "gelu", GELU_TANH: "gelu_pytorch_tanh" };

/** Why a model is not written as an architecture. */
interface Refusal {
  readonly architecture: string;
  /** How many reasons there are, or more for tensors that have no place. */
  readonly distance: number;
  readonly reason: string;
}

/**
 * The first architecture whose file says all of a model: what would be read back is compared with what the model is, field by field. A text
 * that is longer than a window need not be said; then files are written for texts that are not.
 *
 * @throws EspalierError EXPORT_UNSUPPORTED with the architecture that comes nearest, and what it cannot say
 */
export function chooseArchitecture(model: Model): Chosen {
  if (model.blueprint.layers.some(({ mlp }) => mlp.mixture))
    throw new EspalierError("EXPORT_UNSUPPORTED", "mixtures of experts are not written as GGUF yet: the format SAFETENSORS takes them");
  const refusals: Refusal[] = [];
  const windows = model.blueprint.layers.flatMap(({ attention }) => attention.window ?? []);
  const shortest = smallest([model.context, ...windows]);
  for (const context of new Set([model.context, shortest]))
    for (const architecture of architectures)
      for (const statesWindows of [false, true]) {
        const tried = attempt(model, architecture, context, statesWindows);
        if (!("distance" in tried)) return tried;
        refusals.push(tried);
      }
  const none = withoutArchitecture[String(model.config["model_type"])];
  if (none !== undefined) throw new EspalierError("EXPORT_UNSUPPORTED", `${none}; the formats ONNX and SAFETENSORS keep the model`);
  const nearest = refusals.reduce((a, b) => (b.distance < a.distance ? b : a));
  throw new EspalierError(
    "EXPORT_UNSUPPORTED",
    `no architecture of GGUF files says all of this model; ${nearest.architecture} comes nearest: ${nearest.reason}`,
    { architecture: nearest.architecture },
  );
}

function attempt(model: Model, architecture: Architecture, context: number, statesWindows: boolean): Chosen | Refusal {
  const { blueprint, weighted } = model;
  const refusal = (distance: number, reason: string): Refusal => ({ architecture: architecture.name, distance, reason });
  let own: readonly Plan[];
  try {
    own = ggufPlans(weighted, architecture);
  } catch (error) {
    if (error instanceof EspalierError) return refusal(2000 + Number(error.details["count"]), error.message);
    throw error;
  }
  const { metadata, factors } = metadataOf(blueprint, architecture, { context, config: model.config, statesWindows });
  const plans = [...own, ...factors];
  const back = readBack(architecture, metadata, plans);
  if ("reason" in back) return refusal(1000, back.reason);
  const differs = differences(blueprint, back.blueprint, context);
  const swapped = swappedActivation(differs);
  const left = swapped ? differs.filter((d) => !d.at.endsWith("mlp.activation")) : differs;
  const reasons = [
    ...unfitness(model, architecture, context),
    ...wrongBiases(plans, architecture, blueprint.layers.length),
    ...factors
      .filter(({ name }) => !takesFactors(architecture, name))
      .map(() => "it has no place for how fast positions turn in this model"),
    ...left.map(described),
  ];
  if (reasons[0] !== undefined) return refusal(reasons.length, reasons[0]);
  const kept = new Map([...metadata].filter(([key]) => back.read.has(key)));
  if (swapped) kept.set("espalier.activation", { as: "TEXT", value: swapped });
  return { architecture, metadata: kept, plans, notes: notesOf(model, architecture, context, swapped !== null) };
}

/** What an architecture asks of a model that its metadata cannot say. */
function* unfitness({ blueprint, weighted }: Model, architecture: Architecture, context: number): Generator<string> {
  const { layers, hiddenSize } = blueprint;
  const { head, square, uneven, ignoresWindows, unfit } = architecture;
  const unlike = <T>(values: readonly T[]) => new Set(values).size > 1;
  const widths = [layers.map((l) => l.attention.heads), layers.map((l) => l.attention.kvHeads), layers.map((l) => l.mlp.width)];
  if (!uneven && widths.some(unlike))
    yield "llama.cpp reads no heads and widths layer by layer for it; prune with the option uniform: {} (`--uniform 1`)";
  if (square && layers.some(({ attention }) => attention.heads * attention.headWidth !== hiddenSize))
    yield "its heads together must be as wide as the stream, from which llama.cpp works out how many there are; remove channels or whole layers, and no heads";
  if (head === "TIED" && weighted.head !== weighted.embedding) yield "its head must be its embedding";
  if (ignoresWindows && layers.some(({ attention }) => (attention.window ?? context) < context))
    yield "llama.cpp does not read its windows";
  const more = unfit?.(blueprint);
  if (more) yield more;
}

/** What llama.cpp misses among a file's biases, or has no place for. */
function* wrongBiases(plans: readonly Plan[], { biases: { may = [], must = [] } }: Architecture, layers: number): Generator<string> {
  const counts = new Map<string, number>();
  for (const { name } of plans) {
    const base = /^(?:blk\.\d+\.)?([a-z0-9_]+)\.bias$/.exec(name)?.[1];
    if (base === undefined) continue;
    if (![...may, ...must].includes(base)) yield `llama.cpp has no place for the bias "${name}"`;
    counts.set(base, (counts.get(base) ?? 0) + 1);
  }
  for (const base of must)
    if (counts.get(base) !== (base.startsWith("output") ? 1 : layers))
      yield `llama.cpp asks for a bias of "${base}", which the model has not`;
}

function takesFactors({ factors }: Architecture, name: string): boolean {
  if (factors === "BOTH") return true;
  return factors === (name === "rope_freqs.weight" ? "ONE" : "SHORT_AND_LONG");
}

function readBack(
  architecture: Architecture,
  metadata: TypedMetadata,
  plans: readonly Plan[],
): { readonly blueprint: Blueprint; readonly read: ReadonlySet<string> } | { readonly reason: string } {
  const shapes = new Map(plans.map(({ name, dims }) => [name, dims]));
  const numbers = (name: string) => plans.find((plan) => plan.name === name)?.from as Float32Array;
  const facts = new Facts({ metadata: asRead(metadata), shapes, numbers, file: "the file" }, architecture.name);
  try {
    return { blueprint: blueprintOf(architecture.config(facts)).blueprint, read: facts.keysRead() };
  } catch (error) {
    if (error instanceof EspalierError) return { reason: error.message };
    throw error;
  }
}

/** The activation of a model for which a file would have another one that llama.cpp takes for the same. */
function swappedActivation(differs: readonly Difference[]): string | null {
  const own = differs.filter(({ at }) => at.endsWith("mlp.activation"));
  const [first] = own;
  const isSwapped = own.every(({ is, becomes }) => (is as string) in alike && (becomes as string) in alike && is === first?.is);
  return first && isSwapped ? (alike[first.is as Activation] as string) : null;
}

const described = ({ at, is, becomes }: Difference): string => {
  const shown = (value: unknown) => (value === undefined ? "nothing" : JSON.stringify(value).slice(0, 80));
  return `the model's ${at} is ${shown(is)}, and a file would have ${shown(becomes)}`;
};

function notesOf({ blueprint, context: whole }: Model, { name, caveat }: Architecture, context: number, swapped: boolean): string[] {
  const { layers } = blueprint;
  const window = layers.some(({ attention }) => (attention.window ?? whole) < whole);
  return [
    `written as a GGUF file of the architecture ${name}`,
    ...(context < whole && window
      ? [`llama.cpp reads none of this model's windows: the file states texts of up to ${context} tokens, within which they hide nothing`]
      : []),
    ...(swapped
      ? ["llama.cpp works the activation out as its architecture has it, by tanh where the model has none or the other way round"]
      : []),
    ...(caveat ? [caveat] : []),
  ];
}
