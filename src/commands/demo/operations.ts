import { setTimeout as delay } from "node:timers/promises";
import { EspalierError } from "../../errors.ts";
import type { Client } from "../shared/client.ts";

/** What the demo asks of the API, and the parts of the answers that it shows. */
export interface Model {
  readonly id: string;
  readonly name: string;
  readonly parameterCount: number;
  readonly sizeBytes: number;
  readonly architecture: { readonly layers: number };
}

export interface Measurement {
  readonly tokenCount: number;
  readonly perplexity: number;
  readonly nextTokenAccuracy: number;
}

interface Failure {
  readonly code: string;
  readonly message: string;
}

interface Removed {
  readonly kind: string;
  readonly index: number;
  readonly score: number;
}

export type ProgressEvent =
  | {
      readonly __typename: "PruningStarted";
      readonly executionProvider: string;
      readonly parameterCount: number;
      readonly targetParameterCount: number;
    }
  | { readonly __typename: "PruningScoring"; readonly iteration: number; readonly samplesDone: number; readonly samplesTotal: number }
  | {
      readonly __typename: "PruningIterationCompleted";
      readonly iteration: number;
      readonly removed: readonly Removed[];
      readonly parameterCount: number;
      readonly estimatedMsLeft: number | null;
    }
  | { readonly __typename: "PruningSucceeded"; readonly removedRatio: number; readonly resultModel: Model }
  | { readonly __typename: "RunFailed"; readonly error: Failure }
  | { readonly __typename: "RunCancelled" };

export type HealingEvent =
  | {
      readonly __typename: "RecoveryStarted";
      readonly trainedParameterCount: number;
      readonly heldBackLoss: number;
      readonly teacherLoss: number;
    }
  | { readonly __typename: "RecoveryStepped"; readonly step: number; readonly steps: number; readonly estimatedMsLeft: number }
  | { readonly __typename: "RecoveryChecked"; readonly step: number; readonly heldBackLoss: number; readonly wonBackRatio: number | null }
  | { readonly __typename: "RecoverySucceeded"; readonly resultModel: Model }
  | { readonly __typename: "RunFailed"; readonly error: Failure }
  | { readonly __typename: "RunCancelled" };

type GenerationEvent =
  | { readonly __typename: "GenerationLoading" }
  | { readonly __typename: "GenerationDelta"; readonly text: string }
  | {
      readonly __typename: "GenerationCompleted";
      readonly summary: { readonly completionTokens: number; readonly tokensPerSecond: number };
    };

const modelFields = "id name parameterCount sizeBytes architecture { layers }";

export async function registerModel(client: Client, path: string, name: string): Promise<Model> {
  const mutation = `mutation Register($input: RegisterModelInput!) { registerModel(input: $input) { model { ${modelFields} } } }`;
  const {
    registerModel: { model },
  } = await client.request<{ registerModel: { model: Model } }>(mutation, { input: { source: { path }, name } });
  return model;
}

/** Asks for an evaluation and waits for it. */
export async function evaluate(client: Client, modelId: string, dataset: string): Promise<Measurement> {
  type Evaluation = { readonly id: string; readonly status: string; readonly result: Measurement | null; readonly error: Failure | null };
  const result = "tokenCount perplexity nextTokenAccuracy";
  const fields = `id status result { ${result} } error { code message }`;
  const mutation = `mutation Evaluate($input: StartEvaluationInput!) { startEvaluation(input: $input) { run { ${fields} } } }`;
  const query = `query Evaluation($id: ID!) { evaluation(id: $id) { ${fields} } }`;
  const asked = await client.request<{ startEvaluation: { run: Evaluation } }>(mutation, {
    input: { subject: { modelId }, dataset: { name: dataset } },
  });
  let evaluation = asked.startEvaluation.run;
  while (evaluation.result === null) {
    if (evaluation.error) throw new EspalierError(evaluation.error.code, `the evaluation failed: ${evaluation.error.message}`);
    await delay(200);
    evaluation = (await client.request<{ evaluation: Evaluation }>(query, { id: evaluation.id })).evaluation;
  }
  return evaluation.result;
}

