import { EspalierError } from "../errors.ts";
import { encode } from "../onnx/encode.ts";
import { type Dim, isFloat, type Model, type StaticType, sizeOf, type Tensor } from "../onnx/ir.ts";
import { toFloat32 } from "../onnx/to-float32.ts";
import { isSizedByElements, knownFromShapes, withResults } from "./evaluate.ts";
import { openSession } from "./session.ts";
import { spellOut } from "./specialise.ts";

/** Small constants may take part in shape arithmetic; larger float tensors, and what lies in other files, are never looked at. */
const isLarge = (t: Tensor) => (isFloat(t.dataType) && sizeOf(t.dims) > 1) || t.data.kind === "external";

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
  let { graph } = toFloat32(model);
  // Of what is widened the narrow form stays, in types that the binding may not have.
  const named = new Set(model.graph.nodes.flatMap((n) => n.outputs));
  for (;;) {
    const { types, open } = await stated({ ...model, graph }, shapes, named);
    const [first] = open;
    if (!first) return types;
    const sized = graph.nodes.filter((n) => isSizedByElements(n) && n.outputs.some((o) => open.has(o)));
    const outputs = new Set(sized.flatMap((n) => n.outputs));
    const { computed } = await knownFromShapes({ ...model, graph }, types, outputs);
    const found = Object.entries(computed).filter(([name]) => outputs.has(name));
    if (found.length === 0)
      throw new EspalierError("DYNAMIC_SHAPE", `the shape of "${first[0]}" depends on the data: [${first[1]}]`, { value: first[0] });
    graph = withResults(graph, Object.fromEntries(found));
  }
}

/** The values whose shapes ONNX Runtime states, and those whose shapes it leaves open, as it has them. */
async function stated(
  model: Model,
  shapes: Readonly<Record<string, readonly number[]>>,
  named: ReadonlySet<string>,
): Promise<{ readonly types: Map<string, StaticType>; readonly open: ReadonlyMap<string, readonly Dim[] | null> }> {
  const { graph } = model;
  const weights = [...graph.initializers.values()].filter(isLarge);
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
  const values = graph.nodes.flatMap((n) => n.outputs.filter((o) => o !== "" && named.has(o)));
  const session = await openSession(
    { bytes: encode({ ...model, graph: probe }, values) },
    { executionProvider: "CPU", threads: 1, native: { graphOptimizationLevel: "basic" } },
  );
  const types = new Map<string, StaticType>(inputs.map(({ name, dataType, shape }) => [name, { dataType, shape }]));
  const open = new Map<string, readonly Dim[] | null>();
  for (const { name, dataType, shape } of session.outputs)
    if (shape?.every((d) => typeof d === "number")) types.set(name, { dataType, shape });
    else open.set(name, shape);
  await session.close();
  for (const t of graph.initializers.values()) types.set(t.name, { dataType: t.dataType, shape: t.dims });
  return { types, open };
}
