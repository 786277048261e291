import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDecoder } from "../../src/inference/open-decoder.ts";
import { families } from "../../src/models/blueprints/families/index.ts";
import { graphOfFolder } from "../../src/models/blueprints/graph-of-folder.ts";
import type { Expected } from "./fixtures.ts";
import { type Variant, variantOf, variants, writeFolder } from "./safetensors-folder.ts";
import { type Support, steps, supportOf } from "./support.ts";

/** What the product does with a family's folder of weights. */
export interface BlueprintSupport {
  readonly support: Support;
  /** Why it is served one sequence at a time; null if it is not. */
  readonly limitation: string | null;
}

/** The families whose queries and keys are normed over all heads: none goes without a change to the others. */
const normsHeadsTogether: ReadonlySet<string> = new Set(["olmo2", "olmo3", "olmoe"]);

/** What a configuration says of the model, under whichever names. */
function expectedOf({ config: whole }: Variant): Expected {
  const config = { ...whole, ...(whole["text_config"] as Record<string, unknown> | undefined) };
  const first = (...names: string[]) => names.map((name) => config[name]).find((v): v is number => typeof v === "number");
  const count = (...names: string[]) => first(...names) ?? Number.NaN;
  const hiddenSize = count("hidden_size", "n_embd");
  const experts = first("num_experts", "num_local_experts");
  const heads = count("num_attention_heads", "n_head");
  return {
    parameterCount: 0,
    layers: count("num_hidden_layers", "n_layer"),
    heads,
    kvHeads:
      config["multi_query"] === true && config["new_decoder_architecture"] !== true
        ? 1
        : (first("num_key_value_heads", "num_kv_heads") ?? heads),
    hiddenSize,
    ...(experts === undefined ? {} : { experts: [experts, config["shared_expert_intermediate_size"] === undefined ? 0 : 1] as const }),
    intermediateSize: first("moe_intermediate_size", "intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size") ?? 4 * hiddenSize,
    vocabularySize: count("vocab_size"),
    headsTogether: normsHeadsTogether.has(String(config["model_type"])),
    layerParameters: [],
  };
}

/** Takes a variant of a family the whole way, from its weights to the text of its pruned child, and opens it for serving. */
export async function blueprintSupportOf(family: string, name = "base"): Promise<BlueprintSupport> {
  const scratch = mkdtempSync(join(tmpdir(), "espalier-blueprint-"));
  const variant = variantOf(family, name);
  try {
    const folder = writeFolder(join(scratch, family), variant);
    const support = await supportOf({ name: family, folder, read: () => ({ model: {} as never, expected: expectedOf(variant) }) }, 7);
    writeFileSync(join(folder, "model.onnx"), (await graphOfFolder({ root: folder, folder })).bytes);
    const decoder = await openDecoder({ folder, executionProvider: "CPU", threads: 1 });
    await decoder.close();
    return { support, limitation: decoder.limitation };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** The families as Markdown: what each is called, its variants, and how far it came. */
export function blueprintTable(results: ReadonlyMap<string, BlueprintSupport>): string {
  const notes: string[] = [];
  const note = (text: string) => `[^b${notes.push(text)}]`;
  const rows = families.map(({ name, modelType }) => {
    const { support, limitation } = results.get(modelType) as BlueprintSupport;
    const obstacle = steps.find((step) => support[step] !== "yes");
    const but = normsHeadsTogether.has(modelType) ? ", but for HEAD: one norm is over all heads" : "";
    const outcome = obstacle === undefined ? `yes${but}` : `until ${obstacle}${note(support[obstacle])}`;
    const served = limitation === null ? "yes" : `no${note(limitation)}`;
    return `| ${name} | \`${modelType}\` | ${[...(variants.get(modelType)?.keys() ?? [])].join(", ")} | ${outcome} | ${served} |`;
  });
  const head = ["| family | `model_type` | variants | the whole way | served together |", "| --- | --- | --- | --- | --- |"];
  return [...head, ...rows, "", ...notes.map((text, i) => `[^b${i + 1}]: ${text}`)].join("\n").trimEnd();
}
