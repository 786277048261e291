import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Runs `work` on a folder that holds these files: texts as they are, all else as JSON. */
export async function withFolder(files: Readonly<Record<string, unknown>>, work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "espalier-test-"));
  try {
    for (const [name, value] of Object.entries(files))
      await writeFile(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));
    await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}
