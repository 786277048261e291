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
import { families } from "../../src/models/blueprints/families/index.ts";
import { type RuntimeRow, runtimesOf } from "../../test/support/runtimes.ts";
import { columns, marks, readPage, runtimesPage, testedWith } from "../../test/support/runtimes-page.ts";

const scratch = mkdtempSync(join(tmpdir(), "espalier-runtimes-"));
const before = readPage(existsSync(runtimesPage) ? readFileSync(runtimesPage, "utf8") : "");
const wanted = process.argv.slice(2);
const rows: string[] = [];
const tested: string[] = [];
try {
  for (const { name, modelType } of families) {
    const known = before.rows.get(name);
    if (known !== undefined && wanted.length > 0 && !wanted.includes(modelType)) {
      rows.push(known);
      // What it was made with then, which a test holds to what there is now.
      tested.push(`${modelType} ${before.tested.get(modelType)}`);
      continue;
    }
    const row: RuntimeRow = await runtimesOf(modelType, join(scratch, modelType));
    const names = Object.keys(columns) as (keyof RuntimeRow)[];
    const cells = names.map((column) => row[column].map((outcome) => marks[outcome]).join(""));
    rows.push(`| ${name} | ${cells.join(" | ")} |`);
    tested.push(`${modelType} ${testedWith(modelType)}`);
    console.log(rows.at(-1));
  }
} finally {
  rmSync(scratch, { recursive: true });
}

const page = `# What loads what

Made by \`scripts/generate/runtimes-table.ts\` of what happened with tiny models, one of each family, and with their children. *In*: the form is registered and gives transformers' logits
(for ONNX: is read, as exporters write it). *Out*: the model is exported, the runtime loads it, and what it gives there is held to the model. Of transformers that
is the logits, to 1e-4 of the largest. Of llama.cpp it is the logits to 1e-5, or to 2e-3 where it works GELU out from a table of float16. Of onnxruntime-genai and transformers.js it is the
greedy text. transformers is 4.57, and 5.24 for EXAONE 3, which 4 has not.

Of *out*, four marks stand for the model, a child with a layer less, one with heads and channels less in each layer, and one whose layers are of unlike widths. Filled up with zeros means
\`padding: true\`.

- ● yes
- ◐ filled up with zeros
- ○ refused, with the reason
- ✕ loads and gives something else, or does not load
- · not tried

transformers.js 4.3 knows no \`glm4\`, \`nemotron\`, \`exaone4\`, \`mixtral\` and \`olmoe\`, and feeds a Falcon of one key and value for all heads another cache than its graph has.

| family | ${Object.values(columns)
  .map(([heading]) => heading)
  .join(" | ")} |
| --- |${" --- |".repeat(Object.keys(columns).length)}
${rows.join("\n")}

<!-- tested with
${tested.join("\n")}
-->
`;
writeFileSync(runtimesPage, page);
// ONNX Runtime's threads of transformers.js would keep the process.
process.exit(0);
