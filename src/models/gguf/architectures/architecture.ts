import type { Blueprint } from "../../blueprints/blueprint.ts";
import type { Facts } from "../facts.ts";
import type { Order } from "../rows.ts";

/** Keys of a config.json. */
export type Fields = Readonly<Record<string, unknown>>;

/** A kind of model as GGUF files name it: what its metadata says, and where its tensors are. */
export interface Architecture {
  /** `general.architecture`. */
  readonly name: string;
  /** A tensor of its layers by which files of this kind are told from others of the same name. */
  readonly marked?: string;
  /** What a file says, as the config.json of a family that blueprints describe. @throws EspalierError INVALID_GGUF, UNSUPPORTED_GGUF */
  readonly config: (facts: Facts) => Fields;
  readonly names: Names;
  readonly biases: Biases;
  /** Whether a file may leave out the head because it is the embedding; must; or must not. */
  readonly head: "EITHER" | "TIED" | "APART";
  /** Whether heads together are as wide as the stream: llama.cpp works one out from the other. */
  readonly square?: boolean;
  /** Whether llama.cpp reads heads and widths layer by layer. */
  readonly uneven?: boolean;
  /** What else llama.cpp does not take; null for nothing. */
  readonly unfit?: (blueprint: Blueprint) => string | null;
  /** Whether it divides logits by its scale. */
  readonly dividesLogits?: boolean;
  /** Whether llama.cpp lets each token see all before it, whatever the file says of windows. */
  readonly ignoresWindows?: boolean;
  /** Whether it takes tensors that say how fast positions turn: one, or one for short and one for long texts. */
  readonly factors?: "ONE" | "SHORT_AND_LONG" | "BOTH";
  /** What llama.cpp does otherwise than the model does, for people. */
  readonly caveat?: string;
}

/** Which tensors have biases: llama.cpp refuses a file without those that must be there, and one with others. */
export interface Biases {
  readonly may?: readonly string[];
  readonly must?: readonly string[];
}

/** A tensor of Hugging Face's, and what is done to it. */
export interface Renamed {
  readonly name: string;
  readonly order?: Order;
  /** Its scale is kept as the difference from 1. */
  readonly aroundOne?: boolean;
  /** A matrix that is stored [in, out] there. */
  readonly turned?: boolean;
  /** One tensor for each head there, `{}` in its name; all in one here. */
  readonly heads?: "QUERIES" | "KEYS";
}

/** Names without `.weight` and `.bias`, by what they are called in GGUF files. */
export interface Names {
  /** Where Hugging Face's layers are: `model.layers`. */
  readonly layers: string;
  readonly top: Readonly<Record<string, string | Renamed>>;
  readonly layer: Readonly<Record<string, string | Renamed>>;
}

export const renamed = (rule: string | Renamed): Renamed => (typeof rule === "string" ? { name: rule } : rule);
