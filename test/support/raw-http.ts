import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
import { WebSocket } from "ws";

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** The code of the first error, in GraphQL's form; undefined where there is none. */
  readonly code: string | undefined;
}

const codeIn = (body: string): string | undefined => {
  try {
    return JSON.parse(body).errors?.[0]?.extensions?.code;
  } catch {
    return undefined;
  }
};

/** A request with headers that `fetch` does not let a program choose, such as Host. */
export async function rawRequest(
  url: string,
  { method = "GET", headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<RawAnswer> {
  const asked = request(url, { method, headers, agent: false });
  asked.end(body);
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  const said = await text(answer);
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: said, code: codeIn(said) };
}

/** Opens a socket with such headers: null if it opens, else what it is refused with. */
export async function rawUpgrade(url: string, headers: Record<string, string>): Promise<Pick<RawAnswer, "status" | "code"> | null> {
  const socket = new WebSocket(url.replace("http", "ws"), "graphql-transport-ws", { headers });
  const refused = new Promise<Pick<RawAnswer, "status" | "code">>((resolve, reject) => {
    socket.once("unexpected-response", (_request, answer) =>
      text(answer).then((body) => resolve({ status: answer.statusCode ?? 0, code: codeIn(body) }), reject),
    );
  });
  try {
    return await Promise.race([refused, once(socket, "open").then(() => null)]);
  } finally {
    socket.terminate();
  }
}
