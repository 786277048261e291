import { smallest } from "../large-lists.ts";
import * as attr from "../onnx/attributes.ts";
import type { Attribute, Node } from "../onnx/ir.ts";
import type { Attention, Heads, Mask } from "./attention.ts";
import type { Search } from "./layout.ts";
import { type CacheWidth, contrib, ports } from "./ports.ts";
import type { PositionTables } from "./position-tables.ts";
import { type TwoViews, unfit } from "./two-views.ts";
import type { Writer } from "./writer.ts";

/** A rewriting: what is read, and what is written. */
export interface Rewriting {
  readonly views: TwoViews;
  readonly search: Search;
  readonly writer: Writer;
  readonly tables: PositionTables;
}

/** Replaces a spelled-out attention. */
export function writeAttention(
  context: Rewriting,
  { q, k, v, scale, softcap, masks, output, joined }: Attention,
  windows: ReadonlyMap<Mask, number | null>,
  layer: number,
): CacheWidth {
  const { views, writer } = context;
  const seen = masks.map((m) => windows.get(m) ?? Number.POSITIVE_INFINITY);
  const window = smallest(seen);
  if (masks.length === 0) unfit("an attention sees what comes after");
  if (q.width % 8 !== 0) unfit(`its heads have a width of ${q.width}, and grouped attention takes multiples of 8`);
  const attributes: Record<string, Attribute> = {
    num_heads: attr.int(q.count),
    kv_num_heads: attr.int(k.count),
    scale: attr.float(scale),
    ...(softcap ? { softcap: attr.float(softcap) } : {}),
    ...(Number.isFinite(window) ? { local_window_size: attr.int(window) } : {}),
  };
  const inner = rotatesInside(context, q, k);
  if (inner) attributes["do_rotary"] = attr.int(1);
  const operands = [q, k, v].map((heads) => sideBySide(context, heads, !inner));
  const outputs = group(writer, `${output}/grouped`, operands, inner ?? [], layer, attributes);
  const width = q.count * q.width;
  const target = joined && views.sizes(joined);
  if (joined && target) writer.rename(joined, writer.shaped(outputs, ["B", "T", width], target));
  else {
    const apart = writer.op("Reshape", [outputs, writer.ints([0, 0, q.count, q.width])]);
    writer.add({
      domain: "",
      name: output,
      opType: "Transpose",
      inputs: [apart],
      outputs: [output],
      attributes: { perm: attr.ints([0, 2, 1, 3]) },
    });
  }
  return { heads: k.count, width: k.width };
}

/** Connects an attention that already is one operator. */
export function connectGrouped({ search, writer }: Rewriting, node: Node, layer: number): CacheWidth {
  const heads = attr.intOf(node, "kv_num_heads", 0);
  const { types } = search;
  const [query = "", key = ""] = node.inputs;
  const columns = (name: string) => types.get(name)?.shape.at(-1) ?? 0;
  const width = key ? columns(key) / heads : columns(query) / (attr.intOf(node, "num_heads", 0) + 2 * heads);
  if (node.inputs.slice(9).some((name) => name !== "")) unfit(`"${node.name}" has inputs that are not known`);
  const given = node.inputs.slice(0, 3).map((name) => (name === "" ? "" : writer.now(name)));
  // ONNX Runtime works out the wrong shape for queries, keys and values in one operand whose own shape it does not know.
  const operands = key === "" && given[0]?.startsWith("serving/") ? apart(writer, given[0], node, heads * width) : given;
  const output = group(
    writer,
    node.outputs[0] as string,
    operands,
    node.inputs.slice(7, 9).map((n) => writer.now(n)),
    layer,
    node.attributes,
  );
  writer.rename(node.outputs[0] as string, output);
  return { heads, width };
}

function apart(writer: Writer, packed: string, node: Node, columns: number): string[] {
  const name = `${packed}/apart`;
  const outputs = ["q", "k", "v"].map((part) => `${name}/${part}`);
  const queries = (columns / attr.intOf(node, "kv_num_heads", 1)) * attr.intOf(node, "num_heads", 1);
  const inputs = [packed, writer.ints([queries, columns, columns])];
  writer.add({ domain: "", name, opType: "Split", inputs, outputs, attributes: { axis: attr.int(2) } });
  return outputs;
}

function group(
  writer: Writer,
  name: string,
  operands: readonly string[],
  tables: readonly string[],
  layer: number,
  attributes: Node["attributes"],
): string {
  const parts = ["key", "value"] as const;
  const output = `${name}/serving`;
  writer.add({
    name: output,
    opType: "GroupQueryAttention",
    domain: contrib,
    inputs: [...operands, ...parts.map((p) => ports.past(layer, p)), ports.lengths, ports.total, ...tables],
    outputs: [output, ...parts.map((p) => ports.present(layer, p))],
    attributes,
  });
  return output;
}

/** The tables with which attention itself can rotate queries and keys, if it can. */
function rotatesInside({ tables }: Rewriting, q: Heads, k: Heads): string[] | null {
  const [a, b] = [q.rotary, k.rotary];
  if (!a || !b || a.tables.kind !== "values" || b.tables.kind !== "values" || a.width !== q.width || b.width !== k.width) return null;
  // ONNX Runtime's kernel wants it so.
  if (q.width % 16 !== 0 || a.tables.cos !== b.tables.cos || a.tables.sin !== b.tables.sin) return null;
  return [tables.half(a.tables.cos, a.width), tables.half(a.tables.sin, a.width)];
}

/** Heads as [B, T, N * D], rotated if told to. */
function sideBySide(context: Rewriting, { source, count, width, headsFirst, rotary }: Heads, rotate: boolean): string {
  const { views, writer, tables } = context;
  const sizes = views.sizes(source) ?? unfit(`the shape of "${source}" is not understood`);
  const turned = headsFirst ? writer.op("Transpose", [writer.now(source)], { perm: attr.ints([0, 2, 1, 3]) }) : writer.now(source);
  if (headsFirst && sizes.length !== 4) unfit(`the shape of "${source}" is not understood`);
  const flat = headsFirst
    ? writer.op("Reshape", [turned, writer.ints([0, 0, count * width])])
    : writer.shaped(turned, sizes, ["B", "T", count * width]);
  if (!rotary || !rotate) return flat;
  const { tables: turns } = rotary;
  const [positions, cos, sin] =
    turns.kind === "caches"
      ? [positionsOf(context, turns.positions), writer.now(turns.cos), writer.now(turns.sin)]
      : [ports.positions, tables.half(turns.cos, rotary.width), tables.half(turns.sin, rotary.width)];
  const attributes = {
    num_heads: attr.int(count),
    rotary_embedding_dim: attr.int(rotary.width === width ? 0 : rotary.width),
    interleaved: attr.int(turns.kind === "caches" && turns.interleaved ? 1 : 0),
  };
  return writer.op("RotaryEmbedding", [flat, positions as string, cos as string, sin as string], attributes, contrib);
}

function positionsOf({ views, tables }: Rewriting, name: string): string {
  if (!views.shaped.has(name)) unfit(`"${name}" is no table of positions`);
  return tables.byPosition(name, 2);
}
