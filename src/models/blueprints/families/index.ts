import type { Family } from "../family.ts";
import { cohereFamilies } from "./cohere.ts";
import { exaoneFamilies } from "./exaone.ts";
import { falcon } from "./falcon.ts";
import { gemmaFamilies } from "./gemma.ts";
import { glmFamilies } from "./glm.ts";
import { gptNeox } from "./gpt-neox.ts";
import { gpt2 } from "./gpt2.ts";
import { gptj } from "./gptj.ts";
import { granite } from "./granite.ts";
import { llamaFamilies } from "./llama.ts";
import { mixtureFamilies } from "./mixtures.ts";
import { nemotron } from "./nemotron.ts";
import { olmoFamilies } from "./olmo.ts";
import { opt } from "./opt.ts";
import { phiFamilies } from "./phi.ts";
import { stablelm } from "./stablelm.ts";
import { starcoder2 } from "./starcoder2.ts";

/** The families whose folders of weights are read. */
export const families: readonly Family[] = [
  ...llamaFamilies,
  ...mixtureFamilies,
  ...gemmaFamilies,
  ...phiFamilies,
  ...olmoFamilies,
  granite,
  ...cohereFamilies,
  ...glmFamilies,
  stablelm,
  starcoder2,
  nemotron,
  ...exaoneFamilies,
  gpt2,
  gptj,
  gptNeox,
  opt,
  falcon,
];
