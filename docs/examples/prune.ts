/**
 * Prunes a model, follows the run, and lets the result write, with the package graphql-ws.
 *
 *     npx tsx docs/examples/prune.ts [URL] [TOKEN]
 */
import { createClient } from "graphql-ws";
import { WebSocket } from "ws";

const [url = "http://localhost:4000/graphql", token] = process.argv.slice(2);
const authorization: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
const client = createClient({ url: url.replace("http", "ws"), webSocketImpl: WebSocket, connectionParams: authorization });

/** One operation over HTTP. */
async function ask<Data>(query: string, variables: object = {}): Promise<Data> {
  const headers = { "content-type": "application/json", ...authorization };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = (await response.json()) as { data?: Data; errors?: unknown };
  if (!data || errors) throw new Error(JSON.stringify(errors));
  return data;
}

interface Progress {
  readonly sequence: number;
  readonly removedRatio?: number;
  readonly resultModel?: { readonly id: string };
  readonly error?: { readonly code: string; readonly message: string };
}

const {
  registerModel: { model },
} = await ask<{ registerModel: { model: { id: string; parameterCount: number } } }>(
  'mutation { registerModel(input: { source: { path: "ahab" } }) { model { id parameterCount } } }',
);
console.log(`${model.id}: ${model.parameterCount} parameters`);

const {
  startPruning: { run },
} = await ask<{ startPruning: { run: { id: string } } }>(
  "mutation ($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }",
  { input: { subject: { modelId: model.id }, dataset: { name: "literature-train" }, options: { targetRatio: 0.15, samples: 4 } } },
);

// A client that was cut off goes on after the last sequence it saw: it misses nothing and sees nothing twice.
const progress = client.iterate<{ runProgress: Progress }>({
  query: `subscription ($runId: ID!, $after: Int!) {
    runProgress(runId: $runId, after: $after) {
      sequence
      ... on PruningIterationCompleted { iteration removedRatio }
      ... on PruningSucceeded { removedRatio resultModel { id } }
      ... on RunFailed { error { code message } }
    }
  }`,
  variables: { runId: run.id, after: 0 },
});
let child: string | undefined;
for await (const { data, errors } of progress) {
  if (!data) throw new Error(JSON.stringify(errors));
  console.log(data.runProgress);
  child = data.runProgress.resultModel?.id ?? child;
}
if (!child) throw new Error("the run did not succeed");

const text = client.iterate<{ generate: { text?: string } }>({
  query: "subscription ($input: GenerateInput!) { generate(input: $input) { ... on GenerationDelta { text } } }",
  variables: { input: { modelId: child, prompt: { text: "The white whale" }, maxTokens: 20 } },
});
for await (const { data } of text) process.stdout.write(data?.generate.text ?? "");
process.stdout.write("\n");
await client.dispose();
