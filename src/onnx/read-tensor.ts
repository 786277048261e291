import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { EspalierError } from "../errors.ts";
import type { Tensor } from "./ir.ts";

/** Gives a tensor's bytes `[from, from + length)`, or all of them, wherever they lie. */
export type TensorReader = (tensor: Tensor, from?: number, length?: number) => Uint8Array;

/** Reads external data from files in `folder`, the graph's own. @throws EspalierError MISSING_EXTERNAL_DATA if a file is too short */
export const tensorReader =
  (folder: string): TensorReader =>
  ({ name, data }, from = 0, length) => {
    if (data.kind === "inline") return data.bytes.subarray(from, length && from + length);
    const bytes = new Uint8Array(length ?? data.length - from);
    const file = openSync(join(folder, data.location), "r");
    try {
      for (let done = 0; done < bytes.length; ) {
        const n = readSync(file, bytes, done, Math.min(bytes.length - done, 1 << 30), data.offset + from + done);
        if (n === 0)
          throw new EspalierError("MISSING_EXTERNAL_DATA", `"${data.location}" ends before tensor "${name}" does`, {
            location: data.location,
          });
        done += n;
      }
    } finally {
      closeSync(file);
    }
    return bytes;
  };
