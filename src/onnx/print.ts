import type { Attribute, Graph, TensorType } from "./ir.ts";

const type = (t: TensorType) => `${t.dataType}[${t.shape?.map((d) => (d === "" ? "?" : d)).join(", ") ?? "..."}]`;

function attribute(a: Attribute): string {
  switch (a.kind) {
    case "tensor":
      return type({ dataType: a.value.dataType, shape: a.value.dims });
    case "graph":
      return `graph ${a.value.name}`;
    case "string":
      return JSON.stringify(new TextDecoder().decode(a.value));
    case "strings":
      return JSON.stringify(a.value.map((s) => new TextDecoder().decode(s)));
    case "floats":
    case "ints":
      return `[${a.value.join(", ")}]`;
    case "float":
    case "int":
      return String(a.value);
  }
}

/** A graph as text, one node a line; the same graph always prints the same, so that two can be compared by diff. */
export function print(graph: Graph): string {
  const lines = [`graph ${graph.name}`];
  for (const v of graph.inputs) lines.push(`  input ${v.name}: ${type(v)}`);
  for (const t of graph.initializers.values()) lines.push(`  initializer ${t.name}: ${type({ dataType: t.dataType, shape: t.dims })}`);
  for (const n of graph.nodes) {
    const attributes = Object.entries(n.attributes).map(([k, a]) => `${k}=${attribute(a)}`);
    const operator = n.domain === "" ? n.opType : `${n.domain}::${n.opType}`;
    lines.push(
      `  ${n.outputs.join(", ")} = ${operator}(${n.inputs.join(", ")})${attributes.length > 0 ? ` {${attributes.join(", ")}}` : ""}`,
    );
  }
  for (const v of graph.outputs) lines.push(`  output ${v.name}: ${type(v)}`);
  return `${lines.join("\n")}\n`;
}
