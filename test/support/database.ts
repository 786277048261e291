import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "../../src/postgres/embedded-postgres.ts";
import { openStore, type Store } from "../../src/store/store.ts";

export interface TestDatabase {
  readonly store: Store;
  readonly url: string;
  /** A temporary folder, gone after `close`: for artifacts too. */
  readonly dataDirectory: string;
  close(): Promise<void>;
}

/** A temporary folder that the user of the embedded PostgreSQL can enter. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "espalier-"));
  await chmod(folder, 0o755);
  return folder;
}

/** A real, empty, migrated PostgreSQL of the test's own. */
export async function testDatabase(silenceMs?: number): Promise<TestDatabase> {
  const dataDirectory = await temporaryFolder();
  const postgres = await startEmbeddedPostgres(dataDirectory, { durable: false });
  const store = await openStore(postgres.url, silenceMs);
  return {
    store,
    url: postgres.url,
    dataDirectory,
    close: async () => {
      await store.close();
      await postgres.stop();
      await rm(dataDirectory, { recursive: true });
    },
  };
}

/** The same for one test. */
export async function withDatabase<T>(work: (database: TestDatabase) => Promise<T>): Promise<T> {
  const database = await testDatabase();
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}
