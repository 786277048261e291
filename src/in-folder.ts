import { mkdir, rm } from "node:fs/promises";

/** A folder of the owner's own that is there for the time of the work. */
export async function inFolder<T>(path: string, work: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  try {
    return await work(path);
  } finally {
    await rm(path, { recursive: true });
  }
}
