import { EspalierError } from "../../errors.ts";
import { type Architecture, type Renamed, renamed } from "./architectures/architecture.ts";
import type { ElementType } from "./element-types.ts";
import { type Heads, rowsHere } from "./rows.ts";
import type { Plan, Source } from "./tensor-plan.ts";

/** Weights under Hugging Face's names, to be written as a GGUF file keeps them. */
export interface Weighted {
  readonly tensors: ReadonlyMap<string, Source>;
  readonly headsOf: readonly Heads[];
  /** Of the embedding, and of the head where it is one of its own. */
  readonly embedding: string;
  readonly head: string;
  /** In what a tensor is kept. */
  readonly typeOf: (name: string, dims: readonly number[]) => ElementType;
}

/**
 * What an architecture's file would hold. The head is left out where it is the embedding, unless a file must have one.
 *
 * @throws EspalierError UNSUPPORTED_GGUF, with the tensor, for one that the architecture has no place for
 */
export function ggufPlans(given: Weighted, architecture: Architecture): Plan[] {
  const { names } = architecture;
  const taken = new Set<string>();
  const plans: Plan[] = [];
  const add = (here: string, there: string, rule: Renamed, heads: Heads | null) => {
    for (const part of ["weight", "bias"]) {
      const plan = planOf(given, `${here}.${part}`, `${there}.${part}`, rule, heads, taken);
      if (plan) plans.push({ ...plan, type: given.typeOf(plan.name, plan.dims) });
    }
  };
  const tied = given.head === given.embedding;
  for (const [here, rule] of Object.entries(names.top)) {
    if (here === "output" && tied) {
      if (architecture.head === "APART") add(here, given.embedding.replace(/\.weight$/, ""), {} as Renamed, null);
    } else add(here, renamed(rule).name, renamed(rule), null);
  }
  for (const [layer, heads] of given.headsOf.entries())
    for (const [here, rule] of Object.entries(names.layer))
      add(`blk.${layer}.${here}`, `${names.layers}.${layer}.${renamed(rule).name}`, renamed(rule), heads);
  const left = [...given.tensors.keys()].filter((name) => !taken.has(name));
  if (left[0] !== undefined)
    throw new EspalierError("UNSUPPORTED_GGUF", `tensor "${left[0]}" has no place in the architecture ${architecture.name}`, {
      tensors: left.slice(0, 20),
      count: left.length,
    });
  return plans;
}

function planOf(
  { tensors }: Weighted,
  name: string,
  there: string,
  rule: Renamed,
  heads: Heads | null,
  taken: Set<string>,
): Omit<Plan, "type"> | null {
  const take = (from: string): Source | undefined => {
    const source = tensors.get(from);
    if (source) taken.add(from);
    return source;
  };
  if (rule.heads && heads) {
    const count = rule.heads === "QUERIES" ? heads.heads : heads.kvHeads;
    const all = Array.from({ length: count }, (_, head) => take(there.replace("{}", String(head))));
    const sources = all.filter((source) => source !== undefined);
    return sources.length === count && sources[0]
      ? { name, dims: [count, ...sources[0].dims], from: sources.map((source) => ({ source })) }
      : null;
  }
  const source = take(there);
  if (!source) return null;
  const isWeight = name.endsWith(".weight");
  if (rule.turned && isWeight) return { name, dims: [...source.dims].reverse(), from: [{ source }], turned: true };
  const rows = rule.order && heads ? { rows: rowsHere(rule.order, heads) } : {};
  return { name, dims: source.dims, from: [{ source, ...rows }], ...(rule.aroundOne && isWeight ? { plus: 1 } : {}) };
}
