import { EspalierError } from "../errors.ts";
import { isObject } from "../is-object.ts";
import type { LabelledItem } from "./dataset-content.ts";
import { readJson } from "./model-config.ts";

/** How a model's classes are called, by their numbers; empty where config.json does not say. */
export interface Labels {
  readonly names: readonly string[];
}

/** The classes that config.json names. @throws EspalierError INVALID_JSON */
export async function readLabels(folder: string): Promise<Labels> {
  const named = (await readJson(folder, "config.json"))?.["id2label"];
  if (!isObject(named)) return { names: [] };
  const names: string[] = [];
  for (const [id, name] of Object.entries(named)) if (/^\d{1,6}$/.test(id) && typeof name === "string") names[Number(id)] = name;
  return { names: Array.from(names, (name, i) => name ?? `LABEL_${i}`) };
}

/** What a class is called. */
export const labelName = ({ names }: Labels, id: number): string => names[id] ?? `LABEL_${id}`;

/**
 * The classes of labelled texts, by their numbers.
 *
 * @throws EspalierError INVALID_DATASET naming a label that the model does not have
 */
export function labelIds(items: readonly LabelledItem[], { names }: Labels): number[] {
  const known = new Map(names.map((name, id) => [name.toLowerCase(), id]));
  return items.map(({ label }, i) => {
    const id = typeof label === "number" ? label : (known.get(label.toLowerCase()) ?? -1);
    if (id < 0 || (names.length > 0 && id >= names.length))
      throw new EspalierError(
        "INVALID_DATASET",
        `record ${i + 1} has the label ${JSON.stringify(label)}, which is none of the model's: ${names.slice(0, 20).join(", ") || "numbers from 0"}`,
        { line: i + 1 },
      );
    return id;
  });
}
