import type { ElementType } from "./element-types.ts";

/** A tensor in some file, as it lies there. */
export interface Source {
  readonly name: string;
  /** An absolute path. */
  readonly path: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** Of its first byte, from the file's beginning. */
  readonly offset: number;
}

/** Rows of a source, in the order that they are wanted; all of them as they are, unless said. Those of a list of numbers are its elements. */
export interface Piece {
  readonly source: Source;
  readonly rows?: ArrayLike<number>;
}

/** A tensor that is to be written, and what it is made of: pieces one after another, or numbers. */
export interface Plan {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly from: readonly Piece[] | Float32Array;
  /** Whether the one piece, a matrix, is to be turned. */
  readonly turned?: boolean;
  /** What is added to every element. */
  readonly plus?: number;
}
