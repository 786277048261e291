import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../../errors.ts";
import { numberAt } from "../../number-at.ts";
import { sizeOf } from "../../onnx/ir.ts";
import { writeJson } from "../../text/model-config.ts";
import type { Fields } from "./architectures/architecture.ts";
import { widthsOf } from "./architectures/common.ts";
import { architectureOf, architectures } from "./architectures/index.ts";
import { type Container, type GgufTensor, readContainer } from "./container.ts";
import { elementTypes } from "./element-types.ts";
import { Facts } from "./facts.ts";
import { huggingFacePlans } from "./hugging-face-plans.ts";
import type { Heads } from "./rows.ts";
import type { Plan } from "./tensor-plan.ts";
import { readTokenizer } from "./tokenizer/read-tokenizer.ts";
import { bytesOf, Sources } from "./write-plan.ts";
import { writeSafetensors } from "./write-safetensors.ts";

/** A GGUF file of a model, or a part of one. */
export interface GgufFile {
  readonly path: string;
  /** What it is called in messages. */
  readonly file: string;
}

/** No tensor that is read for its numbers is larger: how fast positions turn. */
const mostNumbers = 1 << 16;

/**
 * Writes what a GGUF file holds as a folder in the Hugging Face layout: config.json, model.safetensors, tokenizer.json and
 * tokenizer_config.json. Weights are streamed.
 *
 * @param files the file, or all parts of one that was split, in order
 * @param destination an empty folder
 * @yields how many bytes of weights are written, of how many
 * @returns what users should know of it
 * @throws EspalierError INVALID_GGUF with file and key or tensor; UNSUPPORTED_GGUF, UNSUPPORTED_TOKENIZER; WEIGHTS_MISMATCH
 */
export async function* folderOfGguf(
  files: readonly GgufFile[],
  destination: string,
): AsyncGenerator<{ readonly done: number; readonly total: number }, readonly string[]> {
  const [place] = files as [GgufFile];
  const container = wholeOf(files);
  const { architecture, facts } = known(container, place);
  const config = architecture.config(facts);
  facts.requireAllRead();
  const plans = huggingFacePlans({ ...place, tensors: container.tensors, layers: facts.layers, headsOf: headsOf(facts) }, architecture);
  requireDistinct(plans, place);
  const rows = numberAt(facts.shape("token_embd.weight"), 0);
  const tokenizer = readTokenizer(container.metadata, place.file, rows);
  await mkdir(destination, { recursive: true });
  const write = (name: string, value: Fields) => writeFile(join(destination, name), `${writeJson(value)}\n`);
  await write("config.json", { ...config, ...tokenizer?.config });
  if (tokenizer) for (const name of ["tokenizer.json", "tokenizer_config.json"] as const) await write(name, tokenizer[name]);
  yield* writeSafetensors(join(destination, "model.safetensors"), plans);
  return notesOf(container, tokenizer !== null);
}

/** A file may hold queries, keys and values both together and apart. @throws EspalierError INVALID_GGUF */
function requireDistinct(plans: readonly Plan[], { file }: GgufFile): void {
  const names = new Set<string>();
  for (const { name } of plans) {
    if (names.has(name)) throw new EspalierError("INVALID_GGUF", `${file}: two tensors are "${name}"`, { file, tensor: name });
    names.add(name);
  }
}

/**
 * The parts as one: metadata are the first's, and tensors those of all.
 *
 * @throws EspalierError INVALID_GGUF where a part is not the one that it should be
 */
