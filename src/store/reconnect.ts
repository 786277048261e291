import { setTimeout as delay } from "node:timers/promises";
import { EspalierError } from "../errors.ts";

const maxRetryMs = 2000;

/** PostgreSQL's classes of lost connections (08), of a server that stops or crashed (57P), and of Node's and Prisma's own words. */
const lostCodes = /^(08\w{3}|57P0[1-5]|ECONN\w+|EPIPE|ENOTCONN|ETIMEDOUT|P1001|P1002|P1008|P1017|P2024|P2028)$/;
const lostWords =
  /timeout e(xceeded|xpired)|connection (terminated|ended|closed|refused|timeout)|closed the connection|ECONNRE|not queryable|starting up|shutting down|not yet accepting|in recovery mode|Can't reach database|Server has closed/i;

/** Whether an error says that the database was out of reach: the same again may succeed, once it is back. */
export function isConnectionLoss(error: unknown): boolean {
  if (error instanceof EspalierError || typeof error !== "object" || error === null) return false;
  const { code, message, cause, meta } = error as { code?: unknown; message?: unknown; cause?: unknown; meta?: Record<string, unknown> };
  return (
    (typeof code === "string" && lostCodes.test(code)) ||
    (typeof message === "string" && lostWords.test(message)) ||
    isConnectionLoss(cause) ||
    // Where Prisma keeps what the driver said.
    isConnectionLoss(meta?.["driverAdapterError"])
  );
}

/**
 * Does what may be done twice, again and again while the database is out of reach. Whether a commit whose answer was lost
 * took place is never known, so `work` must do nothing if it has been done.
 *
 * @throws what `work` throws for any other reason; the last loss of connection if the signal aborts
 */
export async function throughReconnects<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await work();
    } catch (error) {
      if (!isConnectionLoss(error) || signal.aborted) throw error;
      await delay(Math.min(maxRetryMs, 100 * 2 ** failures), undefined, { signal }).catch(() => {});
    }
  }
}
