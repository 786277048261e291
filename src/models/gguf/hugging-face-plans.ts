import { EspalierError } from "../../errors.ts";
import { append } from "../../large-lists.ts";
import { numberAt } from "../../number-at.ts";
import { type Architecture, type Renamed, renamed } from "./architectures/architecture.ts";
import type { GgufTensor } from "./container.ts";
import { type ElementType, elementTypes } from "./element-types.ts";
import { countOfRows, type Heads, type Order, rowsFrom, rowsThere } from "./rows.ts";
import type { Plan, Source } from "./tensor-plan.ts";

/** A GGUF file's tensors, to be written under Hugging Face's names. */
export interface Given {
  /** What the file is called in messages. */
  readonly file: string;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly layers: number;
  readonly headsOf: (layer: number) => Heads;
}

/** Tensors that say how fast positions turn: config.json has them. */
export const factorTensors = ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"];

/** Floats stay what they are; what is quantised becomes float16. */
const keptAs = (type: ElementType): ElementType => (type.elements === 1 ? type : elementTypes.F16);

const packed = { tensor: "attn_qkv", parts: ["attn_q", "attn_k", "attn_v"] } as const;

/**
 * What becomes of each tensor of a file.
 *
 * @throws EspalierError UNSUPPORTED_GGUF, with the tensor, for one that the architecture has no place for
 */
export function huggingFacePlans(given: Given, { names, name: architecture, factors }: Architecture): Plan[] {
  const taken = new Set<string>(factors ? factorTensors : []);
  const plans: Plan[] = [];
  const add = (here: string, there: string, rule: Renamed, heads: Heads | null) => {
    for (const part of ["weight", "bias"]) {
      const tensor = given.tensors.get(`${here}.${part}`);
      if (!tensor) continue;
      taken.add(tensor.name);
      requireRows(given, tensor, rowsBy(rule, heads));
      append(plans, plansOf(sourceOf(tensor), `${there}.${part}`, rule, heads, part === "weight"));
    }
  };
  for (const [here, rule] of Object.entries(names.top)) add(here, renamed(rule).name, renamed(rule), null);
  for (let layer = 0; layer < given.layers; layer++) {
    const [at, to, heads] = [`blk.${layer}`, `${names.layers}.${layer}`, given.headsOf(layer)];
    for (const [here, rule] of Object.entries(names.layer)) add(`${at}.${here}`, `${to}.${renamed(rule).name}`, renamed(rule), heads);
    if (packed.tensor in names.layer) continue;
    for (const part of ["weight", "bias"]) {
      const tensor = given.tensors.get(`${at}.${packed.tensor}.${part}`);
      if (!tensor) continue;
      taken.add(tensor.name);
      requireRows(given, tensor, countOfRows("GROUPS", heads));
      append(plans, unpacked(sourceOf(tensor), names, `${to}.`, part, heads));
    }
  }
  const left = [...given.tensors.keys()].filter((name) => !taken.has(name));
  if (left[0] !== undefined)
    throw new EspalierError(
      "UNSUPPORTED_GGUF",
      `${given.file}: tensor "${left[0]}" has no place in the architecture ${architecture}${left.length > 1 ? `, nor have ${left.length - 1} others` : ""}`,
      { file: given.file, tensors: left.slice(0, 20) },
    );
  return plans;
}

/** How many rows a tensor must have by the numbers of heads; null if they do not say. */
function rowsBy({ order, heads: by }: Renamed, heads: Heads | null): number | null {
  if (!heads) return null;
  if (order) return countOfRows(order, heads);
  return by ? (by === "QUERIES" ? heads.heads : heads.kvHeads) : null;
}

function requireRows({ file }: Given, { name, dims }: GgufTensor, rows: number | null): void {
  if (rows === null || dims[0] === rows) return;
  throw new EspalierError("INVALID_GGUF", `${file}: tensor "${name}" has ${dims[0]} rows; by the numbers of heads ${rows} were expected`, {
    file,
    tensor: name,
  });
}

const sourceOf = ({ name, path, type, dims, offset }: GgufTensor): Source => ({ name, path, type, dims, offset });

function plansOf(source: Source, name: string, rule: Renamed, heads: Heads | null, isWeight: boolean): Plan[] {
  const type = keptAs(source.type);
  if (rule.heads && heads) {
    const count = rule.heads === "QUERIES" ? heads.heads : heads.kvHeads;
    return Array.from({ length: count }, (_, head) => ({
      name: name.replace("{}", String(head)),
      type,
      dims: source.dims.slice(-1),
      from: [{ source, rows: [head] }],
    }));
  }
  if (rule.turned && isWeight) return [{ name, type, dims: [...source.dims].reverse(), from: [{ source }], turned: true }];
  const rows = rule.order && heads ? { rows: rowsThere(rule.order, heads) } : {};
  return [{ name, type, dims: source.dims, from: [{ source, ...rows }], ...(rule.aroundOne && isWeight ? { plus: -1 } : {}) }];
}

/** Queries, keys and values that a file keeps in one tensor, where the family has three. */
function unpacked(source: Source, names: Architecture["names"], at: string, part: string, heads: Heads): Plan[] {
  const { heads: queries, kvHeads, headWidth } = heads;
  const counts = [queries, kvHeads, kvHeads].map((count) => count * headWidth);
  let first = 0;
  return packed.parts.map((here, i) => {
    const rule = renamed(names.layer[here] as string | Renamed);
    const count = numberAt(counts, i);
    const own = rule.order ? rowsThere(rule.order as Order, heads) : rowsFrom(0, count);
    const rows = own.map((row) => row + first);
    first += count;
    return {
      name: `${at}${rule.name}.${part}`,
      type: keptAs(source.type),
      dims: [count, ...source.dims.slice(1)],
      from: [{ source, rows }],
    };
  });
}
