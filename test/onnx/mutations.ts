import { int } from "../../src/onnx/attributes.ts";
import type { Attribute, Graph, Model, Node, Tensor } from "../../src/onnx/ir.ts";
import { type Random, randomChoice, randomInteger, shuffled } from "../../src/random.ts";

/** Bytes to spoil, and those of them that are weights, which say nothing of the graph. */
export interface Subject {
  readonly bytes: Uint8Array;
  readonly model: Model;
}

type ByteMutation = (subject: Subject, random: Random) => Uint8Array;
type ModelMutation = (model: Model, random: Random) => Model;

/** A place in the file outside of weights. */
function place({ bytes, model }: Subject, random: Random): number {
  const weights = [...model.graph.initializers.values()].flatMap((t) => (t.data.kind === "inline" ? [t.data.bytes] : []));
  for (;;) {
    const at = randomInteger(random, bytes.length);
    if (!weights.some((w) => at >= w.byteOffset - bytes.byteOffset && at < w.byteOffset - bytes.byteOffset + w.length)) return at;
  }
}

const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

/** What can happen to a file on its way. */
export const byteMutations: Readonly<Record<string, ByteMutation>> = {
  "flipped bits": (subject, random) => {
    const bytes = subject.bytes.slice();
    for (let n = 1 + randomInteger(random, 4); n > 0; n--) {
      const at = place(subject, random);
      bytes[at] = (bytes[at] as number) ^ (1 << randomInteger(random, 8));
    }
    return bytes;
  },
  "cut short": ({ bytes }, random) => bytes.slice(0, randomInteger(random, bytes.length)),
  "a piece twice": (subject, random) => {
    const from = place(subject, random);
    const to = Math.min(subject.bytes.length, from + 1 + randomInteger(random, 200));
    return joined(subject.bytes.subarray(0, to), subject.bytes.subarray(from));
  },
  "a piece missing": (subject, random) => {
    const from = place(subject, random);
    return joined(subject.bytes.subarray(0, from), subject.bytes.subarray(from + 1 + randomInteger(random, 50)));
  },
  "a huge number": (subject, random) => {
    const bytes = subject.bytes.slice();
    bytes.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f].slice(randomInteger(random, 8)), place(subject, random));
    return bytes;
  },
};

const withGraph = (model: Model, change: (graph: Graph) => Partial<Graph>): Model => ({
  ...model,
  graph: { ...model.graph, ...change(model.graph) },
});
const withNode = (model: Model, random: Random, change: (node: Node) => Partial<Node>): Model => {
  const at = randomInteger(random, model.graph.nodes.length);
  return withGraph(model, ({ nodes }) => ({ nodes: nodes.map((n, i) => (i === at ? { ...n, ...change(n) } : n)) }));
};
const withTensor = (model: Model, random: Random, change: (tensor: Tensor) => Partial<Tensor>): Model => {
  const name = randomChoice(random, [...model.graph.initializers.keys()]);
  return withGraph(model, ({ initializers }) => ({
    initializers: new Map([...initializers].map(([key, t]) => [key, key === name ? { ...t, ...change(t) } : t])),
  }));
};
const external = (location: string, offset = 0): ModelMutation => {
  return (model, random) => withTensor(model, random, (t) => ({ data: { kind: "external", location, offset, length: bytesOf(t) } }));
};
const bytesOf = (t: Tensor): number => (t.data.kind === "inline" ? t.data.bytes.length : t.data.length);
const values = ({ nodes }: Graph): string[] => nodes.flatMap((n) => n.outputs);

const node = (opType: string, inputs: readonly string[], output: string): Node => ({
  name: output,
  opType,
  domain: "",
  inputs,
  outputs: [output],
  attributes: {},
});

/** A body in a body in a body... */
const nested = (depth: number): Attribute => {
  let body: Graph = { name: "b", inputs: [], outputs: [], initializers: new Map(), nodes: [], valueInfo: [] };
  for (let d = 0; d < depth; d++)
    body = { ...body, nodes: [{ ...node("If", [], `b${d}`), attributes: { then_branch: { kind: "graph", value: body } } }] };
  return { kind: "graph", value: body };
};

