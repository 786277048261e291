import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { unlessAbsent } from "../unless-absent.ts";

/** The text of a file in a model folder; null if there is none, or none but a folder, a pipe or a device, which are not waited for. */
export async function readBeside(folder: string, name: string): Promise<string | null> {
  const path = join(folder, name);
  return (await stat(path).catch(unlessAbsent))?.isFile() ? readFile(path, "utf8") : null;
}
