import { createReadStream } from "node:fs";
import { recordsFile, type StoredDataset } from "../compute/stored-dataset.ts";
import type { DatasetEntry } from "../text/dataset-content.ts";

/** A record as it is shown: long texts are cut. */
export interface DatasetExcerpt {
  /** Its place, from 0. */
  readonly index: number;
  readonly text: string;
  readonly choices: readonly string[];
  readonly gold: number | null;
  readonly answer: string | null;
  readonly isCut: boolean;
}

/** At a time. */
export const mostExcerpts = 50;
/** Of each text of a record. */
const mostCharacters = 2000;

/**
 * Some records of a dataset, in their order. Its file is read line by line, and no farther than they lie.
 *
 * @throws EspalierError ARTIFACT_MISSING
 */
export async function datasetRecords(dataset: StoredDataset, count: number, skip: number): Promise<DatasetExcerpt[]> {
  const file = createReadStream(await recordsFile(dataset));
  const found: DatasetExcerpt[] = [];
  let index = 0;
  try {
    for await (const line of linesOf(file)) {
      if (index >= skip) found.push(excerptOf(JSON.parse(line), index));
      if (found.length === count) break;
      index++;
    }
  } finally {
    file.destroy();
  }
  return found;
}

/** Lines end in "\n" alone: what else readline takes for an end may stand within a text. */
async function* linesOf(file: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let begun: Buffer[] = [];
  for await (const chunk of file) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      yield Buffer.concat([...begun, chunk.subarray(from, end)]).toString();
      [begun, from] = [[], end + 1];
    }
    begun.push(chunk.subarray(from));
  }
}

function excerptOf(record: DatasetEntry, index: number): DatasetExcerpt {
  let isCut = false;
  const cut = (text: string): string => {
    if (text.length <= mostCharacters) return text;
    isCut = true;
    // Not within a pair of surrogates.
    return text.slice(0, mostCharacters).replace(/[\uD800-\uDBFF]$/, "");
  };
  const none = { index, choices: [], gold: null, answer: null };
  if (typeof record === "string") return { ...none, text: cut(record), isCut };
  if ("prompt" in record) return { ...none, text: cut(record.prompt), answer: cut(record.answer), isCut };
  if ("text" in record) {
    const answer = cut(String("label" in record ? record.label : record.score));
    return { ...none, text: cut(record.text), choices: record.pair === undefined ? [] : [cut(record.pair)], answer, isCut };
  }
  const [text, choices] = "choices" in record ? [record.context, record.choices] : [record.continuation, record.contexts];
  return { ...none, text: cut(text), choices: choices.map(cut), gold: record.gold, isCut };
}
