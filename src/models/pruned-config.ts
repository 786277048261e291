import { isObject } from "../is-object.ts";
import { numberAt } from "../number-at.ts";
import type { Anatomy } from "../structures/anatomy.ts";
import { type DividedGroup, entriesOf } from "../structures/divide.ts";
import { isDivided, type StructureId, structureKey } from "../structures/structure.ts";

/** What is left of a layer, named by its place in the model that was pruned. */
interface LayerLeft {
  readonly layer: number;
  readonly kinds: readonly ("ATTENTION" | "MLP")[];
  /** Groups of queries with the key and value they share, of an attention that is divided. */
  readonly heads?: number;
  /** Of an MLP whose tokens are sent to a few of them. */
  readonly experts?: number;
  /** Neurons of an MLP that is divided; of all its experts together. */
  readonly channels?: number;
}

/** The names under which model families keep what changes. */
const names = {
  layers: ["num_hidden_layers", "n_layer", "n_layers", "num_layers"],
  heads: ["num_attention_heads", "n_head", "n_heads", "num_heads", "num_key_value_heads", "num_kv_heads", "kv_n_heads"],
  experts: ["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"],
  channels: [
    ...["intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"],
    ...["moe_intermediate_size", "shared_expert_intermediate_size", "shared_intermediate_size"],
  ],
  /** How many experts' widths the one that all tokens are sent to is wide. */
  sharedExperts: ["n_shared_experts", "num_shared_experts", "moe_num_shared_experts"],
  hidden: ["hidden_size", "n_embd", "d_model", "word_embed_proj_dim"],
  perLayer: ["layer_types", "no_rope_layers"],
} as const;

const isOneOf = (list: readonly string[], key: string): boolean => list.includes(key);

/** Before and after, where all layers agree; else that they are no longer alike. Null of what is not there. */
type Change = readonly [before: number, after: number] | "UNLIKE" | null;

/** What configurations of a pruned model state anew. */
export interface Changes {
  /** Those of the model that was pruned. */
  readonly layers: readonly LayerLeft[];
  readonly withAttention: readonly LayerLeft[];
  /** Runtimes make as many cache entries as there are layers: so after, it is the number of attentions. */
  readonly layerCount: Change;
  readonly heads: Change;
  readonly experts: Change;
  /** Of each width that MLPs have had; null where none that had it is left. */
  readonly channels: ReadonlyMap<number, Change>;
  /** Whether layers are left with unlike numbers of heads. */
  readonly unevenHeads: boolean;
  /** Whether a layer with several MLPs has lost some: experts that tokens are sent to, or the one that all are. */
  readonly fewerMlps: boolean;
}

/** @param groups the heads and channels of the model that was pruned, if any of them were removed */
export function changesOf({ places }: Anatomy, groups: readonly DividedGroup[], removed: readonly StructureId[]): Changes {
  const gone = new Set(removed.filter((id) => !isDivided(id)).map(structureKey));
  const goneBranches = new Set(places.filter((p) => gone.has(structureKey(p))).flatMap((p) => p.branches.map((b) => b.output)));
  const lost = entriesOf(groups, removed.filter(isDivided));
  const goneWeights = new Set([...lost].flatMap(([g, entries]) => [...entries].flatMap((e) => g.experts?.own?.[e]?.parameters ?? [])));
  const kept = groups.filter((g) => !goneBranches.has(g.branch.output) && !g.parameters.every((name) => goneWeights.has(name)));
  const left = (g: DividedGroup) => g.count - (lost.get(g)?.size ?? 0);
  const widthOf = (kind: DividedGroup["kind"], layer: number) => {
    const own = kept.filter((g) => g.kind === kind && g.layer === layer);
    return own.length > 0 ? own.reduce((n, g) => n + left(g), 0) : undefined;
  };
  const expertsOf = (layer: number) => {
    const experts = widthOf("EXPERT", layer);
    return experts === undefined ? {} : { experts };
  };
  const before = places.filter((p) => p.kind === "LAYER");
  const layers = before.map(({ layer, branches }): LayerLeft => {
    const kinds = branches.filter((b) => !goneBranches.has(b.output)).map((b) => b.kind);
    return { layer, kinds, heads: widthOf("HEAD", layer), ...expertsOf(layer), channels: widthOf("CHANNEL", layer) };
  });
  const withAttention = layers.filter((l) => l.kinds.includes("ATTENTION"));
  const changeOf = (kind: DividedGroup["kind"], width?: number): Change => {
    const own = kept.filter((g) => g.kind === kind && (width === undefined || g.count === width));
    const [from, to] = [new Set(own.map((g) => g.count)), new Set(own.map(left))];
    if (from.size === 1 && to.size === 1) return [numberAt([...from], 0), numberAt([...to], 0)];
    return own.some((g) => left(g) !== g.count) ? "UNLIKE" : null;
  };
  return {
    layers,
    withAttention,
    layerCount: [before.length, withAttention.length],
    heads: changeOf("HEAD"),
    experts: changeOf("EXPERT"),
    channels: new Map([...new Set(groups.filter((g) => g.kind === "CHANNEL").map((g) => g.count))].map((w) => [w, changeOf("CHANNEL", w)])),
    unevenHeads: new Set(kept.filter((g) => g.kind === "HEAD").map(left)).size > 1,
    fewerMlps: before.some(({ branches }) => {
      const gone = branches.filter((b) => b.kind === "MLP").map((b) => goneBranches.has(b.output));
      return gone.length > 1 && gone.includes(true);
    }),
  };
}

