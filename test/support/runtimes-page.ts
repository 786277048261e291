import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkout } from "./checkout.ts";
import type { Outcome, RuntimeRow } from "./runtimes.ts";

const file = (path: string): string => join(checkout, path);

/** Where the table of what loads what is. */
export const runtimesPage = file("docs/runtimes.md");

export const marks: Readonly<Record<Outcome, string>> = { YES: "●", PADDED: "◐", REFUSED: "○", OTHER: "✕", UNTRIED: "·" };

/** What the table has a column for: its heading, and how many marks a cell has. */
export const columns = {
  safetensors: ["in: safetensors", 1],
  gguf: ["in: GGUF", 1],
  onnx: ["in: ONNX", 1],
  transformers: ["out: transformers", 4],
  llamaCpp: ["out: llama.cpp", 4],
  genai: ["out: genai", 4],
  transformersJs: ["out: transformers.js", 4],
} as const satisfies { readonly [Column in keyof RuntimeRow]: readonly [heading: string, marks: number] };

/**
 * What a family's row was made with: its tiny model, and the versions of the runtimes. The row is of others once this is another.
 *
 * @param modelType the family's
 */
export function testedWith(modelType: string): string {
  const hash = createHash("sha256").update(readFileSync(file(`test/fixtures/blueprints/${modelType}.json`)));
  hash.update(readFileSync(file("scripts/fixtures/requirements-runtimes.txt")));
  const [, llamaCpp = ""] = /^const version = "(.+)";$/m.exec(readFileSync(file("scripts/checks/llama-cpp-install.ts"), "utf8")) ?? [];
  const { version } = JSON.parse(readFileSync(file("node_modules/@huggingface/transformers/package.json"), "utf8"));
  return hash.update(llamaCpp).update(version).digest("hex").slice(0, 12);
}

/** The rows of a page by the family's name, and what each was made with by its `model_type`. */
export function readPage(page: string): { readonly rows: ReadonlyMap<string, string>; readonly tested: ReadonlyMap<string, string> } {
  const rows = [...page.matchAll(/^\| (?!family \||---)(.+?) \| (.+) \|$/gm)];
  const tested = /^<!-- tested with\n([\s\S]*?)-->$/m.exec(page)?.[1] ?? "";
  return {
    rows: new Map(rows.map(([line, name]) => [name as string, line])),
    tested: new Map([...tested.matchAll(/^(\S+) (\S+)$/gm)].map(([, family, digest]) => [family as string, digest as string])),
  };
}
