import * as pb from "onnx-buf";
import { EspalierError } from "../errors.ts";

/** Nodes that calls may become altogether: functions that call functions grow without bound in a file of a few bytes. */
const mostNodes = 200_000;

const fail = (message: string): never => {
  throw new EspalierError("INVALID_ONNX", message);
};

const domainOf = (domain: string): string => (domain === "ai.onnx" ? "" : domain);
const keyOf = ({ domain, overload }: { domain: string; overload: string }, name: string): string =>
  [domainOf(domain), name, overload].join("::");

/** A message with other fields. Messages keep defaults in their prototypes, which a spread would lose. */
const changed = <M extends object>(message: M, fields: Partial<M>): M =>
  Object.assign(Object.create(Object.getPrototypeOf(message) as object), message, fields) as M;

/**
 * Replaces calls of a model's local functions by the functions' nodes, however deep they call each other. It works on the
 * format's own messages, so that the IR needs no word for functions nor for attributes that refer to a caller's.
 *
 * Source: the ONNX specification, docs/IR.md, "Model Local Functions".
 *
 * @throws EspalierError INVALID_ONNX if functions call themselves, grow beyond bounds, or are of another operator set than the model
 */
export function inlineFunctions(model: pb.ModelProto): pb.ModelProto {
  if (model.functions.length === 0 || !model.graph) return model;
  const functions = new Map<string, pb.FunctionProto>();
  for (const f of model.functions) {
    const key = keyOf(f, f.name);
    if (functions.has(key)) fail(`there is a second function "${f.name}" of domain "${f.domain}"`);
    functions.set(key, f);
  }
  const opsets = new Map(model.opsetImport.map((o) => [domainOf(o.domain), o]));
  const taken = new Set<string>();
  for (const name of namesIn(model.graph)) taken.add(name);
  let count = 0;

  // How often a name was asked for: a function is called many times, and each time begins where the last one ended.
  const asked = new Map<string, number>();
  const fresh = (name: string): string => {
    let free = name;
    for (let i = asked.get(name) ?? 1; taken.has(free); i++) {
      free = `${name}_${i}`;
      asked.set(name, i + 1);
    }
    taken.add(free);
    return free;
  };

  const expand = (nodes: readonly pb.NodeProto[], calls: readonly string[]): pb.NodeProto[] =>
    nodes.flatMap((node) => {
      const f = functions.get(keyOf(node, node.opType));
      if (!f) return [mapGraphs(node, (g) => changed(g, { node: expand(g.node, calls) }))];
      const key = keyOf(node, node.opType);
      if (calls.includes(key)) fail(`the function "${f.name}" calls itself`);
      count += f.node.length;
      if (count > mostNodes) fail(`the model's functions become more than ${mostNodes} nodes when they are inlined`);
      for (const o of f.opsetImport) {
        const known = opsets.get(domainOf(o.domain));
        if (!known) opsets.set(domainOf(o.domain), o);
        else if (known.version !== o.version)
          fail(
            `the function "${f.name}" is of version ${o.version} of the operator set "${o.domain || "ai.onnx"}", the model of ${known.version}`,
          );
      }
      return expand(bodyOf(f, node, fresh), [...calls, key]);
    });

  const graph = changed(model.graph, { node: expand(model.graph.node, []) });
  // A domain that only functions were of is no operator set.
  const own = new Set([...functions.values()].map((f) => domainOf(f.domain)));
  const used = new Set(domainsIn(graph));
  const opsetImport = [...opsets.values()].filter((o) => !own.has(domainOf(o.domain)) || used.has(domainOf(o.domain)));
  return changed(model, { graph, functions: [], opsetImport });
}

/** The nodes of a function, under the names and with the attributes of one call of it. */
function bodyOf(f: pb.FunctionProto, call: pb.NodeProto, fresh: (name: string) => string): pb.NodeProto[] {
  const prefix = call.name || call.output.find((o) => o !== "") || f.name;
  const names = new Map([["", ""], ...f.input.map((name, i) => [name, call.input[i] ?? ""] as const)]);
  const given: pb.NodeProto[] = [];
  for (const [i, name] of f.output.entries()) {
    const output = call.output[i] || fresh(`${prefix}/${name}`);
    // An input that is given back as it is.
    if (names.has(name)) given.push(identity(call, names.get(name) as string, output));
    else names.set(name, output);
  }
  const rename = (name: string): string => {
    const known = names.get(name);
    if (known !== undefined) return known;
    const own = fresh(`${prefix}/${name}`);
    names.set(name, own);
    return own;
  };
  const attributes = new Map([...f.attributeProto, ...call.attribute].map((a) => [a.name, a]));
  const own = (node: pb.NodeProto): pb.NodeProto =>
    changed(
      mapGraphs(withAttributes(node, attributes), (g) => renamedGraph(g, rename, own)),
      { name: `${prefix}/${node.name || node.opType}`, input: node.input.map(rename), output: node.output.map(rename) },
    );
  return [...f.node.map(own), ...given];
}

/** An attribute that refers to the caller's takes its value, or is absent where the caller's is. */
function withAttributes(node: pb.NodeProto, attributes: ReadonlyMap<string, pb.AttributeProto>): pb.NodeProto {
  if (!node.attribute.some((a) => a.refAttrName !== "")) return node;
  const attribute = node.attribute.flatMap((a) => {
    if (a.refAttrName === "") return [a];
    const value = attributes.get(a.refAttrName);
    return value ? [changed(value, { name: a.name })] : [];
  });
  return changed(node, { attribute });
}

const renamedGraph = (g: pb.GraphProto, rename: (name: string) => string, own: (node: pb.NodeProto) => pb.NodeProto): pb.GraphProto => {
  const named = <M extends { name: string }>(m: M): M => changed(m, { name: rename(m.name) } as Partial<M>);
  return changed(g, {
    input: g.input.map(named),
    output: g.output.map(named),
    valueInfo: g.valueInfo.map(named),
    initializer: g.initializer.map(named),
    sparseInitializer: g.sparseInitializer.map((s) => (s.values ? changed(s, { values: named(s.values) }) : s)),
    node: g.node.map(own),
  });
};

function mapGraphs(node: pb.NodeProto, map: (graph: pb.GraphProto) => pb.GraphProto): pb.NodeProto {
  if (!node.attribute.some((a) => a.g)) return node;
  return changed(node, { attribute: node.attribute.map((a) => (a.g ? changed(a, { g: map(a.g) }) : a)) });
}

const identity = (like: pb.NodeProto, from: string, to: string): pb.NodeProto =>
  changed(like, { name: `${to}/Identity`, opType: "Identity", domain: "", overload: "", input: [from], output: [to], attribute: [] });

function* graphsIn(graph: pb.GraphProto): Iterable<pb.GraphProto> {
  yield graph;
  for (const node of graph.node) for (const a of node.attribute) if (a.g) yield* graphsIn(a.g);
}

function* namesIn(graph: pb.GraphProto): Iterable<string> {
  for (const g of graphsIn(graph)) {
    for (const v of [...g.input, ...g.initializer]) yield v.name;
    for (const node of g.node) yield* node.output;
  }
}

function* domainsIn(graph: pb.GraphProto): Iterable<string> {
  for (const g of graphsIn(graph)) for (const node of g.node) yield domainOf(node.domain);
}
