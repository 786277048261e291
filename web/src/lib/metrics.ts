import { bytes, measured, percent, short } from "./format.ts";

/** What of a model a metric reads. */
interface Measured {
  readonly id: string;
  readonly parent: { readonly id: string } | null;
  readonly parameterCount: number;
  readonly sizeBytes: number;
  readonly evaluations: {
    readonly nodes: readonly {
      readonly comparisonKey: string | null;
      readonly result: {
        readonly perplexity: number | null;
        readonly nextTokenAccuracy: number | null;
        readonly accuracy: number | null;
        readonly decodeTokensPerSecond: number | null;
      } | null;
    }[];
  };
}

type Family = ReadonlyMap<string, Measured>;

export interface Metric {
  readonly key: string;
  readonly title: string;
  readonly isLowBetter: boolean;
  readonly of: (model: Measured, family: Family) => number | null;
  readonly inWords: (value: number) => string;
}

type Result = NonNullable<Measured["evaluations"]["nodes"][number]["result"]>;

/** Of the newest evaluation that measured it. */
const newest = (name: keyof Result) => (model: Measured) =>
  model.evaluations.nodes.find(({ result }) => result?.[name] != null)?.result?.[name] ?? null;
/**
 * Accuracy over that of the nearest ancestor that has more parameters, where both were measured in the same way: as `retained` has it, and
 * without asking for each.
 */
function kept(model: Measured, family: Family): number | null {
  const own = model.evaluations.nodes.find(({ result }) => result);
  if (!own?.comparisonKey) return null;
  const accuracy = (of: typeof own) => of.result?.accuracy ?? of.result?.nextTokenAccuracy ?? null;
  for (let parent = family.get(model.parent?.id ?? ""); parent; parent = family.get(parent.parent?.id ?? "")) {
    if (parent.parameterCount <= model.parameterCount) continue;
    const theirs = parent.evaluations.nodes.find(({ comparisonKey, result }) => result && comparisonKey === own.comparisonKey);
    const [value, base] = [accuracy(own), theirs ? accuracy(theirs) : null];
    return value !== null && base ? value / base : null;
  }
  return null;
}

/** What models are coloured, ordered and compared by. */
export const metrics: readonly Metric[] = [
  { key: "perplexity", title: "Perplexity", isLowBetter: true, of: newest("perplexity"), inWords: (value) => measured(value, 3) },
  { key: "accuracy", title: "Accuracy", isLowBetter: false, of: newest("accuracy"), inWords: percent },
  { key: "next-token", title: "Next token right", isLowBetter: false, of: newest("nextTokenAccuracy"), inWords: percent },
  { key: "kept", title: "Accuracy kept", isLowBetter: false, of: kept, inWords: percent },
  {
    key: "speed",
    title: "Tokens per second",
    isLowBetter: false,
    of: newest("decodeTokensPerSecond"),
    inWords: (value) => `${measured(value, 3)} tok/s`,
  },
  { key: "parameters", title: "Parameters", isLowBetter: true, of: ({ parameterCount }) => parameterCount, inWords: short },
  { key: "bytes", title: "Bytes", isLowBetter: true, of: ({ sizeBytes }) => sizeBytes, inWords: bytes },
];

export const metric = (key: string | null): Metric => metrics.find((each) => each.key === key) ?? (metrics[0] as Metric);

/** Where values lie between the least and the most, 0 to 1, by their logarithms where they span decades. */
export function scale(values: readonly number[]): (value: number) => number {
  const low = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const isWide = low > 0 && high / low > 8;
  const of = isWide ? Math.log : (value: number) => value;
  return (value) => (high > low ? (of(value) - of(low)) / (of(high) - of(low)) : 0.5);
}
