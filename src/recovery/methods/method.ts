import type { Product } from "../../autodiff/products.ts";
import type { GraphBuilder, Value } from "../../onnx/builder.ts";
import type { Model, TypedGraph } from "../../onnx/ir.ts";
import type { TensorReader } from "../../onnx/read-tensor.ts";
import type { Whole } from "../../pruning/open-groups.ts";
import type { Random } from "../../random.ts";
import type { StructureGroup } from "../../structures/structure.ts";
import type { Adapter } from "../beside-codes.ts";
import type { RecoveryOptions } from "../options.ts";
import type { Joint } from "../trunk.ts";

/** The model that is healed, before anything is trained. */
export interface Subject {
  /** Its forward pass of a batch, in float32 and without compound operators. */
  readonly forward: TypedGraph;
  readonly whole: Whole;
  /** Its stored weights. */
  readonly initializers: TypedGraph["graph"]["initializers"];
  readonly read: TensorReader;
  readonly options: Pick<RecoveryOptions, "rank" | "alpha" | "adapt">;
}

/** A tensor that is trained, in float32. */
export interface Trained {
  /** Of the input that it is in the graph. */
  readonly name: string;
  readonly shape: readonly number[];
  /** What it is before the first step. */
  initial(random: Random): Float32Array;
}

/** What a method has done to the graph, and how it is undone. */
export interface Prepared {
  /** The forward pass, which reads the trained tensors as inputs; logits keep their name. */
  readonly forward: TypedGraph;
  readonly trained: readonly Trained[];
  /**
   * The weights that a trained model has in place of its own, by name: in float32, with the stored tensor's dims, one after another.
   *
   * @param values of a trained tensor, by name
   */
  merged(values: (name: string) => Float32Array): Generator<readonly [parameter: string, values: Float32Array]>;
  /** The same as what is added to matrices that stay as they are; absent where nothing is. */
  adapters?(values: (name: string) => Float32Array): Generator<Adapter>;
}

interface Way {
  readonly name: string;
  /** A sentence for people. */
  readonly description: string;
  /** Whether it asks what heads and channels the model has. */
  readonly divides?: true;
}

/** A way of healing by training: which numbers are trained, and how they become weights in the end. It never sees a session. */
export interface TrainedMethod extends Way {
  /** The rate that does well on the bundled model. */
  readonly learningRate: number;
  /** Whether matrices may be codes: what it trains stands beside them. */
  readonly besideCodes?: true;
  /** @throws EspalierError NOTHING_TO_TRAIN if the model has no such weights */
  prepare(subject: Subject): Prepared;
}

/** A model as it is stored and its teacher, and what is known of both. */
export interface Beside {
  readonly own: Model;
  readonly its: Model;
  readonly whole: Whole;
  /** The model's residual additions, from the tokens on, with the value of the teacher's trunk that each should give. */
  readonly joints: readonly Joint[];
}

/** Forward passes of both in one graph. */
export interface Pair extends Beside {
  /** Where the model's matrices are multiplied with what the text has become. */
  readonly products: ReadonlyMap<string, Product>;
  /** The same of the teacher's. Values of its have names of their own in the graph. */
  readonly itsProducts: ReadonlyMap<string, Product>;
  itsName(value: string): string;
}

/**
 * What is solved for: with X what is given, and E what is wanted less what is there, D is the least squares of `|| E - X D ||^2`, drawn to 0. The
 * weights become `W + D`, or `W (1 + D)` where D is a map of what they give.
 */
export interface Fit {
  /** The matrix that changes. */
  readonly parameter: string;
  /** The axis of the parameter along which its inputs lie. */
  readonly axis: number;
  readonly solvesFor: "CHANGE" | "MAP";
  /** Of D: n and m. */
  readonly rows: number;
  readonly columns: number;
  /** X [.., n] and E [.., m], with the tokens of all texts before. */
  values(b: GraphBuilder): { readonly given: Value; readonly missing: Value };
}

/** A closed form asks for so many tokens for each input of a product that it solves for. */
export const leastTokensPerInput = 4;

/** What is known of a model without its graph. */
export interface Recorded {
  /** 0 where it is not known. */
  readonly hiddenSize: number;
  readonly structures: readonly StructureGroup[];
}

/** A way of healing by solving for weights: no gradients, no steps. It never sees a session. */
export interface ClosedForm extends Way {
  /** Nothing is trained. */
  readonly learningRate: null;
  /** For people: what a model must be for it. */
  readonly asksFor: string;
  /** The matrices that change; none if there is nothing to solve for. */
  parameters(models: Beside): readonly string[];
  /** So many inputs at least has the widest product that is solved for, as far as is known without the graphs. */
  leastInputs(own: Recorded, its: Recorded): number;
  /** In rounds: what is solved for in one is in place in the next. */
  rounds(pair: Pair): readonly (readonly Fit[])[];
}

export type RecoveryMethod = TrainedMethod | ClosedForm;

export const isTrained = (method: RecoveryMethod): method is TrainedMethod => "prepare" in method;
