import { asInputs } from "./as-inputs.ts";
import type { TrainedMethod } from "./method.ts";

/** Scales and biases alone: 0.01 to 0.2% of all (PERP, Zimmer et al. 2023, arXiv 2312.15230). */
export const norms: TrainedMethod = {
  name: "NORMS",
  description: "Scales of norms, and biases. Least memory of all, and least gain.",
  learningRate: 1e-2,
  besideCodes: true,
  prepare(subject) {
    const isVector = (name: string) => subject.initializers.get(name)?.dims.filter((d) => d > 1).length === 1;
    return asInputs(subject, [...subject.whole.parameters.keys()].filter(isVector));
  },
};
