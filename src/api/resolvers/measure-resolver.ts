import { Arg, Ctx, Float, Query, Resolver } from "type-graphql";
import type { ServingTask, Tasks } from "../../compute/tasks.ts";
import { requireAll } from "../../rules/validate.ts";
import { computeCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { requireOwnSender } from "../forgery.ts";
import { Needs } from "../needs.ts";
import { longestPrompt, servingModel } from "../serving-request.ts";
import { ContinuationScore, EmbedInput, ScoreInput } from "../types/measure.ts";

async function resultOf<Name extends ServingTask>(
  { generators, signal }: Context,
  task: Name,
  request: Tasks[Name]["request"],
): Promise<Tasks[Name]["result"]> {
  const steps = generators.run(task, request, signal);
  for (let step = await steps.next(); ; step = await steps.next()) if (step.done) return step.value;
}

const together = (texts: readonly string[]): number => texts.reduce((n, text) => n + text.length, 0);

@Resolver()
export class MeasureResolver {
  @Needs("GENERATE")
  @Query(() => [ContinuationScore], {
    description: "How probable a model finds each of some continuations of a text; in their order. What evaluation harnesses ask for.",
    complexity: computeCost,
  })
  async score(
    @Arg("input", () => ScoreInput, { description: "The text and its continuations." }) { modelId, ...input }: ScoreInput,
    @Ctx() context: Context,
  ): Promise<readonly ContinuationScore[]> {
    requireOwnSender(context);
    const { prompt, continuations, executionProvider } = input;
    requireAll([
      ["input.prompt", prompt.length <= longestPrompt, `must have at most ${longestPrompt} characters`],
      ["input.continuations", continuations.length >= 1 && continuations.length <= 64, "must be 1 to 64 texts"],
      ["input.continuations", continuations.every((text) => text !== ""), "must not be empty texts"],
      ["input.continuations", together(continuations) <= longestPrompt, `must have at most ${longestPrompt} characters together`],
    ]);
    const model = await servingModel(context, "input.modelId", modelId);
    return resultOf(context, "score", { model, executionProvider, prompt, continuations, client: context.client });
  }

  @Needs("GENERATE")
  @Query(() => [[Float]], {
    description: "Texts as vectors, in their order: the hidden states that the model's head reads, pooled.",
    complexity: computeCost,
  })
  async embed(
    @Arg("input", () => EmbedInput, { description: "The texts." }) { modelId, ...input }: EmbedInput,
    @Ctx() context: Context,
  ): Promise<readonly (readonly number[])[]> {
    requireOwnSender(context);
    const { texts, pooling, normalize, executionProvider } = input;
    requireAll([
      ["input.texts", texts.length >= 1 && texts.length <= 64, "must be 1 to 64 texts"],
      ["input.texts", together(texts) <= longestPrompt, `must have at most ${longestPrompt} characters together`],
    ]);
    const model = await servingModel(context, "input.modelId", modelId);
    return resultOf(context, "embed", { model, executionProvider, texts, pooling, normalize, client: context.client });
  }
}
