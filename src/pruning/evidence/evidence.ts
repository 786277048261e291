import type { LossKind } from "../../autodiff/loss.ts";
import type { GraphPooling } from "../../autodiff/readout.ts";
import type { Model } from "../../onnx/ir.ts";
import type { TensorReader } from "../../onnx/read-tensor.ts";
import type { Random } from "../../random.ts";
import type { ConcreteProvider } from "../../runtime/providers.ts";
import type { Views } from "../../text/calibration.ts";
import type { OpenGroup, Whole } from "../open-groups.ts";
import type { GradientPoint } from "../options.ts";

/** How a model is judged whose tokens see what follows them. */
export interface Judge {
  /** Places of a text that predict: all its tokens, or the text itself. */
  readonly places: "TOKENS" | "TEXT";
  readonly loss: LossKind;
  /** How hidden states are pooled before they are read; null for logits. */
  readonly pooling: GraphPooling | null;
}

/** What evidence is gathered from: a model as it is now, and the views of the calibration texts. */
export interface Scene {
  readonly model: Model;
  /** Where the model's external data lies, and how its tensors are read. */
  readonly folder: string;
  readonly read: TensorReader;
  /** Path of a folder that may be made for a while. */
  readonly scratch: string;
  /** The model that pruning began with. */
  readonly whole: Whole;
  readonly samples: readonly Views[];
  readonly sequenceLength: number;
  /** What the model is judged by; null for a causal one's next tokens. */
  readonly judge?: Judge | null;
  readonly gradientBy: GradientPoint;
  /** Tokens of a run that goes back too, if not its own number: a sample at least. */
  readonly tokensPerRun?: number;
  readonly executionProvider: ConcreteProvider;
  /** Parameters that are still to go in all. */
  readonly toRemove: number;
  /** How many masks what is learned from masks may draw; null for its own number. */
  readonly masks?: number | null;
  /** Scores of another method that what is learned starts from, group by group, the lowest to go first; null for none. */
  readonly start?: readonly (readonly number[])[] | null;
  /** Streams of chance by name, of this iteration's own. */
  random(stream: string): Random;
}

/** What was found of each open structure, group by group, and the mean loss of each view in nats per token where it was read. */
export interface Findings<Evidence> {
  readonly evidence: readonly (readonly Evidence[])[];
  readonly loss: number | null;
  readonly perturbedLoss: number | null;
}

/** Gathers one kind of evidence. Yields the number of samples done so far. */
export type Gather<Evidence> = (scene: Scene, groups: readonly OpenGroup[]) => AsyncGenerator<number, Findings<Evidence>>;
