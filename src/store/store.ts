import { PrismaPg } from "@prisma/adapter-pg";
import pg from "pg";
import { EspalierError } from "../errors.ts";
import { PrismaClient } from "../generated/prisma/client.ts";
import { Listener } from "./listener.ts";
import { migrate } from "./migrate.ts";

/** What store functions work on: the client, or a transaction of it. */
export type Database = Omit<PrismaClient, "$connect" | "$disconnect" | "$on" | "$use" | "$extends" | "$transaction">;

/** The database of models, runs and events, open and migrated. */
export interface Store {
  readonly prisma: PrismaClient;
  readonly listener: Listener;
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Opens a database and brings it to this program's schema.
 *
 * @throws EspalierError DATABASE_UNREACHABLE; and what `migrate` throws
 */
export async function openStore(url: string): Promise<Store> {
  const pool = new pg.Pool({ connectionString: url, max: 10 });
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
  try {
    await migrate(pool);
  } catch (error) {
    await pool.end();
    throw error;
  }
  // The scores of a large model take longer to store than Prisma's own five seconds.
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool), transactionOptions: { maxWait: 10_000, timeout: 60_000 } });
  const listener = new Listener(url);
  return {
    prisma,
    listener,
    url,
    close: async () => {
      await listener.close();
      await prisma.$disconnect();
      await pool.end();
    },
  };
}
