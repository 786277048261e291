import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createClient } from "graphql-ws";
import { pino } from "pino";
import { WebSocket } from "ws";
import { start } from "../../../src/start.ts";
import type { Tokenizer } from "../../../src/text/tokenizer.ts";
import { type Contestant, rateOf } from "./contestants.ts";

const subscription = `subscription ($input: GenerateInput!) { generate(input: $input) { ... on GenerationDelta { tokenIds text } } }`;

/** The whole server, asked over a WebSocket. */
export async function door(folder: string, tokenizer: Tokenizer): Promise<Contestant> {
  const dataDirectory = mkdtempSync(join(tmpdir(), "espalier-bench-"));
  // The embedded PostgreSQL has a user of its own.
  chmodSync(dataDirectory, 0o755);
  const modelRoot = dirname(folder);
  const config = {
    role: "all",
    host: "127.0.0.1",
    port: 0,
    allowedHosts: [],
    allowedOrigins: [],
    open: false,
    firstToken: false,
    dataDirectory,
    workerProviders: ["CPU"],
    workerConcurrency: 1,
    artifacts: null,
    databaseUrl: null,
    modelRoot,
    datasetRoot: modelRoot,
    modelMemory: null,
    hub: null,
    hubToken: null,
    uploads: 1024,
    logLevel: "error",
  } as const;
  const server = await start(config, pino({ level: "error" }));
  const url = server.url as string;
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      query: "mutation ($input: RegisterModelInput!) { registerModel(input: $input) { model { id } } }",
      variables: { input: { source: { path: basename(folder) } } },
    }),
  });
  const { data } = (await answer.json()) as { data: { registerModel: { model: { id: string } } } };
  const modelId = data.registerModel.model.id;
  const client = createClient({ url: url.replace("http", "ws"), webSocketImpl: WebSocket });
  return {
    async run(promptIds, tokens) {
      const begun = performance.now();
      const times: number[] = [];
      const prompt = tokenizer.decode(promptIds);
      const logitBias = tokenizer.eosIds.map((tokenId) => ({ tokenId, bias: -100 }));
      const input = { modelId, prompt: { text: prompt }, maxTokens: tokens, logitBias, executionProvider: "CPU" };
      for await (const { data, errors } of client.iterate<{ generate: { tokenIds?: number[] } }>({
        query: subscription,
        variables: { input },
      })) {
        if (errors) throw new Error(JSON.stringify(errors));
        for (const _ of data?.generate.tokenIds ?? []) times.push(performance.now());
      }
      return rateOf(begun, [times]);
    },
    async close() {
      await client.dispose();
      await server.stop();
      rmSync(dataDirectory, { recursive: true, force: true });
    },
  };
}
