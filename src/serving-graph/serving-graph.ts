import { append } from "../large-lists.ts";
import { removeDead } from "../onnx/edit.ts";
import type { Graph, Model, Node, ValueInfo } from "../onnx/ir.ts";
import { verify } from "../onnx/verify.ts";
import { type Attention, attentionsOf, type Mask } from "./attention.ts";
import { windowsOf } from "./causal.ts";
import { type Search, searchIn } from "./layout.ts";
import { type CacheWidth, contrib, ports } from "./ports.ts";
import { PositionTables } from "./position-tables.ts";
import { isElementwise, requireTokenWise } from "./token-wise.ts";
import { type TwoViews, twoViews, unfit } from "./two-views.ts";
import { connectGrouped, type Rewriting, writeAttention } from "./write-attention.ts";
import { type Head, writeHead } from "./write-head.ts";
import { Writer } from "./writer.ts";

export interface ServingGraph {
  readonly model: Model;
  readonly cache: readonly CacheWidth[];
  /** V. */
  readonly vocabularySize: number;
  /** H, of the value that the head reads. */
  readonly hiddenSize: number;
}

/**
 * Rewrites a causal language model for serving. Every attention, however its exporter spelled it, becomes one
 * GroupQueryAttention, which keeps each sequence's keys and values at its own length in a buffer that is extended in place;
 * positions are looked up in tables; logits come only for the tokens that are asked for. A graph that was exported without
 * a cache gets one. What it computes of a token depends on that token's own sequence alone.
 *
 * @param length the longest sequence that will be read, in tokens
 * @throws EspalierError CANNOT_REWRITE with the reason, if the graph does anything that is not understood
 */
export async function servingGraph(original: Model, folder: string, length: number): Promise<ServingGraph> {
  const views = await twoViews(original, folder);
  const search = searchIn(views.graph);
  const spelled = attentionsOf(views, search);
  const windows = await windowsOf(
    views,
    spelled.flatMap((a): readonly Mask[] => a.masks),
    length,
  );
  const writer = new Writer(views);
  const tables = new PositionTables(views, writer);
  const rewriting = { views, search, writer, tables };
  const cache: CacheWidth[] = [];
  const at = new Map(spelled.map((a) => [search.made.get(a.output) as Node, a]));
  for (const node of liveNodes(views, search, at)) {
    const attention = at.get(node);
    if (attention) cache.push(writeAttention(rewriting, attention, windows, cache.length));
    else if (isGrouped(node)) cache.push(connectGrouped(rewriting, node, cache.length));
    else keep(rewriting, node);
  }
  if (cache.length === 0) unfit("it has no attention");
  const head = writeHead(rewriting);
  await tables.fill(length);
  return { model: finished(rewriting, head, cache), cache, vocabularySize: head.vocabularySize, hiddenSize: head.hiddenSize };
}

const isGrouped = (node: Node): boolean => node.domain === contrib && node.opType === "GroupQueryAttention";

/** What is left to do once attentions are operators: nodes behind the logits, but for those that attentions were spelled with. */
function liveNodes({ graph: { graph }, logits }: TwoViews, { made }: Search, attentions: ReadonlyMap<Node, Attention>): Node[] {
  const heads = new Map(
    [...attentions.values()].flatMap((a) => [a.output, ...(a.joined ? [a.joined] : [])].map((name) => [name, a] as const)),
  );
  const live = new Set<Node>();
  const stack = [logits];
  for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
    const attention = heads.get(name);
    const node = made.get(attention?.output ?? name);
    if (!node || live.has(node)) continue;
    live.add(node);
    if (attention) {
      const tables = [attention.q, attention.k].flatMap(({ rotary }) =>
        rotary?.tables.kind === "caches" ? [rotary.tables.cos, rotary.tables.sin] : [],
      );
      append(stack, [attention.q.source, attention.k.source, attention.v.source, ...tables]);
    } else append(stack, isGrouped(node) ? [...node.inputs.slice(0, 3), ...node.inputs.slice(7)] : node.inputs);
  }
  return graph.nodes.filter((n) => live.has(n));
}

/** A node of the model as it is, but for what it was told about the input's shape. */
function keep({ views, search, writer, tables }: Rewriting, node: Node): void {
  const { stream, shaped } = views;
  const [output = ""] = node.outputs;
  const lookedUp = (name: string): string => {
    if (!isElementwise(node)) unfit(`${node.opType} "${node.name}" depends on the input's shape`);
    return tables.byPosition(name, search.types.get(output)?.shape.length ?? 0);
  };
  if (stream.has(output)) requireTokenWise(views, search, node);
  // What depends on the shape alone is looked up where it is read.
  if (shaped.has(output)) return;
  if (stream.has(output) && node.domain === "" && node.opType === "Reshape") reshape(views, writer, node);
  else writer.add({ ...node, inputs: node.inputs.map((name) => (shaped.has(name) ? lookedUp(name) : writer.now(name))) });
}

function reshape({ sizes }: TwoViews, writer: Writer, node: Node): void {
  const [x = ""] = node.inputs;
  const [output = ""] = node.outputs;
  const from = sizes(x);
  const to = sizes(output);
  const why = `Reshape "${node.name}" depends on the input's shape`;
  writer.rename(output, writer.shaped(writer.now(x), from ?? unfit(why), to ?? unfit(why)));
}

function finished({ views, writer }: Rewriting, { logits, hidden }: Head, cache: readonly CacheWidth[]): Model {
  const entry = (name: string, layer: number): ValueInfo => ({
    name,
    dataType: "float32",
    shape: ["batch", cache[layer]?.heads ?? 0, "room", cache[layer]?.width ?? 0],
  });
  const entries = (port: typeof ports.past) => cache.flatMap((_, i) => [entry(port(i, "key"), i), entry(port(i, "value"), i)]);
  const value = (name: string, dataType: ValueInfo["dataType"], shape: ValueInfo["shape"]): ValueInfo => ({ name, dataType, shape });
  const named = [...writer.nodes, node("Identity", [logits], ports.logits), node("Identity", [hidden], ports.hidden)];
  const graph: Graph = removeDead({
    name: "serving",
    inputs: [
      value(ports.tokens, "int64", ["batch", "tokens"]),
      value(ports.positions, "int64", ["batch", "tokens"]),
      value(ports.lengths, "int32", ["batch"]),
      value(ports.total, "int32", []),
      value(ports.rows, "int64", ["rows"]),
      ...entries(ports.past),
    ],
    outputs: [value(ports.logits, "float32", null), value(ports.hidden, "float32", null), ...entries(ports.present)],
    initializers: writer.initializers,
    nodes: named,
    valueInfo: [],
  });
  const lost = graph.nodes.flatMap((n) => n.inputs).find((name) => views.shaped.has(name) && !writer.initializers.has(name));
  if (lost) unfit(`"${lost}" is still read`);
  const domains = {
    "": views.graph.opsets[""] ?? 17,
    ...Object.fromEntries(Object.entries(views.graph.opsets).filter(([d]) => graph.nodes.some((n) => n.domain === d))),
    [contrib]: 1,
  };
  const model = { ...views.model, opsets: domains, graph };
  verify(model);
  return model;
}

const node = (opType: string, inputs: string[], output: string): Node => ({
  name: output,
  opType,
  domain: "",
  inputs,
  outputs: [output],
  attributes: {},
});
