import { EspalierError } from "../../errors.ts";
import { isWhole } from "../../is-whole.ts";
import { type Activation, activations as all } from "./blueprint.ts";

/** What transformers calls the activations. */
const activations: Readonly<Record<string, Activation>> = {
  silu: "SILU",
  swish: "SILU",
  gelu: "GELU",
  gelu_python: "GELU",
  gelu_new: "GELU_TANH",
  gelu_fast: "GELU_TANH",
  gelu_pytorch_tanh: "GELU_TANH",
  gelu_accurate: "GELU_TANH",
  quick_gelu: "QUICK_GELU",
  relu: "RELU",
  relu2: "RELU_SQUARED",
} satisfies Record<string, (typeof all)[number]>;

/**
 * Keys that say nothing of a model's arithmetic: what it is called and was made with, its special tokens, how it was trained, how
 * it writes. Dropout is of training alone.
 */
const idle: ReadonlySet<string> = new Set(
  `architectures model_type torch_dtype dtype transformers_version auto_map name_or_path language license
  bos_token_id eos_token_id pad_token_id sep_token_id unk_token_id decoder_start_token_id cls_token_id mask_token_id eos_token bos_token
  forced_bos_token_id forced_eos_token_id suppress_tokens begin_suppress_tokens bad_words_ids tokenizer_class prefix
  max_position_embeddings n_positions n_ctx max_sequence_length seq_length model_max_length max_seq_len
  use_cache return_dict return_dict_in_generate output_attentions output_hidden_states output_scores output_past gradient_checkpointing
  initializer_range init_std init_method initializer_factor layerdrop layer_drop scale_init
  attention_dropout attention_probs_dropout_prob hidden_dropout hidden_dropout_prob classifier_dropout dropout activation_dropout
  attn_pdrop embd_pdrop resid_pdrop residual_dropout embedding_dropout embed_dropout attention_dropout_prob attn_dropout summary_activation
  summary_first_dropout summary_proj_to_labels summary_type summary_use_proj pretraining_tp tensor_parallel slow_but_exact
  temperature top_k top_p do_sample max_length min_length num_beams num_return_sequences num_beam_groups repetition_penalty length_penalty
  no_repeat_ngram_size encoder_no_repeat_ngram_size early_stopping diversity_penalty typical_p exponential_decay_length_penalty
  remove_invalid_values renormalize_logits task_specific_params problem_type id2label label2id num_labels finetuning_task
  pruned_heads chunk_size_feed_forward tf_legacy_loss use_bfloat16 torchscript is_decoder
  cross_attention_hidden_size reorder_and_upcast_attn gradient_checkpointing_use_reentrant
  cache_implementation attn_implementation espalier`.split(/\s+/),
);

/** Keys of programs around a model. */
const idlePrefixes = ["_", "unsloth", "transformers.js"];

const shown = (value: unknown): string => JSON.stringify(value)?.slice(0, 200) ?? "nothing";

/** A config.json, and which of its keys a family has read: what it has not read could change the numbers. */
export class Config {
  readonly #read = new Set<string>();

  /** @param place where the keys stand, for messages: `text_config.` */
  constructor(
    private readonly keys: Readonly<Record<string, unknown>>,
    private readonly place = "",
  ) {}

  /** The value under the first of these keys that is there and not null. */
  value(...names: readonly string[]): unknown {
    for (const name of names) this.#read.add(name);
    return names.map((name) => this.keys[name]).find((v) => v != null);
  }

  /** Whether anybody has read a key, be it there or not. */
  asked = (name: string): boolean => this.#read.has(name);

  /** Whether a key is there, be it null. */
  stated(name: string): boolean {
    this.#read.add(name);
    return Object.hasOwn(this.keys, name);
  }

  /** A whole number of at least 1. @throws EspalierError UNSUPPORTED_CONFIG */
  count(name: string, fallback?: number, most = 2 ** 24): number {
    const value = this.value(name) ?? fallback;
    return isWhole(value, 1, most) ? value : this.refuse(name, `whole numbers from 1 to ${most}`);
  }

  /** A number of heads, or the width of one. @throws EspalierError UNSUPPORTED_CONFIG */
  heads = (name: string, fallback?: number): number => this.count(name, fallback, 2 ** 14);

  /** How many layers there are: no more than a graph can be made of. @throws EspalierError UNSUPPORTED_CONFIG */
  layers = (name = "num_hidden_layers"): number => this.count(name, undefined, 1000);

