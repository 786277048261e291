import type { TypedGraph } from "../../onnx/ir.ts";
import type { TensorReader } from "../../onnx/read-tensor.ts";
import type { Whole } from "../../pruning/open-groups.ts";
import type { Random } from "../../random.ts";
import type { RecoveryOptions } from "../options.ts";

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
}

/** A way of healing: which numbers are trained, and how they become weights in the end. It never sees a session. */
export interface RecoveryMethod {
  readonly name: string;
  /** A sentence for people. */
  readonly description: string;
  /** The rate that does well on the bundled model. */
  readonly learningRate: number;
  /** Whether it asks what heads and channels the model has. */
  readonly divides?: true;
  /** @throws EspalierError NOTHING_TO_TRAIN if the model has no such weights */
  prepare(subject: Subject): Prepared;
}
