import type { IncomingMessage, Server } from "node:http";

/** What Node gives of a request that took too long. */
const tooLate = () => Object.assign(new Error("Request timeout"), { code: "ERR_HTTP_REQUEST_TIMEOUT" });

/** Bytes a second: a body that comes faster may take as long as it needs. */
const slowest = 16 * 1024;

/**
 * Ends requests whose bodies trickle. A body may take `patienceMs`, and a second more for each 16 KiB that has come: a model's weights
 * take minutes. (Node's own limit is one for the whole of a request, whatever comes of it.)
 */
export function endSlowBodies(http: Server, patienceMs: number): void {
  http.on("request", (request: IncomingMessage) => {
    if (request.complete || !hasBody(request)) return;
    const { socket } = request;
    const [begun, before] = [performance.now(), socket.bytesRead];
    const left = () => patienceMs + ((socket.bytesRead - before) / slowest) * 1000 - (performance.now() - begun);
    let timer: NodeJS.Timeout;
    const look = () => {
      const ms = left();
      if (ms > 0) timer = setTimeout(look, Math.max(ms, 10));
      else if (!request.complete) http.emit("clientError", tooLate(), socket);
    };
    timer = setTimeout(look, patienceMs);
    const stop = () => clearTimeout(timer);
    request.once("end", stop);
    socket.once("close", stop);
    request.once("close", () => {
      stop();
      socket.off("close", stop);
    });
  });
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
