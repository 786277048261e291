import { asInputs, copiesAmong } from "./as-inputs.ts";
import type { TrainedMethod } from "./method.ts";

/** All weights. Tied ones stay tied. */
export const full: TrainedMethod = {
  name: "FULL",
  description: "All weights. The most gain for each text, and four times the memory of the weights in float32.",
  learningRate: 6e-4,
  prepare: (subject) => asInputs(subject, [...subject.whole.parameters.keys()], copiesAmong(subject)),
};