function wholeOf(files: readonly GgufFile[]): Container {
  const parts = files.map(({ path, file }) => ({ file, ...readContainer(path, file) }));
  const tensors = new Map<string, GgufTensor>();
  for (const [i, part] of parts.entries()) {
    const wrong = (message: string, key: string): never => {
      throw new EspalierError("INVALID_GGUF", `${part.file}: ${message}`, { file: part.file, key });
    };
    const [number, count] = [part.metadata.get("split.no") ?? 0, part.metadata.get("split.count") ?? 1];
    if (count !== files.length)
      wrong(
        `it says that it is one of ${count} parts of a model; by its name it is one of ${files.length} (parts are called name-00001-of-00003.gguf)`,
        "split.count",
      );
    if (number !== i) wrong(`it says that it is part ${Number(number) + 1}; by its name it is part ${i + 1}`, "split.no");
    for (const [name, tensor] of part.tensors) {
      if (tensors.has(name)) wrong(`tensor "${name}" is in an earlier part too`, "split.no");
      tensors.set(name, tensor);
    }
  }
  const [first] = parts as [(typeof parts)[0]];
  const stated = first.metadata.get("split.tensors.count") ?? tensors.size;
  if (stated !== tensors.size)
    throw new EspalierError("INVALID_GGUF", `${first.file}: all parts together hold ${tensors.size} tensors; ${stated} were expected`, {
      file: first.file,
      key: "split.tensors.count",
    });
  return { metadata: first.metadata, tensors };
}

function known({ metadata, tensors }: Container, place: GgufFile) {
  const refuse = (key: string, message: string): never => {
    throw new EspalierError("UNSUPPORTED_GGUF", `${place.file}: ${message}`, { file: place.file, key });
  };
  const name = metadata.get("general.architecture");
  const all = [...new Set(architectures.map((a) => a.name))].sort().join(", ");
  const shapes = new Map([...tensors.values()].map((t) => [t.name, t.dims]));
  const has = (tensor: string) => shapes.has(tensor) || shapes.has(`blk.0.${tensor}`);
  const architecture =
    (typeof name === "string" ? architectureOf(name, has) : undefined) ??
    refuse("general.architecture", `metadata "general.architecture" is ${JSON.stringify(name ?? null).slice(0, 100)}; known are ${all}`);
  const numbers = (tensor: string) => numbersOf(tensors.get(tensor), tensor, place);
  return { architecture, facts: new Facts({ metadata, shapes, numbers, file: place.file }, architecture.name) };
}

/** The elements of a small tensor. @throws EspalierError INVALID_GGUF */
function numbersOf(tensor: GgufTensor | undefined, name: string, { file }: GgufFile): Float32Array {
  if (!tensor || sizeOf(tensor.dims) > mostNumbers)
    throw new EspalierError("INVALID_GGUF", `${file}: ${tensor ? "too large is" : "there is no"} tensor "${name}"`, { file, tensor: name });
  const sources = new Sources();
  try {
    const source = { name, path: tensor.path, type: tensor.type, dims: tensor.dims, offset: tensor.offset };
    const plan = { name, type: elementTypes.F32, dims: tensor.dims, from: [{ source }] };
    return new Float32Array(Uint8Array.from([...bytesOf(plan, sources)].flatMap((part) => [...part])).buffer);
  } finally {
    sources.close();
  }
}

function headsOf(facts: Facts): (layer: number) => Heads {
  const { headWidth } = widthsOf(facts);
  const heads = facts.perLayer("attention.head_count");
  const kvHeads = facts.perLayer("attention.head_count_kv", heads);
  return (layer) => ({ heads: numberAt(heads, layer), kvHeads: numberAt(kvHeads, layer), headWidth });
}

function notesOf({ tensors }: Container, tokenizer: boolean): string[] {
  const quantised = [...tensors.values()].filter(({ type }) => type.elements > 1);
  const kinds = [...new Set(quantised.map(({ type }) => type.name))].sort();
  const notes =
    kinds.length > 0
      ? [
          `${quantised.length} of the ${tensors.size} tensors of the GGUF file were quantised (${kinds.join(", ")}); they are kept as float16, which is what is pruned and served`,
        ]
      : [];
  return tokenizer ? notes : [...notes, "the GGUF file holds no tokenizer, so the model can neither be pruned by text nor made to write"];
}
