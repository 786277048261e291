import { EspalierError } from "../../errors.ts";
import { clip } from "./clip.ts";
import { fista } from "./fista.ts";
import { gptq } from "./gptq.ts";
import { magnitude } from "./magnitude.ts";
import type { CompressionMethod } from "./method.ts";
import { pbs2p } from "./pbs2p.ts";
import { rtn } from "./rtn.ts";
import { sparseGpt } from "./sparsegpt.ts";
import { wanda } from "./wanda.ts";

/** THE list of the ways of compressing; the first is the default. The API's enum, the docs' table and the contract test follow from it. */
export const compressionMethods: readonly CompressionMethod[] = [gptq, clip, rtn, sparseGpt, wanda, fista, magnitude, pbs2p];

/** @throws EspalierError UNKNOWN_METHOD */
export function compressionMethodNamed(name: string): CompressionMethod {
  const found = compressionMethods.find((m) => m.name === name);
  if (found) return found;
  const known = compressionMethods.map((m) => m.name);
  throw new EspalierError("UNKNOWN_METHOD", `there is no way of compressing "${name}"; there are: ${known.join(", ")}`, { name, known });
}
