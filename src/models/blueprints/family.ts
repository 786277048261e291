import type { Blueprint } from "./blueprint.ts";
import type { Config } from "./config.ts";

/** Keys of a config.json. */
type Keys = Readonly<Record<string, unknown>>;

/** A family of models, as a configuration names it. */
export interface Family {
  /** What people call it. */
  readonly name: string;
  /** `model_type`. */
  readonly modelType: string;
  /** Of tensors' names, which files saved of the model without its head leave out. */
  readonly prefix?: string;
  /** The head's tensor, `lm_head.weight` unless said here. */
  readonly head?: string;
  /** Whether its class in transformers divides the stream's width by the heads, so that no configuration can state another width of a head. */
  readonly headWidthFollows?: true;
  /**
   * Whether its class in transformers, from 5.4 on, refuses heads that the stream's width is no multiple of. Then `otherwise` gives the same model
   * as the configuration of a family whose class computes the same and does not; null where there is none.
   */
  readonly headsDivideWidth?: { readonly otherwise?: (config: Keys) => Keys | null };
  /**
   * What a configuration describes.
   *
   * @throws EspalierError UNSUPPORTED_CONFIG with the key, its value and what is supported
   */
  readonly blueprint: (config: Config) => Blueprint;
}
