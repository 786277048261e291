import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../../../errors.ts";
import { finished } from "../../../finished.ts";
import { readModelConfig, writeJson } from "../../../text/model-config.ts";
import type { Blueprint } from "../../blueprints/blueprint.ts";
import { type Chosen, chooseArchitecture } from "../../gguf/choose-architecture.ts";
import { elementTypes } from "../../gguf/element-types.ts";
import { folderOfGguf } from "../../gguf/folder-of-gguf.ts";
import { ggufOfFolder } from "../../gguf/gguf-of-folder.ts";
import type { QuantisationName } from "../../gguf/quantisation.ts";
import { writeTokenizer } from "../../gguf/tokenizer/write-tokenizer.ts";
import { isCompanion } from "../../model-folder.ts";
import { type FamilyModel, familyModel } from "../family-model.ts";
import { type FamilyTensor, familyTensors } from "../family-tensors.ts";
import type { ExportSource, FormatOptions, FormatWriter } from "../format.ts";
import { requireWritable, writeTensors } from "../safetensors/write-tensors.ts";
import { requireSameLogits } from "../same-logits.ts";
import { requireSameTensors } from "./same-tensors.ts";

/** Files of a model that speak of it in whatever form it leaves. */
const kept: ReadonlySet<string> = new Set(["LICENSE"]);

/** How far logits may be from the model's, of the largest. Of quantised weights they say little more than that there is sense in them. */
const allowed: Readonly<Record<QuantisationName, number | undefined>> = {
  // Codes are read back as float16.
  AS_IS: 1e-2,
  F32: undefined,
  F16: 1e-2,
  Q8_0: 0.2,
  Q4_0: 1,
  Q4_K_M: 1,
};

/** The branch that a layer has not, as one of zeros: as narrow as blocks of 32 allow. */
const standInWidth = 32;

interface Planned {
  /** What a folder in the family's layout would hold, with what is said of each layer where they are unlike. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: readonly FamilyTensor[];
  readonly chosen: Chosen;
  readonly context: number;
  /** How many matrices are codes in the graph. */
  readonly codes: number;
  readonly notes: readonly string[];
}

/** @throws EspalierError what keeps the model from being written */
async function planned(source: ExportSource, options: FormatOptions): Promise<Planned> {
  const model = await familyModel(source, true);
  const narrow = asItIs(model);
  try {
    return await plannedAs(source, model, narrow);
  } catch (error) {
    if (!options.padding || !(error instanceof EspalierError) || error.code !== "EXPORT_UNSUPPORTED") throw error;
    const filled = await plannedAs(source, model, model.blueprint);
    const note =
      "what llama.cpp cannot be told of single layers is filled up with zeros: the file is larger than what is left of the model";
    return { ...filled, notes: [...filled.notes, note] };
  }
}

/** Each layer as wide as it is; of one that has one half only, the other gives zeros. */
function asItIs({ own, weights }: FamilyModel): Blueprint {
  const layers = own.layers.map((layer, i) => {
    const { attention, mlp } = weights.layers[i] ?? {};
    const heads = layer.attention.heads / layer.attention.kvHeads;
    return {
      ...layer,
      attention: attention ? layer.attention : { ...layer.attention, heads, kvHeads: 1 },
      mlp: mlp ? layer.mlp : { ...layer.mlp, width: standInWidth },
    };
  });
  return { ...own, layers };
}

