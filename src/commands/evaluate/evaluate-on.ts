import { connectTo } from "../shared/connect-to.ts";
import { bar, count, LiveLine, percent } from "../shared/display.ts";
import { followRun } from "../shared/follow-run.ts";
import { modelId } from "../shared/model-id.ts";

export interface EvaluateArguments {
  readonly model: string;
  readonly dataset: string;
  readonly maxTokens: number | undefined;
  readonly maxItems: number | undefined;
}

type EvaluationEvent = { readonly __typename: "RunProgressed"; readonly progress: number } | { readonly __typename: "RunSucceeded" };

/** What was measured; null is what the dataset is not for. */
interface Measured {
  readonly perplexity: number | null;
  readonly tokenCount: number | null;
  readonly nextTokenAccuracy: number | null;
  readonly accuracy: number | null;
  readonly normalizedAccuracy: number | null;
  readonly exactMatch: number | null;
  readonly decodeTokensPerSecond: number | null;
}

const start = "mutation Evaluate($input: StartEvaluationInput!) { startEvaluation(input: $input) { run { id } } }";

const wanted = "... on RunProgressed { progress }";

const measured = `query Measured($id: ID!) { evaluation(id: $id) {
  result { perplexity tokenCount nextTokenAccuracy accuracy normalizedAccuracy exactMatch decodeTokensPerSecond } } }`;

/** How each number is shown, in order. */
const shown: { readonly [Name in keyof Measured]: (value: number) => string } = {
  perplexity: (value) => `perplexity ${value.toFixed(2)}`,
  nextTokenAccuracy: (value) => `${percent(value)} of next tokens right`,
  accuracy: (value) => `acc ${percent(value)}`,
  normalizedAccuracy: (value) => `acc_norm ${percent(value)}`,
  exactMatch: (value) => `exact match ${percent(value)}`,
  tokenCount: (value) => `${count(value)} tokens read`,
  decodeTokensPerSecond: (value) => `${count(value)} tokens/s written`,
};

/**
 * Measures a model on a server, and prints what was found.
 *
 * @throws EspalierError USAGE; what the server says; the reason that the run failed for; CANCELLED
 */
export async function evaluateOn({ model, dataset, maxTokens, maxItems }: EvaluateArguments, server: string): Promise<void> {
  const client = connectTo(server);
  const live = new LiveLine();
  try {
    const subject = { modelId: await modelId(client, model) };
    const input = { subject, dataset: { name: dataset }, maxTokens: maxTokens ?? null, maxItems: maxItems ?? null };
    const { id } = (await client.request<{ startEvaluation: { run: { id: string } } }>(start, { input })).startEvaluation.run;
    for await (const event of followRun<EvaluationEvent>(client, id, wanted))
      if (event.__typename === "RunProgressed") live.update(`${bar(event.progress)} ${dataset}`);
    const { result } = (await client.request<{ evaluation: { result: Measured } }>(measured, { id })).evaluation;
    const names = Object.keys(shown) as (keyof Measured)[];
    const found = names.flatMap((name) => (result[name] === null ? [] : shown[name](result[name])));
    live.line(`${model} on ${dataset}: ${found.join(", ")}`);
  } finally {
    await client.close();
  }
}
