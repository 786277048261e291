import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type NamedTensor, tensorBytes, writeTensors } from "./write-tensors.ts";

/** As transformers 4 saves them: files that every file system and every client takes. */
const largestFile = 5_000_000_000;

/** Tensors in their order, as many in each file as it may hold; one that is larger has a file of its own. */
function shardsOf(tensors: readonly NamedTensor[], largest: number): NamedTensor[][] {
  const shards: NamedTensor[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const own = tensorBytes(tensor.matrix);
    if (bytes > 0 && bytes + own > largest) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)?.push(tensor);
    bytes += own;
  }
  return shards;
}

/**
 * Writes weights as `model.safetensors`; or, past a limit, as files with numbers and `model.safetensors.index.json`, which says where each tensor is.
 *
 * @param written is told of each file of weights as soon as it is whole
 * @yields how many bytes of tensors are written, of all
 * @returns the files' names
 */
export async function* writeShards(
  folder: string,
  tensors: readonly NamedTensor[],
  written: (path: string) => void,
  largest = largestFile,
): AsyncGenerator<{ readonly done: number; readonly total: number }, string[]> {
  const shards = shardsOf(tensors, largest);
  const number = (i: number) => String(i).padStart(5, "0");
  const names = shards.map((_, i) =>
    shards.length === 1 ? "model.safetensors" : `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`,
  );
  const total = tensors.reduce((n, { matrix }) => n + tensorBytes(matrix), 0);
  let before = 0;
  for (const [i, shard] of shards.entries()) {
    const name = names[i] as string;
    for await (const { done } of writeTensors(join(folder, name), shard)) yield { done: before + done, total };
    before += shard.reduce((n, { matrix }) => n + tensorBytes(matrix), 0);
    written(name);
  }
  if (shards.length === 1) return names;
  const map = Object.fromEntries(shards.flatMap((shard, i) => shard.map((tensor) => [tensor.name, names[i] as string])));
  const index = "model.safetensors.index.json";
  await writeFile(join(folder, index), `${JSON.stringify({ metadata: { total_size: total }, weight_map: map }, null, 2)}\n`);
  return [...names, index];
}
