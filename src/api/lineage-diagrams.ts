interface Node {
  readonly id: string;
  readonly name: string;
  readonly parameterCount: number;
}

export interface Family {
  readonly nodes: readonly Node[];
  readonly edges: readonly { readonly parent: Node; readonly child: Node }[];
}

const label = ({ name, parameterCount }: Node): [string, string] => [name, `${parameterCount.toLocaleString("en-US")} parameters`];

/** In Mermaid's strings characters are written as numbers; names are clients' own words. */
const mermaidText = (text: string): string => text.replace(/[^\p{L}\p{N} .,_/()-]/gu, (char) => `#${char.codePointAt(0)};`);

/** The family as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html). Nodes are named by their place in the list. */
export function mermaid({ nodes, edges }: Family): string {
  const names = new Map(nodes.map((node, i) => [node.id, `m${i}`]));
  return [
    "flowchart TD",
    ...nodes.map((node) => `  ${names.get(node.id)}["${label(node).map(mermaidText).join("<br/>")}"]`),
    ...edges.map(({ parent, child }) => `  ${names.get(parent.id)} --> ${names.get(child.id)}`),
    "",
  ].join("\n");
}

/** In DOT's double-quoted strings a quote and a backslash are escaped, and lines are broken by \n. */
const dotText = (text: string): string => text.replace(/["\\]/g, "\\$&").replace(/\s+/g, " ");

/** The family in Graphviz's language, DOT (https://graphviz.org/doc/info/lang.html). Nodes are named by their ids. */
export function dot({ nodes, edges }: Family): string {
  return [
    "digraph lineage {",
    "  node [shape=box];",
    ...nodes.map((node) => `  "${node.id}" [label="${label(node).map(dotText).join("\\n")}"];`),
    ...edges.map(({ parent, child }) => `  "${parent.id}" -> "${child.id}";`),
    "}",
    "",
  ].join("\n");
}
