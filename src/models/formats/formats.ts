import { EspalierError } from "../../errors.ts";
import type { Format } from "./format.ts";
import { gguf } from "./gguf.ts";
import { onnx } from "./onnx.ts";
import { safetensors } from "./safetensors.ts";

/** THE table of the formats in which models leave. What computes is loaded by `open` only: whoever starts an export needs the names alone. */
export const formats = [onnx, safetensors, gguf] as const satisfies readonly Format[];

export type FormatName = (typeof formats)[number]["name"];

/** @throws EspalierError UNKNOWN_FORMAT */
export function formatNamed(name: string): Format<FormatName> {
  const found = formats.find((format) => format.name === name);
  if (found) return found;
  throw new EspalierError("UNKNOWN_FORMAT", `there is no format ${name}; there are ${formats.map((f) => f.name).join(", ")}`, { name });
}
