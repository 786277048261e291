import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../../errors.ts";
import { readJson } from "../../text/model-config.ts";
import { within } from "../../under-root.ts";
import { readHeader, type StoredTensor } from "./safetensors.ts";

const [whole, index] = ["model.safetensors", "model.safetensors.index.json"];

/** An index lists every tensor by name. */
const largestIndex = 100_000_000;

/** What a folder's weights may be spread over. */
const mostFiles = 1000;

interface Folder {
  /** The real path of the folder that no file may lie outside of. */
  readonly root: string;
  readonly folder: string;
}

/**
 * The `.safetensors` files of a folder in the Hugging Face layout, as transformers looks for them: one, or those that an index names.
 *
 * @returns names relative to the folder, in order; null if it holds none
 * @throws EspalierError INVALID_SAFETENSORS if the index says nothing that can be followed; PATH_OUTSIDE_MODEL_ROOT
 */
export async function weightFiles({ root, folder }: Folder): Promise<readonly string[] | null> {
  if (await isFile(root, folder, whole)) return [whole];
  if (await isFile(root, folder, index)) return [...new Set(Object.values(await readIndex({ root, folder })))].sort();
  const alone = (await readdir(folder)).filter((name) => name.endsWith(".safetensors"));
  return alone.length === 1 && (await isFile(root, folder, alone[0] as string)) ? alone : null;
}

/**
 * Every tensor of a folder's weights, by name. Only headers are read.
 *
 * @throws EspalierError INVALID_SAFETENSORS; PATH_OUTSIDE_MODEL_ROOT
 */
export async function storedWeights(place: Folder): Promise<ReadonlyMap<string, StoredTensor>> {
  const { root, folder } = place;
  const files = (await weightFiles(place)) ?? [];
  const tensors = new Map<string, StoredTensor>();
  for (const file of files) {
    if (!(await isFile(root, folder, file)))
      throw new EspalierError("INVALID_SAFETENSORS", `${index} names the file "${file}", which is not there`, { file });
    for (const tensor of await readHeader(join(folder, file), file)) {
      const first = tensors.get(tensor.name);
      if (first)
        throw new EspalierError("INVALID_SAFETENSORS", `tensor "${tensor.name}" is in ${first.file} and in ${file}`, {
          file,
          tensor: tensor.name,
        });
      tensors.set(tensor.name, tensor);
    }
  }
  if (files.length > 1 || files[0] !== whole) await requireIndexed(place, tensors);
  return tensors;
}

/** What an index says is where is there. */
async function requireIndexed(place: Folder, tensors: ReadonlyMap<string, StoredTensor>): Promise<void> {
  if (!(await isFile(place.root, place.folder, index))) return;
  for (const [tensor, file] of Object.entries(await readIndex(place)))
    if (tensors.get(tensor)?.file !== file)
      throw new EspalierError("INVALID_SAFETENSORS", `${index} says that "${tensor}" is in ${file}, which does not hold it`, {
        file,
        tensor,
      });
}

/** Tensor to file. */
async function readIndex({ root, folder }: Folder): Promise<Readonly<Record<string, string>>> {
  const fail = (what: string): never => {
    throw new EspalierError("INVALID_SAFETENSORS", `${index} ${what}`, { file: index });
  };
  const size = (await within(root, join(folder, index), "MODEL"))?.size ?? 0;
  if (size > largestIndex) fail(`has ${size} bytes; at most ${largestIndex} make sense`);
  const map = (await readJson(folder, index))?.["weight_map"];
  if (typeof map !== "object" || map === null || Array.isArray(map)) return fail("has no weight_map");
  const files = new Set(Object.values(map));
  if (files.size > mostFiles) fail(`names ${files.size} files; at most ${mostFiles} make sense`);
  for (const file of files)
    if (typeof file !== "string" || !/^[^/\\\0]+\.safetensors$/.test(file))
      fail(`names ${JSON.stringify(file)?.slice(0, 200)}, which is no .safetensors file beside it`);
  return map as Record<string, string>;
}

const isFile = async (root: string, folder: string, name: string): Promise<boolean> =>
  (await within(root, join(folder, name), "MODEL"))?.isFile() ?? false;
