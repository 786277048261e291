import { createHash } from "node:crypto";
import { EspalierError } from "../errors.ts";
import { isWhole } from "../is-whole.ts";

/** A question with its answers: a context and choices that go on from it, or contexts that one continuation goes on from. */
export type ChoiceItem =
  | { readonly context: string; readonly choices: readonly string[]; readonly gold: number }
  | { readonly contexts: readonly string[]; readonly continuation: string; readonly gold: number };

/** Something to go on from, and the answer that is right. */
export interface GenerationItem {
  readonly prompt: string;
  readonly answer: string;
}

/** A text or a pair of texts, and the class that is right: its name or its number. */
export interface LabelledItem {
  readonly text: string;
  readonly pair?: string;
  readonly label: string | number;
}

/** Two texts, and how alike they are. */
export interface ScoredPair {
  readonly text: string;
  readonly pair: string;
  readonly score: number;
}

/** What a dataset holds. */
export type DatasetContent =
  | { readonly form: "TEXT"; readonly documents: readonly string[] }
  | { readonly form: "MULTIPLE_CHOICE"; readonly items: readonly ChoiceItem[] }
  | { readonly form: "GENERATION"; readonly items: readonly GenerationItem[] }
  | { readonly form: "LABELLED"; readonly items: readonly LabelledItem[] }
  | { readonly form: "SCORED_PAIRS"; readonly items: readonly ScoredPair[] };
export type DatasetForm = DatasetContent["form"];

/** Bounds, so that one dataset cannot take all memory. */
export const maximumRecords = 100_000;
export const maximumBytes = 64 * 1024 * 1024;
const maximumChoices = 100;

const invalid = (problem: string, details: Readonly<Record<string, unknown>> = {}) =>
  new EspalierError("INVALID_DATASET", problem, details);

export type DatasetEntry = string | ChoiceItem | GenerationItem | LabelledItem | ScoredPair;

type Json = Readonly<Record<string, unknown>>;
const isText = (value: unknown): value is string => typeof value === "string";
const areTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length >= 2 && value.length <= maximumChoices && value.every(isText);

/** The forms of a record, the first that fits counts: what it must have, and what is kept of it. */
const forms: readonly {
  readonly has: (r: Json) => boolean;
  readonly fits: (r: Json) => boolean;
  readonly must: string;
  readonly read: (r: Json) => DatasetEntry;
}[] = [
  {
    has: (r) => "choices" in r,
    fits: (r) =>
      isText(r["context"]) && areTexts(r["choices"]) && isIndex(r["gold"], r["choices"]) && r["choices"].every((c) => c.trim() !== ""),
    must: 'must have a string "context", "choices" of 2 to 100 strings that are not blank, and in "gold" the place of the right one, from 0',
    read: (r) => ({ context: r["context"], choices: r["choices"], gold: r["gold"] }) as ChoiceItem,
  },
  {
    has: (r) => "contexts" in r,
    fits: (r) =>
      areTexts(r["contexts"]) && isText(r["continuation"]) && r["continuation"].trim() !== "" && isIndex(r["gold"], r["contexts"]),
    must: 'must have "contexts" of 2 to 100 strings, a string "continuation" that is not blank, and in "gold" the place of the right context, from 0',
    read: (r) => ({ contexts: r["contexts"], continuation: r["continuation"], gold: r["gold"] }) as ChoiceItem,
  },
  {
    has: (r) => "prompt" in r,
    fits: (r) => isText(r["prompt"]) && isText(r["answer"]) && r["answer"].trim() !== "",
    must: 'must have a string "prompt", and a string "answer" that is not blank',
    read: (r) => ({ prompt: r["prompt"], answer: r["answer"] }) as GenerationItem,
  },
  {
    has: (r) => "text" in r && "label" in r,
    fits: (r) => isFilled(r["text"]) && (r["pair"] === undefined || isFilled(r["pair"])) && isLabel(r["label"]),
    must: 'must have a string "text" that is not blank, perhaps another in "pair", and in "label" the name or the number of a class',
    read: (r) => ({ text: r["text"], ...(r["pair"] === undefined ? {} : { pair: r["pair"] }), label: r["label"] }) as LabelledItem,
  },
  {
    has: (r) => "text" in r && "pair" in r,
    fits: (r) => isFilled(r["text"]) && isFilled(r["pair"]) && typeof r["score"] === "number",
    must: 'must have strings "text" and "pair" that are not blank, and a number "score" (or a "label")',
    read: (r) => ({ text: r["text"], pair: r["pair"], score: r["score"] }) as ScoredPair,
  },
  { has: (r) => "text" in r, fits: (r) => isText(r["text"]), must: 'must have a string "text"', read: (r) => r["text"] as string },
];

const isFilled = (value: unknown): value is string => isText(value) && value.trim() !== "";
const isLabel = (value: unknown): boolean => isFilled(value) || isWhole(value, 0, 999_999);

