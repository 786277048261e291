import { largest, smallest } from "../large-lists.ts";
import { numberAt } from "../number-at.ts";
import { isDivided } from "../structures/structure.ts";
import { mean } from "./mean.ts";
import type { UniformOptions } from "./options.ts";
import { type Ranked, rank, type ScoredGroup, type Selection, scoreOf } from "./select.ts";

/** Structures that go together, so that all layers keep equally many. */
interface Bundle {
  readonly structures: readonly Ranked[];
  readonly score: number;
}

const multiples: { readonly [Kind in ScoredGroup["kind"]]?: keyof UniformOptions } = {
  EXPERT: "expertMultiple",
  HEAD: "headMultiple",
  CHANNEL: "channelMultiple",
};

/**
 * Takes bundles, lowest mean score first. A bundle of experts, heads or channels has from each group its lowest, and as many as leave
 * the same number in all that were of one width: the next smaller multiple of what is asked for. Anything else is a bundle of its own.
 */
export function takeUniform(selection: Selection, groups: readonly ScoredGroup[], uniform: UniformOptions): void {
  const divided = groups.filter(isDivided);
  const inOrder = new Map(divided.map((group) => [group, rank([group])]));
  /** Of one kind and width: the experts of a model may be narrower than its other MLPs, as its configuration says. */
  const classes = [...new Map(divided.map(({ kind, width }) => [`${kind} ${width}`, { kind, width }])).values()];
  const refused = new Set<ScoredGroup>();
  for (; !selection.full; ) {
    const singles = rank(groups.filter((g) => !isDivided(g) && !refused.has(g) && selection.takenOf(g) === 0));
    const bundles: Bundle[] = singles.map((structure) => ({ structures: [structure], score: scoreOf(structure) }));
    for (const { kind, width } of classes) {
      const own = divided.filter((g) => g.kind === kind && g.width === width && !selection.isGone(g));
      const bundle = nextBundle(own, inOrder, (g) => selection.takenOf(g), uniform[multiples[kind] as keyof UniformOptions] ?? 1);
      if (bundle) bundles.push(bundle);
    }
    const [lowest] = bundles.sort((a, b) => a.score - b.score);
    if (!lowest) return;
    for (const structure of lowest.structures) if (!selection.take(structure)) refused.add(structure.group);
  }
}

function nextBundle(
  groups: readonly ScoredGroup[],
  inOrder: ReadonlyMap<ScoredGroup, readonly Ranked[]>,
  taken: (group: ScoredGroup) => number,
  multiple: number,
): Bundle | null {
  if (groups.length === 0) return null;
  const sizes = groups.map((g) => g.indexes.length - taken(g));
  const floor = largest(groups.map((g) => g.indexes.length - g.removable));
  const rounded = Math.floor(smallest(sizes) / multiple) * multiple;
  const keep = rounded === largest(sizes) ? rounded - multiple : rounded;
  if (keep < floor) return null;
  const structures = groups.flatMap((g, i) => inOrder.get(g)?.slice(taken(g), taken(g) + numberAt(sizes, i) - keep) ?? []);
  return { structures, score: mean(structures.map(scoreOf)) };
}
