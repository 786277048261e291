import type { Socket } from "node:net";
import type { Pool, PoolClient } from "pg";

/** What pg's types leave out of a client. */
interface Inner {
  readonly connection: { readonly stream: Socket };
  readonly readyForQuery: boolean;
}

/**
 * Ends connections of a pool on which a statement goes unanswered for so long: the database hangs, or does not get done. Its statement fails
 * as for any lost connection. The connection cannot be kept, for nobody knows what of a transaction it still carries.
 */
export function endSilent(pool: Pool, silenceMs: number): void {
  pool.on("connect", (client: PoolClient) => {
    const inner = client as unknown as Inner;
    const { stream } = inner.connection;
    stream.setTimeout(silenceMs, () => {
      if (inner.readyForQuery) return;
      stream.destroy(Object.assign(new Error(`the database gave no answer within ${silenceMs} ms`), { code: "ETIMEDOUT" }));
    });
  });
}