export async function startPruning(client: Client, modelId: string, dataset: string): Promise<string> {
  const mutation = "mutation Prune($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }";
  const {
    startPruning: { run },
  } = await client.request<{ startPruning: { run: { id: string } } }>(mutation, {
    input: { subject: { modelId }, dataset: { name: dataset } },
  });
  return run.id;
}

export async function* runProgress(client: Client, runId: string): AsyncGenerator<ProgressEvent> {
  const subscription = `subscription Progress($runId: ID!) {
    runProgress(runId: $runId, after: 0) {
      __typename
      ... on PruningStarted { executionProvider parameterCount targetParameterCount }
      ... on PruningScoring { iteration samplesDone samplesTotal }
      ... on PruningIterationCompleted { iteration removed { kind index score } parameterCount estimatedMsLeft }
      ... on PruningSucceeded { removedRatio resultModel { ${modelFields} } }
      ... on RunFailed { error { code message } }
    }
  }`;
  for await (const { runProgress: event } of client.subscribe<{ runProgress: ProgressEvent }>(subscription, { runId })) yield event;
}

/** Asks for the healing of a model, of all its weights. */
export async function startRecovery(client: Client, modelId: string, dataset: string): Promise<string> {
  const mutation = "mutation Heal($input: StartRecoveryInput!) { startRecovery(input: $input) { run { id } } }";
  const {
    startRecovery: { run },
  } = await client.request<{ startRecovery: { run: { id: string } } }>(mutation, {
    input: { subject: { modelId }, method: "FULL", dataset: { name: dataset } },
  });
  return run.id;
}

export async function* healingProgress(client: Client, runId: string): AsyncGenerator<HealingEvent> {
  const subscription = `subscription Progress($runId: ID!) {
    runProgress(runId: $runId, after: 0) {
      __typename
      ... on RecoveryStarted { trainedParameterCount heldBackLoss teacherLoss }
      ... on RecoveryStepped { step steps estimatedMsLeft }
      ... on RecoveryChecked { step heldBackLoss wonBackRatio }
      ... on RecoverySucceeded { resultModel { ${modelFields} } }
      ... on RunFailed { error { code message } }
    }
  }`;
  for await (const { runProgress: event } of client.subscribe<{ runProgress: HealingEvent }>(subscription, { runId })) yield event;
}

export async function* generate(client: Client, modelId: string, prompt: string, maxTokens: number): AsyncGenerator<GenerationEvent> {
  const subscription = `subscription Generate($input: GenerateInput!) {
    generate(input: $input) {
      __typename
      ... on GenerationDelta { text }
      ... on GenerationCompleted { summary { completionTokens tokensPerSecond } }
    }
  }`;
  const input = { modelId, prompt: { text: prompt }, maxTokens, temperature: 0.8, topP: 0.9, seed: 1 };
  for await (const { generate: event } of client.subscribe<{ generate: GenerationEvent }>(subscription, { input })) yield event;
}

/** Greedy, one stream, after the first token. */
export async function tokensPerSecond(client: Client, modelId: string, prompt: string): Promise<number> {
  const mutation = "mutation Speed($input: GenerateInput!) { generate(input: $input) { summary { tokensPerSecond } } }";
  type Answer = { readonly generate: { readonly summary: { readonly tokensPerSecond: number } } };
  const { generate: answer } = await client.request<Answer>(mutation, { input: { modelId, prompt: { text: prompt }, maxTokens: 128 } });
  return answer.summary.tokensPerSecond;
}

export interface Lineage {
  readonly nodes: readonly Model[];
  readonly edges: readonly { readonly parent: { readonly id: string }; readonly child: { readonly id: string } }[];
}

export async function lineage(client: Client, modelId: string): Promise<Lineage> {
  const query = `query Lineage($id: ID!) { lineage(modelId: $id) { nodes { ${modelFields} } edges { parent { id } child { id } } } }`;
  return (await client.request<{ lineage: Lineage }>(query, { id: modelId })).lineage;
}