const isIndex = (value: unknown, list: readonly unknown[]): boolean => isWhole(value, 0, list.length - 1);

/** A record of a JSON file, from 1. @throws EspalierError INVALID_DATASET saying which one and what it must have */
function recordOf(value: unknown, line: number): DatasetEntry {
  if (isText(value)) return value;
  const record = typeof value === "object" && value !== null ? (value as Json) : {};
  const form = forms.find((f) => f.has(record));
  if (!form)
    throw invalid(
      `record ${line} is neither a text, {"text"}, {"context", "choices", "gold"}, {"contexts", "continuation", "gold"}, {"prompt", "answer"}, {"text", "label"} nor {"text", "pair", "score"}`,
      { line },
    );
  if (!form.fits(record)) throw invalid(`record ${line} ${form.must}`, { line });
  return form.read(record);
}

/**
 * The content of records: all texts, or all items.
 *
 * @throws EspalierError INVALID_DATASET if they are mixed, none, all blank or too many
 */
export function contentOf(records: readonly DatasetEntry[]): DatasetContent {
  if (records.length > maximumRecords) throw invalid(`the dataset has ${records.length} records; at most ${maximumRecords} are taken`);
  if (records.every(isText)) {
    if (records.every((text) => text.trim() === "")) throw invalid("the texts are empty");
    return { form: "TEXT", documents: records };
  }
  const text = records.findIndex(isText);
  if (text >= 0) throw invalid(`record ${text + 1} is a text, and others are not: a dataset is of one form`, { line: text + 1 });
  const items = records as Exclude<DatasetEntry, string>[];
  const form = itemForm(items[0] as Exclude<DatasetEntry, string>);
  const other = items.findIndex((item) => itemForm(item) !== form);
  if (other >= 0)
    throw invalid(
      `record ${other + 1} is not of the form of those before it, with choices, a prompt, a label or a score: a dataset is of one form`,
      { line: other + 1 },
    );
  return { form, items } as DatasetContent;
}

/** What tells records that are no texts apart. */
function itemForm(item: Exclude<DatasetEntry, string>): Exclude<DatasetForm, "TEXT"> {
  if ("prompt" in item) return "GENERATION";
  if ("label" in item) return "LABELLED";
  return "score" in item ? "SCORED_PAIRS" : "MULTIPLE_CHOICE";
}

/** File names end so; each has its way to be read. */
const readers: Readonly<Record<string, (text: string) => readonly DatasetEntry[]>> = {
  ".txt": (text) => [text],
  ".json": (text) => {
    const value = parse(text, "the file");
    if (!Array.isArray(value)) throw invalid("the file is not a JSON array");
    return value.map((v, i) => recordOf(v, i + 1));
  },
  ".jsonl": (text) =>
    text.split("\n").flatMap((line, i) => (line.trim() === "" ? [] : [recordOf(parse(line, `line ${i + 1}`, i + 1), i + 1)])),
};

/** The endings of files that can be read. */
export const datasetExtensions: readonly string[] = Object.keys(readers);

function parse(text: string, what: string, line?: number): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(`${what} is not JSON: ${(cause as Error).message}`, line === undefined ? {} : { line });
  }
}

/**
 * Reads a file: `.txt` is one document; `.jsonl` holds a record a line and `.json` an array of them, each a string, `{text}`,
 * `{context, choices, gold}`, `{contexts, continuation, gold}`, `{prompt, answer}`, `{text, label}`, `{text, pair, label}` or `{text, pair, score}`. What else a record has is left out.
 *
 * @throws EspalierError INVALID_DATASET
 */
export function parseDataset(extension: string, bytes: Uint8Array): DatasetContent {
  const read = readers[extension.toLowerCase()];
  if (!read) throw invalid(`datasets are files that end in ${datasetExtensions.join(", ")}`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw invalid("the file is not UTF-8");
  }
  if (text.includes("\0")) throw invalid("the file holds NUL characters, as UTF-16 does where it is read as UTF-8");
  return contentOf(read(text));
}

/** Content as bytes, one JSON record a line: the same content gives the same bytes, and `parseDataset(".jsonl")` gives it back. */
export function serialise(content: DatasetContent): Buffer {
  const records = content.form === "TEXT" ? content.documents : content.items;
  return Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join(""));
}

export const recordsIn = (content: DatasetContent): number => (content.form === "TEXT" ? content.documents : content.items).length;

/** What identifies content: the sha256 of its bytes. */
export const sha256Of = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Texts as a reader of the dataset would see them: its documents, or each item with its right answer. */
export const textsOf = (content: DatasetContent): readonly string[] =>
  content.form === "TEXT"
    ? content.documents
    : content.items.map((item) => {
        if ("text" in item) return item.pair === undefined ? item.text : `${item.text} ${item.pair}`;
        if ("prompt" in item) return `${item.prompt} ${item.answer}`;
        return "choices" in item ? item.context + item.choices[item.gold] : (item.contexts[item.gold] as string) + item.continuation;
      });
