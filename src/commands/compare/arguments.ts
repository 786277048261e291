import { basename, dirname, extname, join, resolve } from "node:path";
import type { InferredOptionTypes, Options } from "yargs";
import { bundledModels, callersFolder } from "../../config.ts";
import { EspalierError } from "../../errors.ts";

/** What the command is asked for. With the server's defaults it determines what is compared. */
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
  /** How each child is healed; null for not at all. */
  readonly heal: { readonly method: string; readonly options: Readonly<Record<string, unknown>> } | null;
  /** How each child is compressed before it is measured; null for not at all. */
  readonly compress: { readonly method: string; readonly scheme: string | null } | null;
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

const text = { type: "string", requiresArg: true } as const;
const number = { type: "number", requiresArg: true } as const;

const list = (value: string): string[] => value.split(",").flatMap((part) => part.trim() || []);

export const comparisonOptions = {
  model: { ...text, describe: "folder of the model to prune", defaultDescription: "the bundled ahab" },
  ratio: { ...number, default: 0.2, describe: "share of its parameters to remove" },
  kinds: { ...text, default: "LAYER", describe: "structures that may go, with commas: LAYER, ATTENTION, MLP, EXPERT, HEAD, CHANNEL" },
  methods: { ...text, describe: "methods to compare, with commas", defaultDescription: "all that the server has" },
  seeds: { ...text, default: "0", describe: "seeds to run each method with, with commas" },
  calibration: { ...text, default: "literature-train", describe: "dataset or file of texts to prune with" },
  text: { ...text, default: "literature-heldout", describe: "dataset or file of texts to measure perplexity on" },
  tasks: { ...text, default: "", describe: "files of items with choices to measure accuracy on, with commas" },
  "sequence-length": { ...number, default: 256, describe: "tokens of a window of text" },
  "max-tokens": { ...number, describe: "predicted tokens of the text", defaultDescription: "all" },
  items: { ...number, describe: "items of each task", defaultDescription: "all" },
  options: { ...text, default: "{}", describe: "further pruning options, as JSON, as in the API" },
  heal: { ...text, describe: "heal each child too, by this method: LORA, FULL, ...", defaultDescription: "not at all" },
  "heal-options": { ...text, default: "{}", describe: "options of healing, as JSON, as in the API" },
  compress: {
    ...text,
    describe: "compress each child before it is measured, by this method and scheme: gptq:INT4, rtn:INT8, ...",
    defaultDescription: "not at all",
  },
  rounds: { ...number, default: 3, describe: "times that speed is measured" },
  data: { ...text, default: "data/compare", describe: "where the server keeps its data" },
  out: {
    ...text,
    describe: "where the results go, without ending",
    defaultDescription: "DATA/MODEL-KINDS-RATIO, and -METHOD of healing, -METHOD-SCHEME of compressing",
  },
} as const satisfies Readonly<Record<string, Options>>;

/** What the options come to; paths start from the caller's folder. @throws EspalierError USAGE */
export function settingsOf(values: InferredOptionTypes<typeof comparisonOptions>): Settings {
  const at = (path: string): string => resolve(callersFolder(), path);
  const dataset = (name: string): string => (isFile(name) ? at(name) : name);
  const model = values.model === undefined ? join(bundledModels, "ahab") : at(values.model);
  const kinds = list(values.kinds).map((kind) => kind.toUpperCase());
  const data = at(values.data);
  return {
    arguments: {
      model,
      ratio: values.ratio,
      kinds,
      methods: values.methods === undefined ? null : list(values.methods).map((m) => m.toUpperCase().replaceAll("-", "_")),
      seeds: list(values.seeds).map(Number),
      calibration: dataset(values.calibration),
      text: dataset(values.text),
      tasks: list(values.tasks).map(at),
      sequenceLength: values["sequence-length"],
      maxTokens: values["max-tokens"] ?? null,
      items: values.items ?? null,
      options: objectOf("--options", values.options),
      heal:
        values.heal === undefined
          ? null
          : { method: values.heal.toUpperCase().replaceAll("-", "_"), options: objectOf("--heal-options", values["heal-options"]) },
      compress: values.compress === undefined ? null : compressionOf(values.compress),
    },
    data,
    out:
      values.out === undefined
        ? join(
            data,
            [
              basename(model),
              kinds.join("+").toLowerCase(),
              values.ratio,
              values.heal?.toLowerCase() ?? [],
              values.compress?.toLowerCase().replaceAll(":", "-") ?? [],
            ]
              .flat()
              .join("-"),
          )
        : at(values.out),
    rounds: values.rounds,
  };
}

function objectOf(option: string, json: string): Record<string, unknown> {
  try {
    return JSON.parse(json) as Record<string, unknown>;
  } catch (cause) {
    throw new EspalierError("USAGE", `${option} must be JSON: ${(cause as Error).message}`);
  }
}

/** @throws EspalierError USAGE */
function compressionOf(value: string): NonNullable<Arguments["compress"]> {
  const [method = "", scheme = null, ...more] = value.toUpperCase().split(":");
  if (method === "" || scheme === "" || more.length > 0)
    throw new EspalierError("USAGE", `--compress ${value} must be a method, or a method and a scheme: gptq:INT4`);
  return { method: method.replaceAll("-", "_"), scheme };
}

/** Whether a dataset is a file and not a built-in one. */
export const isFile = (dataset: string): boolean => extname(dataset) !== "";

/** The deepest folder that holds all files: what the server may read. @param files absolute */
export function commonFolder(files: readonly string[]): string {
  const folders = files.map((file) => dirname(file));
  let common = folders[0] ?? callersFolder();
  while (!folders.every((folder) => folder === common || folder.startsWith(`${common}/`))) common = dirname(common);
  return common;
}
