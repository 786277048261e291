import { createHash } from "node:crypto";

/** The sha256 of bytes as they come, in hexadecimal, and how many there are. */
export async function sha256OfStream(bytes: AsyncIterable<unknown>): Promise<{ readonly sha256: string; readonly sizeBytes: number }> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for await (const chunk of bytes as AsyncIterable<Uint8Array>) {
    hash.update(chunk);
    sizeBytes += chunk.length;
  }
  return { sha256: hash.digest("hex"), sizeBytes };
}