/** The first residual sum, `a + b`, gets a third term that `steps` make of `a`. */
function withTerm(model: Model, steps: (from: string) => Node[]): Model {
  const { nodes } = model.graph;
  const made = new Set(values(model.graph));
  const at = nodes.findIndex((n) => n.opType === "Add" && n.inputs.every((i) => made.has(i)));
  const sum = nodes[at];
  if (!sum) return model;
  const more = steps(sum.inputs[0] as string);
  const last = { ...node("Add", [sum.inputs[1] as string, more.at(-1)?.outputs[0] as string], "fuzz/sum") };
  return withGraph(model, () => ({
    nodes: [...nodes.slice(0, at), ...more, last, { ...sum, inputs: [sum.inputs[0] as string, "fuzz/sum"] }, ...nodes.slice(at + 1)],
  }));
}
const chain = (length: number, link: (before: string, name: string) => Node[]): ((from: string) => Node[]) => {
  return (from) => {
    const nodes: Node[] = [];
    for (let i = 0, before = from; i < length; i++, before = nodes.at(-1)?.outputs[0] as string) nodes.push(...link(before, `fuzz/${i}`));
    return nodes;
  };
};

/** What somebody might write who means harm, or a program that errs. */
export const modelMutations: Readonly<Record<string, ModelMutation>> = {
  "a node twice": (m, r) => withGraph(m, ({ nodes }) => ({ nodes: [...nodes, randomChoice(r, nodes)] })),
  "a node missing": (m, r) => withGraph(m, ({ nodes }) => ({ nodes: nodes.filter((n) => n !== randomChoice(r, nodes)) })),
  "nodes in any order": (m, r) => withGraph(m, ({ nodes }) => ({ nodes: shuffled(r, nodes) })),
  "two nodes exchanged": (m, r) =>
    withGraph(m, ({ nodes }) => {
      const [a, b] = [randomInteger(r, nodes.length), randomInteger(r, nodes.length)];
      return { nodes: nodes.map((n, i) => (i === a ? (nodes[b] as Node) : i === b ? (nodes[a] as Node) : n)) };
    }),
  "a cycle": (m, r) => withNode(m, r, (n) => ({ inputs: [n.outputs[0] as string, ...n.inputs.slice(1)] })),
  "any edge": (m, r) => withNode(m, r, (n) => ({ inputs: n.inputs.map(() => randomChoice(r, values(m.graph))) })),
  "a value made twice": (m, r) => withNode(m, r, () => ({ outputs: [randomChoice(r, values(m.graph))] })),
  "a value without a name": (m, r) => withNode(m, r, (n) => ({ outputs: n.outputs.map(() => "") })),
  "an input that is also made": (m, r) =>
    withGraph(m, (g) => ({ inputs: [...g.inputs, { name: randomChoice(r, values(g)), dataType: "float32", shape: [1] }] })),
  "no outputs": (m) => withGraph(m, () => ({ outputs: [] })),
  "no nodes": (m) => withGraph(m, () => ({ nodes: [] })),
  "no initializers": (m) => withGraph(m, () => ({ initializers: new Map() })),
  "no operator sets": (m) => ({ ...m, opsets: {} }),
  "operators called as an object's own": (m, r) =>
    withNode(m, r, () => ({ opType: randomChoice(r, ["constructor", "__proto__", "toString", "hasOwnProperty"]) })),
  "domains called as an object's own": (m, r) => withNode(m, r, () => ({ domain: randomChoice(r, ["constructor", "__proto__"]) })),
  "attributes called as an object's own": (m, r) =>
    withNode(m, r, (n) => ({ attributes: Object.fromEntries([...Object.entries(n.attributes), ["__proto__", int(1)]]) })),
  "huge dimensions": (m, r) => withTensor(m, r, () => ({ dims: [2 ** 40, 3] })),
  "dimensions whose product is absurd": (m, r) => withTensor(m, r, () => ({ dims: Array(50).fill(2 ** 40) })),
  "dimensions whose product overflows to what is there": (m, r) => withTensor(m, r, (t) => ({ dims: [...t.dims, 2 ** 32, 2 ** 32, 0] })),
  "negative dimensions": (m, r) => withTensor(m, r, (t) => ({ dims: t.dims.map((d) => -d) })),
  "a thousand dimensions": (m, r) => withTensor(m, r, (t) => ({ dims: [...t.dims, ...Array(1000).fill(1)] })),
  "inputs of absurd shape": (m) => withGraph(m, (g) => ({ inputs: g.inputs.map((i) => ({ ...i, shape: [2 ** 50, 2 ** 50] })) })),
  "inputs of negative shape": (m) => withGraph(m, (g) => ({ inputs: g.inputs.map((i) => ({ ...i, shape: [-1, -1] })) })),
  "another element type": (m, r) =>
    withTensor(m, r, () => ({ dataType: randomChoice(r, ["float64", "int8", "bool", "string", "uint4"] as const) })),
  "external data above the folder": external("../../weights.bin"),
  "external data inside and out again": external("a/../../weights.bin"),
  "external data at an absolute path": external("/etc/hostname"),
  "external data in a device": external("/dev/zero"),
  "external data with a NUL": external("weights\0.bin"),
  "external data with backslashes": external("..\\weights.bin"),
  "external data without a name": external(""),
  "external data in the folder itself": external("."),
  "external data in the graph itself": external("model.onnx"),
  "external data by a name that is too long": external("w".repeat(5000)),
  "external data beyond the end": external("model.onnx", 2 ** 52),
  "external data that is huge": (m, r) =>
    withTensor(m, r, () => ({
      dataType: "float32",
      dims: [2 ** 30, 2 ** 18],
      data: { kind: "external", location: "model.onnx", offset: 0, length: 2 ** 50 },
    })),
  "external data in a body": (m, r) =>
    withNode(m, r, (n) => ({
      attributes: {
        ...n.attributes,
        body: {
          kind: "graph",
          value: {
            ...(nested(0) as { value: Graph }).value,
            initializers: new Map([
              [
                "w",
                { name: "w", dataType: "float32", dims: [1], data: { kind: "external", location: "/etc/hostname", offset: 0, length: 4 } },
              ],
            ]),
          },
        },
      },
    })),
  "bodies in bodies": (m, r) => withNode(m, r, (n) => ({ attributes: { ...n.attributes, then_branch: nested(20) } })),
  "too many bodies in bodies": (m, r) => withNode(m, r, (n) => ({ attributes: { ...n.attributes, then_branch: nested(300) } })),
  "a node with 200,000 inputs": (m, r) => withNode(m, r, (n) => ({ inputs: Array(200_000).fill(n.inputs[0] ?? "") })),
  "a body with 200,000 uses": (m, r) =>
    withNode(m, r, (n) => ({
      attributes: {
        then_branch: {
          kind: "graph",
          value: { ...(nested(0) as { value: Graph }).value, nodes: [{ ...node("Sum", Array(200_000).fill(n.inputs[0] ?? ""), "s") }] },
        },
      },
    })),
  "200,000 faults under a long name": (m, r) =>
    withNode(m, r, () => ({ name: "n".repeat(100_000), inputs: Array.from({ length: 200_000 }, (_, i) => `x${i}`) })),
  "50,000 idle nodes": (m) =>
    withGraph(m, ({ nodes }) => ({
      nodes: [...nodes, ...Array.from({ length: 50_000 }, (_, i) => node("Neg", ["input_ids"], `fuzz/${i}`))],
    })),
  "doubled sums": (m) =>
    withTerm(
      m,
      chain(40, (x, name) => [node("Add", [x, x], name)]),
    ),
  "a sum of 20,000 terms": (m) =>
    withTerm(m, (x) => chain(20_000, (before, name) => [node("Neg", [x], `${name}/-`), node("Add", [before, `${name}/-`], name)])(x)),
  "a sum whose terms all come from the same 3,000 nodes": (m) =>
    withTerm(m, (x) => {
      const shared = chain(3000, (before, name) => [node("Neg", [before], `${name}/shared`)])(x);
      const from = shared.at(-1)?.outputs[0] as string;
      return [
        ...shared,
        ...chain(3000, (before, name) => [node("MatMul", [from, from], `${name}/m`), node("Add", [before, `${name}/m`], name)])(x),
      ];
    }),
  "ten thousand layers": (m) => {
    const weight = [...m.graph.initializers.values()].find((t) => t.dims.length === 2)?.name as string;
    let x = "";
    const layers = (from: string) =>
      chain(10_000, (before, name) => [node("MatMul", [before, weight], `${name}/m`), node("Add", [before, `${name}/m`], name)])(from);
    return withGraph(m, ({ nodes }) => {
      const at = nodes.findIndex((n) => n.opType === "Add" && n.inputs.every((i) => values(m.graph).includes(i)));
      const sum = nodes[at];
      if (!sum) return {};
      const more = layers(sum.outputs[0] as string);
      x = more.at(-1)?.outputs[0] as string;
      const swap = (name: string) => (name === sum.outputs[0] ? x : name);
      return { nodes: [...nodes.slice(0, at + 1), ...more, ...nodes.slice(at + 1).map((n) => ({ ...n, inputs: n.inputs.map(swap) }))] };
    });
  },
  "constants by 2^40 ways": (m) => {
    const [first] = m.graph.initializers.keys();
    const nodes = chain(40, (x, name) => [
      node("Neg", [x], `${name}/a`),
      node("Abs", [x], `${name}/b`),
      node("Add", [`${name}/a`, `${name}/b`], name),
    ]);
    return withGraph(m, (g) => ({ nodes: [...nodes(first as string), ...g.nodes] }));
  },
  "constants through 20,000 nodes": (m) => {
    const [first] = m.graph.initializers.keys();
    return withGraph(m, (g) => ({ nodes: [...chain(20_000, (x, name) => [node("Neg", [x], name)])(first as string), ...g.nodes] }));
  },
};
