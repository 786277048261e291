import { EspalierError } from "../errors.ts";
import { encode } from "../onnx/encode.ts";
import { isFloat, type Model, type StaticType, sizeOf, type Tensor } from "../onnx/ir.ts";
import { widen } from "../onnx/widen.ts";
import { openSession, type TensorValue } from "./session.ts";
import { spellOut } from "./specialise.ts";

/** Small constants may take part in shape arithmetic; larger float tensors are weights, whose elements are never looked at. */
const isWeight = (t: Tensor) => isFloat(t.dataType) && sizeOf(t.dims) > 1;

/**
 * The type and static shape of every value of a model, for given shapes of its inputs; the graph itself is left alone.
 *
 * ONNX Runtime is the oracle: of a session in which every value is an output, and every weight an input, it folds the
 * shape arithmetic and keeps all values, whose shapes it then states. The session sees no weight's bytes.
 *
 * @throws EspalierError UNBOUND_INPUT; ONNX_RUNTIME if the graph does not load with these shapes; DYNAMIC_SHAPE if a shape
 *   depends on the data
 */
export async function staticTypes(model: Model, shapes: Readonly<Record<string, readonly number[]>>): Promise<Map<string, StaticType>> {
  // Shapes do not depend on how narrow the numbers are, but ONNX Runtime takes not all narrow ones.
  const { graph } = widen(model);
  const weights = [...graph.initializers.values()].filter(isWeight);
  const names = new Set(weights.map((t) => t.name));
  const inputs = graph.inputs
    .filter((i) => !graph.initializers.has(i.name))
    .map((input) => {
      const shape = shapes[input.name];
      if (!shape)
        throw new EspalierError("UNBOUND_INPUT", `no shape was given for the model's input "${input.name}"`, { input: input.name });
      return { ...input, shape };
    });
  const probe = spellOut({
    ...graph,
    // ONNX Runtime's Node binding has no bfloat16 inputs: such a weight stands as its fellow of two bytes.
    inputs: [
      ...inputs,
      ...weights.map((t) => ({ name: t.name, dataType: t.dataType === "bfloat16" ? ("float16" as const) : t.dataType, shape: t.dims })),
    ],
    initializers: new Map([...graph.initializers].filter(([name]) => !names.has(name))),
    outputs: [],
    valueInfo: [],
  });
  const values = model.graph.nodes.flatMap((n) => n.outputs.filter((o) => o !== ""));
  const session = await openSession(
    { bytes: encode({ ...model, graph: probe }, values) },
    { executionProvider: "CPU", threads: 1, native: { graphOptimizationLevel: "basic" } },
  );
  const types = new Map<string, StaticType>(inputs.map(({ name, dataType, shape }) => [name, { dataType, shape }]));
  for (const { name, dataType, shape } of session.outputs) {
    if (!shape?.every((d) => typeof d === "number"))
      throw new EspalierError("DYNAMIC_SHAPE", `the shape of "${name}" depends on the data: [${shape}]`, { value: name });
    types.set(name, { dataType, shape: shape as number[] });
  }
  await session.close();
  for (const t of graph.initializers.values()) types.set(t.name, { dataType: t.dataType, shape: t.dims });
  return types;
}

/** What a graph without inputs computes. @throws EspalierError ONNX_RUNTIME */
export async function evaluate(model: Model, values: readonly string[]): Promise<Record<string, TensorValue>> {
  if (values.length === 0) return {};
  const session = await openSession(
    { bytes: encode({ ...model, graph: { ...model.graph, inputs: [], outputs: [], valueInfo: [] } }, values) },
    { executionProvider: "CPU", threads: 1, native: { graphOptimizationLevel: "disabled" } },
  );
  try {
    return await session.run({});
  } finally {
    await session.close();
  }
}
