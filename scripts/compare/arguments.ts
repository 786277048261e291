import { basename, dirname, extname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/** What `npm run compare` is asked for. With the server's defaults it determines what is compared. */
export interface Arguments {
  /** The model's folder. */
  readonly model: string;
  readonly ratio: number;
  readonly kinds: readonly string[];
  /** Names as in the API; null for every method there is. */
  readonly methods: readonly string[] | null;
  readonly seeds: readonly number[];
  /** Datasets: names of built-in ones, or files. */
  readonly calibration: string;
  readonly text: string;
  readonly tasks: readonly string[];
  readonly sequenceLength: number;
  readonly maxTokens: number | null;
  readonly items: number | null;
  /** Further pruning options, as in the API. */
  readonly options: Readonly<Record<string, unknown>>;
}

export interface Settings {
  readonly arguments: Arguments;
  /** Where the server keeps its data. */
  readonly data: string;
  /** Results are written here, `.md` and `.json`. */
  readonly out: string;
  /** Times that each model's speed is measured, by turns. */
  readonly rounds: number;
}

export const usage = `Usage: npm run compare -- [options]

  --model FOLDER          the model to prune (models/ahab)
  --ratio R               share of its parameters to remove (0.2)
  --kinds A,B             kinds of structure that may go: LAYER, ATTENTION, MLP, HEAD, CHANNEL (LAYER)
  --methods a,b           methods to compare (all that the server has)
  --seeds 0,1,2           seeds to run each method with (0)
  --calibration NAME|FILE texts to prune with (literature-train)
  --text NAME|FILE        texts to measure perplexity on (literature-heldout)
  --tasks FILE,FILE       items with choices to measure accuracy on
  --sequence-length T     tokens of a window of text (256)
  --max-tokens N          predicted tokens of the text (all)
  --items N               items of each task (all)
  --options JSON          further pruning options, as in the API
  --rounds N              times that speed is measured (3)
  --data FOLDER           where the server keeps its data (data/compare)
  --out PATH              where the results go, without ending (data/compare/MODEL-KINDS-RATIO)

Files are .txt, .jsonl or .json, as the mutation registerDataset takes them. What has been measured for the same
arguments stands in the results file and is not measured again.`;

const list = (value: string | undefined): string[] => (value ?? "").split(",").flatMap((part) => part.trim() || []);
const root = fileURLToPath(new URL("../..", import.meta.url));

/** @throws Error with words for people */
export function readArguments(args: readonly string[]): Settings | null {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ model: text, ratio: text, kinds: text, methods: text, seeds: text, calibration: text, text, tasks: text },
      ...{ "sequence-length": text, "max-tokens": text, items: text, options: text, rounds: text, data: text, out: text },
      help: { type: "boolean" },
    },
  });
  if (values.help) return null;
  const number = (name: "ratio" | "sequence-length" | "max-tokens" | "items" | "rounds", fallback: number | null): number | null => {
    const value = values[name] === undefined ? fallback : Number(values[name]);
    if (Number.isNaN(value)) throw new Error(`--${name} must be a number`);
    return value;
  };
  const model = resolve(values.model ?? `${root}/models/ahab`);
  const kinds = list(values.kinds ?? "LAYER").map((kind) => kind.toUpperCase());
  const ratio = number("ratio", 0.2) as number;
  const data = resolve(values.data ?? `${root}/data/compare`);
  return {
    arguments: {
      model,
      ratio,
      kinds,
      methods: values.methods === undefined ? null : list(values.methods).map((m) => m.toUpperCase().replaceAll("-", "_")),
      seeds: list(values.seeds ?? "0").map(Number),
      calibration: values.calibration ?? "literature-train",
      text: values.text ?? "literature-heldout",
      tasks: list(values.tasks),
      sequenceLength: number("sequence-length", 256) as number,
      maxTokens: number("max-tokens", null),
      items: number("items", null),
      options: JSON.parse(values.options ?? "{}") as Record<string, unknown>,
    },
    data,
    out: resolve(values.out ?? `${data}/${basename(model)}-${kinds.join("+").toLowerCase()}-${ratio}`),
    rounds: number("rounds", 3) as number,
  };
}

/** Whether a dataset is a file and not a built-in one. */
export const isFile = (dataset: string): boolean => extname(dataset) !== "";

/** The deepest folder that holds all files: what the server may read. */
export function commonFolder(files: readonly string[]): string {
  const folders = files.map((file) => dirname(resolve(file)));
  let common = folders[0] ?? root;
  while (!folders.every((folder) => folder === common || folder.startsWith(`${common}/`))) common = dirname(common);
  return common;
}
