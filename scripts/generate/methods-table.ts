/**
 * Writes the tables of docs/methods.md, docs/recovery.md and docs/compression.md from the lists of methods:
 *
 *     node --import tsx scripts/generate/methods-table.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compressionMethods } from "../../src/compression/methods/index.ts";
import { methods } from "../../src/pruning/methods/index.ts";
import { normalizationOf } from "../../src/pruning/methods/method.ts";
import { recoveryMethods } from "../../src/recovery/methods/index.ts";

/** The rows of the table of pruning methods. */
export const rows = (): string =>
  methods
    .map((method) => {
      const { name, kinds, needs, description } = method;
      return `| \`${name}\` | ${kinds.join(", ")} | \`${needs}\` | \`${normalizationOf(method)}\` | ${description} |`;
    })
    .join("\n");

/** Those of the ways of healing. */
export const recoveryRows = (): string =>
  recoveryMethods.map(({ name, learningRate, description }) => `| \`${name}\` | ${learningRate ?? "none"} | ${description} |`).join("\n");

/** Those of the ways of compressing. */
export const compressionRows = (): string =>
  compressionMethods
    .map(
      ({ name, schemes, needsGram, description }) =>
        `| \`${name}\` | ${schemes.join(", ")} | ${needsGram ? "yes" : "no"} | ${description} |`,
    )
    .join("\n");

/** Each page, and what stands between the head of its table and the sign of its end. */
const pages: Readonly<Record<string, { readonly head: string; readonly rows: () => string }>> = {
  methods: { head: "| --- | --- | --- | --- | --- |\n", rows },
  recovery: { head: "| --- | --- | --- |\n", rows: recoveryRows },
  compression: { head: "| --- | --- | --- | --- |\n", rows: compressionRows },
};

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [name, { head, rows: own }] of Object.entries(pages)) {
    const path = fileURLToPath(new URL(`../../docs/${name}.md`, import.meta.url));
    const page = readFileSync(path, "utf8");
    const [from, to] = [page.indexOf(head) + head.length, page.indexOf("<!-- end -->")];
    writeFileSync(path, `${page.slice(0, from)}${own()}\n${page.slice(to)}`);
  }
