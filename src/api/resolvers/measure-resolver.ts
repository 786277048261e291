import { Arg, Ctx, Float, Query, Resolver } from "type-graphql";
import type { ServingTask, Tasks } from "../../compute/tasks.ts";
import { type Requirement, requireAll } from "../../rules/validate.ts";
import { computeCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { requireOwnSender } from "../forgery.ts";
import { Needs } from "../needs.ts";
import { longestPrompt, servingModelFor } from "../serving-request.ts";
import { Classification, ClassifyInput, ContinuationScore, EmbedInput, FillMaskInput, MaskFilling, ScoreInput } from "../types/measure.ts";

async function resultOf<Name extends ServingTask>(
  { generators, signal }: Context,
  task: Name,
  request: Tasks[Name]["request"],
): Promise<Tasks[Name]["result"]> {
  const steps = generators.run(task, request, signal);
  for (let step = await steps.next(); ; step = await steps.next()) if (step.done) return step.value;
}

const together = (texts: readonly string[]): number => texts.reduce((n, text) => n + text.length, 0);

const textRules = (texts: readonly string[], count = texts.length): Requirement[] => [
  ["input.texts", count >= 1 && count <= 64, "must be 1 to 64 texts"],
  ["input.texts", together(texts) <= longestPrompt, `must have at most ${longestPrompt} characters together`],
];

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
    const model = await servingModelFor(context, modelId, "tell how probable continuations are", ["CAUSAL_LM"]);
    return resultOf(context, "score", { model, executionProvider, prompt, continuations, client: context.client });
  }

  @Needs("GENERATE")
  @Query(() => [[Float]], {
    description:
      "Texts as vectors, in their order: what a model of the task EMBEDDING makes of them; of a causal one the hidden states that its head reads, pooled.",
    complexity: computeCost,
  })
  async embed(
    @Arg("input", () => EmbedInput, { description: "The texts." }) { modelId, ...input }: EmbedInput,
    @Ctx() context: Context,
  ): Promise<readonly (readonly number[])[]> {
    requireOwnSender(context);
    const { texts, pooling = null, normalize = null, executionProvider } = input;
    requireAll(textRules(texts));
    const model = await servingModelFor(context, modelId, "make vectors of texts", ["EMBEDDING", "CAUSAL_LM"]);
    return resultOf(context, "embed", { model, executionProvider, texts, pooling, normalize, client: context.client });
  }

  @Needs("GENERATE")
  @Query(() => [Classification], { description: "What class texts are of, or their tokens; in their order.", complexity: computeCost })
  async classify(
    @Arg("input", () => ClassifyInput, { description: "The texts." }) { modelId, texts, executionProvider }: ClassifyInput,
    @Ctx() context: Context,
  ): Promise<readonly Classification[]> {
    requireOwnSender(context);
    requireAll(
      textRules(
        texts.flatMap(({ text, pair }) => [text, pair ?? ""]),
        texts.length,
      ),
    );
    const model = await servingModelFor(context, modelId, "tell classes", ["CLASSIFICATION", "TOKEN_CLASSIFICATION"]);
    return resultOf(context, "classify", { model, executionProvider, texts: texts.map(({ text, pair = null }) => ({ text, pair })) });
  }

  @Needs("GENERATE")
  @Query(() => [[[MaskFilling]]], {
    description: "What may stand in the place of each mask: by text, by mask, the most probable first.",
    complexity: computeCost,
  })
  async fillMask(
    @Arg("input", () => FillMaskInput, { description: "The texts." }) { modelId, texts, topK, executionProvider }: FillMaskInput,
    @Ctx() context: Context,
  ): Promise<readonly (readonly (readonly MaskFilling[])[])[]> {
    requireOwnSender(context);
    requireAll([...textRules(texts), ["input.topK", topK >= 1 && topK <= 100, "must be from 1 to 100"]]);
    const model = await servingModelFor(context, modelId, "fill masks", ["MASKED_LM"]);
    return resultOf(context, "fillMask", { model, executionProvider, texts, topK });
  }
}
