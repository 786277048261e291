import { EspalierError } from "../../errors.ts";
import { isObject } from "../../is-object.ts";
import { isWhole } from "../../is-whole.ts";
import { largest } from "../../large-lists.ts";
import { tensorReader } from "../../onnx/read-tensor.ts";
import { withoutCodes } from "../../onnx/without-codes.ts";
import { readJson } from "../../text/model-config.ts";
import type { Blueprint } from "../blueprints/blueprint.ts";
import { Config } from "../blueprints/config.ts";
import type { Family } from "../blueprints/family.ts";
import { findFamily } from "../blueprints/graph-of-folder.ts";
import { placesOf } from "../blueprints/places.ts";
import type { ExportSource } from "./format.ts";
import { asFound, type FoundLayer, type FoundWeights } from "./found-weights.ts";
import { isSame } from "./matrix.ts";
import { namedWeights } from "./named-weights.ts";
import { tracedWeights } from "./traced-weights.ts";

/** A model in the terms of its family: the configuration that its class reads, what that describes, and where the weights are. */
export interface FamilyModel {
  readonly family: Family;
  /** In the family's own fields. */
  readonly config: Readonly<Record<string, unknown>>;
  /** What the configuration describes. */
  readonly blueprint: Blueprint;
  /** The same, with each layer as wide as it is in the graph: what is missing to the blueprint is filled up with zeros. */
  readonly own: Blueprint;
  readonly weights: FoundWeights;
  /** How many of its matrices are codes in the graph. Here they are what their codes stand for. */
  readonly codes: number;
  /** What users should know of the configuration. */
  readonly notes: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

/** The names under which families keep what pruning changes. */
const names = {
  layers: ["num_hidden_layers", "n_layer", "n_layers", "num_layers"],
  heads: ["num_attention_heads", "n_head", "n_heads", "num_heads"],
  kvHeads: ["num_key_value_heads", "num_kv_heads", "kv_n_heads"],
  channels: ["intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"],
  experts: ["num_experts", "num_local_experts", "n_routed_experts"],
  expertChannels: ["moe_intermediate_size", "intermediate_size"],
  shared: ["shared_expert_intermediate_size"],
  hidden: ["hidden_size", "n_embd", "d_model"],
} as const;

/** What healing puts beside codes (`withAdapters`). */
const adapter = /\/adapter(?:_\d+)?\/down$/;

/** What is of the folder as it was, or of this server, and of no class. */
const dropped: ReadonlySet<string> = new Set(["espalier", "auto_map", "transformers.js_config"]);

const numberAt = (config: Json, keys: readonly string[]): number | undefined =>
  keys.map((key) => config[key]).find((value): value is number => typeof value === "number");

const without = (config: Json, keys: ReadonlySet<string>): Json =>
  Object.fromEntries(Object.entries(config).filter(([key]) => !keys.has(key)));

const unsupported = (message: string, details: Record<string, unknown> = {}): EspalierError =>
  new EspalierError("EXPORT_UNSUPPORTED", message, details);

/**
 * A model in the terms of its family.
 *
 * @param padding whether what the family's class cannot state is filled up with zeros: layers of unlike widths, and with one half
 * @throws EspalierError UNSUPPORTED_FAMILY, UNSUPPORTED_CONFIG, UNSUPPORTED_CODES; EXPORT_UNSUPPORTED, which says what would make it possible
 */
export async function familyModel(source: ExportSource, padding: boolean): Promise<FamilyModel> {
  const stated = (await readJson(source.folder, "config.json")) ?? {};
  const first = findFamily(stated["model_type"]);
  if (!first)
    throw new EspalierError(
      "UNSUPPORTED_FAMILY",
      `config.json states model_type = ${JSON.stringify(stated["model_type"] ?? null).slice(0, 200)}, of which no blueprint is known: its weights cannot be called ` +
        "by the names that its class looks for. The format ONNX keeps the graph as it is",
      { modelType: stated["model_type"] ?? null },
    );
  const whole = asItWas(without(stated, dropped), first);
  const described = first.blueprint(new Config(whole));
  const { model, read, count } = withoutCodes(source.model, tensorReader(source.graphFolder), isStoredInOut(described));
  if (count > 0 && [...model.graph.initializers.keys()].some((name) => adapter.test(name)))
    throw unsupported("the model has adapters beside its codes, for which no file of its family has a place: the format ONNX keeps them");
  const weights = namedWeights(model, described, read) ?? tracedWeights(model, described, read, indexesOf(stated["espalier"]));
  const base = hasHeadOfItsOwn(weights, described) ? { ...whole, tie_word_embeddings: false } : whole;
  const sampled = new Config(base);
  const sample = first.blueprint(sampled);
  const { family, config, notes } = loadable(
    first,
    isObject(stated["espalier"]),
    stating(base, { family: first, sampled, sample, weights, padding }),
  );
  const blueprint = family.blueprint(new Config(config));
  const layers = blueprint.layers.map((layer, i) => asFound(layer, weights.layers[i] as FoundLayer));
  requireSameNumbers({ family, blueprint, weights });
  return { family, config, blueprint, own: { ...blueprint, layers }, weights, codes: count, notes };
}

/** Whether a head that the configuration says is the embedding holds other numbers than it: they may have been made codes of each by itself. */
function hasHeadOfItsOwn(weights: FoundWeights, { embedding, head, hiddenSize, vocabularySize }: Blueprint): boolean {
  if (head.weight !== embedding.weight) return false;
  const place = { name: embedding.weight, part: "weight", axes: [[vocabularySize], [hiddenSize]] } as const;
  const [table, own] = [weights.matrix({ ...place, role: "embedding" }), weights.matrix({ ...place, role: "head" })];
  return table !== null && own !== null && !isSame(table, own);
}

/** Which of a family's matrices lie as [inputs, outputs], by name; those of each layer lie as those of the first. */
function isStoredInOut(sample: Blueprint): (name: string) => boolean {
  const ofFirst = (name: string) => name.replace(/\.\d+\./, ".0.");
  const { around, layers } = placesOf(sample);
  const all = [...around, ...layers.flatMap(({ attention, mlp }) => [...attention, ...mlp])];
  const found = new Set(all.filter(({ inOut }) => inOut).map(({ name }) => ofFirst(name)));
  return (name) => found.has(ofFirst(name));
}

/** Heads that a class may refuse to load: of a child another family's class takes them, or users are told. A model of others stays what it is. */
function loadable(family: Family, isChild: boolean, config: Json): Pick<FamilyModel, "family" | "config" | "notes"> {
  const [hidden, heads] = [numberAt(config, names.hidden), numberAt(config, names.heads)];
  if (!family.headsDivideWidth || hidden === undefined || heads === undefined || hidden % heads === 0) return { family, config, notes: [] };
  const refused = `transformers, from 5.4 on, refuses a ${family.name} whose width (${hidden}) is no multiple of its number of heads (${heads})`;
  const changed = isChild ? (family.headsDivideWidth.otherwise?.(config) ?? null) : null;
  const other = changed && findFamily(changed["model_type"]);
  if (!changed || !other) return { family, config, notes: [`${refused}; earlier ones load it`] };
  return { family: other, config: changed, notes: [`written as ${other.name}, whose class computes the same: ${refused}`] };
}

/** Where the layers of a child stood in the model that was registered; null for such a model. */
function indexesOf(espalier: unknown): readonly (number | null)[] | null {
  if (!isObject(espalier)) return null;
  const layers = Array.isArray(espalier["layers"]) ? espalier["layers"] : [];
  return layers.map((layer) => (isObject(layer) && isWhole(layer["registered"]) ? layer["registered"] : null));
}

/** What goes by the number of a layer or head cannot be stated once some are gone. @throws EspalierError EXPORT_UNSUPPORTED */
function requireSameNumbers({ family, blueprint, weights }: Pick<FamilyModel, "family" | "blueprint" | "weights">): void {
  for (const [i, { attention }] of blueprint.layers.entries()) {
    const { attention: found } = weights.layers[i] as FoundLayer;
    if (found && attention.alibi && found.heads !== attention.heads)
      throw unsupported(
        `${family.name} slopes scores by the number of the head (ALiBi), and heads of layer ${i} are gone: remove whole LAYERs or CHANNELs`,
      );
  }
}

/** Heads that went where the class has no word for the width of those that stay: they are stated again, and come back as zeros. */
function asItWas(config: Json, { headWidthFollows }: Family): Json {
  const [hidden, heads, width] = [numberAt(config, names.hidden), numberAt(config, names.heads), config["head_dim"]];
  if (!headWidthFollows || typeof width !== "number" || hidden === undefined || heads === undefined) return config;
  const times = hidden / width / heads;
  const scaled = ([key, value]: [string, unknown]): [string, unknown] =>
    [...names.heads, ...names.kvHeads].some((name) => name === key) && typeof value === "number" ? [key, value * times] : [key, value];
  return Object.fromEntries(Object.entries(without(config, new Set(["head_dim"]))).map(scaled));
}

interface Known {
  readonly family: Family;
  readonly sampled: Config;
  readonly sample: Blueprint;
  readonly weights: FoundWeights;
  readonly padding: boolean;
}

/** The configuration that states what the weights are. */
function stating(base: Json, known: Known): Json {
  const { family, sampled, sample, weights } = known;
  const { layers } = weights;
  const { heads, kvHeads, width } = widths(known);
  const [first] = sample.layers as [Blueprint["layers"][number]];
  const { headWidth } = first.attention;
  const made: Record<string, unknown> = { ...base };
  const restate = (keys: readonly string[], before: number, after: number) => {
    const key = keys.find((name) => made[name] === before) ?? keys.find((name) => sampled.asked(name) && made[name] == null);
    if (before !== after && key !== undefined) made[key] = after;
  };
  for (const key of names.layers) if (key in made) made[key] = layers.length;
  restate(names.heads, first.attention.heads, heads);
  // A class that is told nothing takes as many as there are of queries.
  if (kvHeads !== heads || names.kvHeads.some((key) => made[key] != null)) restate(names.kvHeads, first.attention.kvHeads, kvHeads);
  restate(first.mlp.mixture ? names.expertChannels : names.channels, first.mlp.width, width);
  restateMixture(known, restate);
  if (!family.headWidthFollows && sampled.asked("head_dim") && (made["head_dim"] != null || heads * headWidth !== sample.hiddenSize))
    made["head_dim"] = headWidth;
  for (const [kind, key] of [
    ["ATTENTION", "attention_bias"],
    ["MLP", "mlp_bias"],
  ] as const)
    if (weights.compensated.includes(kind) && !hasBias(first, kind)) made[key] = true;
  return perLayer(made, known);
}

/**
 * The numbers of a mixture, which all layers are to agree on: none is filled up with zeros, for a token might be sent there.
 *
 * @throws EspalierError EXPORT_UNSUPPORTED if they do not
 */
function restateMixture(
  { family, sample, weights }: Known,
  restate: (keys: readonly string[], before: number, after: number) => void,
): void {
  const mixtures = sample.layers.map(({ mlp }) => mlp.mixture);
  const [first] = mixtures;
  if (mixtures.every((m) => m === undefined)) return;
  if (!first || mixtures.some((m) => m === undefined))
    throw unsupported(
      `layers of ${family.name} with experts and without cannot be told apart yet: the format ONNX keeps the graph as it is`,
    );
  const found = weights.layers.flatMap(({ mlp }) => mlp ?? []);
  for (const [of, keys, before] of [
    ["experts", names.experts, first.count],
    ["shared", names.shared, first.shared?.width],
  ] as const) {
    const counts = new Set(found.map((mlp) => mlp[of]));
    if (counts.size > 1 || new Set(found.map((mlp) => mlp.width)).size > 1)
      throw unsupported(
        `layers have unlike numbers of experts, or experts of unlike widths, which ${family.name}'s class cannot state: prune with the option uniform: {} (\`--uniform 1\`)`,
        { family: family.modelType },
      );
    const [after] = counts;
    if (before !== undefined && after !== undefined) restate(keys, before, after);
  }
}

const hasBias = ({ attention, mlp }: Blueprint["layers"][number], kind: "ATTENTION" | "MLP"): boolean =>
  (kind === "ATTENTION" ? attention.output : mlp.down).bias !== undefined;

/**
 * How wide all layers are to be.
 *
 * @throws EspalierError EXPORT_UNSUPPORTED if they are unlike, or have what the class has no word for
 */
function widths({ family, sampled, sample, weights, padding }: Known): { heads: number; kvHeads: number; width: number } {
  const { layers } = weights;
  const [first] = sample.layers as [Blueprint["layers"][number]];
  const { headWidth } = first.attention;
  const refuse = (what: string, instead: string): never => {
    throw unsupported(
      `${what}, which ${family.name}'s class cannot state (transformers reads per_layer_config of a few other classes alone): ${instead}, ` +
        "or export with padding: true, which fills up with zeros",
      {
        family: family.modelType,
      },
    );
  };
  for (const kind of weights.compensated)
    if (!hasBias(first, kind) && !sampled.asked(kind === "ATTENTION" ? "attention_bias" : "mlp_bias"))
      throw unsupported(
        `the biases that made up for what was removed (restore: BIAS) have no place in ${family.name}'s class: prune with restore: NONE or LEAST_SQUARES`,
        { family: family.modelType },
      );
  const half = layers.findIndex(({ attention, mlp }) => !attention || !mlp);
  if (half >= 0 && !padding)
    refuse(`layer ${half} has ${layers[half]?.attention ? "an attention and no MLP" : "an MLP and no attention"}`, "remove whole LAYERs");
  const attentions = layers.flatMap(({ attention }) => attention ?? []);
  const mlps = layers.flatMap(({ mlp }) => mlp ?? []);
  const unlike = (values: readonly number[]) => new Set(values).size > 1;
  if (!padding && unlike(attentions.map((a) => a.heads)))
    refuse(
      `layers have unlike numbers of heads (${attentions.map((a) => a.heads).join(", ")})`,
      "prune with the option uniform: {} (`--uniform 1`)",
    );
  if (!padding && unlike(mlps.map((m) => m.width)))
    refuse(
      `layers have MLPs of unlike widths (${mlps.map((m) => m.width).join(", ")})`,
      "prune with the option uniform: {} (`--uniform 1`)",
    );
  const heads = Math.max(first.attention.heads * (attentions.length === 0 ? 1 : 0), ...attentions.map((a) => a.heads));
  const kvHeads = Math.max(first.attention.kvHeads * (attentions.length === 0 ? 1 : 0), ...attentions.map((a) => a.kvHeads));
  const shared = new Set(attentions.map((a) => a.heads / a.kvHeads));
  if (shared.size > 1 && kvHeads > 1)
    throw unsupported("keys and values are shared by unlike numbers of queries from layer to layer, which no class can state");
  const width = Math.max(first.mlp.width * (mlps.length === 0 ? 1 : 0), ...mlps.map((m) => m.width));
  if (!family.headWidthFollows || heads * headWidth === sample.hiddenSize) return { heads, kvHeads, width };
  if (!padding)
    refuse(
      `${heads} heads of width ${headWidth} are left of a stream of ${sample.hiddenSize}`,
      "remove whole LAYERs or CHANNELs rather than HEADs",
    );
  const whole = sample.hiddenSize / headWidth;
  return { heads: whole, kvHeads: first.attention.kvHeads > 1 ? (kvHeads * whole) / heads : 1, width };
}

/**
 * What is stated layer by layer: a list that says it for each, where a rule by the layers' numbers would speak of others since some are gone.
 */
function perLayer(config: Json, { family, sampled, weights }: Known): Json {
  const { layers } = weights;
  const made: Record<string, unknown> = { ...config };
  const lists = { layer_types: "full_attention", no_rope_layers: 1 } as const;
  const withAttention = layers.filter((layer) => layer.attention);
  const asked = (Object.keys(lists) as (keyof typeof lists)[]).filter((key) => sampled.asked(key));
  for (const key of asked) {
    const list = made[key];
    // Of a layer without attention it says nothing that matters.
    if (Array.isArray(list) && list.length === withAttention.length && list.length < layers.length)
      made[key] = layers.map((layer) => (layer.attention ? list[withAttention.indexOf(layer)] : lists[key]));
  }
  const open = asked.filter((key) => made[key] == null);
  const isWhole = layers.every(({ index }, i) => index === i);
  if (open.length === 0 || isWhole) return made;
  if (layers.some(({ index }) => index === null)) {
    throw unsupported(
      "config.json states by a rule which layers have windows, and it is not known which are left: state layer_types in it",
    );
  }
  const last = largest(layers.map(({ index }) => index as number));
  const counts = Object.fromEntries(names.layers.filter((key) => key in made).map((key) => [key, last + 1]));
  const whole = family.blueprint(new Config({ ...without(made, new Set(Object.keys(lists))), ...counts })).layers;
  const at = ({ index }: FoundLayer) => (whole[index as number] as Blueprint["layers"][number]).attention;
  if (open.includes("layer_types"))
    made["layer_types"] = layers.map((layer) => (at(layer).window === undefined ? "full_attention" : "sliding_attention"));
  if (open.includes("no_rope_layers")) made["no_rope_layers"] = layers.map((layer) => (at(layer).rotary === null ? 0 : 1));
  return made;
}
