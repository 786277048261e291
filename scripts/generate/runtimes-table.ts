/**
 * Writes docs/runtimes.md from what really happens with a tiny model of each family, and with its children: each form is read, each format is
 * written, and each runtime loads it.
 *
 *     npm run llama-cpp:install
 *     ESPALIER_PYTHON=v/bin/python node --import tsx scripts/generate/runtimes-table.ts [FAMILY ...]
 *
 * `v` is a virtual environment with the packages of scripts/fixtures/requirements-runtimes.txt. What a runtime is missing for is not tried. Families that are not named keep their rows.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { families } from "../../src/models/blueprints/families/index.ts";
import { type Outcome, type RuntimeRow, runtimesOf } from "../../test/support/runtimes.ts";

const marks: Readonly<Record<Outcome, string>> = { YES: "●", PADDED: "◐", REFUSED: "○", OTHER: "✕", UNTRIED: "·" };
const columns = ["safetensors", "gguf", "onnx", "transformers", "llamaCpp", "genai", "transformersJs"] as const;

const scratch = mkdtempSync(join(tmpdir(), "espalier-runtimes-"));
const path = fileURLToPath(new URL("../../docs/runtimes.md", import.meta.url));
const before = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
const wanted = process.argv.slice(2);
const rows: string[] = [];
try {
  for (const { name, modelType } of families) {
    const known = before.find((line) => line.startsWith(`| ${name} |`));
    if (known !== undefined && wanted.length > 0 && !wanted.includes(modelType)) {
      rows.push(known);
      continue;
    }
    const row: RuntimeRow = await runtimesOf(modelType, join(scratch, modelType));
    const cells = columns.map((column) => row[column].map((outcome) => marks[outcome]).join(""));
    rows.push(`| ${name} | ${cells.join(" | ")} |`);
    console.log(rows.at(-1));
  }
} finally {
  rmSync(scratch, { recursive: true });
}

const page = `# What loads what

Made by \`scripts/generate/runtimes-table.ts\` of what happened with tiny models, one of each family, and with their children. *In*: the form is registered and gives transformers' logits
(for ONNX: is read, as exporters write it). *Out*: the model is exported, the runtime loads it, and what it gives there is held to the model. Of transformers that
is the logits, to 1e-4 of the largest. Of llama.cpp it is the logits to 1e-5, or to 2e-3 where it works GELU out from a table of float16. Of onnxruntime-genai and transformers.js it is the
greedy text.

Of *out*, four marks stand for the model, a child with a layer less, one with heads and channels less in each layer, and one whose layers are of unlike widths. Filled up with zeros means
\`padding: true\`.

● yes · ◐ filled up with zeros · ○ refused, with the reason · ✕ loads, and gives something else, or does not load · the dot · not tried

| family | in: safetensors | in: GGUF | in: ONNX | out: transformers | out: llama.cpp | out: genai | out: transformers.js |
| --- | --- | --- | --- | --- | --- | --- | --- |
${rows.join("\n")}
`;
writeFileSync(path, page);
// ONNX Runtime's threads of transformers.js would keep the process.
process.exit(0);
