import { numberAt } from "../number-at.ts";
import * as attr from "../onnx/attributes.ts";
import { sizeOf } from "../onnx/ir.ts";
import { tensorOf } from "../onnx/tensors.ts";
import type { TensorValue } from "../runtime/session.ts";
import { ports } from "./ports.ts";
import { shapedValues, type TwoViews, unfit } from "./two-views.ts";
import type { Writer } from "./writer.ts";

/** What a model computes of positions, looked up in tables that are worked out once for all positions. */
export class PositionTables {
  /** By their names: the value they stand for, and how many of its columns are kept, if not all. */
  readonly #tables = new Map<string, { readonly value: string; readonly half?: number }>();

  constructor(
    private readonly views: TwoViews,
    private readonly writer: Writer,
  ) {}

  /** What stood for positions 0 to T, looked up for the positions at hand; in a value of so many axes. */
  byPosition(name: string, rank: number): string {
    const sizes = this.views.sizes(name);
    const axis = sizes?.indexOf("T") ?? -1;
    if (
      !sizes ||
      axis < 0 ||
      sizes.slice(0, axis).some((s) => s !== 1 && s !== "B") ||
      sizes.slice(axis + 1).some((s) => typeof s !== "number")
    )
      return unfit(`"${name}" of sizes ${sizes} is no table of positions`);
    const table = `serving/table/${name}`;
    this.#tables.set(table, { value: name });
    const found = this.writer.once(`gather ${name}`, () => this.writer.op("Gather", [table, ports.positions], { axis: attr.int(0) }));
    const tokens = rank - (sizes.length - axis);
    if (tokens === 1) return found;
    if (tokens < 1)
      return this.writer.once(`flat ${name}`, () =>
        this.writer.op("Reshape", [found, this.writer.ints([-1, ...(sizes.slice(axis + 1) as number[])])]),
      );
    const between = Array.from({ length: tokens - 1 }, (_, i) => i + 1);
    return this.writer.once(`wide ${name} ${tokens}`, () => this.writer.op("Unsqueeze", [found, this.writer.ints(between)]));
  }

  /** The first half of a rotary table [T, width], whose halves are alike. */
  half(name: string, width: number): string {
    const sizes = this.views.sizes(name);
    if (sizes?.at(-2) !== "T" || sizes.at(-1) !== width) return unfit(`"${name}" is no rotary table`);
    const table = `serving/half/${name}`;
    this.#tables.set(table, { value: name, half: width / 2 });
    return table;
  }

  /** Works out the tables, for so many positions. @throws EspalierError CANNOT_REWRITE if one is no table */
  async fill(length: number): Promise<void> {
    const sources = [...new Set([...this.#tables.values()].map(({ value }) => value))];
    const values = await shapedValues(this.views, sources, 0, length);
    for (const [name, { value, half }] of this.#tables) {
      const whole = values.get(value) as TensorValue;
      const { dims, data } = half ? halved(value, whole, length, half) : { ...whole, dims: dimsFrom(whole, length) };
      if (sizeOf(dims) !== data.length) unfit(`"${value}" is no table of positions`);
      this.writer.initializers.set(name, tensorOf(name, { dataType: whole.dataType, dims, data }));
    }
  }
}

/** Without the axes before that of positions. */
const dimsFrom = ({ dims }: TensorValue, length: number): number[] => [length, ...dims.slice(1 + dims.indexOf(length))];

function halved(name: string, { data: all }: TensorValue, length: number, half: number): { dims: number[]; data: Float32Array } {
  const data = all as Float32Array;
  if (data.length !== 2 * half * length) unfit(`"${name}" is no rotary table`);
  const table = new Float32Array(length * half);
  for (let i = 0; i < table.length; i++) {
    const at = Math.floor(i / half) * 2 * half + (i % half);
    if (data[at] !== data[at + half]) unfit(`"${name}" turns its halves unlike`);
    table[i] = numberAt(data, at);
  }
  return { dims: [length, half], data: table };
}
