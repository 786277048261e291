import type { Mixture, Mlp } from "../blueprint.ts";
import type { Config } from "../config.ts";
import type { Family } from "../family.ts";
import { gatedDecoder, linearAt } from "./gated-decoder.ts";

type Part = Pick<Mlp, "input" | "down">;

/** The largest models have 512. */
const mostExperts = 4096;

const gated = (at: string): Part => ({
  input: { kind: "GATED", gate: linearAt(`${at}gate_proj`), up: linearAt(`${at}up_proj`) },
  down: linearAt(`${at}down_proj`),
});

/** Weights are probabilities of all experts, and those of the chosen ones may be made to sum up to one. */
function softmaxMixture(config: Config, at: string, own: Pick<Mixture, "count" | "normalized">, part: (at: string) => Part): Mixture {
  const chosen = config.count("num_experts_per_tok");
  if (chosen > own.count) config.refuse("num_experts_per_tok", `at most as many as there are experts, ${own.count}`);
  const experts = Array.from({ length: own.count }, (_, e) => part(`${at}experts.${e}.`));
  return { router: linearAt(`${at}gate`), chosen, scores: "SOFTMAX", experts, ...own };
}

/** An MLP that is a mixture of experts: what stands for its input and output is the first. */
const mixed = (width: number, mixture: Mixture): Partial<Mlp> => ({ ...(mixture.experts[0] as Part), width, mixture });

/** Which layers have experts: each so many-th, but for some that are named. */
function sparseLayers(config: Config): (layer: number) => boolean {
  const every = config.count("decoder_sparse_step", 1);
  const stated = config.value("mlp_only_layers");
  if (stated !== undefined && stated !== null && !Array.isArray(stated)) config.refuse("mlp_only_layers", "lists of layers");
  const plain = Array.isArray(stated) ? stated : [];
  return (layer) => !plain.includes(layer) && (layer + 1) % every === 0;
}

/** What trains a router, and gives its scores. */
const training = (config: Config) => config.passOver("router_aux_loss_coef", "output_router_logits", "router_jitter_noise");

function qwen(config: Config, shared: (at: string) => Mixture["shared"]): (at: string, layer: number) => Partial<Mlp> {
  training(config);
  const isSparse = sparseLayers(config);
  const [width, count] = [config.count("moe_intermediate_size"), config.count("num_experts", undefined, mostExperts)];
  const normalized = config.flag("norm_topk_prob", false);
  return (at, layer) => {
    if (!isSparse(layer)) return {};
    const own = shared(at);
    return mixed(width, { ...softmaxMixture(config, at, { count, normalized }, gated), ...(own ? { shared: own } : {}) });
  };
}

const qwenWindow = (config: Config) => {
  config.passOver("max_window_layers");
  const window = config.flag("use_sliding_window", false) ? (config.window() ?? 4096) : null;
  return window === null ? {} : { window: () => window };
};

export const mixtureFamilies: readonly Family[] = [
  {
    name: "Mixtral",
    modelType: "mixtral",
    blueprint: (config) => {
      training(config);
      const [count, width] = [config.count("num_local_experts", undefined, mostExperts), config.count("intermediate_size")];
      const window = config.window();
      const part = (at: string): Part => ({
        input: { kind: "GATED", gate: linearAt(`${at}w1`), up: linearAt(`${at}w3`) },
        down: linearAt(`${at}w2`),
      });
      return gatedDecoder(config, {
        ...(window === null ? {} : { window: () => window }),
        mlp: (at) => {
          const own = at.replace(/mlp\.$/, "block_sparse_moe.");
          return mixed(width, softmaxMixture(config, own, { count, normalized: true }, part));
        },
      });
    },
  },
  {
    name: "Qwen1.5-MoE, Qwen2-MoE",
    modelType: "qwen2_moe",
    headWidthFollows: true,
    blueprint: (config) => {
      const width = config.count("shared_expert_intermediate_size");
      const shared = (at: string) => ({ ...gated(`${at}shared_expert.`), width, gate: linearAt(`${at}shared_expert_gate`) });
      return gatedDecoder(config, {
        biases: { qkv: config.flag("qkv_bias", true) },
        ...qwenWindow(config),
        mlp: qwen(config, shared),
      });
    },
  },
  {
    name: "Qwen3-MoE",
    modelType: "qwen3_moe",
    blueprint: (config) => {
      const biased = config.flag("attention_bias", false);
      return gatedDecoder(config, {
        biases: { qkv: biased, output: biased },
        headNorms: { over: "HEAD" },
        headWidth: config.heads("head_dim", 128),
        ...qwenWindow(config),
        mlp: qwen(config, () => undefined),
      });
    },
  },
  {
    name: "OLMoE",
    modelType: "olmoe",
    headWidthFollows: true,
    blueprint: (config) => {
      training(config);
      const [count, width] = [config.count("num_experts", undefined, mostExperts), config.count("intermediate_size")];
      const normalized = config.flag("norm_topk_prob", false);
      // It would clip what its norms give.
      config.requireAll({ clip_qkv: null });
      const biased = config.flag("attention_bias", false);
      return gatedDecoder(config, {
        biases: { qkv: biased, output: biased },
        headNorms: { over: "ALL" },
        mlp: (at) => mixed(width, softmaxMixture(config, at, { count, normalized }, gated)),
      });
    },
  },
];
