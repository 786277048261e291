import * as attr from "../../onnx/attributes.ts";
import { removeDead } from "../../onnx/edit.ts";
import { type Attribute, type Graph, type Model, type Node, sizeOf, type Tensor, type ValueInfo } from "../../onnx/ir.ts";
import { int64Tensor } from "../../onnx/tensors.ts";
import { verify } from "../../onnx/verify.ts";
import type { TensorValue } from "../../runtime/session.ts";
import { type Attention, attentionsOf, type Heads, type Mask } from "./attention.ts";
import { windowsOf } from "./causal.ts";
import { type Search, searchIn } from "./layout.ts";
import { shapedValues, type Size, type TwoViews, twoViews, unfit } from "./two-views.ts";

/** One layer's part of the cache: keys and values are [B, K, S, D] each, S the room for tokens. */
export interface CacheWidth {
  readonly heads: number;
  readonly width: number;
}

export interface ServingGraph {
  readonly model: Model;
  readonly cache: readonly CacheWidth[];
  /** V. */
  readonly vocabularySize: number;
  /** H, of the value that the head reads. */
  readonly hiddenSize: number;
}

/** The names of a serving graph's inputs and outputs. */
export const ports = {
  /** [B, T] int64. */
  tokens: "serving.tokens",
  /** [B, T] int64: of each token in its sequence. */
  positions: "serving.positions",
  /** [B] int32: tokens of each sequence after this run, less one. */
  lengths: "serving.lengths",
  /** int32: the most tokens of a sequence after this run. */
  total: "serving.total",
  /** [R] int64: which of the B * T tokens logits are wanted for. */
  rows: "serving.rows",
  /** [R, V]. */
  logits: "serving.logits",
  /** [R, H]: what the head reads. */
  hidden: "serving.hidden",
  past: (layer: number, part: "key" | "value") => `serving.past.${layer}.${part}`,
  present: (layer: number, part: "key" | "value") => `serving.present.${layer}.${part}`,
} as const;

const contrib = "com.microsoft";

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
  const windows = await windowsOf(views, spelled.flatMap((a): readonly Mask[] => a.masks), length);
  const writer = new Writer(views, search);
  const cache: CacheWidth[] = [];
  const at = new Map(spelled.map((a) => [search.made.get(a.output) as Node, a]));
  for (const node of liveNodes(views, search, at)) {
    const attention = at.get(node);
    if (attention) cache.push(writer.attention(attention, windows, cache.length));
    else if (isGrouped(node)) cache.push(writer.grouped(node, cache.length));
    else writer.keep(node);
  }
  if (cache.length === 0) unfit("it has no attention");
  const { hiddenSize, vocabularySize } = writer.head();
  const model = await writer.finish(cache, length);
  return { model, cache, vocabularySize, hiddenSize };
}

const isGrouped = (node: Node): boolean => node.domain === contrib && node.opType === "GroupQueryAttention";

/** What is left to do once attentions are operators: nodes behind the logits, but for those that attentions were spelled with. */
function liveNodes({ graph: { graph }, logits }: TwoViews, { made }: Search, attentions: ReadonlyMap<Node, Attention>): Node[] {
  const heads = new Map([...attentions.values()].flatMap((a) => [a.output, ...(a.joined ? [a.joined] : [])].map((name) => [name, a] as const)));
  const live = new Set<Node>();
  const stack = [logits];
  for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
    const attention = heads.get(name);
    const node = made.get(attention?.output ?? name);
    if (!node || live.has(node)) continue;
    live.add(node);
    if (attention) {
      const tables = [attention.q, attention.k].flatMap(({ rotary }) => (rotary?.tables.kind === "caches" ? [rotary.tables.cos, rotary.tables.sin] : []));
      stack.push(attention.q.source, attention.k.source, attention.v.source, ...tables);
    } else stack.push(...(isGrouped(node) ? [...node.inputs.slice(0, 3), ...node.inputs.slice(7)] : node.inputs));
  }
  return graph.nodes.filter((n) => live.has(n));
}

