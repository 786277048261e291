import type { Pass } from "./pass.ts";

/** The first version of the format in which an initializer need not be listed among the inputs too. */
const firstWithout = 4;

/** Initializers that are also listed as inputs, as old exporters do, leave the inputs: they are weights, not something that is fed. */
export const inputsWithoutDefaults: Pass = (model) => {
  const { graph, irVersion } = model;
  const inputs = graph.inputs.filter((i) => !graph.initializers.has(i.name));
  if (inputs.length === graph.inputs.length && irVersion >= firstWithout) return model;
  return { ...model, irVersion: Math.max(irVersion, firstWithout), graph: { ...graph, inputs } };
};
