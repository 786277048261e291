import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { modelDigest, storeFile } from "../../src/artifacts/model-files.ts";
import type { StoredModel } from "../../src/compute/tasks.ts";

/** The folder of bundled models, and the bundled model in it. */
export const modelRoot = fileURLToPath(new URL("../../models/", import.meta.url));
export const ahabFolder = join(modelRoot, "ahab");

/** The bundled model's files in an artifact store. */
export async function storeAhab(dataDirectory: string): Promise<StoredModel> {
  const paths: string[] = [];
  for (const path of (await readdir(ahabFolder, { recursive: true })).sort())
    if ((await stat(join(ahabFolder, path))).isFile()) paths.push(path);
  const files = await Promise.all(paths.map(async (path) => ({ path, ...(await storeFile(dataDirectory, join(ahabFolder, path))) })));
  return { dataDirectory, digest: modelDigest(files), files, vocabularySize: 2048, task: "CAUSAL_LM" };
}
