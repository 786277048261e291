import { writeJson } from "../../text/model-config.ts";
import type { CardFacts, Generation, Making, Measured, MeasuredFact } from "./facts.ts";
import { frontMatter, type Yaml } from "./front-matter.ts";
import type { carriedOver } from "./licence.ts";

/** The name under which the picture of what was removed lies beside the card. */
export const pictureFile = "removed.svg";

/** The format that a card is for. */
export interface CardFormat {
  readonly name: string;
  readonly library: string;
  readonly tags: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
}

/** What measurements are called: the name in the result, on the Hub, and for people. */
const metrics = [
  ["perplexity", "perplexity", "perplexity"],
  ["nextTokenAccuracy", "accuracy", "next-token accuracy"],
  ["exactMatch", "exact_match", "exact matches"],
  ["accuracy", "accuracy", "accuracy (acc)"],
  ["normalizedAccuracy", "accuracy", "accuracy by length (acc_norm)"],
  ["byteNormalizedAccuracy", "accuracy", "accuracy by bytes (acc_bytes)"],
] as const;

/** A user's words as Markdown's plain text, in one line. */
const plain = (text: string): string => text.replace(/\s+/g, " ").replace(/[\\`*_{}[\]<>()#+!|~&-]/g, (c) => `\\${c}`);

const count = (n: number): string => n.toLocaleString("en-US");
const share = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)}%`;
const rounded = (value: number): number => Number(value.toPrecision(6));
const numberAt = (measured: Measured | null, name: string): number | null => {
  const value = measured?.[name];
  return typeof value === "number" && Number.isFinite(value) ? value : null;
};

/** Plain data in one order, as one line of JSON. */
const json = (value: Readonly<Record<string, unknown>>): string =>
  writeJson(Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))).replace(/\n\s*/g, " ");

/**
 * The card of an export, in Markdown with front matter as the Hub reads it. The same facts give the same bytes.
 *
 * @param licence what the first of the line states of its licence and languages
 */
export function cardOf(facts: CardFacts, format: CardFormat, licence: ReturnType<typeof carriedOver>, hasPicture: boolean): string {
  const { line, evaluations, version } = facts;
  const own = line.at(-1) as Generation;
  const [first] = line;
  const isChild = line.length > 1;
  const datasets = [...new Set(line.flatMap(({ making }) => making?.dataset?.name ?? []))];
  const front: Record<string, Yaml> = {
    ...licence,
    library_name: format.library,
    pipeline_tag: "text-generation",
    tags: [
      ...new Set([...format.tags, ...line.slice(1).map(({ making }) => (isCompression(making) ? "compressed" : "pruned")), "espalier"]),
    ],
    ...(isChild ? { base_model: first.repository, base_model_relation: isQuantisation(own.making) ? "quantized" : "finetune" } : {}),
    ...(datasets.length > 0 ? { datasets } : {}),
    ...(evaluations.length > 0 ? { "model-index": [{ name: own.name, results: evaluations.map(resultOf) }] } : {}),
  };
  const parts = [
    frontMatter(front),
    `# ${plain(own.name)}`,
    isChild
      ? `${count(own.parameterCount)} parameters, ${share(own.parameterCount, first.parameterCount)} of the ${count(first.parameterCount)} of ${plain(first.name)}. What came between stands below.`
      : `${count(own.parameterCount)} parameters, as it was registered.`,
    `Written as \`${format.name}\` by Espalier ${version}${format.notes.length > 0 ? `. To know: ${format.notes.map(plain).join("; ")}` : ""}.`,
    ...(isChild ? ["## Lineage", lineage(line)] : []),
    ...(hasPicture ? ["## What was removed", `![What is left of each layer](${pictureFile})`, removed(line)] : []),
    ...(evaluations.length > 0 ? ["## What was measured", measured(evaluations)] : []),
    "## How to make it again",
    reproduce(line, format, version),
  ];
  return `${parts.join("\n\n")}\n`;
}

const isCompression = (making: Making | null): boolean => making?.kind === "COMPRESSION";
/** Zeros are weights like others. */
const isQuantisation = (making: Making | null): boolean => isCompression(making) && making?.options["scheme"] !== "SPARSE";

const lineage = (line: readonly Generation[]): string =>
  [
    "| model | parameters | made by | digest |",
    "| --- | --- | --- | --- |",
    ...line.map(
      ({ name, parameterCount, making, digest }) =>
        `| ${plain(name)} | ${count(parameterCount)} | ${making ? madeBy(making) : "registered"} | \`${digest.slice(0, 16)}\` |`,
    ),
  ].join("\n");

const madeBy = ({ kind, method }: Making): string => `${kind}${method === null ? "" : `, ${plain(method)}`}`;

function removed(line: readonly Generation[]): string {
  const rows = line.flatMap(({ name, making }) => {
    const gone = (making?.groups ?? []).filter((g) => g.removed > 0);
    const kinds = [...new Set(gone.map((g) => g.kind))];
    return kinds.map((kind) => {
      const all = (making?.groups ?? []).filter((g) => g.kind === kind);
      const sum = (of: "count" | "removed") => all.reduce((n, g) => n + g[of], 0);
      return `| ${plain(name)} | ${kind} | ${count(sum("removed"))} of ${count(sum("count"))} |`;
    });
  });
  return ["| in the making of | kind | removed |", "| --- | --- | --- |", ...rows].join("\n");
}

function measured(evaluations: readonly MeasuredFact[]): string {
  const rows = evaluations.flatMap(({ dataset, settings, result, parent }) =>
    metrics.flatMap(([name, , words]) => {
      const [value, before] = [numberAt(result, name), numberAt(parent, name)];
      if (value === null) return [];
      const against = before === null ? "not measured" : String(rounded(before));
      return [`| ${plain(dataset.name)} | ${words} | ${rounded(value)} | ${against} | \`${json(settings)}\` |`];
    }),
  );
  return ["| dataset | metric | this model | its parent | settings |", "| --- | --- | --- | --- | --- |", ...rows].join("\n");
}

function resultOf({ dataset, settings, result }: MeasuredFact): Yaml {
  const found = metrics.flatMap(([name, type, words]) => {
    const value = numberAt(result, name);
    return value === null ? [] : [{ type, name: words, value: rounded(value), args: JSON.parse(json(settings)) as Yaml }];
  });
  return {
    task: { type: "text-generation" },
    dataset: { name: dataset.name, type: "espalier", revision: dataset.digest, args: { form: dataset.form } },
    metrics: found,
  };
}

function reproduce(line: readonly Generation[], { name: format, options }: CardFormat, version: string): string {
  const [first] = line as [Generation];
  const steps = [
    `Register the folder of digest \`${first.digest}\` (${plain(first.name)}).`,
    ...line.flatMap(({ making, digest }) => {
      if (!making) return [];
      const { kind, method, dataset } = making;
      const texts = dataset ? `, on the dataset of digest \`${dataset.digest}\` (${plain(dataset.name)})` : "";
      return [
        `A run of kind ${kind}${method === null ? "" : `, method ${plain(method)}`}${texts}, with the options \`${json(making.options)}\`: a model of digest \`${digest}\`.`,
      ];
    }),
    `\`startExport\` with the format ${format} and the options \`${json(options)}\`.`,
  ];
  return `Runs are seeded and repeatable: with Espalier ${version} the same steps give the same bytes.\n\n${steps.map((step, i) => `${i + 1}. ${step}`).join("\n")}`;
}
