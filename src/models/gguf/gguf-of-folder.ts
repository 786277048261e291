import { join } from "node:path";
import { EspalierError } from "../../errors.ts";
import { readJson, readModelConfig } from "../../text/model-config.ts";
import { blueprintOf, tables } from "../blueprints/graph-of-folder.ts";
import { storedWeights } from "../blueprints/stored-weights.ts";
import type { Architecture } from "./architectures/architecture.ts";
import { chooseArchitecture } from "./choose-architecture.ts";
import { elementTypes, type TypeName } from "./element-types.ts";
import { exactPlans } from "./exact-plans.ts";
import type { Weighted } from "./gguf-plans.ts";
import { type QuantisationName, quantisations, staysWide, typeChooser } from "./quantisation.ts";
import type { Source } from "./tensor-plan.ts";
import { writeTokenizer } from "./tokenizer/write-tokenizer.ts";
import { type Typed, writeContainer } from "./write-container.ts";

export interface GgufRequest {
  /** A folder in the Hugging Face layout: config.json, `.safetensors`, perhaps a tokenizer. */
  readonly folder: string;
  /** What the model is called in the file; nothing unless said. */
  readonly name?: string;
  readonly quantisation: QuantisationName;
  /** The file to write. */
  readonly target: string;
}

/**
 * Writes a folder of a family that blueprints describe as a GGUF file. Weights are streamed.
 *
 * @yields how many bytes of weights are written, of how many
 * @returns what users should know of it
 * @throws EspalierError EXPORT_UNSUPPORTED if GGUF files cannot say what the model is; UNSUPPORTED_FAMILY, UNSUPPORTED_CONFIG;
 *   UNSUPPORTED_TOKENIZER; INVALID_SAFETENSORS, WEIGHTS_MISMATCH
 */
export async function* ggufOfFolder({ folder, name, quantisation, target }: GgufRequest): AsyncGenerator<
  { readonly done: number; readonly total: number },
  {
    readonly notes: readonly string[];
    readonly architecture: Architecture;
    /** A matrix that is kept in float32 without need of it; null if there is none. */
    readonly widest: string | null;
  }
> {
  const config = (await readJson(folder, "config.json")) ?? {};
  const { family, blueprint } = blueprintOf(config);
  const { contextLength } = await readModelConfig(folder);
  const weighted: Weighted = {
    ...(await tensorsIn(folder, family.prefix ?? "model.", [
      blueprint.embedding.weight,
      blueprint.head.weight,
      family.head ?? "lm_head.weight",
    ])),
    headsOf: blueprint.layers.map(({ attention: { heads, kvHeads, headWidth } }) => ({ heads, kvHeads, headWidth })),
    typeOf: typeChooser(quantisation, blueprint.layers.length, blueprint.head.weight === blueprint.embedding.weight),
  };
  const context = contextLength ?? blueprint.positions?.rows ?? 2048;
  const { architecture, metadata, plans: asked, notes } = chooseArchitecture({ blueprint, config, context, weighted });
  const { plans, fileType } =
    quantisation === "AS_IS" ? exactPlans(asked, staysWide) : { plans: asked, fileType: quantisations[quantisation].fileType };
  const tokenizer = await writeTokenizer(folder, blueprint.vocabularySize);
  const general: [string, Typed][] = [
    ["general.architecture", { as: "TEXT", value: architecture.name }],
    ["general.type", { as: "TEXT", value: "model" }],
    ...(name === undefined ? [] : [["general.name", { as: "TEXT", value: name }] as [string, Typed]]),
    ["general.file_type", { as: "U32", value: fileType }],
    ["general.quantization_version", { as: "U32", value: 2 }],
  ];
  yield* writeContainer(target, new Map([...general, ...metadata, ...tokenizer.metadata]), plans);
  const wanted = new Set<string>(["F32", ...quantisations[quantisation].matrix({ name: "", layer: 0, layers: 1, isHead: false })]);
  const isRounded = quantisation !== "AS_IS" && !wanted.has("F16");
  const [first, ...more] = plans.filter(({ type, dims }) => isRounded && dims.length > 1 && type.name === "F16");
  return {
    architecture,
    widest: plans.find((plan) => plan.type.name === "F32" && !staysWide(plan))?.name ?? null,
    notes: [
      ...notes,
      ...tokenizer.notes,
      ...(first
        ? [`kept in float16, for its rows are no multiples of a block's 32 elements: ${first.name} and ${more.length} others`]
        : []),
    ],
  };
}

/** A folder's tensors by their full names; of a head that is the embedding, and stored all the same, one. */
async function tensorsIn(
  folder: string,
  prefix: string,
  [embedding, head, ownHead]: readonly [string, string, string],
): Promise<Pick<Weighted, "tensors" | "embedding" | "head">> {
  const stored = await storedWeights({ root: folder, folder });
  const bare = ![...stored.keys()].some((name) => name.startsWith(prefix)) && prefix !== "";
  const tensors = new Map<string, Source>();
  for (const [name, { file, stored: type, dims, offset }] of stored) {
    if (tables.some((pattern) => pattern.test(name))) continue;
    const found = elementTypes[type as TypeName];
    if (!Object.hasOwn(elementTypes, type) || found.elements !== 1)
      throw new EspalierError(
        "WEIGHTS_MISMATCH",
        `${file}: tensor "${name}" is of type ${type}; weights of F32, F16 and BF16 are written`,
        {
          file,
          tensor: name,
        },
      );
    const full = bare && name !== ownHead ? prefix + name : name;
    tensors.set(full, { name: full, path: join(folder, file), type: found, dims, offset });
  }
  if (head !== embedding) return { tensors, embedding, head };
  const either = tensors.get(embedding) ?? tensors.get(ownHead);
  tensors.delete(ownHead);
  if (either) tensors.set(embedding, { ...either, name: embedding });
  return { tensors, embedding, head };
}
