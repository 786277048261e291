import { generate } from "../../inference/generate.ts";
import { type Generator, loadGenerator } from "../../inference/generator.ts";
import { materialise } from "../../models/artifact-store.ts";
import { loadTokenizer, type Tokenizer } from "../../text/tokenizer.ts";
import type { Task } from "../compute.ts";
import type { GenerationRequest } from "../tasks.ts";

interface Loaded {
  readonly generator: Generator;
  readonly tokenizer: Tokenizer;
}

/** By model and provider: loading takes far longer than a token, and many texts may be on their way at once. */
const loaded = new Map<string, Promise<Loaded>>();

async function load({ model, executionProvider }: GenerationRequest): Promise<Loaded> {
  const folder = await materialise(model);
  // The tokenizer first: if it cannot be had, no session is left behind.
  const tokenizer = await loadTokenizer(folder);
  return { tokenizer, generator: await loadGenerator({ folder, executionProvider }) };
}

/** A model that cannot be loaded is tried again the next time: the reason may have gone. */
function loadOnce(request: GenerationRequest): Promise<Loaded> {
  const key = `${request.model.digest} ${request.executionProvider}`;
  const loading = loaded.get(key) ?? load(request);
  loaded.set(key, loading);
  loading.catch(() => loaded.delete(key));
  return loading;
}

export const generateTask: Task<"generate"> = async function* (request) {
  const { generator, tokenizer } = await loadOnce(request);
  const { prompt, maxTokens, temperature, topK, topP, seed } = request;
  return yield* generate(generator, tokenizer, { prompt, maxTokens, temperature, topK, topP, seed });
};
