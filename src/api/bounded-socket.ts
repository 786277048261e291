import { WebSocket } from "ws";
import { hasTooManyValues } from "./json-values.ts";

const tooBig = 1009;

/** A socket that takes no message with more values than a request may have. Sending fails only when the client has gone, which is no error. */
export class BoundedSocket extends WebSocket {
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event !== "message" || !hasTooManyValues(args[0] as Buffer)) return super.emit(event, ...args);
    this.close(tooBig, JSON.stringify({ code: "REQUEST_TOO_LARGE", limit: "values" }));
    return true;
  }

  override send(data: Parameters<WebSocket["send"]>[0], ...rest: readonly unknown[]): void {
    const told = rest.at(-1) as ((error?: Error) => void) | undefined;
    if (typeof told === "function") super.send(data, () => told());
    else super.send(data, ...(rest as []));
  }
}
