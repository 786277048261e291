import { EspalierError } from "../errors.ts";

/** Where in ONNX Runtime's own source a check failed, with the check: of no use to who reads what follows. */
const origin = /\/onnxruntime_src\/\S+:\d+ (?:.*? was false\. )?/g;

/** ONNX Runtime's own words, which name the operator and node at fault. */
export const wordsOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).replace(origin, "").trim();

/** ONNX_RUNTIME: it could not do something, and says why. */
export const runtimeError = (what: string, cause: unknown): EspalierError =>
  new EspalierError("ONNX_RUNTIME", `ONNX Runtime could not ${what}: ${wordsOf(cause)}`, {}, { cause });
