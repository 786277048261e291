import { setTimeout as delay } from "node:timers/promises";
import { PrismaPg } from "@prisma/adapter-pg";
import pg from "pg";
import { EspalierError } from "../errors.ts";
import { PrismaClient } from "../generated/prisma/client.ts";
import { endSilent } from "./end-silent.ts";
import { Listener } from "./listener.ts";
import { migrate } from "./migrate.ts";

/** What store functions work on: the client, or a transaction of it. */
export type Database = Omit<PrismaClient, "$connect" | "$disconnect" | "$on" | "$use" | "$extends" | "$transaction">;

/** The database of models, runs and events, open and migrated. */
export interface Store {
  readonly prisma: PrismaClient;
  readonly listener: Listener;
  readonly url: string;
  /** Whether the database answers at all, soon. */
  answers(): Promise<boolean>;
  close(): Promise<void>;
}

/** Far more than any statement of ours takes, and than one waits for another's lock. */
const longestSilenceMs = 20_000;

/** How long `answers` waits. */
const soonMs = 2000;

/**
 * Opens a database and brings it to this program's schema.
 *
 * @throws EspalierError DATABASE_UNREACHABLE; and what `migrate` throws
 */
export async function openStore(url: string, silenceMs: number = longestSilenceMs): Promise<Store> {
  const pool = new pg.Pool({ connectionString: url, max: 10, connectionTimeoutMillis: silenceMs });
  endSilent(pool, silenceMs);
  // A connection lost while idle is replaced at the next query, which reports what is then still wrong.
  pool.on("error", () => {});
  // One lost while it is out of the pool fails its query or the next; without a listener it would end the process.
  pool.on("connect", (client) => client.on("error", () => {}));
  try {
    (await pool.connect()).release();
  } catch (cause) {
    await pool.end();
    throw new EspalierError("DATABASE_UNREACHABLE", `the database cannot be reached: ${(cause as Error).message}`, {}, { cause });
  }
  // Migrations may take their time, and others' too, for which they wait.
  const patient = new pg.Pool({ connectionString: url, max: 1 });
  try {
    await migrate(patient);
  } catch (error) {
    await pool.end();
    throw error;
  } finally {
    await patient.end();
  }
  // The scores of a large model take longer to store than Prisma's own five seconds.
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool), transactionOptions: { maxWait: 10_000, timeout: 60_000 } });
  const listener = new Listener(url);
  const ask = onceAtATime(() => pool.query("SELECT 1"));
  return {
    prisma,
    listener,
    url,
    answers: async () => {
      const late = delay(soonMs, false, { ref: false });
      const asked = ask().then(
        () => true,
        () => false,
      );
      return Promise.race([asked, late]);
    },
    close: async () => {
      await listener.close();
      await prisma.$disconnect();
      await pool.end();
    },
  };
}

/** Whoever asks while an answer is on its way gets that one. */
function onceAtATime<Answer>(ask: () => Promise<Answer>): () => Promise<Answer> {
  let asking: Promise<Answer> | null = null;
  return () => {
    asking ??= ask().finally(() => (asking = null));
    return asking;
  };
}
