import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { EspalierError } from "../../../src/errors.ts";
import { families } from "../../../src/models/blueprints/families/index.ts";
import { graphOfFolder } from "../../../src/models/blueprints/graph-of-folder.ts";
import { randomChoice, seededRandom } from "../../../src/random.ts";
import { type Variant, variantOf, writeFolder } from "../../support/safetensors-folder.ts";

const scratch = mkdtempSync(join(tmpdir(), "espalier-configurations-"));
after(() => rmSync(scratch, { recursive: true }));

type Keys = Readonly<Record<string, unknown>>;
const changed = (variant: Variant, change: Keys): Variant => ({ ...variant, config: { ...variant.config, ...change } });
const without = ({ config, ...rest }: Variant, ...keys: readonly string[]): Variant => ({
  ...rest,
  config: Object.fromEntries(Object.entries(config).filter(([key]) => !keys.includes(key))),
});
const graphOf = async (variant: Variant): Promise<Uint8Array> => {
  const folder = writeFolder(join(scratch, "model"), variant);
  return (await graphOfFolder({ root: folder, folder })).bytes;
};

describe("a configuration as transformers 5 writes it is that of transformers 4", () => {
  /** `rope_theta`, `rope_scaling` and how much of a head turns stand together there. */
  const together = (variant: Variant, more: Keys = {}): Variant => {
    const { rope_theta, rope_scaling, torch_dtype } = variant.config as Keys & { rope_scaling: Keys | null };
    const parameters = { rope_type: "default", ...rope_scaling, rope_theta, ...more };
    return changed(without(variant, "rope_theta", "rope_scaling", "torch_dtype"), { rope_parameters: parameters, dtype: torch_dtype });
  };
  for (const name of ["base", "linear", "dynamic", "yarn_all", "longrope", "llama3"])
    it(`llama, ${name}`, async () => {
      const variant = variantOf("llama", name);
      assert.deepEqual(await graphOf(together(variant)), await graphOf(variant));
    });

  it("phi3, of which a part turns", async () => {
    const variant = variantOf("phi3", "windows");
    const inside = { partial_rotary_factor: variant.config["partial_rotary_factor"] };
    assert.deepEqual(await graphOf(without(together(variant, inside), "partial_rotary_factor")), await graphOf(variant));
  });

  it("gemma3_text, by kinds of layers", async () => {
    const variant = variantOf("gemma3_text", "linear");
    const parameters = {
      full_attention: { rope_type: "linear", factor: 8, rope_theta: 1000000 },
      sliding_attention: { rope_type: "default", rope_theta: 5000 },
    };
    const later = changed(without(variant, "rope_theta", "rope_scaling", "rope_local_base_freq"), { rope_parameters: parameters });
    assert.deepEqual(await graphOf(later), await graphOf(variant));
  });
});

describe("what published configurations state besides", () => {
  const published: Readonly<Record<string, Keys>> = {
    llama: { is_llama_config: true, rope_interleaved: false, "transformers.js_config": { dtype: "q4" }, pretraining_tp: 2 },
    smollm3: { max_window_layers: 28 },
    gemma2: { cache_implementation: "hybrid" },
    phi3: { full_attn_mod: 1, interpolate_factor: 1, lm_head_bias: false, mlp_bias: false, auto_map: { AutoConfig: "a.B" } },
    cohere2: { order_of_interleaved_layers: "local_attn_first", position_embedding_type: "rope_gptj", use_gated_activation: true },
    starcoder2: { activation_function: "gelu", mlp_type: "default", norm_type: "layer_norm", scale_attn_weights: true },
    gpt2: { n_ctx: 64, task_specific_params: { "text-generation": { do_sample: true } }, summary_type: "cls_index" },
    gptj: { rotary: true, scale_attn_weights: true, tokenizer_class: "GPT2Tokenizer" },
    opt: { prefix: "</s>", activation_dropout: 0.1 },
    exaone4: { sliding_window_pattern: "LLLG" },
  };
  for (const [family, keys] of Object.entries(published))
    it(`of ${family} changes nothing`, async () => {
      const variant = variantOf(family);
      assert.deepEqual(await graphOf(changed(variant, keys)), await graphOf(variant));
    });

  const refused: Readonly<Record<string, Keys>> = {
    llama: { is_llama_config: false },
    mistral: { sliding_window: "4" },
    gemma3_text: { attn_logit_softcapping: 50 },
    phi3: { full_attn_mod: 2 },
    starcoder2: { norm_type: "rms_norm" },
    gptj: { rotary_dim: null },
    falcon: { num_ln_in_parallel_attn: 3 },
    qwen2: { layer_types: ["full_attention", "chunked_attention"] },
    smollm3: { no_rope_layers: [1] },
    gpt_neox: { rotary_pct: 0.1 },
  };
  for (const [family, keys] of Object.entries(refused))
    it(`and is not followed of ${family} is refused by its name: ${Object.keys(keys)}`, async () => {
      await assert.rejects(graphOf(changed(variantOf(family), keys)), (error: EspalierError) => {
        assert.equal(error.code, "UNSUPPORTED_CONFIG");
        assert.ok(error.message.includes(Object.keys(keys)[0] as string), error.message);
        return true;
      });
    });
});

describe("hostile configurations", () => {
  const seed = Number(process.env["FUZZ_SEED"] ?? 1);
  const junk = [
    null,
    true,
    false,
    0,
    -1,
    0.5,
    1,
    3,
    1e9,
    1e300,
    "",
    "silu",
    [],
    [1, "a"],
    {},
    { factor: 0 },
    { rope_type: "yarn", factor: 0 },
  ];

  it(`give a graph or an error with a code (FUZZ_SEED=${seed})`, async (t) => {
    const outcomes = new Map<string, number>();
    for (const { modelType } of families) {
      const variant = variantOf(modelType);
      const random = seededRandom(seed, modelType);
      const folder = writeFolder(join(scratch, modelType), variant);
      for (const key of [...Object.keys(variant.config), "rope_scaling", "rope_parameters", "qk_layernorm"]) {
        if (key === "model_type") continue;
        const value = randomChoice(random, junk);
        writeFolder(folder, { ...changed(variant, { [key]: value }), tensors: {} });
        const outcome = await graphOfFolder({ root: folder, folder }).then(
          () => "a graph",
          (error) => {
            assert.ok(error instanceof EspalierError, `${modelType} with ${key} = ${JSON.stringify(value)}: ${error.stack}`);
            return error.code;
          },
        );
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    }
    t.diagnostic([...outcomes].map(([o, n]) => `${o} ${n}`).join(", "));
    assert.ok((outcomes.get("UNSUPPORTED_CONFIG") ?? 0) > 0 && (outcomes.get("WEIGHTS_MISMATCH") ?? 0) > 0, "all or nothing is refused");
  });
});
