import { EspalierError } from "../../errors.ts";
import type { Client } from "../shared/client.ts";

// What the comparison asks of the API, and the parts of the answers that it shows.

export interface Model {
  readonly id: string;
  readonly name: string;
  readonly parameterCount: number;
  readonly sizeBytes: number;
}

export interface Result {
  readonly perplexity: number | null;
  readonly perplexityStandardError: number | null;
  readonly nextTokenAccuracy: number | null;
  readonly nextTokenAccuracyStandardError: number | null;
  /** Against the model that all were pruned from. */
  readonly divergence: number | null;
  readonly divergenceStandardError: number | null;
  readonly greedyAgreement: number | null;
  readonly greedyAgreementStandardError: number | null;
  readonly commonBeginningTokens: number | null;
  readonly commonBeginningTokensStandardError: number | null;
  readonly itemCount: number | null;
  readonly exactMatch: number | null;
  readonly exactMatchStandardError: number | null;
  readonly accuracy: number | null;
  readonly accuracyStandardError: number | null;
  readonly normalizedAccuracy: number | null;
  readonly normalizedAccuracyStandardError: number | null;
  readonly byteNormalizedAccuracy: number | null;
  readonly byteNormalizedAccuracyStandardError: number | null;
  /** What guessing would get. */
  readonly chanceAccuracy: number | null;
  readonly decodeTokensPerSecond: number | null;
  readonly prefillTokensPerSecond: number | null;
  readonly peakMemoryBytes: number | null;
}

export interface Evaluation {
  readonly id: string;
  readonly status: string;
  readonly progress: number;
  readonly result: Result | null;
  readonly error: Failure | null;
  readonly overlapRatio: number;
  readonly retained: {
    readonly accuracyRatio: number | null;
    readonly normalizedAccuracyRatio: number | null;
    readonly accuracyDifferenceStandardError?: number | null;
  } | null;
}

interface Failure {
  readonly code: string;
  readonly message: string;
}

export interface Run {
  readonly id: string;
  readonly status: string;
  readonly removedRatio: number;
  readonly peakMemoryBytes: number | null;
  readonly error: Failure | null;
  readonly resultModel: Model | null;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly options: unknown;
  readonly iterations: readonly { readonly removed: readonly { readonly kind: string; readonly index: number }[] }[];
}

const model = "id name parameterCount sizeBytes";
const result =
  "perplexity perplexityStandardError nextTokenAccuracy nextTokenAccuracyStandardError divergence divergenceStandardError greedyAgreement " +
  "greedyAgreementStandardError commonBeginningTokens commonBeginningTokensStandardError itemCount exactMatch exactMatchStandardError accuracy accuracyStandardError " +
  "normalizedAccuracy normalizedAccuracyStandardError byteNormalizedAccuracy byteNormalizedAccuracyStandardError chanceAccuracy " +
  "decodeTokensPerSecond prefillTokensPerSecond peakMemoryBytes";
const evaluation = `id status progress overlapRatio error { code message } result { ${result} } retained { accuracyRatio normalizedAccuracyRatio accuracyDifferenceStandardError }`;
const perturbation = "perturbation { kind rate regenerate }";
const options = `targetRatio structureKinds structuresPerIteration samples sequenceLength ${perturbation} protectFirst protectLast normalization gradientBy restore seed`;
const run =
  `id status removedRatio peakMemoryBytes startedAt finishedAt error { code message } resultModel { ${model} } ` +
  `options { ${options} } iterations { removed { kind index } }`;

export async function registerModel(client: Client, path: string): Promise<Model> {
  const mutation = `mutation($input: RegisterModelInput!) { registerModel(input: $input) { model { ${model} } } }`;
  return (await client.request<{ registerModel: { model: Model } }>(mutation, { input: { source: { path } } })).registerModel.model;
}

export async function registerDataset(client: Client, path: string, name: string): Promise<string> {
  const mutation = "mutation($input: RegisterDatasetInput!) { registerDataset(input: $input) { dataset { id } } }";
  return (await client.request<{ registerDataset: { dataset: { id: string } } }>(mutation, { input: { source: { path }, name } }))
    .registerDataset.dataset.id;
}

