/** An operation that GraphiQL opens with. */
export interface Example {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

const yourModel = "the id that registerModel gave";
const yourRun = "the id that startPruning gave";

/** From a folder to a pruned model and its text, in order. */
export const examples: readonly Example[] = [
  {
    query: `# 1. Register a model: a folder under the server's model root.
mutation RegisterModel($input: RegisterModelInput!) {
  registerModel(input: $input) { model {
    id
    name
    parameterCount
    architecture { layers hiddenSize vocabularySize contextLength }
    operators { operator count }
  } }
}
`,
    variables: { input: { source: { path: "ahab" } } },
  },
  {
    query: `# 2. Prune it: a fifth of its parameters, by PIP. What is left out has the default the schema shows.
mutation StartPruning($input: StartPruningInput!) {
  startPruning(input: $input) { run { id status options { targetRatio structureKinds samples seed } } }
}
`,
    variables: { input: { subject: { modelId: yourModel }, dataset: { name: "literature-train" }, options: { targetRatio: 0.2 } } },
  },
  {
    query: `# 3. Watch: what has happened after the event \`after\`, then what happens, until the run is over.
subscription RunProgress($runId: ID!, $after: Int) {
  runProgress(runId: $runId, after: $after) {
    __typename
    sequence
    ... on PruningScoring { iteration samplesDone samplesTotal }
    ... on PruningIterationCompleted {
      iteration
      removed { kind index score }
      parameterCount
      removedRatio
      loss
      estimatedMsLeft
    }
    ... on PruningSucceeded { resultModel { id name parameterCount } }
    ... on RunFailed { error { code message } }
  }
}
`,
    variables: { runId: yourRun, after: 0 },
  },
  {
    query: `# 4. Its family, and how each child was made.
query Lineage($modelId: ID!) {
  lineage(modelId: $modelId) {
    nodes { id name parameterCount producedBy { id ... on PruningRun { method removedRatio iterations { index removed { kind index score } } } } }
    edges { parent { id } child { id } }
  }
}
`,
    variables: { modelId: yourModel },
  },
  {
    query: `# 5. Let it write, token by token. Leaving stops it.
subscription Generate($input: GenerateInput!) {
  generate(input: $input) {
    ... on GenerationDelta { text tokenIds }
    ... on GenerationCompleted { summary { finishReason completionTokens tokensPerSecond } }
  }
}
`,
    variables: { input: { modelId: yourModel, prompt: { text: "The whale" }, maxTokens: 64 } },
  },
  {
    query: `# 6. Let a pruned model and its parent write side by side.
subscription Compare($input: CompareInput!) {
  compare(input: $input) {
    ... on GenerationDelta { modelId text }
    ... on GenerationCompleted { modelId summary { finishReason completionTokens tokensPerSecond } }
  }
}
`,
    variables: { input: { modelIds: [yourModel, "the id of its child"], prompt: { text: "The whale" }, maxTokens: 64 } },
  },
];
