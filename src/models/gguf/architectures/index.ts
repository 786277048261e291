import type { Architecture } from "./architecture.ts";
import { gemma, gemma2, gemma3 } from "./gemma.ts";
import { falcon, falconOfTwoNorms, gpt2, gptNeox, starcoder2 } from "./gpt.ts";
import { deci, granite, llama, smollm3 } from "./llama.ts";
import { olmo, olmo2 } from "./olmo.ts";
import { chatglm, cohere2, commandR, exaone, exaone4, glm4, nemotron, stablelm } from "./others.ts";
import { phi2, phi3 } from "./phi.ts";
import { qwen2, qwen3 } from "./qwen.ts";

/** The architectures that are read and written. A model is written as the first that says all of it. */
export const architectures: readonly Architecture[] = [
  qwen2,
  llama,
  deci,
  granite,
  smollm3,
  qwen3,
  gemma,
  gemma2,
  gemma3,
  phi2,
  phi3,
  gpt2,
  gptNeox,
  falcon,
  falconOfTwoNorms,
  starcoder2,
  stablelm,
  olmo,
  olmo2,
  commandR,
  cohere2,
  chatglm,
  glm4,
  nemotron,
  exaone,
  exaone4,
];

/** Families that no file can be of, by `model_type`: what llama.cpp lacks. */
export const withoutArchitecture: Readonly<Record<string, string>> = {
  gptj: 'llama.cpp has the name "gptj" and no model of it: it loads no such file',
  opt: "llama.cpp has no architecture for OPT",
};

/** How a file's architecture is read. Undefined if it is not known. */
export function architectureOf(name: string, has: (tensor: string) => boolean): Architecture | undefined {
  const named = architectures.filter((architecture) => architecture.name === name);
  return named.find(({ marked }) => marked !== undefined && has(marked)) ?? named.find(({ marked }) => marked === undefined);
}
