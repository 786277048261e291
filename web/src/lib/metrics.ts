import { bytes, measured, percent, short } from "./format.ts";

/** What of a model a metric reads. */
interface Measured {
  readonly parameterCount: number;
  readonly sizeBytes: number;
  readonly evaluations: {
    readonly nodes: readonly {
      readonly result: {
        readonly perplexity: number | null;
        readonly nextTokenAccuracy: number | null;
        readonly accuracy: number | null;
        readonly decodeTokensPerSecond: number | null;
      } | null;
      readonly retained: { readonly perplexityRatio: number | null; readonly accuracyRatio: number | null } | null;
    }[];
  };
}

export interface Metric {
  readonly key: string;
  readonly title: string;
  readonly isLowBetter: boolean;
  readonly of: (model: Measured) => number | null;
  readonly inWords: (value: number) => string;
}

type Result = NonNullable<Measured["evaluations"]["nodes"][number]["result"]>;

/** Of the newest evaluation that measured it. */
const newest = (name: keyof Result) => (model: Measured) =>
  model.evaluations.nodes.find(({ result }) => result?.[name] != null)?.result?.[name] ?? null;
const kept = (model: Measured) =>
  model.evaluations.nodes.find(({ retained }) => retained?.accuracyRatio != null)?.retained?.accuracyRatio ?? null;

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
