import type { Format } from "./format.ts";

export const safetensors: Format<"SAFETENSORS"> = {
  name: "SAFETENSORS",
  description: "Weights under the names that the family's class in transformers looks for, with a configuration in its own fields.",
  loadedBy: "transformers, vLLM, llama.cpp's converter",
  library: "transformers",
  tags: ["transformers", "safetensors"],
  weights: ["AS_IS"],
  open: async () => (await import("./safetensors/write-safetensors.ts")).writeSafetensors,
};