class Writer {
  readonly nodes: Node[] = [];
  readonly initializers: Map<string, Tensor>;
  /** Values that are read under another name. */
  readonly #alias = new Map<string, string>();
  /** Tables by position: by the value they stand for. */
  readonly #tables = new Map<string, { readonly name: string; half?: number }>();
  readonly #made = new Map<string, string>();
  #count = 0;
  #hidden = "";
  #logits = "";

  constructor(
    private readonly views: TwoViews,
    private readonly search: Search,
  ) {
    this.initializers = new Map(views.graph.graph.initializers);
    this.#alias.set(views.graph.graph.inputs[0]?.name ?? "", ports.tokens);
  }

  /** A node of the model as it is, but for what it was told about the input's shape. */
  keep(node: Node): void {
    const { stream, shaped } = this.views;
    const [output = ""] = node.outputs;
    // What depends on the shape alone is looked up where it is read.
    if (shaped.has(output)) return;
    if (!stream.has(output)) return void this.nodes.push(this.#renamed(node));
    if (node.domain === "" && node.opType === "Reshape") return this.#reshape(node);
    const inputs = node.inputs.map((name) => {
      if (!shaped.has(name)) return this.#now(name);
      if (!elementwise.has(node.opType)) unfit(`${node.opType} "${node.name}" depends on the input's shape`);
      return this.#byPosition(name, this.search.types.get(output)?.shape.length ?? 0);
    });
    this.nodes.push({ ...node, inputs });
  }

  /** Replaces a spelled-out attention. */
  attention({ q, k, v, scale, softcap, masks, output, joined }: Attention, windows: ReadonlyMap<Mask, number | null>, layer: number): CacheWidth {
    const seen = masks.map((m) => windows.get(m) ?? Number.POSITIVE_INFINITY);
    const window = Math.min(...seen);
    if (masks.length === 0) unfit("an attention sees what comes after");
    if (q.width % 8 !== 0) unfit(`its heads have a width of ${q.width}, and grouped attention takes multiples of 8`);
    const attributes: Record<string, Attribute> = {
      num_heads: attr.int(q.count),
      kv_num_heads: attr.int(k.count),
      scale: attr.float(scale),
      ...(softcap ? { softcap: attr.float(softcap) } : {}),
      ...(Number.isFinite(window) ? { local_window_size: attr.int(window) } : {}),
    };
    const inner = this.#rotatesInside(q, k);
    if (inner) attributes["do_rotary"] = attr.int(1);
    const operands = [q, k, v].map((heads) => this.#sideBySide(heads, !inner));
    const outputs = this.#group(`${output}/grouped`, operands, inner ?? [], layer, attributes);
    const width = q.count * q.width;
    const target = joined && this.views.sizes(joined);
    if (joined && target) this.#alias.set(joined, this.#shaped(outputs, ["B", "T", width], target));
    else {
      const apart = this.#op("Reshape", [outputs, this.#ints([0, 0, q.count, q.width])]);
      this.nodes.push({ ...emptyNode, name: output, opType: "Transpose", inputs: [apart], outputs: [output], attributes: { perm: attr.ints([0, 2, 1, 3]) } });
    }
    return { heads: k.count, width: k.width };
  }

  /** Connects an attention that already is one operator. */
  grouped(node: Node, layer: number): CacheWidth {
    const heads = attr.intOf(node, "kv_num_heads", 0);
    const { types } = this.search;
    const [query = "", key = ""] = node.inputs;
    const columns = (name: string) => types.get(name)?.shape.at(-1) ?? 0;
    const width = key ? columns(key) / heads : columns(query) / (attr.intOf(node, "num_heads", 0) + 2 * heads);
    if (node.inputs.slice(9).some((name) => name !== "")) unfit(`"${node.name}" has inputs that are not known`);
    const given = node.inputs.slice(0, 3).map((name) => (name === "" ? "" : this.#now(name)));
    // ONNX Runtime works out the wrong shape for queries, keys and values in one operand whose own shape it does not know.
    const operands = key === "" && given[0]?.startsWith("serving/") ? this.#apart(given[0], node, heads * width) : given;
    const output = this.#group(node.outputs[0] as string, operands, node.inputs.slice(7, 9).map((n) => this.#now(n)), layer, node.attributes);
    this.#alias.set(node.outputs[0] as string, output);
    return { heads, width };
  }

  #apart(packed: string, node: Node, columns: number): string[] {
    const name = `${packed}/apart`;
    const outputs = ["q", "k", "v"].map((part) => `${name}/${part}`);
    const queries = (columns / attr.intOf(node, "kv_num_heads", 1)) * attr.intOf(node, "num_heads", 1);
    const inputs = [packed, this.#ints([queries, columns, columns])];
    this.nodes.push({ ...emptyNode, name, opType: "Split", inputs, outputs, attributes: { axis: attr.int(2) } });
    return outputs;
  }

  #group(name: string, operands: readonly string[], tables: readonly string[], layer: number, attributes: Node["attributes"]): string {
    const parts = ["key", "value"] as const;
    const output = `${name}/serving`;
    this.nodes.push({
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
  #rotatesInside(q: Heads, k: Heads): string[] | null {
    const [a, b] = [q.rotary, k.rotary];
    if (!a || !b || a.tables.kind !== "values" || b.tables.kind !== "values" || a.width !== q.width || b.width !== k.width) return null;
    // ONNX Runtime's kernel wants it so.
    if (q.width % 16 !== 0 || a.tables.cos !== b.tables.cos || a.tables.sin !== b.tables.sin) return null;
    return [this.#halfTable(a.tables.cos, a.width), this.#halfTable(a.tables.sin, a.width)];
  }

  /** Heads as [B, T, N * D], rotated if told to. */
  #sideBySide({ source, count, width, headsFirst, rotary }: Heads, rotate: boolean): string {
    const sizes = this.views.sizes(source) ?? unfit(`the shape of "${source}" is not understood`);
    const turned = headsFirst ? this.#op("Transpose", [this.#now(source)], { perm: attr.ints([0, 2, 1, 3]) }) : this.#now(source);
    if (headsFirst && sizes.length !== 4) unfit(`the shape of "${source}" is not understood`);
    const flat = headsFirst
      ? this.#op("Reshape", [turned, this.#ints([0, 0, count * width])])
      : this.#shaped(turned, sizes, ["B", "T", count * width]);
    if (!rotary || !rotate) return flat;
    const { tables } = rotary;
    const [positions, cos, sin] =
      tables.kind === "caches"
        ? [this.#positions(tables.positions), this.#now(tables.cos), this.#now(tables.sin)]
        : [ports.positions, this.#halfTable(tables.cos, rotary.width), this.#halfTable(tables.sin, rotary.width)];
    const attributes = {
      num_heads: attr.int(count),
      rotary_embedding_dim: attr.int(rotary.width === width ? 0 : rotary.width),
      interleaved: attr.int(tables.kind === "caches" && tables.interleaved ? 1 : 0),
    };
    return this.#op("RotaryEmbedding", [flat, positions as string, cos as string, sin as string], attributes, contrib);
  }

  #positions(name: string): string {
    if (!this.views.shaped.has(name)) unfit(`"${name}" is no table of positions`);
    return this.#byPosition(name, 2);
  }

  #reshape(node: Node): void {
    const [x = ""] = node.inputs;
    const [output = ""] = node.outputs;
    const from = this.views.sizes(x);
    const to = this.views.sizes(output);
    if (!from || !to) return unfit(`Reshape "${node.name}" depends on the input's shape`);
    this.#alias.set(output, this.#shaped(this.#now(x), from, to));
  }

  /** A value in another shape, by numbers that do not depend on the input's shape. */
  #shaped(x: string, from: readonly Size[], to: readonly Size[]): string {
    if (from.length === to.length && from.every((s, i) => s === to[i])) return x;
    const target = to.map((size, i) => (typeof size === "number" ? size : size === from[i] ? 0 : -1));
    if (target.filter((d) => d === -1).length < 2) return this.#once(`reshape ${x} ${target}`, () => this.#op("Reshape", [x, this.#ints(target)]));
    if (to[0] !== "B" || to[1] !== "T" || to.slice(2).some((s) => typeof s !== "number")) unfit("a shape is not understood");
    const shape = this.#once(`shape ${to}`, () => {
      const own = this.#once("shape of tokens", () => this.#op("Shape", [ports.tokens]));
      return to.length === 2 ? own : this.#op("Concat", [own, this.#ints(to.slice(2) as number[])], { axis: attr.int(0) });
    });
    return this.#once(`reshape ${x} ${to}`, () => this.#op("Reshape", [x, shape]));
  }

  /** What stood for positions 0 to T, looked up for the positions at hand; in a value of so many axes. */
  #byPosition(name: string, rank: number): string {
    const sizes = this.views.sizes(name);
    const axis = sizes?.indexOf("T") ?? -1;
    if (!sizes || axis < 0 || sizes.slice(0, axis).some((s) => s !== 1 && s !== "B") || sizes.slice(axis + 1).some((s) => typeof s !== "number"))
      return unfit(`"${name}" of sizes ${sizes} is no table of positions`);
    const table = this.#tables.get(name)?.name ?? `table/${name}`;
    this.#tables.set(name, { name: table });
    const found = this.#once(`gather ${name}`, () => this.#op("Gather", [table, ports.positions], { axis: attr.int(0) }));
    const tokens = rank - (sizes.length - axis);
    if (tokens === 1) return found;
    if (tokens < 1) return this.#once(`flat ${name}`, () => this.#op("Reshape", [found, this.#ints([-1, ...(sizes.slice(axis + 1) as number[])])]));
    const between = Array.from({ length: tokens - 1 }, (_, i) => i + 1);
    return this.#once(`wide ${name} ${tokens}`, () => this.#op("Unsqueeze", [found, this.#ints(between)]));
  }

  #halfTable(name: string, width: number): string {
    const sizes = this.views.sizes(name);
    if (sizes?.at(-2) !== "T" || sizes.at(-1) !== width) return unfit(`"${name}" is no rotary table`);
    const table = `half/${name}`;
    this.#tables.set(table, { name, half: width / 2 });
    return table;
  }

