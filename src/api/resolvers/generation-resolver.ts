import { Arg, Ctx, Mutation, Resolver, Root, Subscription } from "type-graphql";
import type { TextSummary } from "../../inference/generate.ts";
import type { GenerationRequest } from "../../jobs/tasks.ts";
import { cancellable } from "../cancellable.ts";
import type { Context } from "../context.ts";
import { tokenizedModel } from "../tokenized-model.ts";
import { GenerateInput, GenerationCompleted, GenerationDelta, GenerationEvent, GenerationResult } from "../types/generation.ts";
import { requireAll } from "../validate.ts";

const longestPrompt = 100_000;
const mostTokens = 4096;

/** @throws EspalierError MODEL_NOT_FOUND, TOKENIZER_MISSING; BAD_USER_INPUT */
async function requestOf({ store, dataDirectory }: Context, input: GenerateInput): Promise<GenerationRequest> {
  const { modelId, prompt, maxTokens, temperature, topK, topP, seed, executionProvider } = input;
  requireAll([
    ["input.prompt", prompt.length <= longestPrompt, `must have at most ${longestPrompt} characters`],
    ["input.maxTokens", maxTokens >= 1 && maxTokens <= mostTokens, `must be from 1 to ${mostTokens}`],
    ["input.temperature", temperature >= 0 && temperature <= 10, "must be from 0 to 10"],
    ["input.topK", topK >= 0, "must not be negative"],
    ["input.topP", topP > 0 && topP <= 1, "must be above 0 and no more than 1"],
  ]);
  const { model, files } = await tokenizedModel(store, "input.modelId", modelId);
  return { model: { dataDirectory, digest: model.digest, files }, prompt, maxTokens, temperature, topK, topP, seed, executionProvider };
}

/** The pieces of a text and then how it went. */
async function* events({ generators }: Context, request: GenerationRequest, signal: AbortSignal) {
  const summary: TextSummary = yield* generators.generate(request, signal);
  yield { summary };
}

@Resolver()
export class GenerationResolver {
  @Mutation(() => GenerationResult, { description: "Writes on from a prompt, and answers when all is written." })
  async generate(
    @Arg("input", () => GenerateInput, { description: "What to write on from, and how." }) input: GenerateInput,
    @Ctx() context: Context,
  ): Promise<GenerationResult> {
    const request = await requestOf(context, input);
    let text = "";
    const tokenIds: number[] = [];
    const steps = context.generators.generate(request, context.signal);
    for (let step = await steps.next(); ; step = await steps.next()) {
      if (step.done) return { text, tokenIds, summary: step.value };
      text += step.value.text;
      tokenIds.push(...step.value.tokenIds);
    }
  }

  @Subscription(() => GenerationEvent, {
    name: "generate",
    description: "Writes on from a prompt, piece by piece, and then says how it went. Leaving stops it.",
    subscribe: async ({ args, context }: { args: { readonly input: GenerateInput }; context: Context }) => {
      const request = await requestOf(context, args.input);
      return cancellable((signal) => events(context, request, signal));
    },
  })
  generated(
    @Root() event: GenerationDelta | GenerationCompleted,
    @Arg("input", () => GenerateInput, { description: "What to write on from, and how." }) _input: GenerateInput,
  ): typeof GenerationEvent {
    return event;
  }
}
