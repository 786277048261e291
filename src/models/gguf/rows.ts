import { numberAt } from "../../number-at.ts";

/** The heads of one attention. */
export interface Heads {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
}

/**
 * How rows of a projection lie otherwise in a GGUF file than in Hugging Face's: `neighbours` for a projection whose halves of heads turn
 * against each other there and whose neighbours do here; `groups` for queries, keys and values that lie by group there, and one kind after
 * another here.
 */
export type Order = "NEIGHBOURS_OF_QUERIES" | "NEIGHBOURS_OF_KEYS" | "GROUPS";

/** For each row there, in order, which row it is here. */
const orders: Readonly<Record<Order, (heads: Heads) => Int32Array>> = {
  NEIGHBOURS_OF_QUERIES: ({ heads, headWidth }) => neighbours(heads, headWidth),
  NEIGHBOURS_OF_KEYS: ({ kvHeads, headWidth }) => neighbours(kvHeads, headWidth),
  GROUPS: ({ heads, kvHeads, headWidth }) => {
    const each = heads / kvHeads;
    const rows = new Int32Array((heads + 2 * kvHeads) * headWidth);
    for (let i = 0; i < rows.length; i++) {
      const [head, within] = [Math.floor(i / headWidth), i % headWidth];
      const [group, entry] = [Math.floor(head / (each + 2)), head % (each + 2)];
      const here = entry < each ? group * each + entry : heads + (entry === each ? 0 : kvHeads) + group;
      rows[i] = here * headWidth + within;
    }
    return rows;
  },
};

/** How many rows a projection of that order has. */
export const countOfRows = (order: Order, { heads, kvHeads, headWidth }: Heads): number =>
  (order === "GROUPS" ? heads + 2 * kvHeads : order === "NEIGHBOURS_OF_QUERIES" ? heads : kvHeads) * headWidth;

function neighbours(heads: number, width: number): Int32Array {
  const rows = new Int32Array(heads * width);
  for (let i = 0; i < rows.length; i++) {
    const [head, within] = [Math.floor(i / width), i % width];
    rows[i] = head * width + (within < width / 2 ? 2 * within : 2 * (within - width / 2) + 1);
  }
  return rows;
}

/** Rows of a GGUF file's tensor in the order that Hugging Face's has them. */
export const rowsThere = (order: Order, heads: Heads): Int32Array => orders[order](heads);

/** Rows of Hugging Face's tensor in the order that a GGUF file has them. */
export function rowsHere(order: Order, heads: Heads): Int32Array {
  const there = rowsThere(order, heads);
  const here = new Int32Array(there.length);
  for (let i = 0; i < there.length; i++) here[numberAt(there, i)] = i;
  return here;
}

/** So many rows, from one on. */
export const rowsFrom = (first: number, count: number): Int32Array => Int32Array.from({ length: count }, (_, i) => first + i);