  /** Makes the head read only the tokens that are asked for. */
  head(): { hiddenSize: number; vocabularySize: number } {
    const { views, search } = this;
    const made = new Map(this.nodes.flatMap((n) => n.outputs.map((o) => [o, n] as const)));
    const isWeight = (name: string) => !views.stream.has(name) && !made.get(name)?.name.startsWith("serving/") && (search.types.get(name)?.shape.length ?? 0) >= 2;
    let value = this.#now(views.logits);
    const last = value;
    const after: Node[] = [];
    for (let node = made.get(value); node; node = made.get(value)) {
      const [x = "", w = ""] = node.inputs;
      if (["MatMul", "Gemm", "MatMulNBits"].includes(node.opType) && isWeight(w)) {
        const from = this.#origin(x);
        const hiddenSize = from.at(-1) as number;
        const flat = from.length === 2 ? x : this.#op("Reshape", [x, this.#ints([-1, hiddenSize])]);
        this.#hidden = this.#op("Gather", [flat, ports.rows], { axis: attr.int(0) });
        const names = new Map([[x, this.#hidden]]);
        // What comes after the head: the same on [R, V].
        for (const later of [node, ...after.reverse()]) {
          this.nodes.splice(this.nodes.indexOf(later), 1);
          const inputs = later.inputs.map((i) => names.get(i) ?? i);
          if (later.opType === "Reshape") names.set(later.outputs[0] as string, inputs[0] as string);
          else this.nodes.push({ ...later, inputs });
        }
        this.#logits = names.get(last) ?? last;
        return { hiddenSize, vocabularySize: search.types.get(views.logits)?.shape.at(-1) as number };
      }
      if (!elementwise.has(node.opType) && node.opType !== "Reshape" && node.opType !== "Identity") break;
      after.push(node);
      value = node.inputs.find((i) => made.has(i) && (views.stream.has(i) || i.startsWith("serving/"))) ?? "";
    }
    return unfit("no head is found before the logits");
  }

  #origin(x: string): readonly number[] {
    const named = [...this.#alias].find(([, now]) => now === x)?.[0] ?? x;
    return this.search.types.get(named)?.shape ?? unfit("the head reads what is not understood");
  }

  async finish(cache: readonly { heads: number; width: number }[], length: number): Promise<Model> {
    const { views } = this;
    await this.#fill(length);
    const entry = (name: string, layer: number): ValueInfo => ({
      name,
      dataType: "float32",
      shape: ["batch", cache[layer]?.heads ?? 0, "room", cache[layer]?.width ?? 0],
    });
    const entries = (port: typeof ports.past) => cache.flatMap((_, i) => [entry(port(i, "key"), i), entry(port(i, "value"), i)]);
    const value = (name: string, dataType: ValueInfo["dataType"], shape: ValueInfo["shape"]): ValueInfo => ({ name, dataType, shape });
    const named = [...this.nodes, node("Identity", [this.#logits], ports.logits), node("Identity", [this.#hidden], ports.hidden)];
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
      initializers: this.initializers,
      nodes: named,
      valueInfo: [],
    });
    const lost = graph.nodes.flatMap((n) => n.inputs).find((name) => views.shaped.has(name) && !this.initializers.has(name));
    if (lost) unfit(`"${lost}" is still read`);
    const domains = { "": views.graph.opsets[""] ?? 17, ...Object.fromEntries(Object.entries(views.graph.opsets).filter(([d]) => graph.nodes.some((n) => n.domain === d))), [contrib]: 1 };
    const model = { ...views.model, opsets: domains, graph };
    verify(model);
    return model;
  }

  /** Works out the tables, for all positions at once. */
  async #fill(length: number): Promise<void> {
    const wanted = [...this.#tables];
    const sources = [...new Set(wanted.map(([key, { name, half }]) => (half ? name : key)))];
    const values = await shapedValues(this.views, sources, 0, length);
    for (const [key, { name, half }] of wanted) {
      const value = values.get(half ? name : key) as TensorValue;
      const own = half ? key : name;
      const width = value.data.length / length;
      if (half && width !== 2 * half) unfit(`"${name}" is no rotary table`);
      if (half) {
        const data = value.data as Float32Array;
        const table = new Float32Array(length * half);
        for (let i = 0; i < table.length; i++) {
          const at = Math.floor(i / half) * width + (i % half);
          if (data[at] !== data[at + half]) unfit(`"${name}" turns its halves unlike`);
          table[i] = data[at] as number;
        }
        this.#initializer(own, [length, half], { ...value, data: table });
      } else this.#initializer(own, [length, ...value.dims.slice(1 + value.dims.findIndex((d) => d === length))], value);
    }
  }

  #initializer(name: string, dims: readonly number[], { dataType, data }: TensorValue): void {
    if (sizeOf(dims) !== data.length) unfit(`"${name}" is no table of positions`);
    this.initializers.set(name, { name, dataType, dims, data: { kind: "inline", bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) } });
  }

  #now = (name: string): string => this.#alias.get(name) ?? name;

  #renamed = (n: Node): Node => ({ ...n, inputs: n.inputs.map(this.#now) });

  #op(opType: string, inputs: string[], attributes: Node["attributes"] = {}, domain = ""): string {
    const name = `serving/${opType}_${this.#count++}`;
    this.nodes.push({ name, opType, domain, inputs, outputs: [name], attributes });
    return name;
  }

  #once(key: string, make: () => string): string {
    const known = this.#made.get(key) ?? make();
    this.#made.set(key, known);
    return known;
  }

  #ints(values: readonly number[]): string {
    return this.#once(`ints ${values}`, () => {
      const name = `serving/ints_${values.join("_")}`;
      this.initializers.set(name, int64Tensor(name, [values.length], values));
      return name;
    });
  }
}

const emptyNode = { domain: "", attributes: {} } as const;
const node = (opType: string, inputs: string[], output: string): Node => ({ ...emptyNode, name: output, opType, inputs, outputs: [output] });

/** Operators whose inputs meet element by element. */
const elementwise: ReadonlySet<string> = new Set(["Add", "Sub", "Mul", "Div", "Where", "Tanh", "Cast"]);
