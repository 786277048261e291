import type { Format } from "./format.ts";

export const onnx: Format<"ONNX"> = {
  name: "ONNX",
  description: "The model's own graph and weights, in the layout that transformers.js and Optimum look for.",
  loadedBy: "ONNX Runtime, Optimum, transformers.js, onnxruntime-genai",
  library: "onnx",
  tags: ["onnx"],
  weights: ["AS_IS"],
  open: async () => (await import("./onnx/write-onnx.ts")).writeOnnx,
};
