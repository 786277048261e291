import pg from "pg";
import type { TestDatabase } from "./database.ts";
import { until } from "./wait.ts";

/** Any number: the lock that shuts the gate. */
const gateKey = 777;

export type Write = "INSERT" | "UPDATE" | "DELETE";

/** How many statements of a database wait for a lock of another. */
export async function waiting({ store }: TestDatabase): Promise<number> {
  const [row] = await store.prisma.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
  return row?.count ?? 0;
}

/** Whether a promise has come to an end. */
function ended(promise: Promise<unknown>): () => boolean {
  let over = false;
  const end = () => {
    over = true;
  };
  promise.then(end, end);
  return () => over;
}

/**
 * Runs two contenders of which the first is held in the middle: where it writes to a table. The second begins meanwhile, and
 * the first goes on once the second waits too, for whatever it is, or is through.
 *
 * @returns what became of them, and whether the second was through while the first was held
 */
export async function contend<A, B>(
  database: TestDatabase,
  [write, table]: readonly [Write, string],
  first: () => Promise<A>,
  second: () => Promise<B>,
): Promise<{ first: PromiseSettledResult<A>; second: PromiseSettledResult<B>; overtook: boolean }> {
  const keeper = new pg.Client({ connectionString: database.url });
  await keeper.connect();
  try {
    await keeper.query(`
      CREATE OR REPLACE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(${gateKey}); RETURN COALESCE(NEW, OLD); END';
      CREATE TRIGGER gate BEFORE ${write} ON "${table}" FOR EACH ROW EXECUTE FUNCTION gate()`);
    await keeper.query("SELECT pg_advisory_lock($1)", [gateKey]);
    const one = first();
    const oneEnded = ended(one);
    await until("the first contender is at the gate", async () => oneEnded() || (await waiting(database)) === 1);
    if (oneEnded()) throw new Error(`the first contender did not ${write} ${table}`, { cause: await one });
    const two = second();
    const twoEnded = ended(two);
    await until("the second contender waits or is through", async () => twoEnded() || (await waiting(database)) === 2);
    const overtook = twoEnded();
    await keeper.query("SELECT pg_advisory_unlock($1)", [gateKey]);
    const [a, b] = await Promise.allSettled([one, two]);
    return { first: a, second: b, overtook };
  } finally {
    await keeper.query("SELECT pg_advisory_unlock_all()");
    await keeper.query(`DROP TRIGGER IF EXISTS gate ON "${table}"`);
    await keeper.end();
  }
}
