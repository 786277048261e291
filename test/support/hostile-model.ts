import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ahabFolder } from "./ahab.ts";

/** A text that the tokenizer of a hostile model takes for ever over. */
export const catastrophe = `${"a".repeat(36)}b`;

/** Writes the bundled model to a folder with a tokenizer that does not end on some texts, and a chat template that never ends. */
export async function writeHostileModel(folder: string): Promise<void> {
  await cp(ahabFolder, folder, { recursive: true });
  const edit = async (name: string, change: (content: Record<string, unknown>) => object) => {
    const path = join(folder, name);
    await writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, "utf8")))));
  };
  const split = { type: "Split", pattern: { Regex: "^(a+)+$" }, behavior: "Isolated", invert: false };
  await edit("tokenizer.json", (t) => ({ ...t, pre_tokenizer: { type: "Sequence", pretokenizers: [split, t["pre_tokenizer"]] } }));
  await edit("tokenizer_config.json", (s) => ({
    ...s,
    chat_template: "{% for i in range(100000) %}{% for j in range(100000) %}{{ j }}{% endfor %}{% endfor %}",
  }));
}
