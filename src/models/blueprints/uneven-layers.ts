import { EspalierError } from "../../errors.ts";
import { isObject } from "../../is-object.ts";
import { isWhole } from "../../is-whole.ts";
import type { Attention, Blueprint, Layer, Norm } from "./blueprint.ts";

/**
 * A blueprint of whose layers each is as wide as a config.json says of it: `espalier.layers` holds for each layer, in order, how many
 * groups of queries with the key and value they share it has (`heads`), and how many neurons its MLP has (`channels`); where layers share a
 * key among unlike numbers of queries, how many these are in all (`queries`).
 *
 * @param stated the value under `espalier`; undefined for none
 * @throws EspalierError UNSUPPORTED_CONFIG
 */
export function unevenLayers(blueprint: Blueprint, stated: unknown): Blueprint {
  const layers = isObject(stated) ? stated["layers"] : undefined;
  if (layers === undefined) return blueprint;
  if (!Array.isArray(layers) || layers.length !== blueprint.layers.length)
    return refuse(`lists of ${blueprint.layers.length} layers, as many as the model has`);
  return { ...blueprint, layers: blueprint.layers.map((layer, i) => narrowed(layer, layers[i], i)) };
}

function narrowed(layer: Layer, stated: unknown, index: number): Layer {
  const { heads, queries, channels, kinds } = isObject(stated) ? stated : refuse("lists of objects");
  if (Array.isArray(kinds) && !(kinds.includes("ATTENTION") && kinds.includes("MLP")))
    refuse(`layers that have both an attention and an MLP, which layer ${index} has not`);
  return {
    ...layer,
    attention: heads === undefined ? layer.attention : ofHeads(layer.attention, count(heads, "heads", index), queries, index),
    mlp: channels === undefined ? layer.mlp : { ...layer.mlp, width: count(channels, "channels", index) },
  };
}

/** An attention of so many groups; of as many queries each as there were, unless so many are stated. */
function ofHeads(attention: Attention, kvHeads: number, queries: unknown, index: number): Attention {
  const heads = queries === undefined ? (attention.heads / attention.kvHeads) * kvHeads : count(queries, "queries", index);
  if (heads % kvHeads !== 0) refuse(`queries that are a multiple of the keys, which those of layer ${index} are not`);
  const { headNorm, alibi } = attention;
  if (alibi && heads !== attention.heads) refuse("models without slopes by head (ALiBi)");
  const own = (norm: Norm, count: number): Norm =>
    norm.heads === undefined
      ? norm
      : { ...norm, heads: count, weight: Array.isArray(norm.weight) ? (norm.weight as readonly string[]).slice(0, count) : norm.weight };
  return {
    ...attention,
    heads,
    kvHeads,
    ...(headNorm ? { headNorm: { ...headNorm, q: own(headNorm.q, heads), k: own(headNorm.k, kvHeads) } } : {}),
  };
}

const count = (value: unknown, name: string, layer: number): number =>
  isWhole(value, 1, 2 ** 24) ? value : refuse(`whole numbers of at least 1 as the ${name} of layer ${layer}`);

function refuse(supported: string): never {
  throw new EspalierError("UNSUPPORTED_CONFIG", `config.json states espalier.layers; supported are ${supported}`, {
    key: "espalier.layers",
    supported,
  });
}
