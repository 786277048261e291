import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "graphql-ws";
import { WebSocket } from "ws";
import { type Random, randomChoice } from "../../../src/random.ts";

/** Errors that say to ask again: a process or the database has just been killed. */
const passing: ReadonlySet<string> = new Set(["INTERNAL_SERVER_ERROR", "DATABASE_UNAVAILABLE", "SERVER_STOPPING"]);

/** Errors that say the request was wrong: to try again is no use. */
class Refused extends Error {}

/** A client that takes any answering API and does not give up when one dies under it. */
export class Client {
  constructor(
    private readonly urls: readonly string[],
    private readonly random: Random,
    /** Ends what is asked and followed: an API that never comes back would be asked for ever. */
    private readonly signal: AbortSignal,
  ) {}

  /** One operation, at one API after another until it is answered. A mutation needs a key, for it may be done twice. */
  async ask<Data>(query: string, variables: Readonly<Record<string, unknown>>): Promise<Data> {
    for (; ; await delay(100)) {
      this.signal.throwIfAborted();
      const url = `${randomChoice(this.random, this.urls)}/graphql`;
      const headers = { "content-type": "application/json" };
      const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }) }).catch(() => null);
      const answer = (await response?.json().catch(() => null)) as { data?: Data; errors?: { extensions?: { code?: string } }[] } | null;
      if (answer?.data && !answer.errors) return answer.data;
      const code = answer?.errors?.[0]?.extensions?.code;
      if (code && !passing.has(code)) throw new Refused(JSON.stringify(answer.errors));
    }
  }

  /** The sequences that a subscriber of a run sees, from the first event to the last, through as many connections as it takes. */
  async follow(runId: string): Promise<{ sequences: number[]; connections: number }> {
    const query = "subscription ($runId: ID!, $after: Int!) { runProgress(runId: $runId, after: $after) { sequence } }";
    const sequences: number[] = [];
    for (let connections = 1; ; connections++) {
      this.signal.throwIfAborted();
      const url = `${randomChoice(this.random, this.urls).replace("http", "ws")}/graphql`;
      const client = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 });
      try {
        const variables = { runId, after: sequences.at(-1) ?? 0 };
        for await (const { data, errors } of client.iterate<{ runProgress: { sequence: number } }>({ query, variables })) {
          if (errors || !data) throw new Error(JSON.stringify(errors));
          sequences.push(data.runProgress.sequence);
        }
        return { sequences, connections };
      } catch {
        await delay(100);
      } finally {
        await client.dispose();
      }
    }
  }
}