async function plannedAs(source: ExportSource, model: FamilyModel, blueprint: Blueprint): Promise<Planned> {
  const tensors = familyTensors({ ...model, blueprint });
  requireWritable(tensors);
  const sources = tensors.map(({ name, dims }) => [name, { name, path: "", type: elementTypes.F32, dims, offset: 0 }] as const);
  const { contextLength } = await readModelConfig(source.folder);
  const context = contextLength ?? blueprint.positions?.rows ?? 2048;
  const chosen = chooseArchitecture({
    blueprint,
    config: model.config,
    context,
    weighted: {
      tensors: new Map(sources),
      headsOf: blueprint.layers.map(({ attention: { heads, kvHeads, headWidth } }) => ({ heads, kvHeads, headWidth })),
      embedding: blueprint.embedding.weight,
      head: blueprint.head.weight,
      typeOf: () => elementTypes.F32,
    },
  });
  await writeTokenizer(source.folder, blueprint.vocabularySize);
  const halves = model.weights.layers.filter(({ attention, mlp }) => !attention || !mlp).length;
  return {
    config: { ...model.config, ...unevenLayers(model.blueprint, blueprint) },
    tensors,
    chosen,
    context,
    codes: model.codes,
    notes: halves > 0 ? [`${halves} layers have an attention or an MLP alone; the other half is written as one that gives zeros`] : [],
  };
}

/** What config.json says where layers are narrower than it states. */
function unevenLayers(stated: Blueprint, { layers }: Blueprint): Readonly<Record<string, unknown>> {
  const kinds = ["ATTENTION", "MLP"];
  const said = layers.map(({ attention, mlp }, layer) => {
    const { heads, kvHeads } = stated.layers[layer]?.attention ?? attention;
    const queries = attention.heads * kvHeads === heads * attention.kvHeads ? {} : { queries: attention.heads };
    return { layer, kinds, heads: attention.kvHeads, ...queries, channels: mlp.width };
  });
  const alike = said.every(({ heads, channels, ...more }, i) => {
    const { attention, mlp } = stated.layers[i] ?? {};
    return heads === attention?.kvHeads && channels === mlp?.width && !("queries" in more);
  });
  return alike ? {} : { espalier: { layers: said } };
}

/** @param widest a matrix that is kept in float32; null if there is none */
function notesOfCodes(quantisation: QuantisationName, widest: string | null): string[] {
  if (quantisation !== "AS_IS")
    return quantisation === "F32" ? [] : ["the model's codes were unpacked, and rounded anew; weights: AS_IS keeps codes as they are"];
  if (widest === null) return [];
  return [
    `kept in float32, for the blocks of GGUF hold four bits with zero points whose product with the scale is in float16, and eight without: ${widest}. ` +
      "INT8 with symmetric: true fits; INT4 fits either way",
  ];
}

/** A GGUF file, and the licence. What is read back from it is the model: tensor by tensor, and by its logits. */
export const writeGguf: FormatWriter = {
  async check(source, options) {
    await planned(source, options);
  },
  async *write(source, options, destination, written) {
    const { weights: quantisation } = options;
    const { config, tensors, notes, context, chosen, codes } = await planned(source, options);
    const [folder, back, file] = [join(destination, "weights"), join(destination, "back"), `model-${quantisation}.gguf`];
    await mkdir(folder);
    await writeFile(join(folder, "config.json"), `${writeJson(config)}\n`);
    yield* writeTensors(join(folder, "model.safetensors"), tensors);
    for (const { path } of source.files)
      if (isCompanion(path) && /token|vocab|merges|chat_template\.|generation/.test(path) && !path.includes("/"))
        await copyFile(join(source.folder, path), join(folder, path));
    const target = join(destination, file);
    const made = yield* ggufOfFolder({ folder, quantisation, target });
    written(file);
    await finished(folderOfGguf([{ path: target, file }], back));
    await requireSameTensors(folder, back, quantisation);
    const length = Math.min(context, Number(chosen.metadata.get(`${chosen.architecture.name}.context_length`)?.value));
    await requireSameLogits(source, back, { allowed: allowed[quantisation], length });
    const beside = source.files.filter(({ path }) => kept.has(path));
    return {
      files: [{ path: file, written: file }, ...beside.map(({ path, ...stored }) => ({ path, stored }))],
      notes: [...notes, ...(codes > 0 ? notesOfCodes(quantisation, made.widest) : []), ...made.notes],
    };
  },
};
