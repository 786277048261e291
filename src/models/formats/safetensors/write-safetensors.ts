import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeJson } from "../../../text/model-config.ts";
import { isCompanion } from "../../model-folder.ts";
import { familyModel } from "../family-model.ts";
import { type FamilyTensor, familyTensors } from "../family-tensors.ts";
import type { ExportSource, FormatOptions, FormatWriter } from "../format.ts";
import { requireSameLogits } from "../same-logits.ts";
import { writeShards } from "./write-shards.ts";
import { requireWritable } from "./write-tensors.ts";

/** Files of the model that are written anew, or are of another format. */
const own: ReadonlySet<string> = new Set(["README.md", "config.json", "genai_config.json", "quantize_config.json"]);

interface Planned {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: readonly FamilyTensor[];
  readonly notes: readonly string[];
}

/** @throws EspalierError what keeps the model from being written */
async function planned(source: ExportSource, { padding }: FormatOptions): Promise<Planned> {
  const model = await familyModel(source, padding);
  const tensors = familyTensors(model);
  requireWritable(tensors);
  const type = tensors[0]?.matrix.dataType ?? "float32";
  const key = "dtype" in model.config ? "dtype" : "torch_dtype";
  const isFilled = model.blueprint.layers.some((layer, i) => {
    const { attention, mlp } = model.weights.layers[i] ?? {};
    return !attention || !mlp || attention.heads !== layer.attention.heads || mlp.width !== layer.mlp.width;
  });
  return {
    config: { ...model.config, [key]: type },
    tensors,
    notes: [
      ...model.notes,
      ...(model.codes > 0 ? ["weights are what the model's codes stand for, in float32"] : []),
      ...(isFilled
        ? ["what the family's class cannot state is filled up with zeros: the files are larger than what is left of the model"]
        : []),
    ],
  };
}

/** The Hugging Face layout: `config.json`, `model.safetensors` or several such files and an index, tokenizer and what else belongs to the model. */
export const writeSafetensors: FormatWriter = {
  async check(source, options) {
    await planned(source, options);
  },
  async *write(source, options, destination, written) {
    const { config, tensors, notes } = await planned(source, options);
    await writeFile(join(destination, "config.json"), `${writeJson(config)}\n`);
    const shards = yield* writeShards(destination, tensors, written, options.largestFileBytes);
    await requireSameLogits(source, destination);
    const kept = source.files.filter(({ path }) => isCompanion(path) && !own.has(path));
    const made = ["config.json", ...shards].map((path) => ({ path, written: path }));
    return { files: [...made, ...kept.map(({ path, ...stored }) => ({ path, stored }))], notes };
  },
};