export async function methodNames(client: Client): Promise<string[]> {
  return (await client.request<{ pruningMethods: { name: string }[] }>("{ pruningMethods { name } }")).pruningMethods.map((m) => m.name);
}

/** Starts a run and waits for its end, whatever it is. */
export async function prune(client: Client, input: object, progress: (ratio: number) => void): Promise<Run> {
  const mutation = "mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }";
  const { id } = (await client.request<{ startPruning: { run: { id: string } } }>(mutation, { input })).startPruning.run;
  const subscription = "subscription($runId: ID!) { runProgress(runId: $runId) { ... on PruningIterationCompleted { removedRatio } } }";
  type Event = { readonly runProgress: { readonly removedRatio?: number } };
  for await (const { runProgress: event } of client.subscribe<Event>(subscription, { runId: id }))
    if (event.removedRatio !== undefined) progress(event.removedRatio);
  const query = `query($id: ID!) { pruningRun(id: $id) { ${run} } }`;
  return (await client.request<{ pruningRun: Run }>(query, { id })).pruningRun;
}

/** What came of healing or compressing a model. */
export interface Healed {
  readonly id: string;
  readonly status: string;
  readonly error: Failure | null;
  readonly resultModel: Model | null;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

/** Starts a recovery run and waits for its end, whatever it is. */
export async function heal(client: Client, input: object, progress: (ratio: number) => void): Promise<Healed> {
  const mutation = "mutation($input: StartRecoveryInput!) { startRecovery(input: $input) { run { id } } }";
  const { id } = (await client.request<{ startRecovery: { run: { id: string } } }>(mutation, { input })).startRecovery.run;
  return ended(client, id, progress);
}

/** The ways of compressing that read texts. */
export async function readingMethods(client: Client): Promise<string[]> {
  const query = "{ compressionMethods { name needsDataset } }";
  const { compressionMethods } = await client.request<{ compressionMethods: { name: string; needsDataset: boolean }[] }>(query);
  return compressionMethods.filter((m) => m.needsDataset).map((m) => m.name);
}

/** Starts a compression run and waits for its end, whatever it is. */
export async function compress(client: Client, input: object, progress: (ratio: number) => void): Promise<Healed> {
  const mutation = "mutation($input: StartCompressionInput!) { startCompression(input: $input) { run { id } } }";
  const { id } = (await client.request<{ startCompression: { run: { id: string } } }>(mutation, { input })).startCompression.run;
  return ended(client, id, progress);
}

/** Waits for the end of a run that makes a model. */
async function ended(client: Client, id: string, progress: (ratio: number) => void): Promise<Healed> {
  const subscription = "subscription($runId: ID!) { runProgress(runId: $runId) { run { progress } } }";
  type Event = { readonly runProgress: { readonly run: { readonly progress: number } } };
  for await (const event of client.subscribe<Event>(subscription, { runId: id })) progress(event.runProgress.run.progress);
  const query = `query($id: ID!) { run(id: $id) { id status startedAt finishedAt error { code message } resultModel { ${model} } } }`;
  return (await client.request<{ run: Healed }>(query, { id })).run;
}

/** Asks for an evaluation and waits for it. @throws EspalierError if it does not succeed */
export async function evaluate(client: Client, input: object, progress: (ratio: number) => void): Promise<Evaluation> {
  const mutation = "mutation($input: StartEvaluationInput!) { startEvaluation(input: $input) { run { id } } }";
  const { id: runId } = (await client.request<{ startEvaluation: { run: { id: string } } }>(mutation, { input })).startEvaluation.run;
  const subscription = `subscription($runId: ID!) { runProgress(runId: $runId) { run { ... on Evaluation { ${evaluation} } } } }`;
  let last: Evaluation | undefined;
  for await (const event of client.subscribe<{ runProgress: { run: Evaluation } }>(subscription, { runId })) {
    last = event.runProgress.run;
    progress(last.progress);
  }
  if (last?.status === "SUCCEEDED") return last;
  throw new EspalierError(last?.error?.code ?? "NO_RESULT", `an evaluation ended ${last?.status}: ${last?.error?.message}`);
}
