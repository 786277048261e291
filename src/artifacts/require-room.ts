import { mkdir, statfs } from "node:fs/promises";
import { EspalierError } from "../errors.ts";

/** Makes a folder of the owner's own for files that are to come. @throws EspalierError DISK_FULL if its disk has no room for them */
export async function requireRoom(folder: string, sizeBytes: number): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { bavail, bsize } = await statfs(folder);
  if (sizeBytes > bavail * bsize)
    throw new EspalierError("DISK_FULL", `the files have ${sizeBytes} bytes, and the server's disk has room for ${bavail * bsize}`, {
      sizeBytes,
    });
}
