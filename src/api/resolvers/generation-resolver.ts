import { Arg, Ctx, Mutation, Resolver, Root, Subscription } from "type-graphql";
import type { GenerationRequest } from "../../compute/tasks.ts";
import { append } from "../../large-lists.ts";
import { requireAll } from "../../rules/validate.ts";
import { cancellable } from "../cancellable.ts";
import type { Context } from "../context.ts";
import { merged } from "../merged.ts";
import { Needs } from "../needs.ts";
import { servingModelFor, writingRules } from "../serving-request.ts";
import {
  CompareInput,
  GenerateInput,
  type GenerationChoice,
  type GenerationCompleted,
  type GenerationDelta,
  GenerationEvent,
  type GenerationLoading,
  GenerationResult,
} from "../types/generation.ts";

type Event = GenerationLoading | GenerationDelta | GenerationCompleted;

/** @throws EspalierError MODEL_NOT_FOUND, TOKENIZER_MISSING; BAD_USER_INPUT */
async function requestOf(context: Context, input: GenerateInput): Promise<GenerationRequest> {
  const { modelId, executionProvider, prompt, answerBegins, topLogprobs, ...rest } = input;
  requireAll([
    ...writingRules(input),
    ["input.n", input.n >= 1 && input.n <= 8, "must be from 1 to 8"],
    ["input.topLogprobs", topLogprobs == null || (topLogprobs >= 0 && topLogprobs <= 20), "must be from 0 to 20"],
  ]);
  const model = await servingModelFor(context, modelId, "write texts", ["CAUSAL_LM"]);
  return {
    ...rest,
    prompt: prompt.text ?? (prompt.messages ?? []).map(({ role, content }) => ({ role, content })),
    ...(answerBegins == null ? {} : { answerBegins }),
    logitBias: rest.logitBias.map(({ tokenId, bias }) => ({ tokenId, bias })),
    topLogprobs: topLogprobs ?? null,
    model,
    executionProvider,
    client: context.client,
  };
}

/** How loading goes, the pieces of the texts, and how each went. */
async function* events(
  { generators, metrics }: Context,
  modelId: string,
  request: GenerationRequest,
  signal: AbortSignal,
): AsyncGenerator<Event, void> {
  for await (const event of metrics.counted(generators.run("generate", request, signal))) yield { ...event, modelId } as Event;
}

/** @throws EspalierError MODEL_NOT_FOUND, TOKENIZER_MISSING; BAD_USER_INPUT */
async function comparisons(context: Context, { modelIds, ...input }: CompareInput): Promise<(readonly [string, GenerationRequest])[]> {
  requireAll([
    ["input.modelIds", modelIds.length >= 1 && modelIds.length <= 4, "must be 1 to 4 models"],
    ["input.modelIds", new Set(modelIds).size === modelIds.length, "must not name a model twice"],
  ]);
  return Promise.all(
    modelIds.map(async (modelId) => [modelId, await requestOf(context, { ...input, modelId, echo: false, n: 1 })] as const),
  );
}

@Resolver()
export class GenerationResolver {
  @Needs("GENERATE")
  @Mutation(() => GenerationResult, { description: "Writes on from a prompt, or answers a conversation, and gives the whole text." })
  async generate(
    @Arg("input", () => GenerateInput, { description: "What to write on from, and how." }) input: GenerateInput,
    @Ctx() context: Context,
  ): Promise<GenerationResult> {
    const request = await requestOf(context, input);
    const texts = Array.from({ length: input.n }, () => ({
      text: "",
      tokenIds: [] as number[],
      logprobs: [] as GenerationDelta["logprobs"] & {},
    }));
    const steps = context.metrics.counted(context.generators.run("generate", request, context.signal));
    for (let step = await steps.next(); ; step = await steps.next()) {
      if (step.done) {
        const choices = texts.map((t, i) => ({
          ...t,
          logprobs: request.topLogprobs === null ? null : t.logprobs,
          summary: step.value[i],
        })) as GenerationChoice[];
        return { ...(choices[0] as GenerationChoice), choices };
      }
      if (!("text" in step.value)) continue;
      const { index, text, tokenIds, logprobs } = step.value;
      const own = texts[index] as (typeof texts)[0];
      own.text += text;
      append(own.tokenIds, tokenIds);
      own.logprobs = [...own.logprobs, ...(logprobs ?? [])];
    }
  }

  @Needs("GENERATE")
  @Subscription(() => GenerationEvent, {
    name: "generate",
    description: "Writes on from a prompt, or answers a conversation, piece by piece, and then says how it went. Leaving stops it.",
    subscribe: async ({ args, context }: { args: { readonly input: GenerateInput }; context: Context }) => {
      const request = await requestOf(context, args.input);
      return cancellable((signal) => events(context, args.input.modelId, request, signal));
    },
  })
  generated(
    @Root() event: Event,
    @Arg("input", () => GenerateInput, { description: "What to write on from, and how." }) _input: GenerateInput,
  ): typeof GenerationEvent {
    return event;
  }

  @Needs("GENERATE")
  @Subscription(() => GenerationEvent, {
    description:
      "Lets several models write on from the same prompt side by side, for instance a pruned model and its parent. Leaving stops it.",
    subscribe: async ({ args, context }: { args: { readonly input: CompareInput }; context: Context }) => {
      const requests = await comparisons(context, args.input);
      return cancellable((signal) => merged(requests.map(([modelId, request]) => events(context, modelId, request, signal))));
    },
  })
  compare(
    @Root() event: Event,
    @Arg("input", () => CompareInput, { description: "What to write on from, and how." }) _input: CompareInput,
  ): typeof GenerationEvent {
    return event;
  }
}
