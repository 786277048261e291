import { createClient } from "graphql-ws";
import { WebSocket } from "ws";
import { EspalierError } from "../../errors.ts";

/** A GraphQL client over HTTP and graphql-ws, as any client in any language would be. */
export interface Client {
  /** One query or mutation. @throws EspalierError with the server's words and code if it is refused */
  request<Data>(query: string, variables?: Record<string, unknown>): Promise<Data>;
  /** The results of a subscription; leaving the loop ends it at the server too. */
  subscribe<Data>(query: string, variables?: Record<string, unknown>): AsyncGenerator<Data>;
  close(): Promise<void>;
}

interface Result<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: unknown } }[];
}

function dataOf<Data>({ data, errors }: Result<Data>): Data {
  const [first] = errors ?? [];
  if (first) throw new EspalierError(String(first.extensions?.code ?? "NO_CODE"), (errors ?? []).map((e) => e.message).join("\n"));
  if (!data) throw new Error("the server answered with neither data nor errors");
  return data;
}

/** @param token shown to the server, if it wants one */
export function connect(url: string, token?: string): Client {
  const shown: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const socket = createClient({ url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: shown });
  return {
    async request<Data>(query: string, variables = {}) {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...shown },
        body: JSON.stringify({ query, variables }),
      }).catch((cause: Error) => {
        throw new EspalierError("SERVER_UNREACHABLE", `no server answers at ${url}; PORT or --server says where it is`, { url }, { cause });
      });
      return dataOf((await response.json()) as Result<Data>);
    },
    async *subscribe<Data>(query: string, variables = {}) {
      for await (const result of socket.iterate<Data>({ query, variables })) yield dataOf(result as Result<Data>);
    },
    async close() {
      await socket.dispose();
    },
  };
}
