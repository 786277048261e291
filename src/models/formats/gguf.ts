import type { Format } from "./format.ts";

export const gguf: Format<"GGUF"> = {
  name: "GGUF",
  description:
    "One file with weights, tokenizer and chat template, in floats or quantised; layers may be of unlike widths where llama.cpp reads that.",
  loadedBy: "llama.cpp, node-llama-cpp, Ollama, LM Studio",
  library: "gguf",
  tags: ["gguf"],
  weights: ["F16", "F32", "Q8_0", "Q4_0", "Q4_K_M", "AS_IS"],
  open: async () => (await import("./gguf/write-gguf.ts")).writeGguf,
};
