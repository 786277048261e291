/** In what an export keeps its weights: for people. */
export const weightTypes = {
  AS_IS:
    "As the model keeps them: float32, float16 or bfloat16. In GGUF each matrix in the smallest type that holds it exactly: codes as codes.",
  F32: "float32.",
  F16: "float16; norms and biases in float32.",
  Q8_0: "8 bits a weight, and a float16 for each 32.",
  Q4_0: "4 bits a weight, and a float16 for each 32; the head in more.",
  Q4_K_M: "4 bits a weight in blocks of 256, whose parts have scales; the head and parts of some layers in 6.",
} as const satisfies Readonly<Record<string, string>>;

export type WeightType = keyof typeof weightTypes;
