import { type Attribute, type Node, operatorKey, type Tensor } from "../ir.ts";
import { float32Tensor } from "../tensors.ts";
import type { Pass } from "./pass.ts";

/** What nodes of operator Constant hold becomes initializers, which is where weights are looked for. */
export const constantsToInitializers: Pass = (model) => {
  const { graph } = model;
  const given = new Set(graph.outputs.map((o) => o.name));
  const initializers = new Map(graph.initializers);
  const nodes = graph.nodes.filter((node) => {
    const [output = ""] = node.outputs;
    const tensor = given.has(output) || initializers.has(output) ? null : tensorOf(node);
    if (tensor) initializers.set(output, tensor);
    return !tensor;
  });
  return nodes.length === graph.nodes.length ? model : { ...model, graph: { ...graph, initializers, nodes } };
};

const forms: Readonly<Record<string, (a: Attribute, name: string) => Tensor | null>> = {
  value: (a, name) => (a.kind === "tensor" ? { ...a.value, name } : null),
  value_float: (a, name) => (a.kind === "float" ? float32Tensor(name, [], [a.value]) : null),
  value_floats: (a, name) => (a.kind === "floats" ? float32Tensor(name, [a.value.length], a.value) : null),
  value_int: (a, name) => (a.kind === "int" ? integers(name, [], [a.value]) : null),
  value_ints: (a, name) => (a.kind === "ints" ? integers(name, [a.value.length], a.value) : null),
  value_string: (a, name) => (a.kind === "string" ? stringTensor(name, [], [a.value]) : null),
  value_strings: (a, name) => (a.kind === "strings" ? stringTensor(name, [a.value.length], a.value) : null),
};

function tensorOf(node: Node): Tensor | null {
  if (operatorKey(node) !== "Constant") return null;
  const [[form, attribute] = ["", null], ...more] = Object.entries(node.attributes);
  const make = forms[form];
  return make && attribute && more.length === 0 ? make(attribute, node.outputs[0] as string) : null;
}

/** Exactly: the largest integer stands for an end. */
const integers = (name: string, dims: readonly number[], values: readonly bigint[]): Tensor => ({
  name,
  dataType: "int64",
  dims,
  data: { kind: "inline", bytes: new Uint8Array(BigInt64Array.from(values).buffer) },
});

const stringTensor = (name: string, dims: readonly number[], strings: readonly Uint8Array[]): Tensor => ({
  name,
  dataType: "string",
  dims,
  data: { kind: "inline", bytes: new Uint8Array() },
  strings,
});
