import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "../../src/store/embedded-postgres.ts";
import { openStore, type Store } from "../../src/store/store.ts";

export interface TestDatabase {
  readonly store: Store;
  readonly url: string;
  /** A temporary folder, gone after the test: for artifacts too. */
  readonly dataDirectory: string;
}

/** A temporary folder that the user of the embedded PostgreSQL can enter. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "espalier-"));
  await chmod(folder, 0o755);
  return folder;
}

/** Runs a test against a real, empty, migrated PostgreSQL of its own. */
export async function withDatabase<T>(test: (database: TestDatabase) => Promise<T>): Promise<T> {
  const dataDirectory = await temporaryFolder();
  try {
    const postgres = await startEmbeddedPostgres(dataDirectory, { durable: false });
    try {
      const store = await openStore(postgres.url);
      try {
        return await test({ store, url: postgres.url, dataDirectory });
      } finally {
        await store.close();
      }
    } finally {
      await postgres.stop();
    }
  } finally {
    await rm(dataDirectory, { recursive: true });
  }
}
