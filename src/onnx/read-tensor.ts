import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { EspalierError } from "../errors.ts";
import type { Tensor } from "./ir.ts";

/** Gives a tensor's bytes, wherever they lie. */
export type TensorReader = (tensor: Tensor) => Uint8Array;

/** Reads external data from files in `folder`, the graph's own. @throws EspalierError MISSING_EXTERNAL_DATA if a file is too short */
export const tensorReader =
  (folder: string): TensorReader =>
  ({ name, data }) => {
    if (data.kind === "inline") return data.bytes;
    const bytes = new Uint8Array(data.length);
    const file = openSync(join(folder, data.location), "r");
    try {
      for (let done = 0; done < data.length; ) {
        const n = readSync(file, bytes, done, Math.min(data.length - done, 1 << 30), data.offset + done);
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