/**
 * The configuration of what is left. Numbers of heads and channels are stated where all layers still agree on them; what no field
 * can say (layers of unlike widths, or of which only one half is left) stands under `espalier`, with the names of the fields that
 * could not say it (`unstated`): these keep the numbers of the model that was pruned.
 */
export function prunedConfig(config: Readonly<Record<string, unknown>>, changes: Changes): Record<string, unknown> {
  const unstated = new Set<string>();
  const made = adapted(config, changes, "head_dim", unstated);
  const layers = changes.layers.filter((l) => l.kinds.length > 0).map((l) => ({ ...l, ...registeredAt(config["espalier"], l.layer) }));
  return { ...made, espalier: { layers, ...(unstated.size > 0 ? { unstated: [...unstated].sort() } : {}) } };
}

/** Where a layer stood in the model that was registered, of which the one that was pruned may be a descendant. */
function registeredAt(espalier: unknown, layer: number): { readonly registered?: number } {
  if (!isObject(espalier)) return { registered: layer };
  const before = Array.isArray(espalier["layers"]) ? espalier["layers"][layer] : undefined;
  return isObject(before) && typeof before["registered"] === "number" ? { registered: before["registered"] } : {};
}

/**
 * The genai_config.json of what is left, by which onnxruntime-genai makes the cache: every layer's of the same number of heads.
 *
 * @param graph its file, relative to the folder
 * @returns null if layers are left with unlike numbers of heads, which it cannot state
 */
export function prunedGenaiConfig(
  config: Readonly<Record<string, unknown>>,
  changes: Changes,
  graph: string,
): Record<string, unknown> | null {
  if (changes.unevenHeads) return null;
  const { model, ...rest } = adapted(config, changes, "head_size");
  if (!isObject(model) || !isObject(model["decoder"])) return { ...rest, model };
  return { ...rest, model: { ...model, decoder: { ...model["decoder"], filename: graph } } };
}

/**
 * @param widthKey under which the width of a head stands
 * @param unstated takes the names of the fields that cannot say what is left
 */
function adapted(
  object: Readonly<Record<string, unknown>>,
  changes: Changes,
  widthKey: string,
  unstated: Set<string> = new Set(),
): Record<string, unknown> {
  const { layers, withAttention, layerCount, heads, experts, channels } = changes;
  const [anyChannels = null] = channels.size === 1 ? channels.values() : [];
  const shared = sharedExperts(object, changes);
  const changeOf = (key: string, value: unknown): Change => {
    if (shared.has(key)) return shared.get(key) ?? null;
    if (isOneOf(names.layers, key)) return layerCount;
    if (isOneOf(names.heads, key)) return heads;
    if (isOneOf(names.experts, key)) return experts;
    return isOneOf(names.channels, key) ? (channels.get(value as number) ?? anyChannels) : null;
  };
  const made: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(object)) {
    const change = changeOf(key, value);
    if (change === "UNLIKE" && typeof value === "number") unstated.add(key);
    if (isOneOf(names.perLayer, key) && Array.isArray(value) && value.length === layers.length)
      made[key] = withAttention.map((l) => value[l.layer]);
    else if (isObject(value)) made[key] = adapted(value, changes, widthKey, unstated);
    else made[key] = scaled(value, change);
  }
  // Else a reader would divide the hidden size by fewer heads than there were.
  const width = headWidth(object);
  const fewer = Array.isArray(heads) && heads[0] !== heads[1];
  if (fewer && width !== null && !(widthKey in object)) made[widthKey] = width;
  return made;
}

/**
 * What a configuration says of an expert that all tokens are sent to: that it is as wide as so many of the others. So either number
 * is stated only where both come out whole.
 */
function sharedExperts(
  object: Readonly<Record<string, unknown>>,
  { channels, fewerMlps }: Pick<Changes, "channels" | "fewerMlps">,
): ReadonlyMap<string, Change> {
  const widthKey = "moe_intermediate_size";
  const countKey = names.sharedExperts.find((key) => typeof object[key] === "number");
  const [width, count] = [object[widthKey], object[countKey ?? ""]];
  if (countKey === undefined || typeof width !== "number" || typeof count !== "number") return new Map();
  const [own, whole] = [channels.get(width), channels.get(width * count)];
  if (fewerMlps) return new Map<string, Change>([[countKey, "UNLIKE"]]);
  if (own === undefined || whole === undefined) return new Map();
  const isWhole = Array.isArray(own) && Array.isArray(whole) && whole[1] % own[1] === 0;
  return new Map<string, Change>([
    [widthKey, isWhole ? own : "UNLIKE"],
    [countKey, isWhole ? [count, whole[1] / own[1]] : "UNLIKE"],
  ]);
}

/** A count that is a multiple of what there was becomes that multiple of what is left: queries are several to a group. */
function scaled(value: unknown, change: Change): unknown {
  return typeof value === "number" && Array.isArray(change) && value % change[0] === 0 ? (value / change[0]) * change[1] : value;
}

function headWidth(config: Readonly<Record<string, unknown>>): number | null {
  const numberAt = (keys: readonly string[]) => keys.map((key) => config[key]).find((v): v is number => typeof v === "number");
  const [hidden, heads] = [numberAt(names.hidden), numberAt(names.heads)];
  return hidden !== undefined && heads !== undefined && hidden % heads === 0 ? hidden / heads : null;
}
