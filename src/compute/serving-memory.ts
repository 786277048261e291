import type { StoredModel } from "./tasks.ts";

/** Of a process without a model: Node and ONNX Runtime. */
const processBytes = 128 * 2 ** 20;
const smallestCache = 128 * 2 ** 20;

/** What a model that is kept loaded may take of the memory, reckoned from its files. */
export function servingMemory({ files }: StoredModel): { readonly cacheBytes: number; readonly totalBytes: number } {
  const weights = files.filter(({ path }) => !path.endsWith(".json")).reduce((n, { sizeBytes }) => n + sizeBytes, 0);
  const cacheBytes = smallestCache + Math.ceil(weights / 2);
  // Weights as they lie in their files, and once more as ONNX Runtime packs them; a quarter of the cache is prompts' beginnings.
  return { cacheBytes, totalBytes: processBytes + 2 * weights + Math.ceil(1.25 * cacheBytes) };
}
