/** In what an export keeps its weights: for people. */
export const weightTypes = {
  AS_IS: "As the model keeps them: float32, float16 or bfloat16.",
} as const satisfies Readonly<Record<string, string>>;

export type WeightType = keyof typeof weightTypes;
