import { once } from "node:events";
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { ExecutionResult, GraphQLSchema } from "graphql";
import type { Logger } from "pino";
import type { Context } from "./context.ts";
import { type OperationRequest, perform, prepareOperation, thrown } from "./operation.ts";
import { presentGraphQLError } from "./present-error.ts";
import type { StalledClients, TooSlow } from "./stalled-clients.ts";

/** A stream that is over is cut after this long if its client has not read to its end. */
const graceMs = 30_000;

const headers: OutgoingHttpHeaders = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  // nginx would hold events back until it has a bufferful.
  "x-accel-buffering": "no",
};
const comment = ":\n\n";
const complete = "event: complete\ndata: \n\n";
const next = (result: object): string => `event: next\ndata: ${JSON.stringify(result)}\n\n`;

async function* single(result: ExecutionResult): AsyncGenerator<ExecutionResult, void, void> {
  yield result;
}

/** Ends a response for good, whether or not its client reads on. */
function end(response: ServerResponse): void {
  if (response.writableEnded) return;
  response.end();
  const late = setTimeout(() => response.destroy(), graceMs);
  late.unref();
  response.once("close", () => clearTimeout(late));
}

/**
 * Answers operations with server-sent events: the "distinct connections mode" of GraphQL over SSE
 * (https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md). A result is asked for once the client has room for it,
 * so that a slow one costs little memory; one that takes nothing for long is cut off.
 */
export class EventStreams {
  private readonly open = new Set<ServerResponse>();

  constructor(
    private readonly schema: GraphQLSchema,
    private readonly stalled: StalledClients,
    private readonly log: Logger,
    private readonly keepAliveMs: number,
  ) {}

  /** Writes an operation's results, or why there are none, and then that it is over. */
  async answer(request: OperationRequest, context: Context, response: ServerResponse): Promise<void> {
    this.begin(response, context);
    const beat = setInterval(() => response.writableNeedDrain || response.write(comment), this.keepAliveMs);
    try {
      const prepared = prepareOperation(this.schema, request);
      const answer = "args" in prepared ? await perform({ ...prepared.args, contextValue: context }) : { errors: prepared };
      await this.send(Symbol.asyncIterator in answer ? answer : single(answer), context.signal, response);
    } finally {
      clearInterval(beat);
      end(response);
      this.open.delete(response);
    }
  }

  /** Ends every stream without saying that it is complete: clients connect again. */
  close(): void {
    for (const response of this.open) end(response);
  }

  private begin(response: ServerResponse, context: Context): void {
    this.open.add(response);
    response.writeHead(200, headers);
    // Sends the headers: the first result may be far away.
    response.write(comment);
    if (!response.socket) return;
    const cut = (extensions: TooSlow) => {
      response.write(next({ errors: [{ message: "the client has stopped to read", extensions }] }));
      end(response);
    };
    this.stalled.watch(response, { stream: response.socket, waiting: () => response.writableLength, cut });
    this.stalled.operationsOf(response)?.set("", context);
  }

  private async send(results: AsyncGenerator<ExecutionResult, void, void>, left: AbortSignal, response: ServerResponse): Promise<void> {
    const leave = () => void results.return();
    left.addEventListener("abort", leave, { once: true });
    if (left.aborted) leave();
    const write = async (result: ExecutionResult) => {
      const errors = result.errors?.map((error) => presentGraphQLError(this.log, error));
      if (response.writableEnded || response.write(next(errors ? { ...result, errors } : result))) return;
      // Whoever leaves or is cut off makes no more room.
      await once(response, "drain", { signal: left }).catch(() => {});
    };
    try {
      for await (const result of results) await write(result);
    } catch (error) {
      await write({ errors: [thrown(error)] });
    } finally {
      left.removeEventListener("abort", leave);
    }
    if (!left.aborted && !response.writableEnded) response.write(complete);
  }
}
