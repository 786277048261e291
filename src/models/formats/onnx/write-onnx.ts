import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isObject } from "../../../is-object.ts";
import { readJson, writeJson } from "../../../text/model-config.ts";
import { isCompanion } from "../../model-folder.ts";
import type { FormatWriter, WrittenFile } from "../format.ts";
import { genaiConfig } from "./genai-config.ts";
import { movedGraph, usualPlace } from "./move-graph.ts";

/** Files of the model that are written anew. */
const own: ReadonlySet<string> = new Set(["README.md", "config.json", "genai_config.json"]);

/** Keys by which transformers.js looks for what transformers writes under others, by `model_type`. */
const alsoCalled: Readonly<Record<string, readonly [there: string, here: string]>> = { exaone: ["num_layers", "num_hidden_layers"] };

/** What transformers.js needs to be told: that the graph has no suffix, and how many files of weights lie beside it. */
function configFor(config: Readonly<Record<string, unknown>>, dataFiles: number): Record<string, unknown> {
  const known = config["transformers.js_config"];
  const data = dataFiles > 0 ? { use_external_data_format: { "model.onnx": dataFiles } } : {};
  const [there, here] = alsoCalled[String(config["model_type"])] ?? [];
  const named = there !== undefined && here !== undefined && config[there] == null ? { [there]: config[here] } : {};
  return { ...config, ...named, "transformers.js_config": { ...(isObject(known) ? known : {}), dtype: "fp32", ...data } };
}

/**
 * The graph and its weights as they are, where transformers.js and Optimum look for them, with the configurations of those and of
 * onnxruntime-genai.
 */
export const writeOnnx: FormatWriter = {
  check: async () => {},
  async *write(source, _options, destination) {
    const { files, rewritten, dataFiles } = await movedGraph(source);
    yield { done: 1, total: 2 };
    const written: WrittenFile[] = [];
    const write = async (path: string, bytes: Uint8Array | string) => {
      await mkdir(dirname(join(destination, path)), { recursive: true });
      await writeFile(join(destination, path), bytes);
      written.push({ path, written: path });
    };
    if (rewritten) await write(rewritten.path, rewritten.bytes);
    const config = await readJson(source.folder, "config.json");
    if (config) await write("config.json", `${writeJson(configFor(config, dataFiles))}\n`);
    const genai = await genaiConfig(source, usualPlace);
    if (genai) await write("genai_config.json", `${writeJson(genai.config)}\n`);
    yield { done: 2, total: 2 };
    const kept = source.files.filter(({ path }) => isCompanion(path) && !own.has(path));
    return {
      files: [...files, ...written, ...kept.map(({ path, ...stored }) => ({ path, stored }))],
      notes: genai ? genai.notes : ["there is no genai_config.json: onnxruntime-genai needs a cache whose inputs and outputs are numbered"],
    };
  },
};