  /** Refuses a number of heads that the width of the stream is no multiple of. @throws EspalierError UNSUPPORTED_CONFIG */
  requireDivides(name: string, width: number): void {
    if (width % this.heads(name) !== 0) this.refuse(name, `divisors of ${width}`);
  }

  number(name: string, fallback?: number): number {
    const value = this.value(name) ?? fallback;
    return typeof value === "number" && Number.isFinite(value) ? value : this.refuse(name, "numbers");
  }

  /** A number above 0: what something is divided by, or the base of a power. @throws EspalierError UNSUPPORTED_CONFIG */
  positive(name: string, fallback?: number): number {
    const value = this.number(name, fallback);
    return value > 0 ? value : this.refuse(name, "numbers above 0");
  }

  /** What is added to a variance. @throws EspalierError UNSUPPORTED_CONFIG */
  epsilon(name: string, fallback: number): number {
    const value = this.number(name, fallback);
    return value >= 0 ? value : this.refuse(name, "numbers from 0 on");
  }

  /** How many tokens are seen; null if the key is absent. @throws EspalierError UNSUPPORTED_CONFIG */
  window(name = "sliding_window"): number | null {
    return this.value(name) === undefined ? null : this.count(name, undefined, 2 ** 31);
  }

  /** Null if the key is absent. */
  optional(name: string): number | null {
    return this.value(name) === undefined ? null : this.number(name);
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.value(name) ?? fallback;
    return typeof value === "boolean" ? value : this.refuse(name, "true and false");
  }

  activation(name: string, fallback: string): Activation {
    const value = this.value(name) ?? fallback;
    const found = typeof value === "string" && Object.hasOwn(activations, value) ? activations[value] : undefined;
    return found ?? this.refuse(name, Object.keys(activations).join(", "));
  }

  /** One of a few strings. */
  oneOf<T extends string>(name: string, values: readonly T[], fallback: T): T {
    const value = this.value(name) ?? fallback;
    return values.find((v) => v === value) ?? this.refuse(name, values.join(", "));
  }

  /** A list of numbers, so many. */
  numbers(name: string, length: number): readonly number[] {
    const value = this.value(name);
    if (!Array.isArray(value) || value.length !== length || !value.every((v) => typeof v === "number" && Number.isFinite(v)))
      return this.refuse(name, `lists of ${length} numbers`);
    return value;
  }

  /** An object of keys of its own; null if it is absent. */
  part(name: string): Config | null {
    const value = this.value(name);
    if (value === undefined) return null;
    if (typeof value !== "object" || Array.isArray(value)) return this.refuse(name, "objects");
    return new Config(value as Record<string, unknown>, `${this.place}${name}.`);
  }

  /** Takes note of a key that may have one value only. @throws EspalierError UNSUPPORTED_CONFIG */
  require(name: string, only: unknown): void {
    const value = this.value(name);
    if (value !== undefined && JSON.stringify(value) !== JSON.stringify(only)) this.refuse(name, shown(only));
  }

  /** The same of several. */
  requireAll(only: Readonly<Record<string, unknown>>): void {
    for (const [name, value] of Object.entries(only)) this.require(name, value);
  }

  /** Takes note of keys that published configurations state, and that transformers passes over. */
  passOver(...names: readonly string[]): void {
    this.value(...names);
  }

  /** @throws EspalierError UNSUPPORTED_CONFIG always, with key, value and what is supported */
  refuse(name: string, supported: string): never {
    const value = this.keys[name];
    throw new EspalierError(
      "UNSUPPORTED_CONFIG",
      value == null
        ? `config.json does not state ${this.place}${name}; supported are ${supported}`
        : `config.json states ${this.place}${name} = ${shown(value)}; supported are ${supported}`,
      { key: `${this.place}${name}`, value: value ?? null, supported },
    );
  }

  /**
   * Refuses keys that nobody has read and that are not known to be idle. What is null or false says that something is absent.
   *
   * @throws EspalierError UNSUPPORTED_CONFIG
   */
  requireAllRead(): void {
    for (const [name, value] of Object.entries(this.keys)) {
      if (this.#read.has(name) || idle.has(name) || value === null || value === false || idlePrefixes.some((p) => name.startsWith(p)))
        continue;
      throw new EspalierError(
        "UNSUPPORTED_CONFIG",
        `config.json states ${this.place}${name} = ${shown(value)}, which is not known for this family, so it could change what the model computes. ` +
          "Take the key out if it does not, or export the model to ONNX",
        { key: `${this.place}${name}`, value, supported: null },
      );
    }
  }
}
