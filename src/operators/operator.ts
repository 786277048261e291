import type { GraphBuilder, Value } from "../onnx/builder.ts";
import type { Attribute, Node } from "../onnx/ir.ts";
import type { AxisRule } from "./axis-rules.ts";

/**
 * All that is known of one operator. What every operator must answer is required; what most have nothing to say about is optional.
 *
 * The engines that read these records name no operator: to teach Espalier one, its record is all there is to write.
 */
export interface Operator {
  /**
   * How cotangents pass it: by a rule; by the operators that a compound is made of; not at all (`none`), for its results are
   * integers, truth values, constants or steps; or in a way that is not known, and then it is refused.
   */
  readonly gradient: GradientRule | Compound | "none" | "unknown";
  /** What it does to the axes of its operands. */
  readonly axes: AxisRule;
  /**
   * Whether it computes each token from itself alone, whatever other tokens and sequences stand beside it: so that its results are
   * the same to the bit in any company. Of a product, as long as its second operand is no token's.
   */
  readonly tokenWise: boolean;

  /** The one axis whose entries it mixes: it is token-wise where that is no axis of tokens. */
  readonly mixesAlong?: (node: Node) => number;

  /** How a weight meets the text in it: multiplied, slid over tokens, looked up in, or taken element by element; of experts, those that a token is sent to are multiplied. */
  readonly weights?: "product" | "convolution" | "experts" | "table" | "element";
  /** What makes tokens meet within it. */
  readonly mixesTokens?: "attention" | "convolution";
  /** Of a product: the axis that it sums over, of the matrix that is its operand of that number; null if it is none. */
  readonly summedAxis?: (node: Node, input: number) => number | null;
  /** A weight's gradient sample by sample, as a product that need not be formed. Without it, it is summed down from the cotangent. */
  readonly contribution?: ContributionRule;

  /** It gives the elements of its first input as they are, in another layout. */
  readonly moves?: Movement;
  /** It gives some of the elements of its first input as they are. */
  readonly cuts?: true;
  /** It adds up its two inputs: residual sums are made of these. */
  readonly adds?: true;
  /** It adds up what lies along axes of its first input. */
  readonly sums?: true;
  /** ONNX Runtime writes its result over what it reads, where nothing else reads that any more. Left out where that is not known: memory is then taken to be more. */
  readonly inPlace?: true;
  /** It looks at the shape of its input and at no element. */
  readonly readsShapeOnly?: true;

  /** Which inputs state sizes, positions or axes. */
  readonly shapeOperands?: readonly number[];
  /** What these must state after entries of axes went. */
  readonly shapesAfter?: ShapesAfter;
  /** Attributes that count what an axis consists of, as they must be after entries went. */
  readonly countsAfter?: CountsAfter;
  /** It chooses the best entries of its first input along an axis: where they lie is its second output. */
  readonly chooses?: (node: Node) => number;

  /** An operator that hides a residual addition, written without hiding it. ONNX Runtime fuses the parts again. */
  readonly unfused?: (node: Node) => readonly Node[];

  /** It reads, makes or unpacks quantised tensors: a step has no slope. */
  readonly quantised?: true;
  /** What a model is that uses it, where its gradient is not known: for who knows models rather than operators. */
  readonly tells?: string;
}

export type Operators = ReadonlyMap<string, Operator>;

/** What a rule sees of the forward node: only values that its operator requires are named without asking. */
export interface Primal {
  readonly node: Node;
  /** As many as the node has, but at least those its operator requires; an optional one that is absent is null. */
  readonly inputs: readonly [Value, Value, Value];
  readonly outputs: readonly [Value];
}

/**
 * The cotangent of each input, given those of the outputs (all of them: what nothing reads has zeros). Null, or
 * nothing, where an input takes none. A cotangent has the shape of the broadcast input: summing it down, and adding up
 * the uses of a value, is the walk's work.
 */
export type GradientRule = (b: GraphBuilder, primal: Primal, dy: Value, ...dys: Value[]) => readonly (Value | null)[];

/** A compound operator in terms of others: the value of each of its outputs; null, or nothing, where there is none. */
export type LoweringRule = (b: GraphBuilder, primal: Primal) => readonly (Value | null)[];

export interface Compound {
  readonly lower: LoweringRule;
}

/** One side of a product, its rows being a sample's tokens: [S, n, width]. */
export interface Factor {
  readonly width: number;
  readonly n: number;
  /** Multiply-adds of a sample's gram matrix. */
  readonly gramCost: number;
  /** [S, n, width] */
  rows(): Value;
  /** The products of all pairs of rows: [S, n, n]. */
  gram(): Value;
}

/** What a use adds to its parameter's gradient: `left^T right` per sample, or a tensor [S, ...shape]. */
export type Contribution = { readonly left: Factor; readonly right: Factor } | { readonly gradient: Value };

/** Makes the sides of products, each once. */
export interface Factors {
  readonly b: GraphBuilder;
  /** S. */
  readonly samples: number;
  /** Rows [views * S, ..., width], or the same with leading axes folded together. */
  factor(v: Value): Factor;
  /** The one-hot rows of indices [views * S, ...], which need not be formed. */
  lookup(indices: Value, width: number): Factor;
}

/** One place where a wanted value is read, and what comes back to it there. */
export interface Use {
  readonly primal: Primal;
  readonly inputIndex: number;
  /** Cotangent of the node's first output. */
  readonly dy: Value;
  /** Cotangent of this input as the rule gives it, not summed down: a dead node unless somebody reads it. */
  readonly dx: Value;
}

/** Null where the use is not one that is a product. */
export type ContributionRule = (factors: Factors, use: Use) => Contribution | null;

type Shape = readonly number[];

export interface Movement {
  /**
   * For each axis of the result, how many elements of the input lie between two neighbours; 0 where one is repeated. Null: all
   * elements stay in order.
   */
  readonly steps: ((node: Node, from: Shape, to: Shape) => readonly number[]) | null;
  /** It writes them in another type. */
  readonly converts?: true;
}

/** A node before and after entries went, as far as the operands that state shapes are concerned. */
export interface Resized {
  readonly node: Node;
  /** Shapes of each input and output after. */
  readonly x: readonly Shape[];
  readonly y: readonly Shape[];
  /** Elements of an input before; null if it is absent or depends on the data. */
  ints(input: number): readonly number[] | null;
  /** How many of the first entries of an axis of the first input stay. */
  moved(axis: number, position: number): number;
  /** Sizes of the first input before. */
  readonly before: Shape;
}

/** What operands must be; null if an operand that states a shape depends on the data. */
export type ShapesAfter = (r: Resized) => readonly (readonly [input: number, values: readonly number[]])[] | null;

/** Shapes of a node's inputs and outputs; of an absent one, []. */
export interface Shapes {
  readonly x: readonly Shape[];
  readonly y: readonly Shape[];
}

/** The attributes that change as the shapes do. */
export type CountsAfter = (node: Node, before: Shapes, after: Shapes) => Readonly<Record<string, Attribute>>;
