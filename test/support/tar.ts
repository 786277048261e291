import { buffer } from "node:stream/consumers";
import { type Header, pack } from "tar-stream";

export type TarEntry = Partial<Header> & { readonly name: string; readonly bytes?: Buffer };

/** A tar archive of such entries. */
export function tar(entries: readonly TarEntry[]): Promise<Buffer> {
  const archive = pack();
  for (const { bytes, ...header } of entries) archive.entry(header as Header, bytes ?? Buffer.alloc(0));
  archive.finalize();
  return buffer(archive as unknown as AsyncIterable<Buffer>);
}
