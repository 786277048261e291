import { bytes, measured, percent, short } from "./format.ts";
import { measureNames } from "./measures.ts";

/** What was measured of a model in one way. */
export interface Measure {
  readonly comparisonKey: string | null;
  readonly perplexity: number | null;
  readonly nextTokenAccuracy: number | null;
  readonly accuracy: number | null;
  readonly exactMatch: number | null;
  readonly decodeTokensPerSecond: number | null;
}

/** What of a model a metric reads. */
interface Measured {
  readonly id: string;
  readonly parentId: string | null;
  readonly parameterCount: number;
  readonly sizeBytes: number;
  readonly measures: readonly Measure[];
}

type Family = ReadonlyMap<string, Measured>;

export interface Metric {
  readonly key: string;
  readonly title: string;
  readonly isLowBetter: boolean;
  readonly of: (model: Measured, family: Family) => number | null;
  readonly inWords: (value: number) => string;
}

/** Of the newest evaluation that measured it. */
const newest = (name: Exclude<keyof Measure, "comparisonKey">) => (model: Measured) =>
  model.measures.find((measure) => measure[name] !== null)?.[name] ?? null;
/**
 * Accuracy over that of the nearest ancestor that has more parameters, where both were measured in the same way: as `retained` has it, and
 * without asking for each.
 */
function kept(model: Measured, family: Family): number | null {
  const [own] = model.measures;
  if (!own?.comparisonKey) return null;
  const accuracy = (of: Measure | undefined) => of?.accuracy ?? of?.exactMatch ?? of?.nextTokenAccuracy ?? null;
  for (let parent = family.get(model.parentId ?? ""); parent; parent = family.get(parent.parentId ?? "")) {
    if (parent.parameterCount <= model.parameterCount) continue;
    const [value, base] = [accuracy(own), accuracy(parent.measures.find(({ comparisonKey }) => comparisonKey === own.comparisonKey))];
    return value !== null && base ? value / base : null;
  }
  return null;
}

/** What models are coloured, ordered and compared by. */
export const metrics: readonly Metric[] = [
  {
    key: "perplexity",
    title: measureNames.perplexity,
    isLowBetter: true,
    of: newest("perplexity"),
    inWords: (value) => measured(value, 3),
  },
  { key: "accuracy", title: measureNames.accuracy, isLowBetter: false, of: newest("accuracy"), inWords: percent },
  { key: "next-token", title: measureNames.nextTokenAccuracy, isLowBetter: false, of: newest("nextTokenAccuracy"), inWords: percent },
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
